//! The measuring loop on a fake machine in virtual time: right totals, labelled gaps, exact sums.

use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};

use fake_machine::{Fault, PlainTree, Process, TrueMachine, Units};

use super::*;
use crate::grid::Point;
use crate::meter::rapl::RaplMeter;
use crate::usage::{WorkloadKind, host::HostUsage, placement::GroupRows, process::ProcessUsage};

const S: u64 = 1_000_000_000;

#[derive(Clone, Default)]
struct HandClock(Arc<(AtomicU64, AtomicU64)>);

impl Clock for HandClock {
    fn stamp(&self) -> Stamp {
        Stamp { boottime_ns: self.0.0.load(Ordering::Relaxed), monotonic_ns: self.0.1.load(Ordering::Relaxed) }
    }
    fn utc(&self) -> Timestamp {
        Timestamp::from_nanosecond(i128::from(self.0.0.load(Ordering::Relaxed)) + 1_700_000_000_000_000_000).unwrap()
    }
}

struct Flat;
impl IntensityProvider for Flat {
    fn at(&self, _: Timestamp) -> Option<Intensity> {
        None
    }
    fn forecast(&self, _: Timestamp, _: Timestamp) -> Vec<Point> {
        Vec::new()
    }
}

struct Bench {
    machine: TrueMachine,
    tree: PlainTree,
    _dir: tempfile::TempDir,
    clock: HandClock,
    sampler: Sampler,
    at: u64,
}

impl Bench {
    fn new(machine: TrueMachine) -> Self {
        Self::with_ledger(machine, None)
    }

    fn with_ledger(machine: TrueMachine, ledger: Option<Writer>) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let tree = PlainTree::write(dir.path(), &machine, 0).unwrap();
        let clock = HandClock::default();
        let sampler = Sampler::new(parts(&tree, clock.clone(), ledger), Settings::default());
        let mut bench = Self { machine, tree, _dir: dir, clock, sampler, at: 0 };
        bench.tick(0);
        bench
    }

    fn tick(&mut self, at: u64) {
        self.at = at;
        self.tree.update(&self.machine, at).unwrap();
        self.clock.0.0.store(at, Ordering::Relaxed);
        self.clock.0.1.store(self.machine.monotonic_ns(at), Ordering::Relaxed);
        self.sampler.tick();
    }

    fn run(&mut self, seconds: u64) {
        for _ in 0..seconds {
            self.tick(self.at + S);
        }
    }

    fn snapshot(&self) -> Arc<Snapshot> {
        let s = self.sampler.cell().load();
        let family: u64 = s.workloads.iter().map(|r| r.energy.0).sum();
        assert_eq!(family, s.host_energy().0, "the family sums to the host");
        assert_eq!(s.workloads.iter().map(|r| r.energy.coarse().0).sum::<u64>(), s.host_coarse().0, "the coarse one too");
        assert!(s.host.iter().all(|r| r.coarse.0 % 1000 == 0), "no row tells more than millijoules: {:?}", s.host);
        s
    }

    /// True microjoules of the host from the first tick until the last closed interval.
    fn truth(&self) -> u64 {
        self.machine.host_nj(0, self.at - S) / 1000
    }
}

/// A counter of 70 W beside RAPL.
struct OtherMeter([crate::domain::DomainInfo; 1]);

impl crate::meter::Meter for OtherMeter {
    fn domains(&self) -> &[crate::domain::DomainInfo] {
        &self.0
    }
    fn read(&mut self, clock: &dyn Clock, values: &mut [Result<crate::meter::Value, crate::error::ReadError>]) {
        let at = clock.stamp();
        values[0] = Ok(crate::meter::Value::new(at.boottime_ns / 1000 * 70 + at.boottime_ns % 1000, at));
    }
}

#[test]
fn two_methods_are_whole_millijoules_each_and_sum_to_the_family() {
    use crate::domain::{DomainKind, Source, test_domain};
    let mut b = Bench::new(machine().dram(3.3).build().unwrap());
    let rapl = RaplMeter::powercap(&b.tree.sysfs()).0.unwrap();
    let counter = crate::counter::CounterSpec::new(crate::counter::Wrap::Never);
    let gpu = crate::domain::DomainInfo { source: Source::Nvml, counter, ..test_domain(DomainKind::Gpu, "gpu-0", None) };
    b.sampler.rewire(Bank::new(vec![Box::new(rapl), Box::new(OtherMeter([gpu]))]), HostCover::Auto);
    let mut last = [0, 0];
    for tick in 1..40 {
        b.tick(b.at + 7_654_321 * tick);
        let s = b.snapshot();
        let rows: Vec<u64> = s.host.iter().map(|r| r.coarse.0).collect();
        assert!(s.host.iter().all(|r| r.coarse.0 < r.energy.0 + 1000), "{:?}", s.host);
        for (before, now) in last.iter_mut().zip(rows) {
            assert!(now >= *before);
            *before = now;
        }
    }
    assert!(last[0] > 0 && last[1] > 0);
}

fn parts(tree: &PlainTree, clock: HandClock, ledger: Option<Writer>) -> Parts {
    let (meter, report) = RaplMeter::powercap(&tree.sysfs());
    let meter = meter.unwrap_or_else(|| panic!("{report:?}"));
    let host = HostUsage::open(&tree.procfs(), Path::new("/nonexistent")).unwrap();
    let processes = ProcessUsage::open(&tree.procfs(), GroupRows::default()).unwrap();
    Parts {
        clock: Box::new(clock),
        bank: Bank::new(vec![Box::new(meter)]),
        usage: vec![Box::new(host), Box::new(processes)],
        grid: Arc::new(Flat),
        embodied: None,
        own_cpu: Box::new(|| 0),
        learn: None,
        ledger,
    }
}

fn machine() -> fake_machine::Builder {
    TrueMachine::builder().cpus(2).package(0, 40.0)
}

fn gap_seconds(s: &Snapshot, reason: &str) -> f64 {
    s.gap_seconds.iter().filter(|r| r.reason == reason).map(|r| r.amount).sum()
}

#[test]
fn forty_watts_are_forty_joules_a_second() {
    let mut b = Bench::new(machine().core_share(0.75).build().unwrap());
    b.run(61);
    let s = b.snapshot();
    assert!(s.host_energy().0.abs_diff(b.truth()) <= 62, "{} against {}", s.host_energy().0, b.truth());
    assert!(s.host_power_w().is_some_and(|w| (w - 40.0).abs() < 0.01));
    assert_eq!((s.coverage, s.gaps.len()), (1.0, 0));
    assert_eq!(s.host[0].provenance.name(), "measured");
    assert_eq!(s.domains.iter().filter(|d| d.in_host).count(), 1, "package contains core");
}

#[test]
fn other_meters_start_an_epoch_and_no_counter_falls() {
    let mut b = Bench::new(machine().core_share(0.75).build().unwrap());
    b.run(11);
    let before = b.snapshot();
    let again = RaplMeter::powercap(&b.tree.sysfs()).0.unwrap();
    b.sampler.rewire(Bank::new(vec![Box::new(again)]), HostCover::Auto);
    b.run(10);
    let s = b.snapshot();
    assert!(s.host_energy() > before.host_energy());
    // the rewire falls on a tick: nothing lies between the last reading of the old and the first of the new meters
    assert!(s.host_energy().0.abs_diff(b.truth()) <= 124, "{} against {}", s.host_energy().0, b.truth());
    assert_eq!(s.gaps.iter().filter(|g| g.reason.name() == "epoch").count(), s.domains.len(), "each domain says so");
    assert!(s.coverage > 0.99);
    // meters that are gone keep what they counted, and stay in the host's sum
    b.sampler.rewire(Bank::new(Vec::new()), HostCover::Auto);
    b.run(3);
    let gone = b.snapshot();
    assert!(gone.host_energy() >= s.host_energy());
    assert_eq!(gone.domains.len(), s.domains.len());
    assert!(gone.domains.iter().all(|d| !d.in_host && d.power_w.is_none()));
    assert_eq!(gone.domains.iter().filter(|d| d.leaf).count(), 1);
}

#[test]
fn exported_counters_never_fall_across_a_wrap() {
    let mut b = Bench::new(machine().wraps_at(30 * S).build().unwrap());
    let mut last = 0;
    for _ in 0..60 {
        b.run(1);
        let now = b.snapshot().host_energy().0;
        assert!(now >= last);
        last = now;
    }
    assert!(last.abs_diff(b.truth()) <= 62);
    assert!(b.snapshot().gaps.is_empty());
}

#[test]
fn garbage_for_five_seconds_is_a_labelled_gap_and_the_right_total() {
    for fault in [Fault::Garbage, Fault::Empty, Fault::Negative] {
        let m = machine().dram(5.0).fault(10 * S, fault).fault(15 * S, Fault::Ok);
        let mut b = Bench::new(m.build().unwrap());
        b.run(31);
        let s = b.snapshot();
        assert!(s.host_energy().0.abs_diff(b.truth()) <= 124, "{fault:?}: {} against {}", s.host_energy().0, b.truth());
        assert_eq!(s.errors.iter().map(|e| e.amount).sum::<u64>(), 5, "{fault:?}");
        assert!((gap_seconds(&s, "failed_read") - 5.0).abs() < 0.01, "{fault:?}");
        assert_eq!(s.gaps.len(), 1);
        assert!(s.gaps[0].until.is_some(), "it is over");
        assert!((s.coverage - 1.0).abs() < 1e-9, "nothing is missing");
    }
}

#[test]
fn energy_that_comes_late_goes_to_those_who_used_it_while_the_meter_failed() {
    let meanwhile = Process::new(10, "meanwhile").rate(11 * S, 1.0, 0.0).rate(14 * S, 0.0, 0.0);
    let m = machine().process(meanwhile).fault(10 * S, Fault::Garbage).fault(16 * S, Fault::Ok);
    let mut b = Bench::new(m.build().unwrap());
    b.run(31);
    let s = b.snapshot();
    assert!(s.host_energy().0.abs_diff(b.truth()) <= 124, "{} against {}", s.host_energy().0, b.truth());
    // one of two processors for three seconds, of 40 W
    let used: u64 = s.workloads.iter().filter(|r| r.kind == WorkloadKind::Process).map(|r| r.energy.0).sum();
    assert!(used.abs_diff(60_000_000) < 1_000_000, "{used} uJ of 60 J: {:?}", s.workloads);
}

#[test]
fn a_reset_is_a_gap_and_the_others_go_on() {
    let mut b = Bench::new(machine().reset(20 * S + S / 2).dram(5.0).build().unwrap());
    b.run(41);
    let s = b.snapshot();
    let package = &s.domains[0];
    assert!(package.energy.0.abs_diff(39 * 40_000_000) < 1_000, "one of forty seconds is lost: {}", package.energy.0);
    assert!(s.domains[1].energy.0.abs_diff(40 * 5_000_000) < 1_000);
    assert_eq!(s.resets.iter().map(|r| r.amount).sum::<u64>(), 1);
    assert!((gap_seconds(&s, "reset") - 1.0).abs() < 0.01);
    assert!(s.coverage < 1.0);
}

#[test]
fn zeros_that_end_in_an_impossible_rise_are_a_gap_from_the_first_to_the_last() {
    let tree = machine().start_uj(50_000_000_000).fault(10 * S, Fault::Zero).fault(16 * S, Fault::Ok).build().unwrap();
    let mut b = Bench::new(tree);
    b.run(30);
    let s = b.snapshot();
    let lost: f64 = gap_seconds(&s, "reset") + gap_seconds(&s, "implausible");
    // metered energy and the energy of declared gaps are the truth
    let missing = (b.truth() - s.host_energy().0) as f64 / 1e6;
    assert!(lost > 5.0 && (missing - 40.0 * lost).abs() < 1.0, "{missing} J are missing, {lost} s are declared: {:?}", s.gaps);
    assert!(s.coverage < 0.85, "{}", s.coverage);
}

#[test]
fn suspend_is_a_gap() {
    let mut b = Bench::new(machine().suspend(20 * S, 600 * S).build().unwrap());
    b.run(19);
    b.tick(621 * S);
    b.run(10);
    let s = b.snapshot();
    assert!((gap_seconds(&s, "suspend") - 602.0).abs() < 0.1, "{:?}", s.gap_seconds);
    assert!(s.host_energy().0 < 31 * 40_000_000);
}

#[test]
fn a_stalled_counter_warns_and_keeps_its_energy() {
    let mut b = Bench::new(machine().fault(10 * S, Fault::Stall).fault(16 * S, Fault::Ok).build().unwrap());
    b.run(15);
    assert!(b.snapshot().warnings.iter().any(|w| w.contains("has not moved")), "{:?}", b.snapshot().warnings);
    b.run(16);
    let s = b.snapshot();
    assert!(s.host_energy().0.abs_diff(b.truth()) <= 62);
    assert!(s.warnings.is_empty() && s.gaps.is_empty());
}

#[test]
fn a_busy_process_gets_its_share_and_the_rest_is_idle() {
    let busy = Process::new(10, "burn").rate(0, 1.0, 0.0);
    let mut b = Bench::new(machine().process(busy).build().unwrap());
    b.run(61);
    let s = b.snapshot();
    let of = |kind: WorkloadKind| s.workloads.iter().filter(|r| r.kind == kind).map(|r| r.energy.0).sum::<u64>();
    let (process, idle) = (of(WorkloadKind::Process) as f64, of(WorkloadKind::Idle) as f64);
    assert!((process / (process + idle) - 0.5).abs() < 0.01, "one of two processors: {process} and {idle}");
    assert!(s.workloads.iter().any(|r| &*r.workload == "burn:10" && r.energy.0 > 0));
}

#[test]
fn two_scrapers_see_the_same_joules() {
    let mut b = Bench::new(machine().build().unwrap());
    b.run(5);
    let cell = b.sampler.cell();
    let (one, two) = (cell.load(), cell.load());
    assert!(Arc::ptr_eq(&one, &two));
    b.run(1);
    assert_eq!(one.sequence + 1, cell.load().sequence, "a reader that holds an old snapshot keeps it");
}

#[test]
fn the_ledger_holds_what_was_shown() {
    let dir = tempfile::tempdir().unwrap();
    let ledger = crate::ledger::store::Ledger::open(dir.path()).unwrap();
    let writer = Writer::start(ledger, 90).unwrap();
    let mut b = Bench::with_ledger(machine().dram(5.0).build().unwrap(), Some(writer));
    b.run(130);
    b.clock.0.0.fetch_add(S / 2, Ordering::Relaxed);
    b.sampler.finish();
    let shown = b.sampler.cell().load().host_energy();
    let ledger = crate::ledger::store::Ledger::open(dir.path()).unwrap();
    let sessions = ledger.sessions().unwrap();
    assert_eq!((sessions.len(), sessions[0].host), (1, shown));
    assert_eq!(ledger.slots().unwrap().iter().map(|s| s.value.energy).sum::<u64>(), shown.0);
    assert_eq!(sessions[0].until.as_second() - sessions[0].since.as_second(), 130);
}

#[test]
fn amd_counters_wrap_too() {
    let mut b = Bench::new(
        TrueMachine::builder().cpus(2).default_units(Units::ESU_16).package(0, 120.0).wraps_at(3 * S).build().unwrap(),
    );
    b.run(20);
    assert!(b.snapshot().host_energy().0.abs_diff(b.truth()) <= 16);
}
