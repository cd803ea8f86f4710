//! Other meters while the loop runs: nothing that was counted is lost, and no counter falls.

use std::sync::Arc;

use super::Sampler;
use crate::bank::Bank;
use crate::cover::{HostCover, host_cover, leaves};
use crate::domain::DomainInfo;
use crate::monitor::domains::DomainState;
use crate::monitor::platform::PlatformWatch;

impl Sampler {
    /// Takes other meters from here on: the open interval is closed, and every counter starts a new epoch. What was counted
    /// stays: no figure falls, and a domain that the new meters do not have stands still.
    pub fn rewire(&mut self, bank: Bank, cover: HostCover) {
        self.read_usage();
        self.settings.cover = cover;
        let domains = bank.domain_list();
        let cover = host_cover(&domains, &self.settings.cover);
        self.leaves = leaves(&domains, &cover);
        self.intervals.rewire(&domains, cover);
        let old = std::mem::replace(&mut self.infos, bank.domains().to_vec());
        let mut states = vec![DomainState::default(); domains.len()];
        for (info, state) in old.into_iter().zip(std::mem::take(&mut self.domains)) {
            let same = |i: &Arc<DomainInfo>| i.source == info.source && i.name == info.name;
            let state = DomainState { since: None, power_w: None, metered_s: 0.0, still_s: 0.0, ..state };
            match self.infos[..domains.len()].iter().position(same) {
                Some(place) => states[place] = state,
                None if state.closed > 0 => {
                    self.infos.push(info);
                    states.push(DomainState { failing: None, ..state });
                }
                None => {}
            }
        }
        self.domains = states;
        self.platform = PlatformWatch::default();
        self.parts.bank = bank;
        self.read_meters();
        self.publish();
    }
}
