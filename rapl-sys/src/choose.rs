//! Which back end counts: one is chosen whole, the others are told as what they duplicate.
//!
//! Order: perf, powercap, registers. The first that opens for *every* domain that it lists; if none does, the first in which
//! all packages open (or the platform); if none does, the first in which any package opens. Two back ends are never mixed,
//! since they differ by parts per thousand and would count one (package, die, kind) twice.
//!
//! The choice never changes by itself. Choosing again is the caller's act, and every counter of the new choice is in a new
//! [`Epoch`](crate::Epoch): a reading of the old choice is never subtracted from one of the new.

use std::path::PathBuf;

use crate::domain::{Backend, Counting, Domain};
use crate::{Error, Identity, Kind, Processor, Topology, backends, twins};

/// Where to look, and what may be used.
#[derive(Clone, Debug)]
pub struct Options {
    /// The root of sysfs.
    pub sysfs: PathBuf,
    /// The root of devices.
    pub dev: PathBuf,
    /// What `cpuinfo` says.
    pub processor: Processor,
    /// Use the registers where nothing better opens.
    pub msr: bool,
    /// Believe the registers of a guest.
    pub msr_in_guest: bool,
    /// List single physical cores (AMD and Hygon): one event or register each, and reading one wakes its core.
    pub cores: bool,
    /// Back ends in order of preference; one that is not named is not tried.
    pub order: Vec<Backend>,
}

impl Options {
    /// The usual order, without registers; `cpuinfo` is the text of `/proc/cpuinfo`, empty where it cannot be read.
    pub fn new(sysfs: impl Into<PathBuf>, dev: impl Into<PathBuf>, cpuinfo: &[u8]) -> Self {
        Self {
            sysfs: sysfs.into(),
            dev: dev.into(),
            processor: Processor::parse(cpuinfo),
            msr: false,
            msr_in_guest: false,
            cores: true,
            order: Backend::ALL.to_vec(),
        }
    }
}

/// The outcome: one back end with its domains, and what became of each that was tried.
#[derive(Debug)]
pub struct Choice {
    /// The chosen back end; `None` where no package opens anywhere.
    pub backend: Option<Backend>,
    /// Its domains, readable or not; parents and second views are indices into this list.
    pub domains: Vec<Domain>,
    /// Every back end that was tried, in order.
    pub tried: Vec<Tried>,
}

/// What became of one back end.
#[derive(Clone, Debug)]
pub struct Tried {
    /// Which.
    pub backend: Backend,
    /// It was chosen.
    pub chosen: bool,
    /// Why it lists nothing, where it lists nothing.
    pub error: Option<Error>,
    /// What it lists.
    pub domains: Vec<Listed>,
}

/// One domain that a back end lists.
#[derive(Clone, Debug)]
pub struct Listed {
    /// Its name within its back end.
    pub name: String,
    /// Who it is.
    pub identity: Identity,
    /// Where it was found.
    pub path: PathBuf,
    /// What its value means.
    pub counting: Counting,
    /// The step in which the counter moves, in joules.
    pub resolution_j: f64,
    /// Why it does not open, where it does not.
    pub error: Option<Error>,
    /// The domain that shows the same energy, with its back end: an own one, or one of the chosen back end.
    pub duplicate_of: Option<(Backend, String)>,
}

/// Tries the back ends and chooses one.
///
/// Nothing fails: a machine without any counter gives a choice of `None` that says why.
///
/// ```
/// let cpuinfo = std::fs::read("/proc/cpuinfo").unwrap_or_default();
/// let mut choice = rapl_sys::open(&rapl_sys::Options::new("/sys", "/dev", &cpuinfo));
/// for domain in &mut choice.domains {
///     let value = domain.read();
///     println!("{}: {value:?}", domain.name);
/// }
/// ```
pub fn open(options: &Options) -> Choice {
    let topology = Topology::read(&options.sysfs);
    let mut opened: Vec<(Backend, Result<Vec<Domain>, Error>)> = Vec::new();
    for &backend in &options.order {
        if opened.iter().all(|(known, _)| *known != backend) {
            opened.push((backend, discover(backend, options, &topology)));
        }
    }
    let Some(at) = best(&opened) else {
        let tried = opened.iter().map(|(backend, found)| report(*backend, found, None, options)).collect();
        return Choice { backend: None, domains: Vec::new(), tried };
    };
    borrow_limits(&mut opened, at, options);
    let chosen = opened[at].1.as_deref().ok().map(|domains| (opened[at].0, domains));
    let tried = opened.iter().map(|(backend, found)| report(*backend, found, chosen, options)).collect();
    let (backend, domains) = opened.swap_remove(at);
    Choice { backend: Some(backend), domains: domains.unwrap_or_default(), tried }
}

fn discover(backend: Backend, options: &Options, topology: &Topology) -> Result<Vec<Domain>, Error> {
    let mut domains = match backend {
        Backend::Perf => backends::perf(options)?,
        Backend::Powercap => crate::powercap::domains(&options.sysfs, &options.processor)?,
        Backend::Msr if options.msr => backends::msr(options, topology)?,
        Backend::Msr => {
            let reason = "the registers are used only where msr = true asks for them";
            return Err(Error::Skipped { path: options.dev.join("cpu"), reason });
        }
    };
    twins::mark(&mut domains, options.processor.vendor);
    Ok(domains)
}

/// The place of the back end to use.
fn best(opened: &[(Backend, Result<Vec<Domain>, Error>)]) -> Option<usize> {
    let listed = |at: usize| opened[at].1.iter().flatten().filter(|d| d.duplicate_of.is_none());
    let of_kind = |at: usize, kind| listed(at).filter(move |d| d.identity.kind == kind);
    let opens = |d: &Domain| d.counter.is_ok();
    let has = |at: usize, kind| of_kind(at, kind).any(opens);
    let complete = |at: usize| listed(at).next().is_some() && listed(at).all(opens);
    let packages = |at: usize| (has(at, Kind::Package) && of_kind(at, Kind::Package).all(opens)) || has(at, Kind::Psys);
    let find = |good: &dyn Fn(usize) -> bool| (0..opened.len()).find(|&at| good(at));
    find(&complete).or_else(|| find(&packages)).or_else(|| find(&|at| has(at, Kind::Package)))
}

/// Powercap alone knows limits of power: the chosen domains take them from their second views there.
fn borrow_limits(opened: &mut [(Backend, Result<Vec<Domain>, Error>)], at: usize, options: &Options) {
    let limit = |id: &Identity| {
        let all = opened.iter().flat_map(|(_, found)| found.iter().flatten());
        all.filter(|d| shows_same(&d.identity, id, options)).filter_map(|d| d.max_power_w).max_by(f64::total_cmp)
    };
    let limits: Vec<_> = opened[at].1.iter().flatten().map(|d| d.max_power_w.or_else(|| limit(&d.identity))).collect();
    for (domain, limit) in opened[at].1.iter_mut().flatten().zip(limits) {
        domain.max_power_w = limit;
    }
}

/// True where two domains of different back ends show one energy.
fn shows_same(a: &Identity, b: &Identity, options: &Options) -> bool {
    let same = (a.kind, a.package, a.cpu) == (b.kind, b.package, b.cpu) && (a.kind != Kind::Other || a.label == b.label);
    // a back end that names no dies, and one where all dies are one
    let same_die = a.die == b.die || a.die.is_none() || b.die.is_none() || options.processor.vendor.counts_by_package();
    same && same_die
}

fn report(
    backend: Backend,
    found: &Result<Vec<Domain>, Error>,
    chosen: Option<(Backend, &[Domain])>,
    options: &Options,
) -> Tried {
    let is_chosen = chosen.is_some_and(|(name, _)| name == backend);
    let domains = found.as_deref().unwrap_or_default();
    let twin = |d: &Domain| {
        if let (true, _) | (_, None) = (is_chosen, chosen) {
            return d.duplicate_of.map(|i| (backend, domains[i].name.clone()));
        }
        let (name, chosen) = chosen?;
        let counted = chosen.iter().filter(|c| c.duplicate_of.is_none());
        let same = counted.clone().find(|c| c.identity == d.identity);
        let same = same.or_else(|| counted.clone().find(|c| shows_same(&c.identity, &d.identity, options)));
        same.map(|c| (name, c.name.clone())).or_else(|| d.duplicate_of.map(|i| (backend, domains[i].name.clone())))
    };
    let listed = |d: &Domain| Listed {
        name: d.name.clone(),
        identity: d.identity.clone(),
        path: d.path.clone(),
        counting: d.counting,
        resolution_j: d.resolution_j,
        error: d.counter.as_ref().err().cloned(),
        duplicate_of: twin(d),
    };
    Tried { backend, chosen: is_chosen, error: found.as_ref().err().cloned(), domains: domains.iter().map(listed).collect() }
}

#[cfg(test)]
#[path = "choose_tests.rs"]
mod tests;
