//! The meter over counters that a test moves by hand: perf events as the kernel folds them, and CPUs that go away.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};

use super::*;
use crate::bank::{Bank, Observed};
use crate::counter::Outcome;
use crate::cover::HostCover;
use crate::domain::test_domain;
use crate::probe::Probe;
use crate::stamp::Stamp;
use crate::usage::HostRow;

const S: u64 = 1_000_000_000;
/// Counts of 2^-14 J in a joule.
const COUNTS: u64 = 1 << 14;

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

/// An event of the kernel's `power` PMU: a read folds the 32-bit register into 64 bits by a signed shift, as
/// arch/x86/events/rapl.c does, so that more than 2^31 counts between two reads go backwards.
#[derive(Debug)]
struct Event {
    time: Arc<AtomicU64>,
    watts: u64,
    still: Arc<AtomicBool>,
    fails: Arc<AtomicBool>,
    reopened: Arc<AtomicU32>,
    opened_ns: u64,
    register: u32,
    count: i64,
    epoch: rapl_sys::Epoch,
}

impl Event {
    fn new(clock: &HandClock, watts: u64) -> Self {
        Self {
            time: Arc::clone(&clock.0),
            watts,
            still: Arc::default(),
            fails: Arc::default(),
            reopened: Arc::default(),
            opened_ns: 0,
            register: 0,
            count: 0,
            epoch: rapl_sys::Epoch::new(),
        }
    }
}

impl Counter for Event {
    fn read(&mut self) -> Result<u64, Error> {
        if self.fails.load(Ordering::Relaxed) {
            return Err(Error::Io { path: "event".into(), source: std::io::Error::from_raw_os_error(19) });
        }
        if !self.still.load(Ordering::Relaxed) {
            let now = self.time.load(Ordering::Relaxed) - self.opened_ns;
            let register = (u128::from(self.watts * COUNTS) * u128::from(now) / u128::from(S)) as u32;
            self.count += i64::from(register.wrapping_sub(self.register).cast_signed());
            self.register = register;
        }
        Ok((i128::from(self.count.max(0)) * 1_000_000 / i128::from(COUNTS)) as u64)
    }

    fn reopen(&mut self) -> Result<(), Error> {
        self.reopened.fetch_add(1, Ordering::Relaxed);
        self.still.store(false, Ordering::Relaxed);
        (self.opened_ns, self.register, self.count) = (self.time.load(Ordering::Relaxed), 0, 0);
        self.epoch = rapl_sys::Epoch::new();
        Ok(())
    }

    fn epoch(&self) -> rapl_sys::Epoch {
        self.epoch
    }
}

fn meter(events: Vec<Event>) -> RaplMeter {
    let name = |i: usize| format!("package-{i}");
    let perf = |i: usize| DomainInfo {
        source: Source::RaplPerf,
        counter: CounterSpec::new(Wrap::Never),
        ..test_domain(DomainKind::Package, &name(i), None)
    };
    let held = |counter: Event| Held {
        path: "event".into(),
        counter: Ok(Box::new(counter)),
        gone: false,
        seen: None,
        still: 0,
        epoch: Epoch::FIRST,
    };
    RaplMeter {
        backend: Backend::Perf,
        domains: (0..events.len()).map(perf).collect(),
        counters: events.into_iter().map(held).collect(),
    }
}

fn outcomes(bank: &mut Bank, clock: &HandClock, at: u64) -> Vec<Observed> {
    clock.0.store(at, Ordering::Relaxed);
    bank.read(clock).1.to_vec()
}

#[test]
fn run_reads_perf_while_waiting() {
    let clock = HandClock::default();
    let bank = Bank::new(vec![Box::new(meter(vec![Event::new(&clock, 300)]))]);
    let host = |clock: &dyn Clock| {
        let at_ns = clock.stamp().boottime_ns;
        Ok(HostRow { at_ns, busy_ns: at_ns, steal_ns: 0, cpus: 1, quantum_ns: 1 })
    };
    let mut probe = Probe::new(bank, Box::new(host), Box::new(clock.clone()), &HostCover::Auto);
    probe.begin(0);
    // twenty minutes of a command that is waited for: read as often as the meter asks for, and no more
    let step = probe.longest_period_s().map_or(u64::MAX, |s| (s * 1e9) as u64);
    let mut at = 0;
    while at + step < 1200 * S {
        at += step;
        clock.0.store(at, Ordering::Relaxed);
        probe.read(at);
    }
    clock.0.store(1200 * S, Ordering::Relaxed);
    let used = probe.end(|| 1200 * S);
    assert!(used.host.unwrap().0.abs_diff(360_000_000_000) < 100, "300 W for 1200 s are 360 kJ: {:?}", used.host);
}

#[test]
fn an_event_whose_cpu_went_away_is_opened_anew() {
    let clock = HandClock::default();
    let events = vec![Event::new(&clock, 50), Event::new(&clock, 70)];
    let (still, reopened) = (Arc::clone(&events[1].still), Arc::clone(&events[1].reopened));
    let mut bank = Bank::new(vec![Box::new(meter(events))]);
    outcomes(&mut bank, &clock, 0);
    outcomes(&mut bank, &clock, S);
    still.store(true, Ordering::Relaxed);
    for second in 2..=3 {
        outcomes(&mut bank, &clock, second * S);
        assert_eq!(reopened.load(Ordering::Relaxed), 0, "a package may rest for a moment");
    }
    let third = outcomes(&mut bank, &clock, 4 * S);
    assert_eq!(reopened.load(Ordering::Relaxed), 1);
    assert_eq!(third[1], Observed::Read(Outcome::Gap(GapReason::Epoch)), "a new event starts at 0: no energy across it");
    assert!(matches!(third[0], Observed::Read(Outcome::Delta(_))));
    let next = outcomes(&mut bank, &clock, 5 * S);
    assert!(matches!(&next[1], Observed::Read(Outcome::Delta(step)) if step.energy.0.abs_diff(70_000_000) < 100));
}

#[test]
fn a_whole_machine_at_rest_opens_nothing_anew() {
    let clock = HandClock::default();
    let events = vec![Event::new(&clock, 0), Event::new(&clock, 0)];
    let reopened: Vec<_> = events.iter().map(|e| Arc::clone(&e.reopened)).collect();
    let mut bank = Bank::new(vec![Box::new(meter(events))]);
    for second in 0..10 {
        outcomes(&mut bank, &clock, second * S);
    }
    assert!(reopened.iter().all(|r| r.load(Ordering::Relaxed) == 0));
}

#[test]
fn an_event_that_vanished_is_opened_anew_in_a_new_epoch() {
    let clock = HandClock::default();
    let event = Event::new(&clock, 50);
    let (fails, reopened) = (Arc::clone(&event.fails), Arc::clone(&event.reopened));
    let mut bank = Bank::new(vec![Box::new(meter(vec![event]))]);
    outcomes(&mut bank, &clock, 0);
    outcomes(&mut bank, &clock, S);
    fails.store(true, Ordering::Relaxed);
    assert!(matches!(outcomes(&mut bank, &clock, 2 * S)[0], Observed::Failed(ReadError::Absent { .. })));
    fails.store(false, Ordering::Relaxed);
    assert_eq!(outcomes(&mut bank, &clock, 3 * S)[0], Observed::Read(Outcome::Gap(GapReason::Epoch)));
    assert_eq!(reopened.load(Ordering::Relaxed), 1);
}
