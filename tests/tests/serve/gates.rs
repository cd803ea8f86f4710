//! A meter that fails, wraps, stalls or starts anew: the right total, a labelled gap, and nothing made up.

use std::collections::BTreeMap;
use std::thread;
use std::time::{Duration, Instant};

use fake_machine::Guard;
use treehouse_tests::daemon::Daemon;
use treehouse_tests::energy::{Energy, Gap};
use treehouse_tests::exposition::{Scrape, Series, micro};
use treehouse_tests::scratch::Scratch;
use treehouse_tests::{machine, stall};

use crate::support::{FAKE_MACHINE, HOST, WORKLOADS, on};

/// Readers without a token see one new value a second: after this the last one is of the time before.
const SETTLED: f64 = 2.2;
const CONFIGURATION: &str = "[attribution]\nperiod_s = 0.2\n[ledger]\nenabled = false\n";
/// The package, the memory, and both.
const WATTS: [f64; 3] = [40.0, 5.0, 45.0];
/// What the time between a reading and its stamp may hide, at the two ends: a sixth of what one lost sample would be.
const SLACK_J: f64 = 1.5;
/// A stall that can explain more than that.
const STALL: Duration = Duration::from_millis(15);

/// Everything that a daemon said while something was done to its machine.
struct Story {
    polls: Vec<(Instant, Energy)>,
    scrapes: Vec<Scrape>,
}

impl Story {
    /// Starts a daemon, lets it run, does `acts` (each after so many seconds of the one before), and listens all the time.
    fn of(machine: &Guard, acts: &[(f64, &str)]) -> Self {
        let scratch = Scratch::new().unwrap();
        let daemon = Daemon::ready(on(&scratch, machine, CONFIGURATION), &[]).unwrap();
        let mut story = Self { polls: Vec::new(), scrapes: Vec::new() };
        for (seconds, act) in acts {
            story.listen(&daemon, Duration::from_secs_f64(*seconds));
            if !act.is_empty() {
                machine.ctl(act).unwrap();
            }
        }
        assert_eq!(daemon.get("/healthz").unwrap().status, 200);
        let stopped = daemon.stop().unwrap();
        assert_eq!(stopped.status.code(), Some(0), "{}", stopped.stderr);
        assert!(!stopped.stderr.contains("panicked"), "{}", stopped.stderr);
        story.check();
        story
    }

    fn listen(&mut self, daemon: &Daemon, time: Duration) {
        let end = Instant::now() + time;
        while Instant::now() < end {
            self.polls.push((Instant::now(), Energy::of(daemon).unwrap()));
            self.scrapes.push(daemon.scrape().unwrap());
            thread::sleep(Duration::from_millis(100).min(end.saturating_duration_since(Instant::now())));
        }
    }

    /// What always holds: no counter falls, and the workloads are the host.
    fn check(&self) {
        let mut before: BTreeMap<&Series, i128> = BTreeMap::new();
        for scrape in &self.scrapes {
            assert_eq!(scrape.sum_micro(WORKLOADS), scrape.sum_micro(HOST));
            for (series, value) in scrape.values.iter().filter(|(series, _)| series.name.ends_with("_joules_total")) {
                let value = micro(value).unwrap();
                let earlier = before.insert(series, value).unwrap_or(0);
                assert!(value >= earlier, "{series:?} fell from {earlier} to {value}");
            }
        }
        for pair in self.polls.windows(2) {
            let (earlier, later) = (&pair[0].1, &pair[1].1);
            assert!(later.host_mj().unwrap() >= earlier.host_mj().unwrap());
            for domain in &later.domains {
                assert!(domain.energy_j >= earlier.of_domain(&domain.domain).unwrap(), "{domain:?}");
                assert_eq!(domain.provenance, "measured");
            }
        }
    }

    fn last(&self) -> &Energy {
        &self.polls.last().unwrap().1
    }

    /// Every poll tells the energy of that zone by power and time.
    fn follows(&self, domain: &str, watts: f64) -> Result<(), String> {
        for (_, poll) in &self.polls {
            near(domain, poll.of_domain(domain).unwrap(), watts * poll.seconds())?;
        }
        Ok(())
    }

    /// No poll tells more than the power allows, and the last one tells all but `missing_j`.
    fn total(&self, missing_j: f64) -> Result<(), String> {
        for (_, poll) in &self.polls {
            let (told, most) = (poll.host_energy_j.unwrap(), WATTS[2] * poll.seconds());
            that(told <= most + SLACK_J, || format!("{told} J when {most} J are possible"))?;
        }
        let last = self.last();
        near("host", last.host_energy_j.unwrap(), WATTS[2] * last.seconds() - missing_j)
    }

    fn gaps(&self, domain: &str) -> Vec<&Gap> {
        self.last().gaps.iter().filter(|gap| gap.domain == domain).collect()
    }

    /// The last value of a fault counter for a domain, summed over its reasons that `reason` begins.
    fn fault(&self, name: &str, domain: &str, reason: &str) -> f64 {
        let scrape = self.scrapes.last().unwrap();
        let rows = scrape.family(name).filter(|(s, _)| s.label("domain") == domain && s.label("reason").starts_with(reason));
        rows.map(|(_, value)| value.parse::<f64>().unwrap()).sum()
    }

    /// The same for a counter of events.
    fn count(&self, name: &str, domain: &str, reason: &str) -> u64 {
        self.fault(name, domain, reason).round() as u64
    }
}

/// What a machine that stands still can spoil is no reason to panic: see [`stall::unless_stalled`].
fn that(holds: bool, problem: impl FnOnce() -> String) -> Result<(), String> {
    if holds { Ok(()) } else { Err(problem()) }
}

fn near(what: &str, told: f64, truth: f64) -> Result<(), String> {
    that((told - truth).abs() <= SLACK_J, || format!("{what}: {told} J, and the truth is {truth} J"))
}

fn length(gap: &Gap) -> Result<f64, String> {
    let until = gap.until.ok_or_else(|| format!("the gap is not over: {gap:?}"))?;
    Ok(until.duration_since(gap.from).as_secs_f64())
}

/// The one gap of a domain.
fn only<'a>(gaps: &[&'a Gap]) -> Result<&'a Gap, String> {
    if let [gap] = gaps { Ok(gap) } else { Err(format!("not one gap: {gaps:?}")) }
}

/// A zone that cannot be read for five seconds; the other zone is `other`, of `watts`.
fn unreadable(fault: &str, zone: &str, domain: &str, other: Option<(&str, f64)>) -> Result<(), String> {
    let machine = machine::start(FAKE_MACHINE, &["--watts", "40", "--dram-watts", "5"]).unwrap().unwrap();
    let (break_it, mend_it) = (format!("fault {zone} {fault}"), format!("fault {zone} ok"));
    let story = Story::of(&machine, &[(1.0, &break_it), (5.0, &mend_it), (SETTLED, "")]);

    let broken: Vec<&Energy> = story.polls.iter().map(|(_, poll)| poll).filter(|poll| !poll.gaps.is_empty()).collect();
    let open: Vec<&&Energy> = broken.iter().filter(|poll| poll.gaps.iter().any(|gap| gap.until.is_none())).collect();
    that(open.len() > 20, || format!("an open gap in {} polls", open.len()))?;
    for poll in &open {
        let row = poll.domains.iter().find(|row| row.domain == domain).unwrap();
        assert!(row.energy_j > 0.0 && row.power_w != Some(0.0), "{fault}: no reading is not 0 W: {row:?}");
    }
    let (during, after) = (&open[open.len() - 1].warnings, &story.last().warnings);
    that(during.iter().any(|w| w.contains(domain)), || format!("not a word: {during:?}"))?;
    that(after.iter().all(|w| !w.contains(domain)), || format!("it came back: {after:?}"))?;

    let gap = only(&story.gaps(domain))?;
    assert_eq!((gap.source.as_str(), gap.reason.as_str()), ("rapl_powercap", "failed_read"), "{fault}");
    let errors = story.count("treehouse_meter_errors_total", domain, "");
    that(errors >= 15, || format!("{errors} reads failed"))?;
    assert_eq!(story.count("treehouse_meter_resets_total", domain, ""), 0, "{fault}");
    let seconds = story.fault("treehouse_meter_gap_seconds_total", domain, "failed_read");

    if let Some((other, watts)) = other {
        that(story.gaps(other).is_empty(), || format!("{:?}", story.gaps(other)))?;
        story.follows(other, watts)?;
    }
    story.total(0.0)?;
    let coverage = story.last().coverage;
    let told = (length(gap)?, seconds);
    that((4.6..6.0).contains(&told.0) && (4.4..5.8).contains(&told.1) && coverage > 0.999, || {
        format!("a gap of {} s, {} s in the metrics, coverage {coverage}", told.0, told.1)
    })
}

#[test]
fn a_zone_that_cannot_be_read_for_five_seconds_is_a_labelled_gap_and_loses_nothing() {
    if machine::start(FAKE_MACHINE, &[]).unwrap().is_none() {
        return;
    }
    let memory = Some(("dram-0", WATTS[1]));
    let cases = [
        ("eacces", "package-0", "package-0", memory),
        ("eio", "package-0", "package-0", memory),
        ("enodev", "package-0", "package-0", memory),
        ("garbage", "package-0", "package-0", memory),
        ("empty", "package-0", "package-0", memory),
        ("negative", "package-0", "package-0", memory),
        // the memory's folder lies in the package's
        ("gone", "package-0", "package-0", None),
        ("gone", "dram", "dram-0", Some(("package-0", WATTS[0]))),
    ];
    stall::unless_stalled(STALL, || {
        thread::scope(|scope| {
            let running = cases
                .map(|(fault, zone, domain, other)| (fault, zone, scope.spawn(move || unreadable(fault, zone, domain, other))));
            let mut problems = Vec::new();
            for (fault, zone, thread) in running {
                match thread.join() {
                    Ok(Ok(())) => {}
                    Ok(Err(problem)) => problems.push(format!("{fault} of {zone}: {problem}")),
                    Err(panic) => std::panic::resume_unwind(panic),
                }
            }
            if problems.is_empty() { Ok(()) } else { Err(problems.join("; ")) }
        })
    });
}

#[test]
fn a_wrap_costs_nothing_and_is_no_gap() {
    stall::unless_stalled(STALL, || {
        let arguments = ["--watts", "40", "--dram-watts", "5", "--near-wrap", "2.5"];
        let Some(machine) = machine::start(FAKE_MACHINE, &arguments).unwrap() else { return Ok(()) };
        let story = Story::of(&machine, &[(5.0, "")]);
        assert!(machine.truth().unwrap().zones.iter().all(|zone| zone.counter_uj < 1_000_000_000), "it has wrapped");
        that(story.last().gaps.is_empty(), || format!("{:?}", story.last().gaps))?;
        story.follows("package-0", WATTS[0])?;
        story.follows("dram-0", WATTS[1])?;
        story.total(0.0)
    });
}

#[test]
fn a_counter_that_starts_anew_is_a_gap_with_a_reason() {
    stall::unless_stalled(STALL, || {
        let arguments = ["--watts", "40", "--dram-watts", "5", "--start-uj", "50000000000"];
        let Some(machine) = machine::start(FAKE_MACHINE, &arguments).unwrap() else { return Ok(()) };
        let story = Story::of(&machine, &[(1.5, "reset package-0"), (SETTLED, "")]);
        let gap = only(&story.gaps("package-0"))?;
        assert_eq!(gap.reason, "reset");
        assert_eq!(story.count("treehouse_meter_resets_total", "package-0", "fall"), 1);
        let (seconds, spans) = (story.fault("treehouse_meter_gap_seconds_total", "package-0", "reset"), length(gap)?);
        that((seconds - spans).abs() < 0.05, || format!("{seconds} s in the metrics, a gap of {spans} s"))?;
        story.follows("dram-0", WATTS[1])?;
        // what the gap spans is missing, and nothing else
        story.total(WATTS[0] * spans)
    });
}

#[test]
fn a_reloaded_driver_is_a_gap_with_a_reason() {
    stall::unless_stalled(STALL, || {
        let arguments = ["--watts", "40", "--dram-watts", "5", "--start-uj", "50000000000"];
        let Some(machine) = machine::start(FAKE_MACHINE, &arguments).unwrap() else { return Ok(()) };
        let story = Story::of(&machine, &[(1.5, "reload package-0"), (SETTLED, "")]);
        let gaps = story.gaps("package-0");
        that(!gaps.is_empty(), || "no gap".into())?;
        // the zone is another one now: whether its counter went on or began anew is not known
        let truth = WATTS[2] * story.last().seconds();
        let told = story.last().host_energy_j.unwrap();
        let gap_s = gaps.iter().map(|gap| length(gap)).sum::<Result<f64, String>>()?;
        that(told <= truth + SLACK_J && told >= truth - WATTS[2] * gap_s - SLACK_J, || {
            format!("{told} J of {truth}, {gap_s} s of gaps")
        })
    });
}

#[test]
fn a_counter_that_reads_zero_for_five_seconds_is_no_energy_and_no_power() {
    stall::unless_stalled(STALL, || {
        let arguments = ["--watts", "40", "--dram-watts", "5", "--start-uj", "50000000000"];
        let Some(machine) = machine::start(FAKE_MACHINE, &arguments).unwrap() else { return Ok(()) };
        let story = Story::of(&machine, &[(1.0, "fault package-0 zero"), (5.0, "fault package-0 ok"), (SETTLED, "")]);
        let gaps = story.gaps("package-0");
        that(gaps.iter().any(|gap| gap.reason == "reset"), || format!("{gaps:?}"))?;
        story.follows("dram-0", WATTS[1])?;
        // metered energy and the energy of declared gaps are the truth
        let spans = gaps.iter().map(|gap| length(gap)).sum::<Result<f64, String>>()?;
        story.total(WATTS[0] * spans)?;
        let seconds = story.fault("treehouse_meter_gap_seconds_total", "package-0", "");
        that((seconds - spans).abs() < 0.1, || format!("{seconds} s in the metrics, gaps of {spans} s"))
    });
}

#[test]
fn a_counter_that_stands_still_gives_its_energy_when_it_moves_again() {
    stall::unless_stalled(STALL, || {
        let Some(machine) = machine::start(FAKE_MACHINE, &["--watts", "40", "--dram-watts", "5"]).unwrap() else { return Ok(()) };
        let story = Story::of(&machine, &[(1.0, "fault package-0 stall"), (3.0, "fault package-0 ok"), (SETTLED, "")]);
        let warned = story.polls.iter().filter(|(_, poll)| poll.warnings.iter().any(|w| w.contains("package-0")));
        that(warned.count() >= 5, || "it is not said".into())?;
        that(story.last().warnings.iter().all(|w| !w.contains("package-0")), || format!("{:?}", story.last().warnings))?;
        story.follows("dram-0", WATTS[1])?;
        story.total(0.0)
    });
}
