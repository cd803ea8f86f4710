//! What is true at an instant, as a file: readers compare what they were shown with it.

use serde::{Deserialize, Serialize};

use crate::model::TrueMachine;
use crate::units::{FEMTO_PER_MICRO, FEMTO_PER_NANO};
use crate::zone::{ControlType, ZoneId};

/// The whole truth at one instant. Energies count from the start of the server.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Truth {
    /// `CLOCK_MONOTONIC` of the instant that everything below holds for, in nanoseconds.
    pub monotonic_ns: u64,
    /// `CLOCK_BOOTTIME` of that instant, in nanoseconds.
    pub boottime_ns: u64,
    /// Nanoseconds since the start of the server.
    pub elapsed_ns: u64,
    /// Commands carried out until then.
    pub commands: u64,
    /// What the last command came to: `ok`, or an error.
    pub outcome: String,
    /// True energy of packages and memory, each once, in nanojoules.
    pub host_nj: u64,
    /// The same in microjoules, rounded down.
    pub host_uj: u64,
    /// Every zone, in the order of the script.
    pub zones: Vec<ZoneTruth>,
}

/// The truth of one zone.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ZoneTruth {
    /// Directory name.
    pub id: String,
    /// Text of the `name` file.
    pub name: String,
    /// Whether it is the second view of `intel-rapl-mmio`.
    pub mmio: bool,
    /// Whether it is part of the host's total.
    pub counted: bool,
    /// True energy, in nanojoules.
    pub energy_nj: u64,
    /// The same in microjoules, rounded down.
    pub energy_uj: u64,
    /// True power, in microwatts.
    pub power_uw: u64,
    /// What the counter stands at, faults aside, in microjoules.
    pub counter_uj: u64,
    /// The largest value of the counter, in microjoules.
    pub range_uj: u64,
    /// The fault that holds.
    pub fault: String,
}

impl Truth {
    /// Finds a zone by directory id, or else by the first name that fits.
    pub fn zone(&self, name: &str) -> Option<&ZoneTruth> {
        let by_id = self.zones.iter().find(|zone| zone.id == name);
        by_id.or_else(|| self.zones.iter().find(|zone| zone.name == name))
    }

    /// States the truth of a machine at `t`; clocks and commands are the caller's to fill in.
    pub(crate) fn of(machine: &TrueMachine, t: u64) -> Self {
        let clocks = machine.at(t).clocks();
        let host_nj = machine.host_nj(0, t);
        let zones = machine.zones().map(|(id, _)| zone_truth(machine, id, t));
        Self {
            monotonic_ns: clocks.monotonic_ns,
            boottime_ns: clocks.boottime_ns,
            elapsed_ns: t,
            commands: 0,
            outcome: "ok".to_owned(),
            host_nj,
            host_uj: host_nj / 1000,
            zones: zones.collect(),
        }
    }
}

fn zone_truth(machine: &TrueMachine, id: ZoneId, t: u64) -> ZoneTruth {
    let zone = machine.zone(id);
    let energy = machine.energy_fj(id, t);
    ZoneTruth {
        id: zone.id().to_owned(),
        name: zone.name(),
        mmio: zone.control() == ControlType::Mmio,
        counted: zone.counted(),
        energy_nj: (energy / FEMTO_PER_NANO) as u64,
        energy_uj: (energy / FEMTO_PER_MICRO) as u64,
        power_uw: machine.power_uw(id, t),
        counter_uj: machine.at(t).counter_uj(id),
        range_uj: zone.units().range_uj(),
        fault: machine.at(t).fault(id).to_string(),
    }
}
