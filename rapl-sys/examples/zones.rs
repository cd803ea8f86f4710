//! Prints the energy counters of this machine, what they counted in one second, and why the other back ends are not used.
//!
//! `cargo run -p rapl-sys --example zones [-- --msr]`; `--sysfs DIR` and `--dev DIR` look elsewhere.

use std::io::Write;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use rapl_sys::{Choice, Counting, Domain, Options, Scale, Tried};

fn main() -> std::io::Result<()> {
    let options = options();
    let mut choice = rapl_sys::open(&options);
    let mut out = std::io::stdout().lock();
    match choice.backend {
        Some(backend) => writeln!(out, "{backend} counts here:")?,
        None => writeln!(out, "no RAPL counter can be read here")?,
    }
    for line in measure(&mut choice) {
        writeln!(out, "  {line}")?;
    }
    for tried in choice.tried.iter().filter(|t| !t.chosen) {
        tell(&mut out, tried)?;
    }
    Ok(())
}

fn options() -> Options {
    let arguments: Vec<String> = std::env::args().collect();
    let after = |name: &str, usual: &str| {
        let at = arguments.iter().position(|a| a == name).and_then(|at| arguments.get(at + 1));
        PathBuf::from(at.map_or(usual, String::as_str))
    };
    let cpuinfo = std::fs::read("/proc/cpuinfo").unwrap_or_default();
    let options = Options::new(after("--sysfs", "/sys"), after("--dev", "/dev"), &cpuinfo);
    Options { msr: arguments.iter().any(|a| a == "--msr"), ..options }
}

/// Reads every domain twice, a second apart.
fn measure(choice: &mut Choice) -> Vec<String> {
    let mut read_all = || choice.domains.iter_mut().map(Domain::read).collect::<Vec<_>>();
    let (start, before) = (Instant::now(), read_all());
    if before.is_empty() {
        return Vec::new();
    }
    std::thread::sleep(Duration::from_secs(1));
    let (seconds, after) = (start.elapsed().as_secs_f64(), read_all());
    let lines = choice.domains.iter().zip(before.into_iter().zip(after));
    lines
        .map(|(domain, values)| {
            let text = match values {
                (Ok(before), Ok(after)) => {
                    let joules = rise_uj(domain.counting, before, after) as f64 / 1e6;
                    format!("{joules:.6} J, {:.3} W, in steps of {:.6} J", joules / seconds, domain.resolution_j)
                }
                (Err(error), _) | (_, Err(error)) => error.to_string(),
            };
            let second_view = domain.duplicate_of.map(|i| format!(" (the same energy as {})", choice.domains[i].name));
            format!("{}: {text}{}", domain.name, second_view.unwrap_or_default())
        })
        .collect()
}

/// What a second can add: no counter comes back to zero twice in it.
fn rise_uj(counting: Counting, before: u64, after: u64) -> u64 {
    match counting {
        Counting::Microjoules { range_uj } if after < before => after + range_uj - before,
        Counting::Microjoules { .. } | Counting::SinceOpened => after.saturating_sub(before),
        Counting::Counts { esu } => Scale::from_esu(esu).microjoules((after as u32).wrapping_sub(before as u32).into()),
    }
}

fn tell(out: &mut impl Write, tried: &Tried) -> std::io::Result<()> {
    match &tried.error {
        Some(error) => writeln!(out, "{}: {error}", tried.backend)?,
        None => writeln!(out, "{}: lists {} domains and is not chosen", tried.backend, tried.domains.len())?,
    }
    for domain in &tried.domains {
        match (&domain.error, &domain.duplicate_of) {
            (Some(error), _) => writeln!(out, "  {}: {error}", domain.name)?,
            (None, Some((backend, name))) => writeln!(out, "  {}: the same energy as {backend}/{name}", domain.name)?,
            (None, None) => writeln!(out, "  {}: not counted by the chosen one", domain.name)?,
        }
    }
    Ok(())
}
