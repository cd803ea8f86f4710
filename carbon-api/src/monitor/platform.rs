//! Watches a platform meter that is the host: one that reads less than the packages inside it cannot be believed.

use std::sync::Arc;

use super::domains::DomainState;
use crate::domain::{DomainInfo, DomainKind};
use crate::stamp::Stamp;

/// How long the two are compared before anything is said, in seconds.
const WINDOW_S: f64 = 60.0;

/// Energy of psys and of its packages at the beginning of a window, and what the last whole window said.
#[derive(Debug, Default)]
pub(super) struct PlatformWatch {
    begun: Option<(Stamp, u64, u64)>,
    /// psys read less than its packages.
    pub(super) implausible: bool,
}

impl PlatformWatch {
    /// Looks at the closed energies at `until`; `cover` holds the members of the host.
    pub(super) fn look(&mut self, infos: &[Arc<DomainInfo>], states: &[DomainState], cover: &[usize], until: Stamp) {
        let Some(psys) = cover.iter().copied().find(|&i| infos[i].kind == DomainKind::Psys) else { return };
        let is_package = |info: &DomainInfo| info.kind == DomainKind::Package && info.duplicate_of.is_none();
        let packages = infos.iter().zip(states).filter(|(info, _)| is_package(info)).map(|(_, s)| s.closed).sum();
        let now = (until, states[psys].closed, packages);
        let (since, psys_then, packages_then) = *self.begun.get_or_insert(now);
        if until.seconds_since(since) >= WINDOW_S {
            self.implausible = now.1.saturating_sub(psys_then) < now.2.saturating_sub(packages_then);
            self.begun = Some(now);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::test_domain as domain;

    fn implausible_after_a_minute(psys_w: u64, packages_w: [u64; 2]) -> bool {
        let kinds = [DomainKind::Psys, DomainKind::Package, DomainKind::Package];
        let infos = kinds.map(|kind| Arc::new(domain(kind, kind.name(), None)));
        let mut watch = PlatformWatch::default();
        for second in 0..=60 {
            let closed =
                |watts: u64| DomainState { closed: 7_000_000_000 + second * watts * 1_000_000, ..DomainState::default() };
            let states = [closed(psys_w), closed(packages_w[0]), closed(packages_w[1])];
            watch.look(&infos, &states, &[0], Stamp::at(second * 1_000_000_000));
            assert!(second == 60 || !watch.implausible, "not before the minute is over");
        }
        watch.implausible
    }

    #[test]
    fn a_platform_that_draws_less_than_its_packages_is_implausible() {
        assert!(implausible_after_a_minute(30, [20, 20]));
        assert!(!implausible_after_a_minute(41, [20, 20]));
    }
}
