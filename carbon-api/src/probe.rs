//! Meters and CPU time read on demand, for windows and for `treehouse run`.
//!
//! What one process (or one command) gets is its share of the energy of busy processors, by CPU time; idle energy belongs to
//! nobody. CPU time is read before the meters at the beginning and after them at the end, microseconds apart.

use std::fmt;
use std::sync::Arc;

use crate::attribution::{HostTime, IdlePolicy, Splitter};
use crate::bank::{Bank, Observed, uncertainty_j};
use crate::counter::{GapReason, Outcome};
use crate::cover::{HostCover, host_cover, leaves};
use crate::domain::{DomainClass, DomainInfo, Provenance};
use crate::error::ReadError;
use crate::stamp::{Clock, Stamp};
use crate::units::Microjoules;
use crate::usage::HostRow;

/// Reads the machine's CPU time.
pub type HostReader = Box<dyn FnMut(&dyn Clock) -> Result<HostRow, ReadError> + Send>;

/// One domain's energy between two marks.
#[derive(Clone, Debug, PartialEq)]
pub struct DomainEnergy {
    /// Who it is.
    pub info: Arc<DomainInfo>,
    /// Energy, or `None` where no interval had a reading.
    pub energy: Option<Microjoules>,
    /// It is a member of the cover.
    pub in_host: bool,
    /// More than one wrap may lie between two readings: the energy is a lower bound.
    pub lower_bound: bool,
}

/// The machine's energy, and one consumer's, between two marks.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Used {
    /// Length, in seconds.
    pub seconds: f64,
    /// Energy of the machine; `None` where nothing covers it, or the window is shorter than a meter's update.
    pub host: Option<Microjoules>,
    /// The consumer's share.
    pub own: Option<Microjoules>,
    /// CPU time of the consumer, in seconds.
    pub cpu_s: f64,
    /// Half width of the 95 % interval of the consumer's share, in joules.
    pub uncertainty_j: f64,
    /// Half width of the 95 % interval of the machine's energy, in joules.
    pub host_uncertainty_j: f64,
    /// Of the consumer's share.
    pub provenance: Option<Provenance>,
    /// Each domain.
    pub domains: Vec<DomainEnergy>,
    /// The most that can have been drawn, in joules, where the window is too short to tell.
    pub bound_j: f64,
    /// What went wrong, in words.
    pub warnings: Vec<String>,
}

#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Sum {
    energy: u64,
    own: u64,
    metered_s: f64,
    lost_s: f64,
    /// Metered seconds since the counter last moved: an impossible step says that it did not measure in them.
    still_s: f64,
    ambiguous: u64,
}

impl Sum {
    pub(crate) fn since(&self, earlier: &Self) -> Self {
        Self {
            energy: self.energy - earlier.energy,
            own: self.own - earlier.own,
            metered_s: self.metered_s - earlier.metered_s,
            lost_s: self.lost_s - earlier.lost_s,
            still_s: self.still_s,
            ambiguous: self.ambiguous - earlier.ambiguous,
        }
    }

    /// Notes an impossible step at the end of `seconds`; returns how much is lost.
    fn lose(&mut self, seconds: f64) -> f64 {
        let still_s = std::mem::take(&mut self.still_s);
        self.metered_s -= still_s;
        self.lost_s += seconds + still_s;
        seconds + still_s
    }
}

/// Meters and CPU time, read on demand and summed since [`Probe::begin`].
pub struct Probe {
    bank: Bank,
    host: HostReader,
    clock: Box<dyn Clock + Send>,
    pub(crate) cover: Vec<usize>,
    pub(crate) sums: Vec<Sum>,
    splitter: Splitter,
    shares: Vec<u64>,
    /// Host and consumer at the last good reading of each domain.
    bases: Vec<Option<(HostRow, u64)>>,
    begun: Option<Mark>,
    pub(crate) last: Option<Mark>,
    pub(crate) errors: Vec<String>,
}

#[derive(Clone, Copy, Debug)]
pub(crate) struct Mark {
    at: Stamp,
    host: Option<HostRow>,
    own_ns: u64,
}

impl Probe {
    /// Takes the meters, the machine's CPU time and the clocks.
    pub fn new(bank: Bank, host: HostReader, clock: Box<dyn Clock + Send>, cover: &HostCover) -> Self {
        let domains = bank.domain_list();
        Self {
            cover: host_cover(&domains, cover),
            sums: vec![Sum::default(); domains.len()],
            bases: vec![None; domains.len()],
            bank,
            host,
            clock,
            splitter: Splitter::default(),
            shares: Vec::new(),
            begun: None,
            last: None,
            errors: Vec::new(),
        }
    }

    /// The domains of all meters.
    pub fn domains(&self) -> &[Arc<DomainInfo>] {
        self.bank.domains()
    }

    /// The longest time between two readings that loses nothing, in seconds.
    pub fn longest_period_s(&self) -> Option<f64> {
        self.bank.longest_period_s()
    }

    /// Starts a window: CPU time first, the meters right after. `own_ns` is the consumer's CPU time so far.
    pub fn begin(&mut self, own_ns: u64) {
        self.sums.iter_mut().for_each(|s| *s = Sum::default());
        self.errors.clear();
        self.bank.settle();
        let host = self.read_host();
        let (at, observed) = self.bank.read(&*self.clock);
        for (base, observed) in self.bases.iter_mut().zip(observed) {
            *base = matches!(observed, Observed::Read(_)).then_some((host.unwrap_or_default(), own_ns));
        }
        let mark = Mark { at, host, own_ns };
        (self.begun, self.last) = (Some(mark), Some(mark));
    }

    /// A reading in between: counters are followed through wraps, and each stretch is shared by its own CPU time.
    pub fn read(&mut self, own_ns: u64) {
        let host = self.read_host();
        let at = self.read_meters(host, own_ns);
        self.last = Some(Mark { at, host, own_ns });
    }

    /// Ends a window: the meters first, CPU time right after.
    pub fn end(&mut self, own_ns: impl FnOnce() -> u64) -> Used {
        self.bank.settle();
        let (stamp, observed) = self.bank.read(&*self.clock);
        let observed = observed.to_vec();
        let host = self.read_host();
        let own_ns = own_ns();
        self.take(stamp, &observed, host, own_ns);
        self.last = Some(Mark { at: stamp, host, own_ns });
        self.used()
    }

    fn read_host(&mut self) -> Option<HostRow> {
        match (self.host)(&*self.clock) {
            Ok(row) => Some(row),
            Err(error) => {
                self.warn(format!("CPU time of the machine: {error}"));
                None
            }
        }
    }

    fn read_meters(&mut self, host: Option<HostRow>, own_ns: u64) -> Stamp {
        let (at, observed) = self.bank.read(&*self.clock);
        let observed = observed.to_vec();
        self.take(at, &observed, host, own_ns);
        at
    }

    fn take(&mut self, at: Stamp, observed: &[Observed], host: Option<HostRow>, own_ns: u64) {
        for (i, observed) in observed.iter().enumerate() {
            let info = Arc::clone(&self.bank.domains()[i]);
            let seconds = self.last.map_or(0.0, |m| at.seconds_since(m.at));
            let outcome = match observed {
                Observed::Failed(error) => {
                    self.warn(format!("{}: {error}", info.name));
                    continue;
                }
                Observed::Read(outcome) => outcome,
            };
            let base = self.bases[i].replace((host.unwrap_or_default(), own_ns));
            match outcome {
                Outcome::First => {}
                Outcome::Delta(_) | Outcome::Wrapped(_) if base.is_none() => {
                    // it could not be read when the window began: what it counted until now is partly older
                    self.sums[i].lost_s += seconds;
                    self.warn(format!("{}: not readable at the beginning; {seconds:.1} s are missing", info.name));
                }
                Outcome::Delta(step) | Outcome::Wrapped(step) => {
                    self.sums[i].energy += step.energy.0;
                    self.sums[i].ambiguous += step.ambiguous_uj.unwrap_or(0);
                    let metered_s = step.until.seconds_since(step.from);
                    self.sums[i].metered_s += metered_s;
                    self.sums[i].still_s = if step.energy.0 > 0 { 0.0 } else { self.sums[i].still_s + metered_s };
                    if step.ambiguous_uj.is_some() {
                        self.warn(format!(
                            "{}: more than one wrap may lie between two readings; the energy is a lower bound",
                            info.name
                        ));
                    }
                    if let (Some((from, own_from)), Some(host)) = (base, host)
                        && info.kind.class().by_cpu_time()
                    {
                        let busy_ns = host.busy_ns.saturating_sub(from.busy_ns);
                        let all = u64::from(host.cpus) * step.until.since(step.from);
                        let time =
                            HostTime { busy_ns, capacity_ns: all.saturating_sub(host.steal_ns.saturating_sub(from.steal_ns)) };
                        let own = own_ns.saturating_sub(own_from);
                        self.splitter.attribute(step.energy.0, &[own], time, IdlePolicy::Separate, &[], &mut self.shares);
                        self.sums[i].own += self.shares.first().copied().unwrap_or(0);
                    }
                }
                Outcome::Reset(reason) => {
                    let seconds = self.sums[i].lose(seconds);
                    self.warn(format!("{}: its counter started anew ({}); {seconds:.1} s are missing", info.name, reason.name()));
                }
                Outcome::Gap(GapReason::Implausible) => {
                    let seconds = self.sums[i].lose(seconds);
                    self.warn(format!("{}: {seconds:.1} s are missing (implausible)", info.name));
                }
                Outcome::Gap(reason) => {
                    self.sums[i].still_s = 0.0;
                    self.sums[i].lost_s += seconds;
                    self.warn(format!("{}: {seconds:.1} s are missing ({})", info.name, reason.name()));
                }
            }
        }
    }

    fn warn(&mut self, warning: String) {
        if self.errors.len() < 32 && !self.errors.contains(&warning) {
            self.errors.push(warning);
        }
    }

    /// What the window holds so far.
    pub fn used(&self) -> Used {
        summarise(self, &self.sums, self.begun, self.last, &self.errors)
    }
}

pub(crate) fn summarise(probe: &Probe, sums: &[Sum], begun: Option<Mark>, last: Option<Mark>, errors: &[String]) -> Used {
    let (Some(at), Some(from)) = (last, begun) else { return Used::default() };
    let seconds = at.at.seconds_since(from.at);
    let infos = probe.domains();
    let members = || probe.cover.iter().map(|&i| (&infos[i], &sums[i]));
    let too_short = members().any(|(info, _)| seconds < info.update_s);
    let known = !probe.cover.is_empty() && !too_short && members().all(|(_, sum)| sum.metered_s > 0.0);
    let mut doubts = Vec::new();
    probe.bank.warnings(&mut doubts);
    let mut warnings: Vec<String> = errors.iter().cloned().chain(doubts.iter().map(ToString::to_string)).collect();
    for (info, sum) in members().filter(|(_, sum)| known && sum.lost_s > 0.0) {
        warnings.push(format!("{} covers {:.0} % of the window", info.name, 100.0 * sum.metered_s / seconds));
    }
    let energy: u64 = members().map(|(_, s)| s.energy).sum();
    // under a platform meter the shares come from the packages and memory inside it
    let by_platform = members().any(|(info, _)| info.kind.class() == DomainClass::Platform);
    let shared = if by_platform { leaves(&probe.bank.domain_list(), &probe.cover) } else { probe.cover.clone() };
    let own = shared.iter().map(|&i| sums[i].own).sum::<u64>().min(energy);
    let (host_j, own_j) = (energy as f64 / 1e6, own as f64 / 1e6);
    let half_width = |(info, sum): (&Arc<DomainInfo>, &Sum)| {
        let joules = sum.energy as f64 / 1e6;
        let power = if sum.metered_s > 0.0 { joules / sum.metered_s } else { 0.0 };
        uncertainty_j(info, joules, power) + sum.ambiguous as f64 / 1e6
    };
    let host_uncertainty_j: f64 = members().map(half_width).sum();
    // one step of the machine's clock at each end may be somebody else's
    let steps_s = 2.0 * at.host.map_or(0.0, |h| h.quantum_ns as f64 / 1e9);
    let by_clock = if seconds > 0.0 { (host_j * steps_s / seconds).min(own_j) } else { 0.0 };
    let relative = if energy > 0 { host_uncertainty_j / host_j } else { 0.0 };
    Used {
        seconds,
        host: known.then_some(Microjoules(energy)),
        own: (known && at.host.is_some()).then_some(Microjoules(own)),
        cpu_s: at.own_ns.saturating_sub(from.own_ns) as f64 / 1e9,
        uncertainty_j: relative * own_j + by_clock,
        host_uncertainty_j,
        provenance: shared.iter().map(|&i| infos[i].provenance().of_share()).max(),
        domains: (0..infos.len())
            .map(|i| DomainEnergy {
                info: Arc::clone(&infos[i]),
                energy: (sums[i].metered_s > 0.0).then_some(Microjoules(sums[i].energy)),
                in_host: probe.cover.contains(&i),
                lower_bound: sums[i].ambiguous > 0,
            })
            .collect(),
        bound_j: members().map(|(info, _)| info.counter.max_power_w * seconds).sum(),
        warnings,
    }
}

impl fmt::Debug for Probe {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Probe").field("cover", &self.cover).finish_non_exhaustive()
    }
}

#[cfg(test)]
#[path = "probe_tests.rs"]
mod tests;
