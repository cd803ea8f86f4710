//! `treehouse decide POLICY`: one decision from a JSON view.

use std::io::Read;
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;

use carbon_api::grid::IntensityProvider;
use carbon_api::grid::fixed::FixedGrid;
use carbon_api::grid::table::StaticGrid;
use carbon_api::policy::CarbonSignal;
use integrations::Wanted;
use jiff::{SignedDuration, Timestamp};

use crate::cli::{Cli, DecideOptions};
use crate::config::Config;
use crate::failure::Failure;
use crate::{output, wiring};

/// How far ahead the built-in forecast is given to a policy.
const HORIZON: SignedDuration = SignedDuration::from_hours(7 * 24);

/// Decides, or prints schemas or an example; the answer is one JSON object in either format.
pub(crate) fn decide(_: &Cli, config: &Config, options: &DecideOptions) -> Result<ExitCode, Failure> {
    let name = options.policy.as_str();
    let answer = if options.schema {
        integrations::schema_json(name)?
    } else if options.example {
        integrations::example_json(name)?
    } else {
        // an unknown name is told before anybody waits for input
        integrations::schema_json(name)?;
        let input = read(&options.input)?;
        let now = Timestamp::now();
        integrations::decide_json(name, &input, signal(config, &input, now)?, now)?
    };
    let text = serde_json::to_string_pretty(&answer).map_err(|e| Failure::system("the decision", e))?;
    output::print(&(text + "\n"))?;
    Ok(ExitCode::SUCCESS)
}

/// What the configured grid says, and the built-in table of the other zones that the input names: taken where the input
/// brings no signal of its own.
pub(crate) fn signal(config: &Config, input: &serde_json::Value, now: Timestamp) -> Result<Option<CarbonSignal>, Failure> {
    let wanted = Wanted::of(input);
    let until = wanted.until.unwrap_or(now + HORIZON).clamp(now, now + HORIZON);
    let mut zones = wanted.zones.iter();
    // without a configured zone the first one that is named is where the job would run
    let own = match (&config.grid.zone, config.grid.intensity, wanted.zones.first()) {
        (None, None, Some(first)) => {
            zones.next();
            Arc::new(StaticGrid::new(Some(first))?)
        }
        _ => wiring::grid(config)?,
    };
    let Some(mut signal) = CarbonSignal::from_provider(&*own, now, until) else { return Ok(None) };
    for zone in zones.filter(|z| !signal.zone.eq_ignore_ascii_case(z)).cloned().collect::<Vec<_>>() {
        let grid: Arc<dyn IntensityProvider> = match config.grid.intensity {
            Some(fixed) => Arc::new(FixedGrid::new(fixed, Some(&zone))?),
            None => Arc::new(StaticGrid::new(Some(&zone))?),
        };
        if let Some(other) = CarbonSignal::from_provider(&*grid, now, until) {
            signal = signal.and(other);
        }
    }
    Ok(Some(signal))
}

fn read(path: &Path) -> Result<serde_json::Value, Failure> {
    let mut text = String::new();
    let (what, result) = if path == Path::new("-") {
        ("stdin".to_owned(), std::io::stdin().read_to_string(&mut text).map(drop))
    } else {
        (path.display().to_string(), std::fs::read_to_string(path).map(|t| text = t))
    };
    result.map_err(|e| Failure::Input(format!("{what}: {e}; name a readable file with --input, or pipe the input in")))?;
    serde_json::from_str(&text)
        .map_err(|e| Failure::Input(format!("{what}: {e}; `treehouse decide POLICY --example` prints a valid input")))
}
