use std::cell::Cell;
use std::fs;

use proptest::prelude::*;
use tempfile::TempDir;

use super::*;
use crate::bank::{Bank, Observed};
use crate::counter::{GapReason, Outcome, ResetReason};
use crate::cover::{HostCover, host_cover};

const MS: u64 = 1_000_000;

struct VirtualClock(Cell<Stamp>);

impl Clock for VirtualClock {
    fn stamp(&self) -> Stamp {
        self.0.get()
    }

    fn utc(&self) -> jiff::Timestamp {
        jiff::Timestamp::UNIX_EPOCH
    }
}

/// A phone whose clock is in our hand.
struct Phone {
    root: TempDir,
    clock: VirtualClock,
    bank: Option<Bank>,
}

impl Phone {
    fn new() -> Self {
        let root = tempfile::tempdir().unwrap();
        Self { root, clock: VirtualClock(Cell::new(Stamp::at(100_000 * MS))), bank: None }
    }

    /// One chip that shows `energy`.
    fn with(energy: &str) -> Self {
        let phone = Self::new();
        phone.chip(0, "s2mpg10-odpm", energy);
        phone
    }

    fn chip(&self, index: usize, name: &str, energy: &str) {
        self.file(index, "name", name);
        self.file(index, "energy_value", energy);
    }

    fn file(&self, index: usize, file: &str, text: &str) {
        let folder = self.root.path().join(format!("bus/iio/devices/iio:device{index}"));
        fs::create_dir_all(&folder).unwrap();
        fs::write(folder.join(file), format!("{text}\n")).unwrap();
    }

    fn discover(&self) -> (Option<OdpmMeter>, SourceReport) {
        OdpmMeter::discover(self.root.path(), &OdpmOptions::default())
    }

    fn bank(&mut self) -> &mut Bank {
        if self.bank.is_none() {
            let (meter, report) = self.discover();
            self.bank = Some(Bank::new(vec![Box::new(meter.unwrap_or_else(|| panic!("{report:?}")))]));
        }
        self.bank.as_mut().unwrap()
    }

    /// Shows `energy` at `ms` of the host's clock and reads.
    fn read(&mut self, ms: u64, energy: &str) -> Vec<Observed> {
        self.file(0, "energy_value", energy);
        self.clock.0.set(Stamp::at(ms * MS));
        self.bank();
        self.bank.as_mut().unwrap().read(&self.clock).1.to_vec()
    }

    fn names(&self) -> Vec<String> {
        self.discover().1.domains.iter().map(|d| format!("{} of {}: {}", d.domain, d.device, d.kind)).collect()
    }
}

fn joules(observed: &Observed) -> u64 {
    match observed {
        Observed::Read(Outcome::Delta(step)) => step.energy.0,
        other => panic!("{other:?}"),
    }
}

const FIRST: &str = "t=50000\nCH0(T=40000)[S2M_VDD_CPUCL0], 1000000\nCH1(T=40000)[L2S_VDD_GPU], 700";

#[test]
fn both_odpm_forms_parse() {
    let forms = [
        (FIRST, "t=52000\nCH0(T=42000)[S2M_VDD_CPUCL0], 4000000\nCH1(T=42000)[L2S_VDD_GPU], 900"),
        ("50000\nS2M_VDD_CPUCL0, 1000000\nL2S_VDD_GPU, 700", "52000\nS2M_VDD_CPUCL0, 4000000\nL2S_VDD_GPU, 900"),
    ];
    for (first, second) in forms {
        let mut phone = Phone::with(first);
        phone.file(0, "available_rails", "BUCK2(S2M_VDD_CPUCL0):CPU(LITTLE)\nLDO2(L2S_VDD_GPU):GPU");
        assert_eq!(phone.names(), ["S2M_VDD_CPUCL0 of s2mpg10-odpm: cpu", "L2S_VDD_GPU of s2mpg10-odpm: gpu"]);
        phone.read(50_010, first);
        let observed = phone.read(52_010, second);
        assert_eq!((joules(&observed[0]), joules(&observed[1])), (3_000_000, 200), "{first}");
    }
}

#[test]
fn rail_power_uses_device_time() {
    let mut phone = Phone::with(FIRST);
    // the host comes late and early, the rail draws 1.5 W all the time on the device's clock
    let (mut t, mut energy) = (50_000, 1_000_000);
    phone.read(50_040, FIRST);
    for (elapsed, late) in [(1000, 0), (1000, 45), (700, 900), (1300, 1), (2000, 30)] {
        t += elapsed;
        energy += 1500 * elapsed;
        let observed = phone.read(t + late, &format!("t={t}\nCH0(T={})[S2M_VDD_CPUCL0], {energy}", t - 10_000));
        let Observed::Read(Outcome::Delta(step)) = &observed[0] else { panic!("{observed:?}") };
        let watts = step.energy.0 as f64 / 1e6 / step.until.seconds_since(step.from);
        assert!((watts - 1.5).abs() < 1e-9, "{watts} W, {late} ms late");
        assert_eq!(step.until.boottime_ns, t * MS);
    }
}

#[test]
fn the_same_time_twice_is_no_new_interval() {
    let mut phone = Phone::with(FIRST);
    phone.read(50_010, FIRST);
    let second = FIRST.replace("t=50000", "t=51000").replace("1000000", "1500000");
    assert_eq!(joules(&phone.read(51_000, &second)[0]), 500_000);
    // a cached answer
    let Observed::Read(Outcome::Delta(step)) = &phone.read(51_030, &second)[0] else { panic!() };
    assert_eq!((step.energy.0, step.from, step.until.boottime_ns), (0, step.until, 51_000 * MS));
    // energy in no time would be an endless power: it belongs to the interval that ends at the next time
    let early = second.replace("1500000", "1600000");
    assert_eq!(joules(&phone.read(51_040, &early)[0]), 0);
    assert_eq!(joules(&phone.read(52_000, &early.replace("t=51000", "t=52000"))[0]), 100_000);
}

#[test]
fn a_rail_swap_is_a_new_epoch() {
    let mut phone = Phone::with(FIRST);
    phone.read(50_010, FIRST);
    let other = "t=51000\nCH0(T=300)[S9M_VDD_AUR], 1100000\nCH1(T=41000)[L2S_VDD_GPU], 800";
    let observed = phone.read(51_010, other);
    let Observed::Failed(error) = &observed[0] else { panic!("{observed:?}") };
    let expected = "S2M_VDD_CPUCL0 (channel 0 measures S9M_VDD_AUR now: reload to meter it) is absent";
    assert!(error.to_string().ends_with(expected), "{error}");
    assert_eq!(error.reason(), "absent");
    assert_eq!(joules(&observed[1]), 100, "the other channel goes on");
    // back again, with more on the clock and more energy than before: still not the same run
    let back = "t=95000\nCH0(T=43000)[S2M_VDD_CPUCL0], 1200000\nCH1(T=85000)[L2S_VDD_GPU], 900";
    let observed = phone.read(95_010, back);
    assert_eq!(observed[0], Observed::Read(Outcome::Gap(GapReason::Epoch)));
    assert_eq!(joules(&observed[1]), 100);
    // swapped there and back between two reads: its clock fell, whatever the energy says
    let restarted = "t=96000\nCH0(T=500)[S2M_VDD_CPUCL0], 1300000\nCH1(T=86000)[L2S_VDD_GPU], 1000";
    assert_eq!(phone.read(96_010, restarted)[0], Observed::Read(Outcome::Gap(GapReason::Epoch)));
    let on = "t=97000\nCH0(T=1500)[S2M_VDD_CPUCL0], 1400000\nCH1(T=87000)[L2S_VDD_GPU], 1000";
    assert_eq!(joules(&phone.read(97_010, on)[0]), 100_000);
}

#[test]
fn an_energy_that_falls_in_the_old_form_is_a_reset() {
    let mut phone = Phone::with("50000\nVDD_CPU, 1000000");
    phone.read(50_010, "50000\nVDD_CPU, 1000000");
    assert_eq!(phone.read(51_010, "51000\nVDD_CPU, 900")[0], Observed::Read(Outcome::Reset(ResetReason::Fall)));
}

#[test]
fn a_sleeping_phone_keeps_its_energy() {
    let mut phone = Phone::with(FIRST);
    phone.read(50_010, FIRST);
    phone.file(0, "energy_value", "t=3650000\nCH0(T=3640000)[S2M_VDD_CPUCL0], 5000000\nCH1(T=3640000)[L2S_VDD_GPU], 700");
    phone.clock.0.set(Stamp { boottime_ns: 3_650_010 * MS, monotonic_ns: 60_000 * MS });
    let (at, observed) = phone.bank.as_mut().unwrap().read(&phone.clock);
    assert_eq!(joules(&observed[0]), 4_000_000);
    assert_eq!(at, Stamp { boottime_ns: 3_650_000 * MS, monotonic_ns: 59_990 * MS });
}

#[test]
fn two_chips_with_one_rail_name_are_both_kept() {
    let phone = Phone::new();
    phone.chip(1, "s2mpg13-odpm", "t=1\nCH0(T=1)[VSYS], 5\nCH1(T=1)[S1S_VDD_CAM], 5");
    phone.chip(0, "s2mpg12-odpm", "t=1\nCH0(T=1)[VSYS], 5\nCH7(T=1)[S1M_VDD_MIF], 5");
    phone.file(0, "enabled_rails", "CH0[VSYS]:Total\nCH7[S1M_VDD_MIF]:DDR");
    phone.file(0, "sampling_rate", "8.000000");
    phone.chip(2, "ads1015", "t=1\nCH0(T=1)[VSYS], 5");
    let expected = [
        "VSYS@s2mpg12-odpm of s2mpg12-odpm: rail",
        "S1M_VDD_MIF of s2mpg12-odpm: memory",
        "VSYS@s2mpg13-odpm of s2mpg13-odpm: rail",
        "S1S_VDD_CAM of s2mpg13-odpm: rail",
    ];
    assert_eq!(phone.names(), expected);
    let domains = phone.discover().0.unwrap().domains().to_vec();
    assert_eq!((domains[0].update_s, domains[2].update_s), (0.125, 0.05));
    assert!(domains.iter().all(|d| d.accuracy == 0.125 && d.counter.survives_suspend && d.counter.wrap == Wrap::Never));
    assert_eq!(host_cover(&domains, &HostCover::Auto).len(), 4);
}

#[test]
fn even_two_chips_of_one_name_are_told_apart() {
    let phone = Phone::new();
    phone.chip(0, "s2mpg12-odpm", "t=1\nCH0(T=1)[VSYS], 5");
    phone.chip(1, "s2mpg12-odpm", "t=1\nCH0(T=1)[VSYS], 5\nCH1(T=1)[VSYS], 5");
    let expected = [
        "VSYS@s2mpg12-odpm@iio:device0 of s2mpg12-odpm@iio:device0: rail",
        "VSYS@s2mpg12-odpm@iio:device1-ch0 of s2mpg12-odpm@iio:device1: rail",
        "VSYS@s2mpg12-odpm@iio:device1-ch1 of s2mpg12-odpm@iio:device1: rail",
    ];
    assert_eq!(phone.names(), expected);
}

#[test]
fn a_line_of_nonsense_costs_its_own_channel_alone() {
    let mut phone = Phone::with(FIRST);
    phone.read(50_010, FIRST);
    let garbled = "t=51000\nCH0(T=41000)[S2M_VDD_CPUCL0] ~\nCH1(T=41000)[L2S_VDD_GPU], 900";
    let observed = phone.read(51_010, garbled);
    assert!(matches!(&observed[0], Observed::Failed(ReadError::Malformed { .. })), "{observed:?}");
    assert_eq!(joules(&observed[1]), 200);
    let good = FIRST.replace("t=50000", "t=52000").replace("1000000", "1600000").replace("700", "900");
    assert_eq!(joules(&phone.read(52_010, &good)[0]), 600_000, "the next good reading closes the interval");
    let observed = phone.read(53_010, "later\nCH0(T=41000)[S2M_VDD_CPUCL0], 5");
    assert!(observed.iter().all(|o| matches!(o, Observed::Failed(ReadError::Malformed { .. }))));
    let observed = phone.read(53_010, "t=53000\nCH0(T=43000)[S2M_VDD_CPUCL0], 1700000");
    assert!(matches!(&observed[1], Observed::Failed(ReadError::Absent { .. })), "{observed:?}");
}

#[test]
fn a_time_that_is_still_to_come_is_not_believed() {
    let mut phone = Phone::with(FIRST);
    phone.read(50_010, FIRST);
    let observed = phone.read(50_500, &FIRST.replace("t=50000", "t=990000000"));
    assert!(matches!(&observed[0], Observed::Failed(ReadError::Malformed { .. })), "{observed:?}");
}

#[test]
fn absent_broken_and_denied_are_told_apart() {
    let empty = Phone::new().discover();
    assert!(empty.0.is_none());
    assert_eq!(empty.1.status, Status::Absent);
    let broken = Phone::with("nothing").discover();
    assert!(broken.0.is_none());
    assert_eq!((broken.1.status, broken.1.mend.as_deref()), (Status::Broken, Some(BROKEN)));
    let denied = refused(&ReadError::Denied { path: "energy_value".into(), errno: 13 }, "iio".into());
    assert_eq!((denied.status, denied.errno), (Status::Denied, Some(13)));
    assert_eq!(denied.mend.as_deref(), Some("root or the vendor HAL"));
    let phone = Phone::with(FIRST);
    phone.chip(1, "s2mpg11-odpm", "");
    let (meter, report) = phone.discover();
    assert_eq!(meter.unwrap().domains().len(), 2);
    assert_eq!(report.status, Status::Ok);
    assert!(report.detail.starts_with("2 rails of 1 monitors; not usable: "), "{}", report.detail);
}

#[test]
fn only_monitors_of_the_family_are_taken() {
    let taken = |name: &str| is_monitor(name.as_bytes());
    assert!(taken("s2mpg10-odpm\n") && taken("s2mpg19-odpm"));
    assert!(!taken("s2mpg20-odpm") && !taken("s2mpg1-odpm") && !taken("s2mpg100-odpm") && !taken("xs2mpg10-odpm"));
}

#[test]
fn lists_of_rails_are_read() {
    let list = |text: &'static str| rails(text.as_bytes()).map(|r| (r.channel, r.name, r.rail, r.subsystem)).collect::<Vec<_>>();
    let enabled = list("CH0[S2M_VDD_CPUCL0]:CPU(LITTLE)\nCH12[X]\njunk\nCH[Y]:Z");
    let expected: [(_, &[u8], &[u8], &[u8]); 2] =
        [(Some(0), b"S2M_VDD_CPUCL0", b"S2M_VDD_CPUCL0", b"CPU(LITTLE)"), (Some(12), b"X", b"X", b"")];
    assert_eq!(enabled, expected);
    let available = list("BUCK2(S2M_VDD_CPUCL0):CPU(LITTLE)\nVSYS_PWR_DISPLAY(VSYS_PWR_DISPLAY):Display");
    assert_eq!(available[0], (None, &b"BUCK2"[..], &b"S2M_VDD_CPUCL0"[..], &b"CPU(LITTLE)"[..]));
    assert_eq!(available[1].3, b"Display");
}

proptest! {
    #[test]
    fn any_bytes_are_taken(bytes in prop::collection::vec(any::<u8>(), 0..120)) {
        if let Some(text) = EnergyText::parse(&bytes) {
            text.channels().for_each(drop);
        }
        rails(&bytes).for_each(drop);
        let _ = (is_monitor(&bytes), sampling_rate(&bytes));
    }

    #[test]
    fn any_change_of_a_text_is_taken(at in 0..FIRST.len(), length in 0_usize..20, put in prop::collection::vec(any::<u8>(), 0..8)) {
        let end = (at + length).min(FIRST.len());
        let text = [&FIRST.as_bytes()[..at], &put, &FIRST.as_bytes()[end..]].concat();
        if let Some(text) = EnergyText::parse(&text) {
            text.channels().for_each(drop);
        }
    }

    #[test]
    fn what_is_written_is_read(t_ms: u64, channels in prop::collection::vec(("[A-Z0-9_, ()]{0,12}[A-Z]", any::<u64>(), any::<u64>()), 0..9)) {
        let new: Vec<String> = channels.iter().enumerate().map(|(n, (rail, t, e))| format!("CH{n}(T={t})[{rail}], {e}")).collect();
        let text = format!("t={t_ms}\n{}\n", new.join("\n"));
        let parsed = EnergyText::parse(text.as_bytes()).unwrap();
        prop_assert_eq!(parsed.t_ms, t_ms);
        let read: Vec<_> = parsed.channels().map(|c| c.map(|c| (c.number, c.active_ms, c.rail.to_vec(), c.energy_uj))).collect();
        let written: Vec<_> = channels.into_iter().enumerate().map(|(n, (r, t, e))| Ok((n, Some(t), r.into_bytes(), e))).collect();
        prop_assert_eq!(read, written);
    }

    #[test]
    fn swaps_and_restarts_never_make_energy(steps in prop::collection::vec((0_u64..3, 0_u64..2000, 0_u64..5000), 1..60)) {
        // a rail of at most 5 W; what it shows may restart, and may be another rail's for a while
        let (mut place, mut counter) = (None, crate::counter::Counter::new(CounterSpec::new(Wrap::Never)));
        let (mut t_ms, mut active_ms, mut shown, mut truth, mut metered) = (1000, 0, 0, 0, 0);
        for (what, elapsed, milliwatts) in steps {
            let rail: &[u8] = if what == 1 { b"OTHER" } else { b"RAIL" };
            t_ms += elapsed;
            if what == 0 {
                (active_ms, shown) = (active_ms + elapsed, shown + elapsed * milliwatts);
                truth += elapsed * milliwatts;
            } else {
                (active_ms, shown) = (0, 0);
            }
            let channel = Channel { number: 0, active_ms: Some(active_ms), rail, energy_uj: shown };
            let place = place.get_or_insert_with(|| Place::new(&Channel { rail: b"RAIL", ..channel }));
            match place.take(&channel, t_ms, Stamp::at(t_ms * MS)) {
                Some(value) => metered += counter.take(&value).step().map_or(0, |s| s.energy.0),
                None => counter.fail(true),
            }
        }
        prop_assert!(metered <= truth, "{metered} of {truth}");
    }
}
