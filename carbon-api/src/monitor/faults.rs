//! What went wrong so far, counted by source, domain and reason, and the latest gaps.

use std::sync::Arc;

use jiff::Timestamp;

use crate::counter::{GapReason, ResetReason};
use crate::domain::DomainInfo;
use crate::snapshot::{FaultRow, GapRow};

/// Gaps that are remembered one by one; older ones stay in the sums.
const GAPS: usize = 100;

/// Sums and the latest gaps.
#[derive(Debug, Default)]
pub(super) struct Faults {
    pub(super) errors: Vec<FaultRow<u64>>,
    pub(super) gap_seconds: Vec<FaultRow<f64>>,
    pub(super) resets: Vec<FaultRow<u64>>,
    pub(super) gaps: Vec<GapRow>,
    /// Rises at each change.
    pub(super) revision: u64,
}

impl Faults {
    pub(super) fn error(&mut self, source: &'static str, domain: &Arc<str>, reason: &'static str) {
        self.revision += 1;
        add(&mut self.errors, source, domain, reason, 1);
    }

    pub(super) fn reset(&mut self, domain: &DomainInfo, reason: ResetReason) {
        self.revision += 1;
        add(&mut self.resets, domain.source.name(), &domain.name, reason.name(), 1);
    }

    pub(super) fn seconds(&mut self, domain: &DomainInfo, reason: GapReason, seconds: f64) {
        self.revision += 1;
        add(&mut self.gap_seconds, domain.source.name(), &domain.name, reason.name(), seconds);
    }

    /// Opens a gap, or notes one that is over at once.
    pub(super) fn gap(
        &mut self,
        domain: &DomainInfo,
        reason: GapReason,
        reset: Option<ResetReason>,
        from: Timestamp,
        until: Option<Timestamp>,
    ) {
        self.revision += 1;
        // a battery that is charged for an hour is one gap, not one a tick
        let of_domain = |g: &&mut GapRow| g.source == domain.source && g.domain == domain.name;
        if let Some(last) = self.gaps.iter_mut().rev().find(of_domain)
            && (last.reason, last.reset, last.until) == (reason, None, Some(from))
            && reset.is_none()
        {
            last.until = until;
            return;
        }
        if self.gaps.len() == GAPS {
            self.gaps.remove(0);
        }
        self.gaps.push(GapRow { source: domain.source, domain: Arc::clone(&domain.name), reason, reset, from, until });
    }

    /// Ends the open gap of a domain.
    pub(super) fn end_gap(&mut self, domain: &DomainInfo, until: Timestamp) {
        let open = |g: &&mut GapRow| g.until.is_none() && g.source == domain.source && g.domain == domain.name;
        if let Some(gap) = self.gaps.iter_mut().rev().find(open) {
            gap.until = Some(until);
            self.revision += 1;
        }
    }
}

fn add<N: std::ops::AddAssign>(
    rows: &mut Vec<FaultRow<N>>,
    source: &'static str,
    domain: &Arc<str>,
    reason: &'static str,
    amount: N,
) {
    match rows.iter_mut().find(|r| r.source == source && r.reason == reason && r.domain == *domain) {
        Some(row) => row.amount += amount,
        None => rows.push(FaultRow { source, domain: Arc::clone(domain), reason, amount }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{DomainKind, test_domain};

    #[test]
    fn gaps_that_follow_each_other_for_one_reason_are_one() {
        let battery = test_domain(DomainKind::Battery, "BAT0", None);
        let at = |second| Timestamp::from_second(second).unwrap();
        let mut faults = Faults::default();
        for second in 0..3600 {
            faults.gap(&battery, GapReason::Charging, None, at(second), Some(at(second + 1)));
        }
        faults.gap(&battery, GapReason::Suspend, None, at(3600), Some(at(3700)));
        faults.gap(&battery, GapReason::Charging, None, at(3800), Some(at(3801)));
        let seen: Vec<_> = faults.gaps.iter().map(|g| (g.reason, g.from, g.until)).collect();
        assert_eq!(seen.len(), 3, "{seen:?}");
        assert_eq!((seen[0].1, seen[0].2), (at(0), Some(at(3600))));
    }
}
