//! Records the guest's meters by `treehouse record`, compares what the lines hold with the truth, and plays them again.
//!
//! What comes of it are recordings for `tests/recorded`, each with its `expected.json`: from interfaces of a real kernel,
//! over registers whose truth is known. The sums here are plain differences, and owe nothing to the program's counters.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use serde_json::{Value, json};

use crate::checks::Checks;
use crate::modules::set;
use crate::others::{RAILS, SENSORS};
use crate::program::{self, PROGRAM, User};
use crate::record::PLACE;
use crate::truth::Truth;

/// How long each is, and seconds between two lines.
const SECONDS: u64 = 12;
const PERIOD: &str = "500ms";
/// How long the program may take to its first line.
const START: Duration = Duration::from_secs(180);
/// What is left in the registers of package, core and memory when the first recording begins: each comes back to zero in the
/// middle, with a workload beside two programs and some seconds until their first lines.
const WRAP_IN_MJ: &str = "120000,60000,24000,0";
/// RAPL domains, and how much powercap's whole nanojoules a count make of each: 61035 for 2^-14 J, 15300 for 2^-16 J.
const REGISTERS: [(&str, f64); 3] = [("package-0", 3e-6), ("core-0", 3e-6), ("dram-0", 0.00271)];
/// A few counts, in joules.
const COUNTS_J: f64 = 0.001;

/// How often recordings are made until they are right: a host that takes the guest's time spoils one.
const ATTEMPTS: u32 = 4;

/// Both ways to RAPL, at the same time: the first through powercap, whose registers come back to zero, the second through perf.
pub(crate) fn all(checks: &mut Checks) {
    let [powercap, perf] = match right(checks) {
        Ok(both) => both,
        Err(error) => return checks.record("the meters are recorded through powercap and perf", Err(error)),
    };
    for recorded in [powercap, perf] {
        let door = recorded.door;
        checks.check(&format!("a recording through {door} holds what was used"), || recorded.compare());
        checks.check(&format!("a recording through {door} is played as that, with its domains"), || recorded.play());
    }
}

/// Recordings that hold what was used, or the last ones.
fn right(checks: &mut Checks) -> Result<[Recorded; 2]> {
    for _ in 1..ATTEMPTS {
        match both().and_then(|both| both.each_ref().map(Recorded::compare).into_iter().collect::<Result<Vec<_>>>().map(|_| both))
        {
            Ok(both) => return Ok(both),
            Err(error) => checks.note(&format!("the meters are recorded again: {error:#}")),
        }
    }
    both()
}

fn both() -> Result<[Recorded; 2]> {
    set("known_energy", "wrap_in_mj", WRAP_IN_MJ)?;
    let mut workload = Command::new("/bin/guest-checks");
    let mut workload = workload.args(["workload", &(2 * SECONDS).to_string(), "perf", "/tmp/recording.note"]).spawn()?;
    let both = || {
        // Whoever begins through perf looks through powercap once: the first is past its beginning by then, and ends before.
        let powercap = Recorder::start("powercap")?;
        let perf = Recorder::start("perf")?;
        Ok([powercap.wait()?, perf.wait()?])
    };
    let both = both();
    let _ = workload.kill();
    let _ = workload.wait();
    both
}

/// A `treehouse record` that runs.
struct Recorder {
    door: &'static str,
    folder: PathBuf,
    child: Running,
    start: Truth,
}

/// A program that is ended where nobody waits for it.
struct Running(Option<Child>);

impl Drop for Running {
    fn drop(&mut self) {
        if let Some(child) = &mut self.0 {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

impl Recorder {
    /// Starts it and waits for its first line, to learn the truth of that.
    fn start(door: &'static str) -> Result<Self> {
        let folder = Path::new(PLACE).join(format!("recording-{door}"));
        fs::create_dir_all(PLACE)?;
        if folder.exists() {
            fs::remove_dir_all(&folder).with_context(|| format!("cannot remove {}", folder.display()))?;
        }
        let configuration = format!("/tmp/{door}.toml");
        fs::write(&configuration, format!("[meter]\nrapl = [\"{door}\"]\n"))?;
        let mut command = User::Root.command();
        if door == "powercap" {
            command.args(["--config", &configuration]);
        }
        command.arg("record").arg(&folder).args(["--duration", &SECONDS.to_string(), "--period", PERIOD]);
        let child = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn();
        let mut running = Running(Some(child.context("cannot start the program")?));
        let (readings, started) = (folder.join("readings.jsonl"), Instant::now());
        let lines = || fs::read_to_string(&readings).map_or(0, |text| text.lines().count());
        while lines() == 0 {
            let status = running.0.as_mut().and_then(|child| child.try_wait().transpose()).transpose();
            if let Some(status) = status.context("cannot wait for the program")? {
                bail!("the program ended without a line: {status}");
            }
            ensure!(started.elapsed() < START, "the program writes no line");
            thread::sleep(Duration::from_millis(20));
        }
        let start = Truth::last_seen(door)?;
        ensure!(lines() == 1, "the guest is too slow: the truth of the first line was missed");
        Ok(Self { door, folder, child: running, start })
    }

    /// Waits for its end, and writes beside it what is known of it.
    fn wait(mut self) -> Result<Recorded> {
        let child = self.child.0.take().context("the program was waited for")?;
        let output = child.wait_with_output().context("cannot wait for the program")?;
        let end = Truth::last_seen(self.door)?;
        ensure!(output.status.success(), "{}: {}", output.status, String::from_utf8_lossy(&output.stderr));
        let read = |name: &str| fs::read_to_string(self.folder.join(name)).with_context(|| format!("there is no {name}"));
        let head: Value = serde_json::from_str(&read("recording.json")?).context("recording.json is no JSON")?;
        let lines = read("readings.jsonl")?.lines().map(serde_json::from_str).collect::<Result<Vec<Value>, _>>();
        let lines = lines.context("readings.jsonl is not a JSON a line")?;
        let recorded = Recorded { door: self.door, folder: self.folder, head, lines, start: self.start, end };
        recorded.write_expected()?;
        Ok(recorded)
    }
}

/// What was written, and the truth of the first line and of the last.
struct Recorded {
    door: &'static str,
    folder: PathBuf,
    head: Value,
    lines: Vec<Value>,
    start: Truth,
    end: Truth,
}

/// One domain of a recording.
#[derive(Default)]
struct Sum {
    joules: f64,
    seconds: f64,
    falls: u64,
    /// Stretches whose end says that the meter missed something, as a sensor's does where the guest was too slow to look.
    gaps: BTreeMap<String, u64>,
    /// How long they were; what was used in them is not in the joules.
    lost_s: f64,
}

/// What is known of a domain, how much of that lies in its gaps, and how far a sum may be off.
struct Known {
    joules: f64,
    lost: f64,
    within: f64,
}

impl Recorded {
    /// Every domain whose truth is known, as `source/domain`.
    fn known(&self) -> Result<BTreeMap<String, Known>> {
        let mut known = BTreeMap::new();
        for (domain, rounded) in REGISTERS {
            let joules = self.end.joules_since(&self.start, domain).context("the truth knows no such domain")?;
            let rounded = if self.door == "powercap" { rounded } else { 0.0 };
            known
                .insert(format!("rapl_{}/{domain}", self.door), Known { joules, lost: 0.0, within: joules * rounded + COUNTS_J });
        }
        // Constant power: the truth follows from the time between the first reading and the last.
        for (source, domains, share) in [("hwmon", &SENSORS[..], 0.0001), ("odpm", &RAILS[..], 0.0001)] {
            for (domain, watts) in domains {
                let name = format!("{source}/{domain}");
                let sum = self.sum(&name)?;
                let (joules, lost) = (watts * sum.seconds, watts * sum.lost_s);
                known.insert(name, Known { joules, lost, within: joules * share + 2.0 * COUNTS_J });
            }
        }
        Ok(known)
    }

    /// Energy by plain differences; a fall is a register that came back to zero.
    fn sum(&self, name: &str) -> Result<Sum> {
        let at = self.names().iter().position(|known| known == name).with_context(|| format!("{name} is not recorded"))?;
        let unit = self.head["domains"][at]["counter"]["wrap"]["Units"]["unit_nj"].as_u64();
        let (mut sum, mut before) = (Sum::default(), None);
        for line in &self.lines {
            let value = &line["values"][at];
            let (shown, ns) = value["shown"].as_u64().zip(value["at"][0].as_i64()).with_context(|| format!("{name}: {value}"))?;
            let epoch = &value["epoch"];
            let Some((old, old_ns, old_epoch)) = before.replace((shown, ns, epoch)) else { continue };
            let seconds = (ns - old_ns) as f64 / 1e9;
            sum.seconds += seconds;
            if epoch != old_epoch {
                *sum.gaps.entry(epoch[1].as_str().unwrap_or("?").to_owned()).or_default() += 1;
                sum.lost_s += seconds;
                continue;
            }
            let range = match unit {
                Some(unit) if shown < old => (unit as f64) * 2_f64.powi(32) / 1000.0,
                None if shown < old => bail!("{name} falls from {old} to {shown} and has no wrap"),
                _ => 0.0,
            };
            sum.falls += u64::from(shown < old);
            sum.joules += (range + shown as f64 - old as f64) / 1e6;
        }
        Ok(sum)
    }

    /// The domains of the recording, as `source/domain`.
    fn names(&self) -> Vec<String> {
        let word = |domain: &Value, key: &str| domain[key].as_str().unwrap_or("?").to_owned();
        let domains = self.head["domains"].as_array().into_iter().flatten();
        domains.map(|domain| format!("{}/{}", word(domain, "source"), word(domain, "name"))).collect()
    }

    /// What a test needs that plays it elsewhere.
    fn write_expected(&self) -> Result<()> {
        let mut domains = BTreeMap::new();
        for (name, known) in self.known()? {
            let round = |joules: f64| (joules * 1e6).round() / 1e6;
            let sum = self.sum(&name)?;
            let expected = json!({
                "truth_j": round(known.joules), "lost_j": round(known.lost), "within_j": round(known.within),
                "wraps": sum.falls, "errors": {}, "resets": {}, "gaps": sum.gaps,
            });
            domains.insert(name, expected);
        }
        let about = format!(
            "Linux {} in an emulator, {SECONDS} s through {}: interfaces of the kernel over registers of tests/guest/kmod, \
             whose truth is known; no physical meter",
            self.head["machine"]["kernel"].as_str().unwrap_or_default(),
            self.door
        );
        let text = serde_json::to_string_pretty(&json!({ "about": about, "domains": domains }))? + "\n";
        let path = self.folder.join("expected.json");
        fs::write(&path, text).with_context(|| format!("cannot write {}", path.display()))
    }

    fn compare(&self) -> Result<String> {
        let mut found = Vec::new();
        for (name, known) in self.known()? {
            let sum = self.sum(&name)?;
            let lost = if known.lost > 0.0 { format!(" and {:.4} J in gaps", known.lost) } else { String::new() };
            let text = format!("{name} {:.4} J{lost} of {:.4} J", sum.joules, known.joules);
            let off = (sum.joules + known.lost - known.joules).abs();
            ensure!(known.joules > 0.1 && off <= known.within, "{text} ± {:.4} J", known.within);
            ensure!(!name.starts_with("rapl_") || sum.gaps.is_empty(), "{name} has gaps: {:?}", sum.gaps);
            let wraps = u64::from(self.door == "powercap" && name.starts_with("rapl_"));
            ensure!(sum.falls == wraps, "{name} came back to zero {} times, not {wraps}", sum.falls);
            found.push(text);
        }
        let lines = self.lines.len();
        // A host that takes the guest's time costs lines, and no energy.
        ensure!((6..=26).contains(&lines), "{lines} lines");
        Ok(format!("{lines} lines; {}", found.join(", ")))
    }

    fn play(&self) -> Result<String> {
        let mut command = Command::new(PROGRAM);
        command.arg("--replay").arg(&self.folder).args(["sources", "--format", "json"]);
        let answer = program::answer(&program::output(&mut command)?)?;
        let notice = answer["warnings"][0].as_str().unwrap_or_default();
        // Longer than it was to be where the host took the guest's time.
        let from = format!(" s from {}", self.folder.display());
        let told = notice.starts_with("replayed: ") && notice.contains(&from) && notice.contains("not this machine");
        ensure!(told, "{}", answer["warnings"]);
        let mut played = Vec::new();
        for source in answer["sources"].as_array().into_iter().flatten().filter(|source| source["status"] == "ok") {
            for domain in source["domains"].as_array().into_iter().flatten() {
                let word = |value: &Value| value.as_str().unwrap_or("?").to_owned();
                played.push(format!("{}/{}", word(&source["source"]), word(&domain["domain"])));
            }
        }
        let mut recorded = self.names();
        played.sort();
        recorded.sort();
        ensure!(played == recorded, "played {played:?}, recorded {recorded:?}");
        // The rails of a phone's GPU are beside them.
        for domain in ["package-0", "dram-0"] {
            let name = json!(format!("rapl_{}/{domain}", self.door));
            let cover = answer["host_cover"].as_array().context("no host")?;
            ensure!(cover.contains(&name), "the host is {}", answer["host_cover"]);
        }
        Ok(format!("{notice}; {} domains", recorded.len()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn recorded(wrap: &Value, shown: &[u64]) -> Recorded {
        let head = json!({ "domains": [{ "source": "hwmon", "name": "a" }, { "source": "rapl_powercap", "name": "b", "counter": { "wrap": wrap } }] });
        let line = |(i, shown): (usize, &u64)| json!({ "values": [{}, { "shown": shown, "at": [i * 1_000_000_000, 0] }] });
        let lines = shown.iter().enumerate().map(line).collect();
        Recorded { door: "powercap", folder: PathBuf::new(), head, lines, start: Truth::default(), end: Truth::default() }
    }

    #[test]
    fn a_fall_is_a_whole_register() {
        let units = json!({ "Units": { "unit_nj": 1000 } });
        let sum = recorded(&units, &[4_294_000_000, 4_294_967_295, 1_000_000]).sum("rapl_powercap/b").unwrap();
        assert!((sum.joules - 1.967_296).abs() < 1e-9 && (sum.seconds - 2.0).abs() < 1e-9, "{} {}", sum.joules, sum.seconds);
        assert_eq!(sum.falls, 1);
    }

    #[test]
    fn a_stretch_that_ends_in_another_epoch_is_lost() {
        let mut recorded = recorded(&json!("Never"), &[1_000_000, 3_000_000, 9_000_000, 10_000_000]);
        for line in &mut recorded.lines[2..] {
            line["values"][1]["epoch"] = json!([1, "failed_read"]);
        }
        let sum = recorded.sum("rapl_powercap/b").unwrap();
        assert!((sum.joules - 3.0).abs() < 1e-9 && (sum.lost_s - 1.0).abs() < 1e-9, "{} {}", sum.joules, sum.lost_s);
        assert_eq!(sum.gaps, BTreeMap::from([("failed_read".to_owned(), 1)]));
    }

    #[test]
    fn a_fall_without_a_wrap_and_an_unknown_domain_are_refused() {
        let recorded = recorded(&json!("Never"), &[5, 4]);
        assert!(recorded.sum("rapl_powercap/b").is_err());
        assert!(recorded.sum("rapl_powercap/c").is_err());
    }
}
