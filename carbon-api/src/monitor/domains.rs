//! What each domain did since the start: energy of closed intervals, of the open one, and where it failed.

use jiff::Timestamp;

use super::faults::Faults;
use crate::bank::Observed;
use crate::closed::Reading;
use crate::counter::{GapReason, Outcome};
use crate::domain::DomainInfo;
use crate::stamp::Stamp;

#[derive(Clone, Copy, Debug, Default)]
pub(super) struct DomainState {
    /// Energy of closed intervals, in microjoules.
    pub(super) closed: u64,
    /// The part of it that is the host's: closed while this was a member of the cover.
    pub(super) host: u64,
    /// When it was first read by the meters in force; `None` for one that they do not have.
    pub(super) since: Option<Stamp>,
    /// Energy of the interval that is open.
    pub(super) open: u64,
    /// What several wraps in one interval may have hidden, in microjoules.
    pub(super) ambiguous: u64,
    /// Seconds of closed intervals with a reading.
    pub(super) metered_s: f64,
    pub(super) open_s: f64,
    pub(super) power_w: Option<f64>,
    /// The last reading was the one before once more.
    pub(super) repeats: bool,
    pub(super) failing: Option<Stamp>,
    pub(super) last_good: Option<(Stamp, Timestamp)>,
    /// The last reading that moved: an impossible step says that nothing since then can be believed.
    pub(super) moved: Option<(Stamp, Timestamp)>,
    /// Metered seconds since then.
    pub(super) still_s: f64,
}

#[derive(Clone, Copy)]
pub(super) struct Tick {
    pub(super) at: Stamp,
    pub(super) utc: Timestamp,
    /// Seconds since the tick before.
    pub(super) seconds: f64,
}

/// Turns what a domain did into its part of the interval, and keeps account of what went wrong.
pub(super) fn take(observed: &Observed, now: Tick, info: &DomainInfo, state: &mut DomainState, faults: &mut Faults) -> Reading {
    let Tick { at, utc, seconds } = now;
    state.since.get_or_insert(at);
    let since = state.last_good;
    let outcome = match observed {
        Observed::Failed(error) => {
            faults.error(info.source.name(), &info.name, error.reason());
            if since.is_some() {
                faults.seconds(info, GapReason::FailedRead, seconds);
            }
            if state.failing.is_none() {
                state.failing = Some(since.map_or(at, |s| s.0));
                faults.gap(info, GapReason::FailedRead, None, since.map_or(utc, |s| s.1), None);
            }
            return Reading::Missing;
        }
        Observed::Read(outcome) => outcome,
    };
    if state.failing.take().is_some() {
        faults.end_gap(info, utc);
    }
    state.last_good = Some((at, utc));
    let moved = state.moved;
    if let Outcome::Delta(step) | Outcome::Wrapped(step) = outcome {
        let seconds = step.until.seconds_since(step.from);
        state.open += step.energy.0;
        state.ambiguous += step.ambiguous_uj.unwrap_or(0);
        state.open_s += seconds;
        state.repeats = step.until == step.from;
        if step.energy.0 > 0 {
            (state.moved, state.still_s) = (Some((at, utc)), 0.0);
        } else {
            state.still_s += seconds;
        }
        return Reading::Energy(step.energy.0);
    }
    let still_s = std::mem::take(&mut state.still_s);
    state.repeats = false;
    state.moved = Some((at, utc));
    let (reason, reset) = match outcome {
        Outcome::Reset(reason) => (GapReason::Reset, Some(*reason)),
        Outcome::Gap(reason) => (*reason, None),
        // a first reading of a domain that was read before: other meters have taken over
        Outcome::First if since.is_some() => (GapReason::Epoch, None),
        Outcome::First | Outcome::Delta(_) | Outcome::Wrapped(_) => return Reading::Restart,
    };
    let impossible = matches!(reason, GapReason::Reset | GapReason::Implausible);
    if impossible {
        // a counter that stood still and then takes an impossible step did not measure while it stood
        state.metered_s -= still_s;
    }
    if let Some((stamp, from)) = if impossible { moved } else { since } {
        faults.seconds(info, reason, at.seconds_since(stamp));
        faults.gap(info, reason, reset, from, Some(utc));
    }
    if let Some(reason) = reset {
        faults.reset(info, reason);
    }
    Reading::Restart
}
