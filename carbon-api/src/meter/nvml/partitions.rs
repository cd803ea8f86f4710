//! Partitions of a GPU (multi-instance GPU): the board alone has a meter, and they share its energy by their compute slices.

use std::sync::Arc;

use nvml_wrapper::Device;
use nvml_wrapper::error::NvmlError;

use crate::counter::{Counter, CounterSpec, Epoch, GapReason, Outcome, Value};
use crate::error::ReadError;

/// One partition as the driver tells it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Partition {
    pub(super) uuid: Arc<str>,
    /// Its place among the partitions of the GPU.
    pub(super) place: u32,
    /// Its compute slices.
    pub(super) slices: u32,
}

/// The partitions of a GPU now; none where it is not partitioned, or cannot be.
pub(super) fn list(device: &Device<'_>) -> Result<Vec<Partition>, NvmlError> {
    match device.mig_mode() {
        Ok(mode) if mode.current == 1 => {}
        Ok(_) => return Ok(Vec::new()),
        Err(error) if super::library::is_unsupported(&error) => return Ok(Vec::new()),
        Err(error) => return Err(error),
    }
    let mut found = Vec::new();
    for place in 0..device.mig_device_count()? {
        match device.mig_device_by_index(place) {
            Ok(part) => {
                let slices = part.attributes()?.compute_instance_slice_count;
                found.push(Partition { uuid: part.uuid()?.into(), place, slices });
            }
            // an empty place
            Err(NvmlError::NotFound | NvmlError::InvalidArg) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(found)
}

/// The parts of `energy` by slices, in order; their sum is `energy` where there are slices at all.
pub(super) fn shares(energy: u64, slices: impl Iterator<Item = u32> + Clone) -> impl Iterator<Item = u64> {
    let total = u128::from(slices.clone().map(u64::from).sum::<u64>().max(1));
    // the part up to a boundary is rounded, not each part: nothing is lost and nothing is made
    let upto = move |boundary: u128| (u128::from(energy) * boundary / total) as u64;
    slices.scan(0_u128, move |boundary, slices| {
        let from = upto(*boundary);
        *boundary += u128::from(slices);
        Some(upto(*boundary) - from)
    })
}

/// The accounts of those partitions that were there at the start.
#[derive(Debug)]
pub(super) struct Partitions {
    listed: Vec<Account>,
    now: Vec<Partition>,
    board: Counter,
    /// Energy of the board since the last look, in microjoules.
    pending: u64,
    /// The partitions are not those of the start.
    changed: bool,
}

#[derive(Debug)]
struct Account {
    uuid: Arc<str>,
    energy: u64,
    epoch: Epoch,
}

impl Partitions {
    /// Accounts for those that there are now.
    pub(super) fn new(now: Vec<Partition>, board: CounterSpec) -> Self {
        let account = |p: &Partition| Account { uuid: Arc::clone(&p.uuid), energy: 0, epoch: Epoch::FIRST };
        Self { listed: now.iter().map(account).collect(), now, board: Counter::new(board), pending: 0, changed: false }
    }

    /// How many domains they are.
    pub(super) const fn len(&self) -> usize {
        self.listed.len()
    }

    /// The partitions at the last look.
    pub(super) fn now(&self) -> &[Partition] {
        &self.now
    }

    /// They are not those of the start.
    pub(super) const fn changed(&self) -> bool {
        self.changed
    }

    /// Takes a value of the board; what it lost, they lost.
    pub(super) fn take(&mut self, board: &Value) {
        match self.board.take(board) {
            Outcome::Delta(step) | Outcome::Wrapped(step) => self.pending += step.energy.0,
            Outcome::First => {}
            Outcome::Reset(_) => self.interrupt(GapReason::Reset),
            Outcome::Gap(reason) => self.interrupt(reason),
        }
    }

    /// Shares out what gathered since the last look if `now` is what it was then; else the time between is a gap.
    pub(super) fn settle(
        &mut self,
        now: Vec<Partition>,
        at: &Value,
        absent: &ReadError,
        values: &mut [Result<Value, ReadError>],
    ) {
        if now == self.now {
            let parts = shares(std::mem::take(&mut self.pending), now.iter().map(|p| p.slices));
            for (partition, share) in now.iter().zip(parts) {
                if let Some(account) = self.listed.iter_mut().find(|a| a.uuid == partition.uuid) {
                    account.energy += share;
                }
            }
        } else {
            self.interrupt(GapReason::Epoch);
            self.changed = true;
            self.now = now;
        }
        for (account, value) in self.listed.iter().zip(values) {
            let is_there = self.now.iter().any(|p| p.uuid == account.uuid);
            *value =
                if is_there { Ok(Value { shown: account.energy, at: at.at, epoch: account.epoch }) } else { Err(absent.clone()) };
        }
    }

    fn interrupt(&mut self, reason: GapReason) {
        self.pending = 0;
        self.listed.iter_mut().for_each(|a| a.epoch.advance(reason));
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn slices_in_use_share_the_board() {
        assert_eq!(shares(700, [3, 2].into_iter()).collect::<Vec<_>>(), [420, 280]);
        assert_eq!(shares(700, [0, 0].into_iter()).collect::<Vec<_>>(), [0, 0]);
    }

    proptest! {
        #[test]
        fn shares_are_the_whole(energy in any::<u64>(), slices in prop::collection::vec(1_u32..8, 1..8)) {
            let parts: Vec<u64> = shares(energy, slices.iter().copied()).collect();
            prop_assert_eq!(parts.iter().map(|p| u128::from(*p)).sum::<u128>(), u128::from(energy));
            let total: u32 = slices.iter().sum();
            for (part, slices) in parts.iter().zip(slices) {
                let exact = u128::from(energy) * u128::from(slices) / u128::from(total);
                prop_assert!(u128::from(*part).abs_diff(exact) <= 1);
            }
        }
    }
}
