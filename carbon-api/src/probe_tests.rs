//! Windows on a fake machine in virtual time.

use std::sync::atomic::{AtomicU64, Ordering};

use fake_machine::{Fault, PlainTree, TrueMachine};

use super::*;
use crate::meter::rapl::RaplMeter;

const S: u64 = 1_000_000_000;

#[derive(Clone, Default)]
struct HandClock(Arc<AtomicU64>);

impl Clock for HandClock {
    fn stamp(&self) -> Stamp {
        Stamp::at(self.0.load(Ordering::Relaxed))
    }
    fn utc(&self) -> jiff::Timestamp {
        jiff::Timestamp::UNIX_EPOCH
    }
}

struct Bench {
    machine: TrueMachine,
    tree: PlainTree,
    _dir: tempfile::TempDir,
    clock: HandClock,
    probe: Probe,
}

impl Bench {
    /// A machine of two processors, one of them busy all the time.
    fn new(machine: TrueMachine) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let tree = PlainTree::write(dir.path(), &machine, 0).unwrap();
        let (meter, report) = RaplMeter::powercap(&tree.sysfs());
        let bank = Bank::new(vec![Box::new(meter.unwrap_or_else(|| panic!("{report:?}")))]);
        let host = |clock: &dyn Clock| {
            let at_ns = clock.stamp().boottime_ns;
            Ok(HostRow { at_ns, busy_ns: at_ns, steal_ns: 0, cpus: 2, quantum_ns: 500_000 })
        };
        let clock = HandClock::default();
        let probe = Probe::new(bank, Box::new(host), Box::new(clock.clone()), &HostCover::Auto);
        Self { machine, tree, _dir: dir, clock, probe }
    }

    fn at(&mut self, at: u64) -> &mut Probe {
        self.tree.update(&self.machine, at).unwrap();
        self.clock.0.store(at, Ordering::Relaxed);
        &mut self.probe
    }
}

fn machine() -> fake_machine::Builder {
    TrueMachine::builder().cpus(2).package(0, 40.0)
}

#[test]
fn a_command_gets_its_share_of_busy_processors_and_the_host_its_total() {
    let mut b = Bench::new(machine().dram(5.0).build().unwrap());
    b.at(S).begin(7 * S);
    let used = b.at(11 * S).end(|| 12 * S);
    let (host, own) = (used.host.unwrap().0, used.own.unwrap().0);
    assert!(host.abs_diff(450_000_000) < 200, "{host}");
    assert!(own.abs_diff(112_500_000) < 200, "5 of 20 processor seconds: {own}");
    assert!((used.cpu_s - 5.0).abs() < 1e-9 && used.provenance == Some(Provenance::Attributed));
    assert!(used.uncertainty_j > 0.05 * 112.5 && used.host_uncertainty_j > 0.05 * 450.0);
}

#[test]
fn a_50_us_window_is_below_resolution() {
    let mut b = Bench::new(machine().build().unwrap());
    b.at(S).begin(0);
    let used = b.at(S + 50_000).end(|| 50_000);
    assert_eq!((used.host, used.own), (None, None), "never 0");
    assert!((used.bound_j - 0.05).abs() < 1e-9, "1000 W for 50 us");
}

#[test]
fn a_wrap_in_a_window_is_exact() {
    let mut b = Bench::new(machine().wraps_at(3 * S).build().unwrap());
    b.at(S).begin(0);
    let used = b.at(6 * S).end(|| S);
    assert!(used.host.unwrap().0.abs_diff(200_000_000) < 100, "{used:?}");
    assert!(used.warnings.is_empty());
}

#[test]
fn a_meter_that_fails_in_between_loses_nothing_and_is_named() {
    let mut b = Bench::new(machine().fault(2 * S, Fault::Garbage).fault(5 * S, Fault::Ok).build().unwrap());
    b.at(S).begin(0);
    b.at(3 * S).read(S);
    let used = b.at(6 * S).end(|| 2 * S);
    assert!(used.host.unwrap().0.abs_diff(200_000_000) < 100, "{used:?}");
    assert!(used.own.unwrap().0.abs_diff(40_000_000) < 100, "2 of 10 processor seconds");
    assert!(used.warnings.iter().any(|w| w.contains("package-0")), "{:?}", used.warnings);
}

#[test]
fn what_was_counted_before_an_unreadable_beginning_is_not_the_windows() {
    let mut b = Bench::new(machine().fault(2 * S, Fault::Garbage).fault(5 * S, Fault::Ok).build().unwrap());
    b.at(S).begin(0);
    b.at(S + S / 2).end(|| 0);
    b.at(3 * S).begin(0);
    b.at(6 * S).read(S);
    let used = b.at(8 * S).end(|| 2 * S);
    assert!(used.domains[0].energy.unwrap().0.abs_diff(80_000_000) < 100, "only the two seconds after it came back: {used:?}");
    assert!(used.warnings.iter().any(|w| w.contains("not readable at the beginning")), "{:?}", used.warnings);
}

#[test]
fn a_meter_that_never_answers_gives_no_figure() {
    let mut b = Bench::new(machine().fault(2 * S, Fault::Garbage).build().unwrap());
    b.at(3 * S).begin(0);
    let used = b.at(6 * S).end(|| S);
    assert_eq!((used.host, used.own), (None, None), "unknown is not zero");
}
