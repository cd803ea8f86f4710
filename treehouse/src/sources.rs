//! `treehouse sources`: every source tried, and what to do where one does not answer.

use std::fmt::Write;
use std::process::ExitCode;

use carbon_api::detect::Machine;
use carbon_api::meter::{SourceReport, Status};
use serde::Serialize;

use crate::cli::{Cli, Format};
use crate::config::Config;
use crate::failure::Failure;
use crate::{output, wiring};

/// The answer as an object.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Sources {
    pub(crate) host_cover: Vec<String>,
    pub(crate) sources: Vec<SourceReport>,
    pub(crate) warnings: Vec<String>,
}

impl Sources {
    pub(crate) fn of(machine: &Machine) -> Self {
        Self { host_cover: machine.host_cover.clone(), sources: machine.reports.clone(), warnings: machine.warnings() }
    }
}

/// Tries every source and says what became of each; status 3 where nothing covers the host.
pub(crate) fn sources(cli: &Cli, config: &Config) -> Result<ExitCode, Failure> {
    let machine = wiring::machine(cli, config)?;
    let sources = Sources::of(&machine);
    let text = match cli.format {
        Format::Json => serde_json::to_string(&sources).map_err(|e| Failure::system("sources", e))? + "\n",
        Format::Text => text(&sources),
    };
    output::print(&text)?;
    if machine.can_measure() { Ok(ExitCode::SUCCESS) } else { Err(machine.no_meter().into()) }
}

/// The list for people.
pub(crate) fn text(sources: &Sources) -> String {
    let mut out = String::new();
    let cover = if sources.host_cover.is_empty() { "nothing".to_owned() } else { sources.host_cover.join(" + ") };
    let _ = writeln!(out, "host = {cover}\n");
    for s in &sources.sources {
        let errno = s.errno.map_or_else(String::new, |e| format!(" (errno {e})"));
        let _ = writeln!(out, "{:<14} {:<7} {}{errno}", s.source, s.status.name(), s.detail);
        if let Some(model) = &s.model {
            let _ = writeln!(out, "{:<22} {}: {}; {}", "", model.id, model.parameters, model.basis);
        }
        for d in &s.domains {
            let mut facts = vec![format!("one count {}", output::si(d.resolution_j, "J"))];
            facts.extend(d.wrap_j.map(|j| format!("wraps at {}", output::si(j, "J"))));
            facts.extend(d.contained_in.as_ref().map(|c| format!("inside {c}")));
            facts.extend(d.duplicate_of.as_ref().map(|c| format!("the same as {c}")));
            let host = if d.in_host { "in host" } else { "" };
            let _ = writeln!(out, "  {:<12} {:<7} {:<14} {}", "", host, d.domain, facts.join(", "));
        }
        if let Some(mend) = s.mend.as_ref().filter(|_| s.status != Status::Ok || s.errno.is_some()) {
            let _ = writeln!(out, "{:<22} mend: {mend}", "");
        }
    }
    for warning in &sources.warnings {
        let _ = writeln!(out, "\nnote: {warning}");
    }
    out
}
