//! Recordings made by hand, taken apart, played faster and slower than they were made.

use std::cell::Cell;

use proptest::prelude::*;

use super::format::{RecordedDomain, RecordedValue, parse_head, parse_tick};
use super::*;
use crate::bank::Observed;
use crate::counter::{Epoch, GapReason, Outcome, Value};
use crate::domain::{DomainKind, Source, test_domain};
use crate::error::ReadError;
use crate::meter::Meter;
use crate::stamp::{Clock, Stamp};
use crate::usage::HostRow;

const S: u64 = 1_000_000_000;
/// The machine that plays has been up for a while.
const UP: u64 = 5_000 * S;

struct HandClock(Cell<Stamp>);

impl HandClock {
    fn at(ns: u64) -> Self {
        Self(Cell::new(Stamp::at(UP + ns)))
    }
}

impl Clock for HandClock {
    fn stamp(&self) -> Stamp {
        self.0.get()
    }
    fn utc(&self) -> jiff::Timestamp {
        jiff::Timestamp::UNIX_EPOCH
    }
}

fn head(domains: &[RecordedDomain]) -> Head {
    Head {
        version: VERSION,
        tool: "treehouse 0.1.0".into(),
        recorded_at: "2026-03-01T12:00:00Z".parse().unwrap(),
        period_s: 1.0,
        machine: MachineFacts { cpus: 2, ..MachineFacts::default() },
        domains: domains.to_vec(),
        sources: Vec::new(),
        tree: TreeFacts::default(),
    }
}

fn package() -> RecordedDomain {
    RecordedDomain::from(&test_domain(DomainKind::Package, "package-0", None))
}

#[expect(clippy::unnecessary_wraps, reason = "it stands beside reads that failed")]
fn value(shown: u64, ns: u64) -> Result<RecordedValue, ReadError> {
    Ok(RecordedValue { shown, at: (ns as i64, ns as i64), epoch: Epoch::FIRST })
}

fn tick(ns: u64, value: Result<RecordedValue, ReadError>) -> Tick {
    tick_of(ns, value, None)
}

fn tick_of(ns: u64, value: Result<RecordedValue, ReadError>, host: Option<HostRow>) -> Tick {
    Tick { boottime_ns: ns, monotonic_ns: ns, values: vec![value], host }
}

fn parse(head: &Head, ticks: &[Tick]) -> Result<Recording, RecordingError> {
    let lines: String = ticks.iter().map(|t| t.line().unwrap()).collect();
    Recording::parse(Path::new("rec"), &serde_json::to_vec(head).unwrap(), lines.as_bytes())
}

/// 40 W for ten seconds, one line a second.
fn forty_watts() -> Recording {
    let ticks: Vec<Tick> = (0..=10).map(|t| tick(t * S, value(7_000_000 + 40_000_000 * t, t * S))).collect();
    parse(&head(&[package()]), &ticks).unwrap()
}

#[test]
fn what_was_written_is_read_again() {
    let path = PathBuf::from("/sys/x");
    let errors = [
        ReadError::Absent { path: path.clone(), errno: Some(19) },
        ReadError::Absent { path: path.clone(), errno: None },
        ReadError::Denied { path: path.clone(), errno: 13 },
        ReadError::Malformed { path: path.clone(), found: "x\n".into(), expected: "what the meter expected" },
        ReadError::Io { path, errno: 5 },
    ];
    let mut epoch = Epoch::FIRST;
    epoch.advance(GapReason::Charging);
    let host = HostRow { at_ns: 3, busy_ns: 4, steal_ns: 5, cpus: 2, quantum_ns: 10_000_000 };
    let mut values: Vec<_> = errors.into_iter().map(Err).collect();
    values.push(Ok(RecordedValue { shown: u64::MAX, at: (-5, i64::MIN), epoch }));
    let tick = Tick { boottime_ns: 7, monotonic_ns: 6, values, host: Some(host) };
    assert_eq!(parse_tick(tick.line().unwrap().trim_end().as_bytes()), Ok(tick));
    let head = head(&[package()]);
    assert_eq!(parse_head(&serde_json::to_vec_pretty(&head).unwrap()), Ok(head));
}

#[test]
fn a_value_keeps_its_distance_from_the_start() {
    let start = Stamp { boottime_ns: 900, monotonic_ns: 700 };
    let value = Value::new(5, Stamp { boottime_ns: 850, monotonic_ns: 950 });
    let recorded = RecordedValue::of(&value, start);
    assert_eq!(recorded.at, (-50, 250));
    assert_eq!(recorded.value(start), value);
    assert_eq!(recorded.value(Stamp::at(20)).at, Stamp { boottime_ns: 0, monotonic_ns: 270 }, "never before 0");
}

#[test]
fn every_reading_goes_through_the_counters() {
    let totals = forty_watts().replay();
    let package = &totals.domains[0];
    assert!(package.energy.0.abs_diff(400_000_000) <= 62, "{package:?}");
    assert_eq!((package.metered_s, package.lost_s, totals.seconds), (10.0, 0.0, 10.0));
    assert_eq!((totals.host, totals.host_cover.as_slice()), (package.energy, &["rapl_powercap/package-0".to_owned()][..]));
}

#[test]
fn errors_resets_gaps_and_wraps_are_counted_by_reason() {
    const TOP: u64 = 262_143_328_850;
    let gone = || Err(ReadError::Absent { path: "x".into(), errno: Some(19) });
    let asleep = |t: u64| Tick {
        boottime_ns: (t + 600) * S,
        ..tick(t * S, Ok(RecordedValue { shown: 200_000_000, at: (((t + 600) * S) as i64, (t * S) as i64), epoch: Epoch::FIRST }))
    };
    let ticks = [
        tick(0, value(TOP - 20_000_000, 0)),
        tick(S, value(20_000_000, S)),
        tick(2 * S, Err(ReadError::Io { path: "x".into(), errno: 5 })),
        tick(3 * S, value(100_000_000, 3 * S)),
        tick(4 * S, gone()),
        tick(5 * S, value(1_000_000, 5 * S)),
        asleep(6),
    ];
    let totals = parse(&head(&[package()]), &ticks).unwrap().replay();
    let d = &totals.domains[0];
    assert!(d.energy.0.abs_diff(120_000_000) <= 124, "{d:?}");
    assert_eq!((d.wraps, d.errors.get("io"), d.errors.get("absent")), (1, Some(&1), Some(&1)));
    assert_eq!((d.resets.get("reload"), d.gaps.get("suspend")), (Some(&1), Some(&1)));
    assert_eq!((d.metered_s, d.lost_s), (3.0, 603.0), "3 s by the wrap and over the EIO; 2 s of the reload, 601 s of the sleep");
}

#[test]
fn a_reader_of_any_pace_finds_the_same_energy() {
    for step_ms in [100, 333, 1000, 1700, 4000] {
        let mut bank = forty_watts().bank();
        let mut sum = 0;
        for t in 0..=11_000 / step_ms {
            let clock = HandClock::at(t * step_ms * 1_000_000);
            if let [Observed::Read(outcome)] = bank.read(&clock).1 {
                sum += outcome.step().map_or(0, |s| s.energy.0);
            }
        }
        let seen_s = (11_000 / step_ms * step_ms / 1000).min(10);
        assert!(sum.abs_diff(seen_s * 40_000_000) <= 62, "every {step_ms} ms: {sum}");
    }
}

#[test]
fn stamps_are_those_of_the_recording_not_of_the_reader() {
    let mut bank = forty_watts().bank();
    bank.read(&HandClock::at(0));
    let (at, observed) = bank.read(&HandClock::at(2_900_000_000));
    assert_eq!(at, Stamp::at(UP + 2 * S));
    assert_eq!(observed[0], Observed::Read(Outcome::Delta(*step(&observed[0]))));
    assert_eq!(step(&observed[0]).until.since(step(&observed[0]).from), 2 * S);
}

fn step(observed: &Observed) -> &crate::counter::Step {
    match observed {
        Observed::Read(outcome) => outcome.step().unwrap(),
        Observed::Failed(error) => panic!("{error}"),
    }
}

#[test]
fn after_its_end_every_domain_is_absent() {
    let mut meter = Playback::new(&forty_watts()).meter();
    let mut values = vec![Err(ReadError::Absent { path: "".into(), errno: None })];
    meter.read(&HandClock::at(0), &mut values);
    meter.read(&HandClock::at(11_400_000_000), &mut values);
    assert!(values[0].is_ok(), "the last line stands for its period");
    meter.read(&HandClock::at(11_500_000_000), &mut values);
    let error = values[0].as_ref().unwrap_err();
    assert_eq!(error.reason(), "absent");
    assert_eq!(error.to_string(), "rec/readings.jsonl: the recording is over: package-0 is absent");
}

#[test]
fn a_recorded_sleep_passes_at_once_and_is_a_gap() {
    let slept = Tick {
        boottime_ns: 3601 * S,
        ..tick(S, Ok(RecordedValue { shown: 50_000_000, at: (3601 * S as i64, S as i64), epoch: Epoch::FIRST }))
    };
    let recording = parse(&head(&[package()]), &[tick(0, value(1_000_000, 0)), slept]).unwrap();
    let playback = Playback::new(&recording);
    let mut bank = Bank::new(vec![Box::new(Arc::clone(&playback).meter())]);
    bank.read(&ReplayClock::new(Arc::clone(&playback), HandClock::at(0)));
    let clock = ReplayClock::new(playback, HandClock::at(S));
    assert_eq!(clock.stamp(), Stamp { boottime_ns: UP + 3601 * S, monotonic_ns: UP + S });
    assert_eq!(bank.read(&clock).1[0], Observed::Read(Outcome::Gap(GapReason::Suspend)));
}

#[test]
fn every_reader_of_one_playing_stands_at_the_same_line() {
    let host = |t: u64| Some(HostRow { at_ns: t * S, busy_ns: t * S / 2, steal_ns: 0, cpus: 2, quantum_ns: 1 });
    let ticks: Vec<Tick> = (0..5).map(|t| Tick { host: host(t), ..tick(t * S, value(t, t * S)) }).collect();
    let playback = Playback::new(&parse(&head(&[package()]), &ticks).unwrap());
    playback.host(&HandClock::at(0)).unwrap();
    let row = playback.host(&HandClock::at(3 * S)).unwrap();
    assert_eq!((row.at_ns, row.busy_ns), (UP + 3 * S, 3 * S / 2));
    let mut meter = Arc::clone(&playback).meter();
    let mut values = [Err(ReadError::Absent { path: "".into(), errno: None })];
    meter.read(&HandClock::at(3 * S), &mut values);
    assert_eq!(values[0], Ok(Value::new(3, Stamp::at(UP + 3 * S))), "the meter did not begin anew");
    let said = playback.host(&HandClock::at(9 * S)).unwrap_err().to_string();
    assert!(said.contains("the recording is over"), "{said}");
}

#[test]
fn it_is_said_that_it_is_no_meter_of_this_machine() {
    let mut warnings = Vec::new();
    forty_watts().bank().warnings(&mut warnings);
    assert_eq!(*warnings[0], *"replayed: 10 s from rec, recorded at 2026-03-01T12:00:00Z; not this machine");
}

#[test]
fn a_line_that_was_not_finished_is_left_out_and_said() {
    let head = serde_json::to_vec(&head(&[package()])).unwrap();
    let mut lines = tick(0, value(5, 0)).line().unwrap() + &tick(S, value(6, S)).line().unwrap();
    lines.truncate(lines.len() - 9);
    let recording = Recording::parse(Path::new("rec"), &head, lines.as_bytes()).unwrap();
    assert_eq!(recording.ticks().len(), 1);
    assert!(recording.notice().contains("unfinished"), "{}", recording.notice());
}

#[test]
fn what_is_wrong_is_told_with_file_and_line() {
    let good = serde_json::to_string(&head(&[package()])).unwrap();
    let first = tick(0, value(5, 0)).line().unwrap();
    let later = |ns: u64, host| tick_of(ns, value(6, ns), host).line().unwrap();
    let host = HostRow { at_ns: 0, busy_ns: 0, steal_ns: 0, cpus: 1_000_000, quantum_ns: 1 };
    let (far, crowded) = (first.clone() + &later(1_000_000 * S, None), first.clone() + &later(1_000_000 * S, Some(host)));
    let said = |head: &str, lines: &str| {
        let text = Recording::parse(Path::new("rec"), head.as_bytes(), lines.as_bytes()).unwrap_err().to_string();
        assert_eq!(text.lines().count(), 1, "{text}");
        text
    };
    for (head, lines, words) in [
        ("", "", "rec/recording.json:1: EOF"),
        ("{\n\"version\": 1,\n\"tool\": 7}", "", "rec/recording.json:3: invalid type"),
        ("{\"version\": 2, \"more\": []}", "", "rec/recording.json: version 2 is newer than 1"),
        (&good.replace("\"accuracy\":0.05", "\"accuracy\":-1"), &first, "rec/recording.json:1: domain package-0: accuracy = -1"),
        (&good.replace("61035", "0"), &first, "rec/recording.json:1: domain package-0: no counter wraps like"),
        (
            &good.replace("\"contained_in\":null", "\"contained_in\":1"),
            &first,
            "domain package-0: contained_in names no other domain",
        ),
        (&good.replace("\"max_power_w\":1000.0", "\"max_power_w\":0"), &first, "counter.max_power_w = 0"),
        (&good, "", "rec/readings.jsonl:1: no reading"),
        (&good, &format!("{first}nonsense\n"), "rec/readings.jsonl:2: expected ident"),
        (&good, &format!("{first}\n{first}"), "rec/readings.jsonl:3: time does not move on"),
        (&good, &tick(5, value(5, 0)).line().unwrap(), "rec/readings.jsonl:1: the first line is at 0"),
        (&good, "{\"boottime_ns\":0,\"monotonic_ns\":0,\"values\":[]}\n", "rec/readings.jsonl:1: 0 values for 1 domains"),
        (
            &good,
            "{\"boottime_ns\":0,\"monotonic_ns\":0,\"values\":[{\"shown\":1}]}\n",
            "value 1: neither `shown` with `at`, nor `error`",
        ),
        (&good, "{\"boottime_ns\":0,\"monotonic_ns\":0,\"values\":[{\"error\":\"io\",\"path\":\"x\"}]}\n", "without its `errno`"),
        (&good.replace("\"max_power_w\":1000.0", "\"max_power_w\":1e9"), &far, "rec/readings.jsonl:3: 1.5e15 J at most"),
        (&good, &crowded, "rec/readings.jsonl:2: host: no machine has 1000000 processors for so long"),
        (&good, "{\"boottime_ns\":0,\"monotonic_ns\":0,\"valves\":[]}\n", "rec/readings.jsonl:1: unknown field `valves`"),
    ] {
        let text = said(head, lines);
        assert!(text.contains(words), "{words} is not in: {text}");
    }
    let missing = Recording::open(Path::new("/nonexistent")).unwrap_err().to_string();
    assert!(missing.contains("/nonexistent/recording.json") && missing.contains("treehouse record"), "{missing}");
}

fn any_value() -> impl Strategy<Value = Result<RecordedValue, ReadError>> {
    let epoch = (0_u32..3).prop_map(|number| Epoch { number, reason: GapReason::Epoch });
    let value = (any::<u64>(), any::<i64>(), any::<i64>(), 0_u64..1 << 40, epoch).prop_map(|(shown, a, b, near, epoch)| {
        let at = if a % 64 == 0 { (a, b) } else { (near as i64, near as i64) };
        Ok(RecordedValue { shown, at, epoch })
    });
    let error = any::<bool>().prop_map(|gone| {
        let path = PathBuf::from("x");
        Err(if gone { ReadError::Absent { path, errno: None } } else { ReadError::Io { path, errno: 5 } })
    });
    prop_oneof![4 => value, 1 => error]
}

proptest! {
    #[test]
    fn any_bytes_are_a_recording_or_refused(head_bytes in prop::collection::vec(any::<u8>(), 0..300), lines in prop::collection::vec(any::<u8>(), 0..300)) {
        let _ = parse_head(&head_bytes);
        let _ = parse_tick(&lines);
        let good = serde_json::to_vec(&head(&[package()])).unwrap();
        prop_assert!(Recording::parse(Path::new("rec"), &head_bytes, &lines).is_err());
        prop_assert!(Recording::parse(Path::new("rec"), &good, &lines).is_err());
    }

    #[test]
    fn a_recording_with_bytes_changed_is_played_or_refused(changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>(), any::<bool>()), 1..6)) {
        let mut files = [serde_json::to_vec(&head(&[package()])).unwrap(), Vec::new()];
        for t in 0..4 {
            files[1].extend(tick(t * S, value(40_000_000 * t, t * S)).line().unwrap().bytes());
        }
        for (place, byte, second) in changes {
            let file = &mut files[usize::from(second)];
            let at = place.index(file.len());
            // digits for digits now and then, so that the text stays a recording of other numbers
            file[at] = if file[at].is_ascii_digit() && byte < 200 { b'0' + byte % 10 } else { byte };
        }
        if let Ok(recording) = Recording::parse(Path::new("rec"), &files[0], &files[1]) {
            let _ = recording.replay();
        }
    }

    #[test]
    fn whatever_is_accepted_can_be_played(
        moves in prop::collection::vec((1_u64..1 << 41, 0_u64..1 << 41, any_value(), any_value()), 1..20),
        wraps in prop::sample::select(vec!["\"Never\"", "{\"Units\":{\"unit_nj\":1}}", "{\"Modulus\":{\"modulus\":1}}", "{\"Register\":{\"esu\":31}}"]),
        power in prop::sample::select(vec![0.001, 1.0, 1e6, 1e9]),
    ) {
        let dram = RecordedDomain { name: "dram-0".into(), kind: DomainKind::Dram, source: Source::RaplPowercap, ..package() };
        let mut domains = [package(), dram];
        for d in &mut domains {
            d.counter.wrap = serde_json::from_str(wraps).unwrap();
            d.counter.max_power_w = power;
        }
        let (mut boottime_ns, mut monotonic_ns) = (0, 0);
        let mut ticks = Vec::new();
        for (on, slept, a, b) in moves {
            ticks.push(Tick { boottime_ns, monotonic_ns, values: vec![a, b], host: None });
            (boottime_ns, monotonic_ns) = (boottime_ns + on + slept, monotonic_ns + on);
        }
        if let Ok(recording) = parse(&head(&domains), &ticks) {
            let totals = recording.replay();
            prop_assert!(totals.domains.iter().all(|d| d.uncertainty_j.is_finite()));
        }
    }
}
