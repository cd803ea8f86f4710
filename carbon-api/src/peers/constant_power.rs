//! Constant power through every kind of counter: what is told is the truth within what is told of it.

use fake_machine::{PlainTree, TrueMachine, Units};
use proptest::prelude::*;

use super::bench::{Clockwork, S, bank, package};
use crate::bank::{Bank, Observed};
use crate::counter::{CounterSpec, Value, Wrap};
use crate::domain::{DomainInfo, DomainKind, Source};
use crate::error::ReadError;
use crate::integrator::PowerIntegrator;
use crate::meter::Meter;
use crate::meter::rapl::RaplMeter;
use crate::stamp::Clock;

/// A counter that is renewed now and then, and counts in steps.
#[derive(Clone, Copy, Debug)]
struct Device {
    source: Source,
    wrap: Wrap,
    /// Microjoules of one step, and nanoseconds between two renewals.
    step_uj: f64,
    update_ns: u64,
    /// Where it stands when the test begins.
    from_uj: f64,
}

const DEVICES: [Device; 6] = [
    Device {
        source: Source::RaplPowercap,
        wrap: Wrap::Units { unit_nj: 61_035 },
        step_uj: 61.035,
        update_ns: 1_000_000,
        from_uj: 262_143_200_000.0,
    },
    Device {
        source: Source::RaplPowercap,
        wrap: Wrap::Units { unit_nj: 15_258 },
        step_uj: 15.258,
        update_ns: 1_000_000,
        from_uj: 65_532_500_000.0,
    },
    Device {
        source: Source::RaplPowercap,
        wrap: Wrap::Modulus { modulus: 1 << 37 },
        step_uj: 32.0,
        update_ns: 1_000_000,
        from_uj: 137_438_000_000.0,
    },
    Device {
        source: Source::RaplMsr,
        wrap: Wrap::Register { esu: 14 },
        step_uj: 61.035_156_25,
        update_ns: 1_000_000,
        from_uj: 262_143_900_000.0,
    },
    Device { source: Source::Nvml, wrap: Wrap::Never, step_uj: 1000.0, update_ns: 100_000_000, from_uj: 5e12 },
    Device { source: Source::FuelGauge, wrap: Wrap::Never, step_uj: 3_600_000.0, update_ns: 5_000_000_000, from_uj: 0.0 },
];

impl Device {
    /// The accuracy of the source is left out, so that it hides nothing: the device of the test is exact.
    fn domain(&self) -> DomainInfo {
        let counter = CounterSpec { resolution_j: self.step_uj / 1e6, ..CounterSpec::new(self.wrap) };
        DomainInfo {
            source: self.source,
            counter,
            update_s: self.update_ns as f64 / 1e9,
            accuracy: 0.0,
            kind: DomainKind::Package,
            ..package(0)
        }
    }

    fn shown(&self, watts: f64, t: u64) -> u64 {
        let renewed = t / self.update_ns * self.update_ns;
        let counts = ((self.from_uj + watts * renewed as f64 / 1e3) / self.step_uj).floor();
        match self.wrap {
            Wrap::Register { .. } => u64::from(counts as u64 as u32),
            Wrap::Units { unit_nj } => (u128::from(counts as u64 as u32) * u128::from(unit_nj) / 1000) as u64,
            Wrap::Modulus { modulus } => (counts * self.step_uj) as u64 % modulus,
            Wrap::Never => (counts * self.step_uj) as u64,
        }
    }
}

/// A sensor of power that is sampled every 100 ms and added up.
struct Sensor {
    domain: Vec<DomainInfo>,
    sum: PowerIntegrator,
    watts: f64,
    sampled: u64,
}

impl Meter for Sensor {
    fn domains(&self) -> &[DomainInfo] {
        &self.domain
    }

    fn read(&mut self, clock: &dyn Clock, values: &mut [Result<Value, ReadError>]) {
        let now = clock.stamp().boottime_ns;
        while self.sampled <= now {
            self.sum.sample((self.watts * 1e6) as u64, crate::stamp::Stamp::at(self.sampled));
            self.sampled += S / 10;
        }
        values[0] = self.sum.value().ok_or_else(super::bench::eio);
    }
}

/// Reads at the instants, and returns energy, its uncertainty and the time from the first read to the last.
fn measure(mut bank: Bank, steps: &[u64]) -> (f64, f64, f64) {
    let clock = Clockwork::default();
    let (mut at, mut sum) = (3 * S, 0.0);
    for step in std::iter::once(&0).chain(steps) {
        at += step;
        clock.set(at);
        match &bank.read(&clock).1[0] {
            Observed::Read(outcome) => sum += outcome.step().map_or(0.0, |s| s.energy.joules().value()),
            Observed::Failed(error) => panic!("{error}"),
        }
    }
    let seconds = (at - 3 * S) as f64 / 1e9;
    (sum, bank.uncertainty_j(0, sum, sum / seconds), seconds)
}

proptest! {
    #[test]
    fn energy_is_power_times_time_within_its_uncertainty(
        device in prop::sample::select(DEVICES.to_vec()),
        watts in 1.0_f64..400.0,
        steps in prop::collection::vec(1_000_000_u64..2_000_000_000, 20..60),
    ) {
        let meter = bank(vec![device.domain()], move |t| vec![Ok(device.shown(watts, t))]);
        let (joules, _, seconds) = measure(meter, &steps);
        // with the true power: what a slow gauge shows of a short window may be half of it
        let bound = 2.0 * device.step_uj / 1e6 + 2.0 * watts * device.update_ns as f64 / 1e9;
        let off = (joules - watts * seconds).abs();
        prop_assert!(off <= bound + 2e-6, "{device:?} at {watts} W: {joules} J in {seconds} s, off by {off}, bound {bound}");
        if device.source.is_rapl() {
            let own = bank(vec![device.domain()], move |t| vec![Ok(device.shown(watts, t))]).uncertainty_j(0, joules, watts);
            prop_assert!((own - bound).abs() < 1e-9, "what is told is that bound: {own} and {bound}");
            prop_assert!(off <= device.step_uj / 1e6 + watts * 0.001 + 2e-6, "one unit and one millisecond: off by {off}");
        }
    }

    #[test]
    fn power_that_is_added_up_is_within_its_uncertainty(watts in 1.0_f64..400.0, steps in prop::collection::vec(1_000_000_u64..2_000_000_000, 20..60)) {
        let domain = DomainInfo { source: Source::Hwmon, update_s: 0.1, integrated: true, accuracy: 0.0, counter: CounterSpec::new(Wrap::Never), ..package(0) };
        let sensor = Sensor { domain: vec![domain], sum: PowerIntegrator::new(S / 10), watts, sampled: 0 };
        let (joules, uncertainty_j, seconds) = measure(Bank::new(vec![Box::new(sensor)]), &steps);
        let off = (joules - watts * seconds).abs();
        prop_assert!(off <= uncertainty_j + 2e-5, "{joules} J in {seconds} s at {watts} W: off by {off}, told {uncertainty_j}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]

    #[test]
    fn powercap_files_are_right_to_one_unit(watts in 1_u32..400, units in prop::sample::select(vec![Units::ESU_14, Units::ESU_16, Units::ATOM]), steps in prop::collection::vec(1_000_000_u64..2_000_000_000, 3..12)) {
        let machine = TrueMachine::builder().default_units(units).package(0, f64::from(watts)).wraps_at(5 * S).build().unwrap();
        let dir = tempfile::tempdir().unwrap();
        let mut tree = PlainTree::write(dir.path(), &machine, 0).unwrap();
        let (meter, _) = RaplMeter::powercap(&tree.sysfs());
        let mut bank = Bank::new(vec![Box::new(meter.unwrap())]);
        let unit_j = bank.domains()[0].counter.resolution_j.max(1e-6);
        let clock = Clockwork::default();
        let (mut at, mut joules) = (0, 0.0);
        for step in std::iter::once(&0).chain(&steps) {
            at += step;
            tree.update(&machine, at).unwrap();
            clock.set(at);
            if let Observed::Read(outcome) = &bank.read(&clock).1[0] {
                joules += outcome.step().map_or(0.0, |s| s.energy.joules().value());
            }
        }
        let truth = f64::from(watts) * at as f64 / 1e9;
        prop_assert!((joules - truth).abs() <= unit_j + f64::from(watts) * 0.001, "{joules} J for {truth} J");
    }
}
