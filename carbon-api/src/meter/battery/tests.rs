use std::cell::Cell;
use std::fs;

use proptest::prelude::*;
use tempfile::TempDir;

use super::*;
use crate::bank::{Bank, Observed};
use crate::counter::Outcome;

const S: u64 = 1_000_000_000;

struct VirtualClock(Cell<Stamp>);

impl Clock for VirtualClock {
    fn stamp(&self) -> Stamp {
        self.0.get()
    }

    fn utc(&self) -> jiff::Timestamp {
        jiff::Timestamp::UNIX_EPOCH
    }
}

impl VirtualClock {
    fn pass(&self, seconds: f64) {
        let ns = (seconds * 1e9) as u64;
        let Stamp { boottime_ns, monotonic_ns } = self.0.get();
        self.0.set(Stamp { boottime_ns: boottime_ns + ns, monotonic_ns: monotonic_ns + ns });
    }

    fn sleep(&self, seconds: u64) {
        let Stamp { boottime_ns, monotonic_ns } = self.0.get();
        self.0.set(Stamp { boottime_ns: boottime_ns + seconds * S, monotonic_ns });
    }
}

/// A machine with batteries, its clock in our hand.
struct Rig {
    root: TempDir,
    clock: VirtualClock,
    bank: Option<Bank>,
}

impl Rig {
    fn new() -> Self {
        let root = tempfile::tempdir().unwrap();
        fs::create_dir_all(root.path().join("class/power_supply")).unwrap();
        Self { root, clock: VirtualClock(Cell::new(Stamp::at(1000 * S))), bank: None }
    }

    /// One battery called BAT0 that is being drained.
    fn with(files: &[(&str, &str)]) -> Self {
        let rig = Self::new();
        rig.supply("BAT0", &[("type", "Battery"), ("present", "1"), ("status", "Discharging")]);
        rig.supply("BAT0", files);
        rig
    }

    fn supply(&self, name: &str, files: &[(&str, &str)]) {
        let folder = self.root.path().join("class/power_supply").join(name);
        fs::create_dir_all(&folder).unwrap();
        for (file, text) in files {
            fs::write(folder.join(file), format!("{text}\n")).unwrap();
        }
    }

    fn set(&self, file: &str, text: impl std::fmt::Display) {
        self.supply("BAT0", &[(file, &format!("{text}"))]);
    }

    fn discover(&self) -> (Option<BatteryMeter>, SourceReport) {
        BatteryMeter::discover(self.root.path(), &BatteryOptions::default())
    }

    fn observe(&mut self) -> Vec<Observed> {
        if self.bank.is_none() {
            let (meter, report) = self.discover();
            self.bank = Some(Bank::new(vec![Box::new(meter.unwrap_or_else(|| panic!("{report:?}")))]));
        }
        self.bank.as_mut().unwrap().read(&self.clock).1.to_vec()
    }

    /// What the only battery did.
    fn read(&mut self) -> Outcome {
        match self.observe().swap_remove(0) {
            Observed::Read(outcome) => outcome,
            Observed::Failed(error) => panic!("{error}"),
        }
    }

    fn error(&mut self) -> String {
        match self.observe().swap_remove(0) {
            Observed::Read(outcome) => panic!("{outcome:?}"),
            Observed::Failed(error) => error.to_string(),
        }
    }

    /// Microjoules since the last read.
    fn energy(&mut self) -> u64 {
        match self.read() {
            Outcome::Delta(step) => step.energy.0,
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn charge_that_is_gone_times_the_mean_voltage_is_energy() {
    let mut rig = Rig::with(&[("charge_now", "3000000"), ("voltage_now", "4000000")]);
    assert_eq!(rig.read(), Outcome::First);
    rig.set("charge_now", 2_900_000);
    rig.set("voltage_now", 3_800_000);
    rig.clock.pass(600.0);
    assert_eq!(rig.energy(), 1_404_000_000, "100 mAh at 3.9 V");
}

#[test]
fn a_charge_counter_is_relative_and_may_be_negative() {
    let mut rig = Rig::with(&[("charge_counter", "500"), ("voltage_now", "4000000")]);
    rig.read();
    rig.set("charge_counter", -1500);
    rig.clock.pass(60.0);
    assert_eq!(rig.energy(), 28_800_000, "2 mAh at 4 V");
}

#[test]
fn a_microwatt_hour_is_3600_microjoules() {
    let mut rig = Rig::with(&[("energy_now", "40000000"), ("power_now", "9000000")]);
    rig.read();
    rig.set("energy_now", 39_990_000);
    rig.clock.pass(4.0);
    assert_eq!(rig.energy(), 36_000_000);
    let domain = &rig.bank.as_ref().unwrap().domains()[0];
    assert_eq!((&*domain.name, domain.kind, domain.integrated), ("BAT0", DomainKind::Battery, false));
    assert!((domain.counter.resolution_j - 36.0).abs() < 1e-9, "10 mWh");
    assert!(domain.counter.survives_suspend);
}

#[test]
fn power_and_current_are_added_up_where_nothing_is_counted() {
    for files in [&[("power_now", "6000000")][..], &[("current_now", "-1500000"), ("voltage_now", "4000000")]] {
        let mut rig = Rig::with(files);
        rig.read();
        for _ in 0..10 {
            rig.clock.pass(5.0);
            assert_eq!(rig.energy(), 30_000_000, "6 W for 5 s: {files:?}");
        }
        let domain = &rig.bank.as_ref().unwrap().domains()[0];
        assert!(domain.integrated && !domain.counter.survives_suspend);
        assert_eq!(rig.bank.as_ref().unwrap().longest_period_s(), Some(15.0));
        rig.clock.pass(16.0);
        assert_eq!(rig.read(), Outcome::Gap(GapReason::FailedRead), "three polls are the most that is bridged");
    }
}

#[test]
fn charging_is_not_load() {
    let counted = [("charge_now", "3000000"), ("voltage_now", "4000000")];
    let added = [("current_now", "1500000"), ("voltage_now", "4000000")];
    let power = [("power_now", "6000000"), ("voltage_now", "4000000")];
    for files in [counted, added, power] {
        let mut rig = Rig::with(&files);
        rig.read();
        let mut charge = 3_000_000;
        for status in ["Charging", "Full", "Not charging", "Unknown"] {
            rig.set("status", status);
            for _ in 0..3 {
                rig.clock.pass(4.0);
                // falls too: a weak charger lets the battery help, but how much the machine takes is not known
                charge += if status == "Charging" { 20_000 } else { -1000 };
                rig.set(files[0].0, if files[0].0 == "charge_now" { charge } else { 1_500_000 });
                assert_eq!(rig.read(), Outcome::Gap(GapReason::Charging), "{status} {files:?}");
            }
        }
        rig.set("status", "Discharging");
        rig.clock.pass(4.0);
        assert_eq!(rig.read(), Outcome::Gap(GapReason::Charging), "it was charged for a part of this interval");
        rig.set(files[0].0, if files[0].0 == "charge_now" { charge - 1000 } else { 1_500_000 });
        rig.clock.pass(4.0);
        assert!(rig.energy() > 0, "{files:?}");
    }
}

#[test]
fn an_inverted_sign_is_found_by_status() {
    let mut energies = Vec::new();
    for drain in [-1, 1] {
        let mut rig = Rig::with(&[("voltage_now", "4000000")]);
        rig.set("current_now", drain * 500_000);
        rig.read();
        let mut energy = 0;
        for _ in 0..5 {
            rig.clock.pass(2.0);
            energy += rig.energy();
        }
        energies.push(energy);
        // the charger is plugged in, and the status does not know yet
        rig.set("current_now", -drain * 2_000_000);
        rig.clock.pass(2.0);
        assert_eq!(rig.read(), Outcome::Gap(GapReason::Charging), "sign {drain}");
    }
    assert_eq!(energies, [20_000_000; 2], "2 W for 10 s, whichever sign drains");
}

#[test]
fn a_wrong_start_of_the_sign_heals() {
    let mut direction = Direction::default();
    // the status was late from the start
    (0..5).for_each(|_| assert!(!direction.flows_in(700)));
    let wrong = (0..20).filter(|_| direction.flows_in(-300)).count();
    assert_eq!(wrong, 3, "no longer than it takes to outvote the start");
    assert_eq!(direction.drain_sign(), -1);
    assert!(direction.flows_in(700));
}

#[test]
fn milliamperes_are_found_by_the_fall_of_the_level() {
    let full = ("charge_full", "3000000");
    let mut rig = Rig::with(&[("current_now", "-600"), ("voltage_now", "4000000"), ("capacity", "80"), full]);
    assert!(rig.error().contains("holds \"-600\", which is not a current of a known unit yet"));
    // 600 mA empty 3 Ah in 5 h: a percent every 180 s
    for second in (5..=360).step_by(5) {
        rig.clock.pass(5.0);
        rig.set("capacity", 80 - second / 180);
        if second < 360 {
            rig.error();
        }
    }
    assert_eq!(rig.read(), Outcome::First);
    rig.clock.pass(10.0);
    assert_eq!(rig.energy(), 24_000_000, "2.4 W for 10 s");
}

#[test]
fn a_current_that_no_unit_explains_is_broken() {
    let full = ("energy_full", "12000000");
    let mut rig = Rig::with(&[("current_now", "20000"), ("voltage_now", "4000000"), ("capacity", "80"), full]);
    // 20000 would be 20 mA or 20 A; the level falls as 600 mA make it fall
    for second in (0..=360).step_by(5) {
        rig.set("capacity", 80 - second / 180);
        rig.error();
        rig.clock.pass(5.0);
    }
    assert!(rig.error().contains("(broken: current unit)"));
}

#[test]
fn a_current_without_anything_to_compare_is_broken() {
    let rig = Rig::with(&[("current_now", "-600"), ("voltage_now", "4000000"), ("capacity", "80")]);
    let (meter, report) = rig.discover();
    assert!(meter.is_none());
    assert_eq!(report.status, Status::Broken);
    assert!(report.detail.contains("broken: current unit"), "{}", report.detail);
    assert!(report.mend.is_some());
}

#[test]
fn a_gauge_that_takes_a_step_back_loses_nothing() {
    let mut rig = Rig::with(&[("charge_now", "3000000"), ("voltage_now", "4000000")]);
    rig.read();
    let mut total = 0;
    for charge in [2_999_000, 3_000_000, 2_999_000, 2_998_000, 2_999_000, 2_997_000] {
        rig.set("charge_now", charge);
        rig.clock.pass(5.0);
        total += rig.energy();
    }
    assert_eq!(total, 3 * 14_400_000, "3 mAh are gone");
    rig.set("charge_now", 3_050_000);
    rig.clock.pass(5.0);
    assert_eq!(rig.read(), Outcome::Gap(GapReason::Charging), "it was charged between two reads");
}

#[test]
fn a_gauge_that_stands_still_and_then_jumps_keeps_its_energy() {
    let mut rig = Rig::with(&[("charge_now", "3000000"), ("voltage_now", "4000000")]);
    rig.read();
    for _ in 0..60 {
        rig.clock.pass(1.0);
        assert_eq!(rig.energy(), 0);
    }
    // 5 W for a minute are 300 J, 20.8 mAh: far more than one second could hold without the minute before
    rig.set("charge_now", 2_979_000);
    rig.clock.pass(1.0);
    assert_eq!(rig.energy(), 21 * 14_400_000);
}

#[test]
fn a_counting_gauge_survives_a_suspend_and_an_added_up_power_does_not() {
    let mut counted = Rig::with(&[("charge_now", "3000000"), ("voltage_now", "4000000")]);
    counted.read();
    counted.clock.sleep(8 * 3600);
    counted.set("charge_now", 2_960_000);
    assert_eq!(counted.energy(), 40 * 14_400_000, "what the night took");
    let mut added = Rig::with(&[("power_now", "6000000")]);
    added.read();
    added.clock.pass(1.0);
    added.read();
    added.clock.sleep(8 * 3600);
    assert_eq!(added.read(), Outcome::Gap(GapReason::Suspend));
}

#[test]
fn a_failed_read_costs_the_other_battery_nothing_and_no_energy() {
    let mut rig = Rig::with(&[("charge_now", "3000000"), ("voltage_now", "4000000")]);
    let second = [("type", "Battery"), ("status", "Discharging"), ("energy_now", "20000000")];
    rig.supply("BAT1", &second);
    rig.observe();
    rig.set("voltage_now", "");
    rig.supply("BAT1", &[("energy_now", "19990000")]);
    rig.clock.pass(5.0);
    let observed = rig.observe();
    assert!(matches!(&observed[0], Observed::Failed(ReadError::Malformed { .. })), "{observed:?}");
    assert!(matches!(&observed[1], Observed::Read(Outcome::Delta(step)) if step.energy.0 == 36_000_000));
    rig.set("voltage_now", 4_000_000);
    rig.set("charge_now", 2_999_000);
    rig.clock.pass(5.0);
    assert_eq!(rig.energy(), 14_400_000, "the next good reading closes the interval");
}

#[test]
fn a_battery_that_comes_back_is_a_new_epoch() {
    let mut rig = Rig::with(&[("charge_now", "3000000"), ("voltage_now", "4000000")]);
    rig.read();
    rig.set("present", 0);
    rig.clock.pass(5.0);
    assert!(rig.error().contains("BAT0 is absent"));
    rig.set("present", 1);
    rig.set("charge_now", 1_000_000);
    rig.clock.pass(5.0);
    assert_eq!(rig.read(), Outcome::Gap(GapReason::Epoch), "another battery, maybe");
    rig.set("charge_now", 999_000);
    rig.clock.pass(5.0);
    assert_eq!(rig.energy(), 14_400_000);
}

#[test]
fn a_battery_is_counted_once() {
    let rig = Rig::with(&[("charge_now", "3000000"), ("voltage_now", "4000000")]);
    rig.supply("AC", &[("type", "Mains"), ("online", "0")]);
    rig.supply("BAT1", &[("type", "Battery"), ("present", "0"), ("status", "Unknown"), ("charge_now", "5")]);
    let mouse = [("type", "Battery"), ("scope", "Device"), ("status", "Discharging"), ("energy_now", "100000")];
    rig.supply("hidpp_battery_0", &mouse);
    // the kernel shows each battery as a sensor too
    let twin = rig.root.path().join("class/hwmon/hwmon0");
    fs::create_dir_all(&twin).unwrap();
    std::os::unix::fs::symlink("../../power_supply/BAT0", twin.join("device")).unwrap();
    fs::write(twin.join("name"), "BAT0\n").unwrap();
    let (meter, report) = rig.discover();
    let names: Vec<&str> = report.domains.iter().map(|d| &*d.domain).collect();
    assert_eq!(names, ["BAT0"]);
    assert_eq!(meter.unwrap().domains().len(), 1);
    assert_eq!((report.status, report.detail.as_str()), (Status::Ok, "BAT0 by charge_now"));
    assert!(!report.domains[0].in_host, "a battery is asked for by name");
}

#[test]
fn the_margin_of_the_gauge_is_its_accuracy() {
    let accuracy = |rig: &Rig, options| BatteryMeter::discover(rig.root.path(), &options).0.unwrap().domains()[0].accuracy;
    let rig = Rig::with(&[("energy_now", "40000000")]);
    assert_eq!(accuracy(&rig, BatteryOptions::default()), 0.10);
    for (margin, expected) in [("3", 0.03), ("0", 0.10), ("400", 0.10), ("x", 0.10)] {
        rig.set("capacity_error_margin", margin);
        assert_eq!(accuracy(&rig, BatteryOptions::default()), expected, "{margin}");
    }
    assert_eq!(accuracy(&rig, BatteryOptions { accuracy: Some(0.02), ..BatteryOptions::default() }), 0.02);
}

#[test]
fn the_next_best_file_is_taken_where_one_does_not_answer() {
    // ACPI has the file and answers ENODEV where the firmware does not know
    let rig = Rig::with(&[("charge_now", ""), ("energy_now", "40000000"), ("voltage_now", "4000")]);
    assert_eq!(rig.discover().1.detail, "BAT0 by energy_now");
    let rig = Rig::with(&[("charge_now", "3000000"), ("voltage_now", "4000")]);
    let (meter, report) = rig.discover();
    assert!(meter.is_none());
    assert!(report.detail.contains("voltage_now holds \"4000\", which is not a voltage"), "{}", report.detail);
    assert_eq!(report.status, Status::Broken);
}

#[test]
fn no_battery_is_absent_and_a_refused_one_names_the_mend() {
    let none = BatteryMeter::discover(Path::new("/nonexistent"), &BatteryOptions::default()).1;
    assert_eq!((none.status, none.errno, none.mend), (Status::Absent, Some(2), None));
    assert_eq!(Rig::new().discover().1.status, Status::Absent);
    let denied = refused(&ReadError::Denied { path: "x/charge_now".into(), errno: 13 }, "x".into(), "none");
    assert_eq!((denied.status, denied.errno), (Status::Denied, Some(13)));
    assert!(denied.mend.unwrap().contains("root"));
}

#[test]
fn a_gauge_coarser_than_it_says_is_told() {
    let mut rig = Rig::with(&[("charge_now", "3000000"), ("voltage_now", "4000000")]);
    rig.read();
    let mut charge = 3_000_000;
    for steps in [1, 2, 1, 3, 1, 1, 2, 1] {
        charge -= steps * 30_000;
        rig.set("charge_now", charge);
        rig.clock.pass(300.0);
        rig.read();
    }
    let mut warnings = Vec::new();
    rig.bank.as_ref().unwrap().warnings(&mut warnings);
    assert_eq!(warnings.len(), 1);
    assert!(warnings[0].starts_with("coarse_gauge: charge_now of BAT0 moves in steps of 30000, not 1000"), "{}", warnings[0]);
}

proptest! {
    #[test]
    fn any_bytes_are_taken(bytes in prop::collection::vec(any::<u8>(), 0..40)) {
        let _ = (integer(&bytes), is_discharging(&bytes));
    }

    #[test]
    fn every_number_is_read_as_it_was_written(number: i64) {
        prop_assert_eq!(integer(format!("{number}\n").as_bytes()), Some(number));
    }

    #[test]
    fn energy_is_what_the_level_lost(falls in prop::collection::vec(0_u32..50_000, 1..60), uv in 2_500_000_u64..20_000_000) {
        let mut stored = Stored::new(Held::Charge, 1000);
        let mut level = 3_000_000_i64;
        let first = stored.take(level, uv, false, Stamp::at(0));
        prop_assert_eq!(first, Value::new(0, Stamp::at(0)));
        for fall in &falls {
            level -= i64::from(*fall);
            stored.take(level, uv, false, Stamp::at(0));
        }
        let lost: u128 = falls.iter().map(|f| u128::from(*f)).sum();
        let shown = stored.take(level, uv, false, Stamp::at(0)).shown;
        prop_assert_eq!(u128::from(shown), lost * 3600 * u128::from(uv) / 1_000_000, "nothing is lost to rounding");
    }

    #[test]
    fn what_is_shown_never_falls(looks in prop::collection::vec((any::<i64>(), any::<u64>(), any::<bool>()), 0..40), charge: bool) {
        let mut stored = Stored::new(if charge { Held::Charge } else { Held::Energy }, 1000);
        let mut flow = Flow::new(S, None);
        let mut shown = (0, 0);
        for (second, (level, uv, charging)) in looks.into_iter().enumerate() {
            let at = Stamp::at(second as u64 * S);
            let now = (stored.take(level, uv, charging, at).shown, flow.take(level, uv, None, charging, at).unwrap().shown);
            prop_assert!(now.0 >= shown.0 && now.1 >= shown.1);
            shown = now;
        }
    }

    #[test]
    fn the_unit_is_found_for_any_load(ma in 20_u64..3000, micro: bool, full_mah in 500_u64..20_000, period in 1_u64..15) {
        let mut calibration = Calibration::new(Some(full_mah * 1000), 1000.0);
        let raw = if micro { ma * 1000 } else { ma };
        let (mut found, mut second) = (Err(Unsettled::Waiting), 0);
        // until three percent are gone
        while found.is_err() && second * ma < full_mah * 3600 * 3 / 100 + period * ma {
            let percent = 90 - second * ma * 100 / (full_mah * 3600);
            found = calibration.take(raw, 3_850_000, Some(percent), Stamp::at(second * S));
            second += period;
        }
        prop_assert_eq!(found, Ok(if micro { CurrentUnit::Microampere } else { CurrentUnit::Milliampere }));
    }

    #[test]
    fn any_current_is_taken(looks in prop::collection::vec((any::<i64>(), any::<u64>(), any::<Option<u64>>(), any::<bool>(), any::<u64>()), 0..40), full: Option<u64>) {
        let mut flow = Flow::new(S, Some(Calibration::new(full, 1000.0)));
        let mut direction = Direction::default();
        for (raw, uv, percent, charging, ns) in looks {
            direction.flows_in(raw);
            let _ = flow.take(raw, uv, percent, charging, Stamp::at(ns));
        }
    }
}
