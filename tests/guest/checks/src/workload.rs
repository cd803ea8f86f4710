//! The command that the program measures, and what it notes.

use std::fs;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use serde_json::{Value, json};

use crate::truth::Truth;

/// Of each round a sixth is work.
const WORK: Duration = Duration::from_millis(200);
const REST: Duration = Duration::from_millis(1000);

/// Notes the truth, works and rests, notes the truth.
pub(crate) fn run(length: Duration, notes: &Path) -> Result<()> {
    let start = Instant::now();
    let before = moment()?;
    write(notes, &json!({ "before": before }))?;
    while start.elapsed() < length {
        let round = Instant::now();
        while round.elapsed() < WORK {
            std::hint::black_box(0);
        }
        thread::sleep(REST.min(length.saturating_sub(start.elapsed())));
    }
    write(notes, &json!({ "before": before, "after": moment()? }))
}

/// What a workload noted.
#[derive(Clone, Debug)]
pub(crate) struct Notes {
    before: Value,
    after: Value,
}

impl Notes {
    /// Reads both moments.
    pub(crate) fn read(path: &Path) -> Result<Self> {
        let text = fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
        let notes: Value = serde_json::from_slice(&text).with_context(|| format!("cannot read {}", path.display()))?;
        Ok(Self { before: notes["before"].clone(), after: notes["after"].clone() })
    }

    /// The truth at both ends.
    pub(crate) fn truths(&self) -> Result<(Truth, Truth)> {
        let of = |moment: &Value| moment["truth"].as_str().and_then(Truth::parse);
        of(&self.before).zip(of(&self.after)).context("the workload noted no truth")
    }

    /// Whether the counter of a zone, named by its folder, is lower at the end than at the beginning.
    pub(crate) fn fell(&self, zone: &str) -> Option<bool> {
        let of = |moment: &Value| moment["powercap"][zone].as_u64();
        Some(of(&self.after)? < of(&self.before)?)
    }
}

fn moment() -> Result<Value> {
    let mut zones = serde_json::Map::new();
    for entry in fs::read_dir("/sys/class/powercap").context("cannot read /sys/class/powercap")? {
        let folder = entry?.path();
        // A control type has no counter.
        if let Ok(text) = fs::read_to_string(folder.join("energy_uj")) {
            let name = folder.file_name().unwrap_or_default().to_string_lossy().into_owned();
            zones.insert(name, text.trim().parse::<u64>().context("a counter is no number")?.into());
        }
    }
    let truth = fs::read_to_string("/sys/module/known_energy/parameters/truth").context("cannot read the truth")?;
    Ok(json!({ "truth": truth, "powercap": zones }))
}

fn write(path: &Path, notes: &Value) -> Result<()> {
    // Whoever waits for the file must not find half of it.
    let draft = path.with_extension("draft");
    fs::write(&draft, notes.to_string()).with_context(|| format!("cannot write {}", draft.display()))?;
    fs::rename(&draft, path).with_context(|| format!("cannot write {}", path.display()))
}
