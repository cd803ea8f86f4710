//! `treehouse serve`: the monitor thread measures, a single-threaded runtime answers HTTP, and neither waits for the other.

pub(crate) mod access;
mod api;
mod history;
mod http;
mod listen;
mod openapi;
mod problem;
mod reload;
mod state;

use std::net::SocketAddr;
use std::path::Path;
use std::process::ExitCode;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use carbon_api::detect::{Machine, own_cpu_ns};
use carbon_api::family::FamilySettings;
use carbon_api::grid::IntensityProvider;
use carbon_api::ledger::LedgerError;
use carbon_api::ledger::store::Ledger;
use carbon_api::ledger::writer::Writer;
use carbon_api::meter::model::Learner;
use carbon_api::monitor::{Handle, Learn, Monitor, Parts, Sampler, Settings};
use carbon_api::snapshot::SnapshotCell;
use carbon_api::units::Joules;

use self::access::Access;
use self::access::socket::Socket;
use self::history::History;
use self::reload::SwitchableGrid;
use self::state::AddressFile;
use crate::cli::{Cli, ServeOptions};
use crate::config::Config;
use crate::failure::Failure;
use crate::sources::Sources;
use crate::{output, wiring};

/// What the handlers share.
pub(crate) struct Daemon {
    cell: Arc<SnapshotCell>,
    access: Access,
    sources: RwLock<Arc<Sources>>,
    meters: Handle,
    grid: Arc<SwitchableGrid>,
    config: RwLock<Config>,
    history: History,
    scrape: http::ScrapeState,
    decisions: api::Decisions,
}

impl Daemon {
    /// What was found at the last choice of meters.
    fn sources(&self) -> Arc<Sources> {
        Arc::clone(&self.sources.read().unwrap_or_else(PoisonError::into_inner))
    }
}

/// Runs until it is told to stop, by SIGTERM or SIGINT.
pub(crate) fn serve(cli: &Cli, config: Config, options: &ServeOptions) -> Result<ExitCode, Failure> {
    if cli.replay.is_some() && options.otlp.is_some() {
        return Err(Failure::Input("a recording is not pushed as if it were this machine: leave --otlp or --replay out".into()));
    }
    let listener = listen::bind(options.listen.as_deref().unwrap_or(&config.serve.listen), options.insecure)?;
    let address = listener.local_addr().map_err(|e| Failure::system("the listening address", e))?;
    let access = Access::new(&config.serve)?;
    if config.serve.unprivileged_min_interval_s < 1.0 {
        let seconds = config.serve.unprivileged_min_interval_s;
        output::error(&format!(
            "treehouse: serve.unprivileged_min_interval_s = {seconds} holds for serve.trusted_group: everybody else without the token sees one new value a second"
        ));
    }
    let machine = wiring::machine(cli, &config)?;
    if !machine.can_measure() && !config.meter.model {
        return Err(machine.no_meter().into());
    }
    let grid = Arc::new(SwitchableGrid::new(wiring::grid(&config)?));
    let ledger = open_ledger(cli, &config, options)?;
    let socket = Socket::open(cli, options.socket.as_deref().unwrap_or(&config.serve.socket))?;
    let state = AddressFile::write(cli, ledger.is_some(), address, socket.as_ref().map(Socket::path));
    let sources = Sources::of(&machine);
    let sampler = sampler(&config, machine, Arc::clone(&grid), ledger);
    drop_capabilities(&sources);
    let mut monitor = Monitor::start(sampler).map_err(|e| Failure::system("the measuring thread", e))?;
    let daemon = Arc::new(Daemon {
        access,
        cell: monitor.cell(),
        sources: RwLock::new(Arc::new(sources)),
        meters: monitor.handle(),
        grid,
        config: RwLock::new(config),
        history: History::default(),
        scrape: http::ScrapeState::default(),
        decisions: api::Decisions::default(),
    });
    // what is pushed bears the name of this machine
    let otlp = if cli.replay.is_some() { None } else { start_otlp(&daemon, options)? };
    let served = run(cli, &daemon, (listener, address), socket);
    monitor.stop();
    drop(otlp);
    drop(state);
    served.map(|()| ExitCode::SUCCESS)
}

fn run(
    cli: &Cli,
    daemon: &Arc<Daemon>,
    (listener, address): (std::net::TcpListener, SocketAddr),
    socket: Option<Socket>,
) -> Result<(), Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_io()
        .enable_time()
        .build()
        .map_err(|e| Failure::system("the HTTP runtime", e))?;
    runtime.block_on(async {
        let listener = tokio::net::TcpListener::from_std(listener).map_err(|e| Failure::system("the listening socket", e))?;
        let path = socket.as_ref().map(|s| s.path().to_path_buf());
        let socket = socket.map(|s| s.listen(daemon.access.group())).transpose();
        // the file is removed when this ends
        let (socket, _file) = socket.map_err(|e| Failure::system("the socket", e))?.unzip();
        tokio::spawn(history::record(Arc::clone(daemon)));
        let stop = reload::until_stopped(cli, Arc::clone(daemon))?;
        // only now: whoever reads the line may send a signal
        announce(address, path.as_deref(), &daemon.sources(), cli.verbose);
        http::serve(listener, socket, Arc::clone(daemon), stop).await
    })
}

/// The model learns this machine while its meter is there.
fn learner(learner: Option<Learner>) -> Option<Learn> {
    let mut learner = learner?;
    Some(Box::new(move |utilisation, watts, seconds, now| learner.observe(utilisation, watts, seconds, now)))
}

fn sampler(config: &Config, machine: Machine, grid: Arc<SwitchableGrid>, ledger: Option<Writer>) -> Sampler {
    let settings = Settings {
        period: Duration::from_secs_f64(config.attribution.period_s),
        cover: config.meter.host_cover.clone(),
        idle_policy: config.attribution.idle.policy,
        family: FamilySettings {
            max_workloads: config.attribution.max_workloads,
            min_energy: Joules::new(config.attribution.min_energy_j).microjoules(),
            keep_gone_s: config.attribution.keep_gone_s,
        },
        commit: Duration::from_secs_f64(config.ledger.commit_s),
    };
    let learn = learner(machine.learner());
    let parts = Parts {
        clock: machine.clock(),
        embodied: wiring::embodied(config, &machine),
        bank: machine.bank,
        usage: machine.usage,
        grid: grid as Arc<dyn IntensityProvider>,
        own_cpu: Box::new(own_cpu_ns),
        learn,
        ledger,
    };
    Sampler::new(parts, settings)
}

fn open_ledger(cli: &Cli, config: &Config, options: &ServeOptions) -> Result<Option<Writer>, Failure> {
    // what another machine drew at another time is nothing that this one did
    if options.no_ledger || !config.ledger.enabled || cli.replay.is_some() {
        return Ok(None);
    }
    let folder = wiring::state(cli)?;
    let ledger = Ledger::open(&folder).map_err(|error| match error {
        LedgerError::Io { .. } | LedgerError::Busy { .. } => {
            Failure::Input(format!("{error}; or run without a ledger: --no-ledger"))
        }
        other => other.into(),
    })?;
    Ok(Some(Writer::start(ledger, config.ledger.keep_days)?))
}

/// Files are open: no capability is needed any more, but for what opens an event or a register anew after its CPU went away.
/// Root still owns its files, so a counter that comes back can be opened.
fn drop_capabilities(sources: &Sources) {
    use rustix::thread::{CapabilitySet, CapabilitySets, capabilities, set_capabilities};
    let uses = |source: &str| sources.host_cover.iter().any(|d| d.starts_with(source));
    let mut kept = CapabilitySet::empty();
    if uses("rapl_perf/") {
        kept |= CapabilitySet::PERFMON;
    }
    if uses("rapl_msr/") {
        kept |= CapabilitySet::SYS_RAWIO;
    }
    let held = capabilities(None).map_or(CapabilitySet::empty(), |sets| sets.permitted);
    let kept = kept & held;
    let _ = set_capabilities(None, CapabilitySets { effective: kept, permitted: kept, inheritable: CapabilitySet::empty() });
}

fn announce(address: SocketAddr, socket: Option<&Path>, sources: &Sources, verbose: bool) {
    if verbose {
        output::error(crate::sources::text(sources).trim_end());
    }
    let cover = if sources.host_cover.is_empty() { "nothing yet".to_owned() } else { sources.host_cover.join(" + ") };
    match sources.warnings.iter().find(|w| w.starts_with("replayed: ")) {
        Some(notice) => output::error(&format!("treehouse: {notice}; playing {cover}")),
        None => output::error(&format!("treehouse: measuring {cover}")),
    }
    for source in sources.sources.iter().filter(|s| s.source == "model" && s.status == carbon_api::meter::Status::Ok) {
        output::error(&format!("treehouse: every figure is modelled: {}", source.detail));
    }
    if let Some(path) = socket {
        output::error(&format!(
            "treehouse: each user's own energy: curl --unix-socket {} http://localhost/v1/energy",
            path.display()
        ));
    }
    output::error(&format!("treehouse: web page http://{address}/   metrics http://{address}/metrics   stop with Ctrl-C"));
}

#[cfg(feature = "otlp")]
fn start_otlp(daemon: &Daemon, options: &ServeOptions) -> Result<Option<exporters::otlp::OtlpExporter>, Failure> {
    let config = daemon.config.read().unwrap_or_else(PoisonError::into_inner).otlp.clone();
    let chosen = exporters::otlp::OtlpConfig {
        endpoint: options.otlp.clone().or(config.endpoint),
        protocol: config.protocol,
        interval: Some(Duration::from_secs_f64(config.interval_s)),
        ..exporters::otlp::OtlpConfig::default()
    };
    if !chosen.is_wanted() {
        return Ok(None);
    }
    let exporter = exporters::otlp::OtlpExporter::start(&chosen, &daemon.cell, env!("CARGO_PKG_VERSION"))
        .map_err(|e| Failure::Input(e.to_string()))?;
    exporter.warnings().iter().for_each(|w| output::error(&format!("treehouse: otlp: {w}")));
    Ok(Some(exporter))
}

/// Stands for the exporter in a build without one.
#[cfg(not(feature = "otlp"))]
struct NoOtlp;

#[cfg(not(feature = "otlp"))]
fn start_otlp(daemon: &Daemon, options: &ServeOptions) -> Result<Option<NoOtlp>, Failure> {
    let config = daemon.config.read().unwrap_or_else(PoisonError::into_inner);
    if options.otlp.is_some() || config.otlp.endpoint.is_some() {
        return Err(Failure::Input("this build has no OTLP: build treehouse with its default features".into()));
    }
    Ok(None)
}
