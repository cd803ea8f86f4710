use proptest::prelude::*;

use super::*;
use crate::bank::Bank;
use crate::domain::Provenance;
use crate::stamp::Stamp;

const HOUR: u64 = 3_600_000_000_000;
const INTEL: &str = "vendor_id: GenuineIntel\ncpu family: 6\nmodel: 63\nmodel name: Intel(R) Xeon(R) CPU E5-2620 v3 @ 2.40GHz\n";

struct At(u64);
impl Clock for At {
    fn stamp(&self) -> Stamp {
        Stamp::at(self.0)
    }
    fn utc(&self) -> jiff::Timestamp {
        jiff::Timestamp::UNIX_EPOCH
    }
}

/// A machine that is always equally busy.
fn steady(cpus: u32, utilisation: f64) -> HostReader {
    Box::new(move |clock: &dyn Clock| {
        let at_ns = clock.stamp().boottime_ns;
        let busy_ns = (at_ns as f64 * f64::from(cpus) * utilisation) as u64;
        Ok(HostRow { at_ns, busy_ns, steal_ns: 0, cpus, quantum_ns: 1 })
    })
}

/// Microjoules of processors and memory after the given instants.
fn energy(model: &mut ModelMeter, instants: &[u64]) -> (u64, u64) {
    let nothing = || Err(ReadError::Io { path: "x".into(), errno: 5 });
    let mut values = [nothing(), nothing()];
    for &at in instants {
        model.read(&At(at), &mut values);
    }
    let [cpu, memory] = values.map(|v| v.unwrap().shown);
    (cpu, memory)
}

fn learned() -> Calibration {
    let mut calibration = Calibration::new(MachineKey::new(INTEL, 24), "rapl_powercap");
    for i in 0..20 {
        calibration.observe(f64::from(i) / 19.0, 16.0 + 4.0 * f64::from(i), 60.0);
    }
    calibration
}

fn every_rule() -> [Rule; 4] {
    let given: Curve = Box::new(|load| 0.2 + load.utilisation);
    [
        Rule::vcpu_linear(Coefficients::UNKNOWN),
        Rule::tdp_curve(65.0, "a test"),
        Rule::calibrated(&learned()).unwrap(),
        Rule::new("power-profile/1", "0.2 W idle, 1.2 W busy".into(), "power_profile.xml".into(), 0.4, given),
    ]
}

#[test]
fn two_processors_half_busy_for_an_hour_draw_15264_joules() {
    let mut model = ModelMeter::new(Coefficients::UNKNOWN, 4.0, steady(2, 0.5));
    let (cpu, memory) = energy(&mut model, &[0, HOUR]);
    assert!(cpu.abs_diff(15_264_000_000) < 10, "{cpu}");
    assert!(memory.abs_diff(5_644_800_000) < 10, "{memory}");
}

#[test]
fn the_interval_is_15264_joules_wide_for_an_unknown_family_and_6105_6_for_a_known_one() {
    let half_width = |uncertainty: f64| {
        let model = ModelMeter::new(Coefficients { uncertainty, ..Coefficients::UNKNOWN }, 4.0, steady(2, 0.5));
        Bank::new(vec![Box::new(model)]).uncertainty_j(0, 15264.0, 4.24)
    };
    assert!((half_width(Coefficients::UNKNOWN.uncertainty) - 15264.0).abs() < 1e-9);
    assert!((half_width(Coefficients::by_cpuinfo(INTEL).uncertainty) - 6105.6).abs() < 1e-9);
}

#[test]
fn a_model_never_looks_measured() {
    for rule in every_rule() {
        let id = rule.id();
        let model = ModelMeter::with(rule, 4.0, steady(2, 0.5));
        for domain in model.domains() {
            assert_eq!(domain.source, Source::Model, "{id}");
            assert_eq!(domain.provenance(), Provenance::Modelled, "{id}");
            assert_eq!(domain.provenance().of_share(), Provenance::Modelled, "{id}");
            assert!(domain.full_name().starts_with("model/"), "{id}: {}", domain.full_name());
            assert!(domain.accuracy >= 0.10, "{id} claims a meter's accuracy");
        }
        assert_eq!(model.model().map(|m| m.id), Some(id));
        let report = serde_json::to_value(model.report("rapl_powercap: absent")).unwrap();
        assert_eq!(report["source"], "model", "{id}");
        assert_eq!(report["model"]["id"], id);
        for words in ["parameters", "basis"] {
            assert!(report["model"][words].as_str().is_some_and(|text| !text.is_empty()), "{id}: {report}");
        }
        let names: Vec<&str> = report["domains"].as_array().unwrap().iter().map(|d| d["domain"].as_str().unwrap()).collect();
        assert_eq!(names, ["cpu", "memory"], "never the name of a meter's domain");
        assert!(!report.to_string().contains("measured"), "{report}");
        assert!(report["detail"].as_str().unwrap().contains("the model is used"), "{report}");
    }
}

#[test]
fn the_curve_passes_its_knots_and_is_linear_in_between() {
    for (u, share) in [(0.0, 0.12), (0.1, 0.32), (0.5, 0.75), (1.0, 1.02), (0.05, 0.22), (0.3, 0.535), (0.75, 0.885), (7.0, 1.02)]
    {
        assert!((tdp_share(u) - share).abs() < 1e-12, "{u}: {}", tdp_share(u));
    }
    let mut model = ModelMeter::with(Rule::tdp_curve(65.0, "a test"), 0.0, steady(8, 0.1));
    let (cpu, memory) = energy(&mut model, &[0, 1_000_000_000]);
    assert_eq!((cpu, memory), (20_800_000, 0));
}

#[test]
fn a_machine_gets_the_rule_that_fits_it() {
    let id = |facts: &Facts<'_>| Rule::choose(facts, None).id();
    let bare = Facts { cpuinfo: INTEL, ..Facts::default() };
    assert_eq!(id(&Facts { powercap_tdp_w: Some(170.0), ..bare }), "tdp-curve/1");
    assert_eq!(id(&Facts { configured_tdp_w: Some(170.0), ..bare }), "tdp-curve/1");
    assert_eq!(id(&bare), "tdp-curve/1", "its name stands in the table");
    let unnamed = Facts { cpuinfo: "vendor_id: GenuineIntel\ncpu family: 6\nmodel: 63\n", ..Facts::default() };
    assert_eq!(id(&unnamed), "vcpu-linear/1");
    assert_eq!(id(&Facts { configured_tdp_w: Some(f64::NAN), ..unnamed }), "vcpu-linear/1");
    let guest = format!("{INTEL}flags: fpu hypervisor\n");
    let rule =
        Rule::choose(&Facts { cpuinfo: &guest, configured_tdp_w: Some(170.0), powercap_tdp_w: Some(1.0), provider: None }, None);
    assert_eq!((rule.id(), rule.uncertainty()), ("vcpu-linear/1", 0.40));
    assert!(rule.basis().contains("Haswell") && rule.basis().contains("tdp_w is not used"), "{}", rule.basis());
    let azure = Facts { cpuinfo: "flags: hypervisor\n", provider: Some(Provider::Azure), ..Facts::default() };
    assert!(Rule::choose(&azure, None).basis().contains("Azure"));
    assert!((Rule::choose(&azure, None).uncertainty() - 1.0).abs() < 1e-12);
}

#[test]
fn two_packages_of_the_table_draw_twice() {
    let two = format!("{INTEL}physical id: 0\n\nphysical id: 1\n");
    let rule = Rule::choose(&Facts { cpuinfo: &two, ..Facts::default() }, None);
    assert!(rule.parameters().starts_with("170 W"), "{}", rule.parameters());
    assert!(rule.basis().contains("2 x Intel Xeon E5-2620 v3 (CodeCarbon"), "{}", rule.basis());
}

#[test]
fn what_the_machine_taught_comes_first_and_says_when_and_how_well() {
    let dir = tempfile::tempdir().unwrap();
    let mut calibration = learned();
    calibration.save(&dir.path().join("calibration.json"), "2026-03-01T10:00:00Z".parse().unwrap()).unwrap();
    let facts = Facts { cpuinfo: INTEL, configured_tdp_w: Some(170.0), ..Facts::default() };
    let mut rule = Rule::choose(&facts, Some(&calibration));
    assert_eq!(rule.id(), "calibrated-line/1");
    for words in ["20 minutes of rapl_powercap", "2026-03-01", "0-100 % use", "residual 0.0 W", "± 10 %"] {
        assert!(rule.basis().contains(words), "{words} is not in: {}", rule.basis());
    }
    let watts = rule.watts(Load { cpus: 24, utilisation: 0.5, seconds: 1.0 }).unwrap();
    assert!((watts - 54.0).abs() < 1e-6, "{watts}");
    // memory was not calibrated
    let model = ModelMeter::with(rule, 4.0, steady(2, 0.5));
    assert!((model.domains()[0].accuracy - 0.10).abs() < 1e-9 && (model.domains()[1].accuracy - 0.40).abs() < 1e-9);
    let nothing = Calibration::new(MachineKey::new(INTEL, 24), "rapl_powercap");
    assert_eq!(Rule::choose(&facts, Some(&nothing)).id(), "tdp-curve/1");
}

#[test]
fn a_design_power_is_read_where_the_counter_is_denied() {
    let dir = tempfile::tempdir().unwrap();
    let class = dir.path().join("class/powercap");
    let zone = |folder: &str, name: &str, max_uw: Option<&str>| {
        let folder = class.join(folder);
        std::fs::create_dir_all(&folder).unwrap();
        std::fs::write(folder.join("name"), format!("{name}\n")).unwrap();
        if let Some(text) = max_uw {
            std::fs::write(folder.join("constraint_0_max_power_uw"), text).unwrap();
        }
    };
    assert_eq!(powercap_tdp_w(dir.path()), None);
    zone("intel-rapl:0", "package-0", Some("85000000\n"));
    zone("intel-rapl:a", "package-1", Some("85000000\n"));
    zone("intel-rapl:b", "package-1", Some("85000000\n"));
    // a part of a package, a second view, the platform: none of them adds to it
    zone("intel-rapl:0:0", "core", Some("7000000\n"));
    zone("intel-rapl-mmio:0", "package-0", Some("28000000\n"));
    zone("intel-rapl:2", "psys", Some("300000000\n"));
    assert_eq!(powercap_tdp_w(dir.path()), Some(170.0));
    std::fs::create_dir_all(dir.path().join("class/dmi/id")).unwrap();
    std::fs::write(dir.path().join("class/dmi/id/sys_vendor"), "Google\n").unwrap();
    let facts = Facts::read(dir.path(), INTEL, None);
    assert_eq!((facts.provider, facts.powercap_tdp_w), (Some(Provider::Gcp), Some(170.0)));
    for nonsense in ["0\n", "", "none\n", "99999999999999999999\n", "4000000000\n"] {
        zone("intel-rapl:a", "package-1", Some(nonsense));
        zone("intel-rapl:b", "package-1", Some(nonsense));
        assert_eq!(powercap_tdp_w(dir.path()), None, "{nonsense:?}");
    }
}

#[test]
fn a_rule_without_a_number_loses_no_time() {
    let mut calls = 0;
    let flaky: Curve = Box::new(move |_| {
        calls += 1;
        if calls == 1 { f64::NAN } else { 5.0 }
    });
    let rule = Rule::new("flaky/1", "5 W".into(), "a test".into(), f64::NAN, flaky);
    assert!((rule.uncertainty() - 1.0).abs() < 1e-12);
    let mut model = ModelMeter::with(rule, 0.0, steady(1, 0.5));
    let nothing = || Err(ReadError::Io { path: "x".into(), errno: 5 });
    let mut values = [nothing(), nothing()];
    model.read(&At(0), &mut values);
    model.read(&At(1_000_000_000), &mut values);
    assert!(values[0].as_ref().unwrap_err().to_string().contains("flaky/1"), "{values:?}");
    model.read(&At(2_000_000_000), &mut values);
    assert_eq!(values[0].as_ref().unwrap().shown, 10_000_000);
}

#[test]
fn a_negative_power_counts_as_none() {
    let mut rule = Rule::new("below/1", "-5 W".into(), "a test".into(), 0.4, Box::new(|_| -5.0));
    assert_eq!(rule.watts(Load { cpus: 1, utilisation: 0.5, seconds: 1.0 }).unwrap().to_bits(), 0.0_f64.to_bits());
}

#[test]
fn memory_is_read_in_gigabytes() {
    assert!((memory_gb("MemTotal:       24608548 kB\nMemFree: 1 kB\n").unwrap() - 25.199).abs() < 0.001);
    assert_eq!(memory_gb("nothing"), None);
}

proptest! {
    #[test]
    fn no_load_makes_a_rule_negative_or_absurd(cpus in any::<u32>(), u in 0.0..=1.0, seconds in 0.0..1e6) {
        for mut rule in every_rule() {
            let watts = rule.watts(Load { cpus, utilisation: u, seconds }).unwrap();
            prop_assert!(watts.is_finite() && watts >= 0.0);
        }
    }

    #[test]
    fn energy_never_falls_and_does_not_depend_on_how_often_it_is_read(u in 0.0..=1.0, cuts in prop::collection::vec(1..HOUR, 0..20)) {
        let mut instants = cuts;
        instants.extend([0, HOUR]);
        instants.sort_unstable();
        for (often, once) in every_rule().into_iter().zip(every_rule()) {
            let (often, _) = energy(&mut ModelMeter::with(often, 4.0, steady(2, u)), &instants);
            let (once, _) = energy(&mut ModelMeter::with(once, 4.0, steady(2, u)), &[0, HOUR]);
            prop_assert!(often.abs_diff(once) <= once / 100_000 + 1000, "{often} {once}");
        }
    }
}

/// Faults of other programs that must not come back.
mod peers {
    use super::*;

    /// A period below a second was divided by in whole seconds, and watts went out as joules.
    #[test]
    fn alumet_tdp_watts() {
        for period_ns in [0, 1, 1000, 50_000_000, 999_999_999] {
            let mut model = ModelMeter::with(Rule::tdp_curve(100.0, "a test"), 0.0, steady(4, 0.5));
            let (cpu, _) = energy(&mut model, &[5_000_000_000, 5_000_000_000 + period_ns]);
            let joules = 75.0 * period_ns as f64 / 1e9;
            assert!((cpu as f64 / 1e6 - joules).abs() < 2e-6, "{period_ns} ns: {cpu} uJ, not {joules} J");
        }
        // no time is no load, and whatever lies between two readings is a share of the processors
        let seen = std::sync::Arc::new(std::sync::Mutex::new(Vec::new()));
        let told = std::sync::Arc::clone(&seen);
        let curve: Curve = Box::new(move |load| {
            told.lock().unwrap().push((load.utilisation, load.seconds));
            1.0
        });
        let rule = Rule::new("told/1", "1 W".into(), "a test".into(), 0.4, curve);
        energy(&mut ModelMeter::with(rule, 0.0, steady(4, 0.5)), &[1_000_000_000, 1_000_000_000, 1_500_000_000]);
        assert_eq!(*seen.lock().unwrap(), [(0.5, 0.5)]);
        // 75 W over two seconds are 150 J: the figure goes with time
        let mut model = ModelMeter::with(Rule::tdp_curve(100.0, "a test"), 0.0, steady(4, 0.5));
        assert_eq!(energy(&mut model, &[0, 2_000_000_000]).0, 150_000_000);
    }
}
