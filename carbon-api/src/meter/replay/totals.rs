//! What the counters make of a recording, each reading taken at its recorded time.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::Serialize;

use super::Recording;
use crate::bank::Observed;
use crate::counter::Outcome;
use crate::cover::{HostCover, host_cover};
use crate::stamp::{Clock, Stamp};
use crate::units::Microjoules;

/// Where virtual time begins: late enough for stamps that lie before the first line.
const BEGIN_NS: u64 = 100 * 86_400 * 1_000_000_000;

/// A whole recording, summed up.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Totals {
    /// From the first line to the last, in seconds of boot time.
    pub seconds: f64,
    /// Every domain, in the order of the recording.
    pub domains: Vec<DomainTotals>,
    /// Names of the domains that are the host, as `source/domain`.
    pub host_cover: Vec<String>,
    /// Their sum.
    pub host: Microjoules,
}

/// One domain of a recording.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct DomainTotals {
    /// `source/domain`.
    pub name: String,
    /// Energy of all intervals that have one.
    pub energy: Microjoules,
    /// Half width of the 95 % interval, in joules.
    pub uncertainty_j: f64,
    /// Seconds of those intervals.
    pub metered_s: f64,
    /// Seconds that ended in a reset or a gap.
    pub lost_s: f64,
    /// Falls that were wraps.
    pub wraps: u64,
    /// What several wraps in one interval may have hidden, in microjoules.
    pub ambiguous_uj: u64,
    /// Failed reads by reason.
    pub errors: BTreeMap<&'static str, u64>,
    /// Resets by reason.
    pub resets: BTreeMap<&'static str, u64>,
    /// Other gaps by reason.
    pub gaps: BTreeMap<&'static str, u64>,
}

impl DomainTotals {
    fn take(&mut self, outcome: &Outcome, lost_s: f64) {
        match outcome {
            Outcome::First => return,
            Outcome::Delta(step) | Outcome::Wrapped(step) => {
                self.energy += step.energy;
                self.ambiguous_uj += step.ambiguous_uj.unwrap_or(0);
                self.metered_s += step.until.seconds_since(step.from);
                self.wraps += u64::from(matches!(outcome, Outcome::Wrapped(_)));
                return;
            }
            Outcome::Reset(reason) => *self.resets.entry(reason.name()).or_default() += 1,
            Outcome::Gap(reason) => *self.gaps.entry(reason.name()).or_default() += 1,
        }
        self.lost_s += lost_s;
    }
}

struct At(Stamp);

impl Clock for At {
    fn stamp(&self) -> Stamp {
        self.0
    }

    fn utc(&self) -> Timestamp {
        Timestamp::UNIX_EPOCH
    }
}

/// Takes every reading through the counters.
pub(super) fn replay(recording: &Recording) -> Totals {
    let mut bank = recording.bank();
    let infos = bank.domains().to_vec();
    let mut domains: Vec<DomainTotals> =
        infos.iter().map(|d| DomainTotals { name: d.full_name(), ..DomainTotals::default() }).collect();
    for tick in recording.ticks() {
        let now = Stamp { boottime_ns: BEGIN_NS + tick.boottime_ns, monotonic_ns: BEGIN_NS + tick.monotonic_ns };
        let before: Vec<Option<Stamp>> = (0..infos.len()).map(|i| bank.counter(i).last_read()).collect();
        let observed = bank.read(&At(now)).1.to_vec();
        for (i, (observed, totals)) in observed.iter().zip(&mut domains).enumerate() {
            let read = bank.counter(i).last_read();
            let lost_s = before[i].zip(read).map_or(0.0, |(before, read)| read.seconds_since(before));
            match observed {
                Observed::Read(outcome) => totals.take(outcome, lost_s),
                Observed::Failed(error) => *totals.errors.entry(error.reason()).or_default() += 1,
            }
        }
    }
    for (i, totals) in domains.iter_mut().enumerate() {
        let joules = totals.energy.joules().value();
        let watts = if totals.metered_s > 0.0 { joules / totals.metered_s } else { 0.0 };
        totals.uncertainty_j = bank.uncertainty_j(i, joules, watts) + totals.ambiguous_uj as f64 / 1e6;
    }
    let list = bank.domain_list();
    let cover = host_cover(&list, &HostCover::Auto);
    Totals {
        seconds: recording.seconds(),
        host: cover.iter().map(|&i| domains[i].energy).sum(),
        host_cover: cover.iter().map(|&i| list[i].full_name()).collect(),
        domains,
    }
}
