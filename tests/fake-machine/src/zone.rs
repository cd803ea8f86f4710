//! One powercap zone: what it is, how it counts, and what is wrong with it when.

use crate::error::ModelError;
use crate::fault::Fault;
use crate::power::Power;
use crate::units::Units;

/// Which zone of a machine; ids are given in the order in which zones are added.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ZoneId(pub(crate) usize);

/// The powercap control type that lists a zone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ControlType {
    /// `intel-rapl`.
    Msr,
    /// `intel-rapl-mmio`, a second view of the same energy.
    Mmio,
}

impl ControlType {
    /// The directory of the control type.
    pub fn name(self) -> &'static str {
        match self {
            Self::Msr => "intel-rapl",
            Self::Mmio => "intel-rapl-mmio",
        }
    }
}

/// What a zone measures.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ZoneKind {
    /// A socket, or one die of it.
    Package {
        /// The socket's number.
        package: u32,
        /// The die's number, when the name says it.
        die: Option<u32>,
    },
    /// The cores of a package.
    Core,
    /// Graphics and the rest of a package.
    Uncore,
    /// Memory beside a package.
    Dram,
    /// The whole platform.
    Psys,
    /// A name that no program knows.
    Other(String),
}

impl ZoneKind {
    /// The text of the `name` file.
    pub fn name(&self) -> String {
        match self {
            Self::Package { package, die: None } => format!("package-{package}"),
            Self::Package { package, die: Some(die) } => format!("package-{package}-die-{die}"),
            Self::Core => "core".to_owned(),
            Self::Uncore => "uncore".to_owned(),
            Self::Dram => "dram".to_owned(),
            Self::Psys => "psys".to_owned(),
            Self::Other(name) => name.clone(),
        }
    }

    /// Whether its energy belongs into the host's total: packages and memory, once each.
    pub(crate) fn counts(&self) -> bool {
        matches!(self, Self::Package { .. } | Self::Dram)
    }
}

/// A powercap zone with its script.
#[derive(Clone, Debug)]
pub struct Zone {
    pub(crate) kind: ZoneKind,
    pub(crate) id: String,
    pub(crate) control: ControlType,
    pub(crate) parent: Option<ZoneId>,
    pub(crate) units: Units,
    pub(crate) counted: bool,
    pub(crate) max_power_uw: Option<u64>,
    pub(crate) power: Power,
    /// From which instant the counter was at which value, in time order.
    counter: Vec<(u64, u64)>,
    /// From which instant which fault holds, in time order.
    faults: Vec<(u64, Fault)>,
}

impl Zone {
    pub(crate) fn new(kind: ZoneKind, id: String, units: Units, power: Power) -> Self {
        Self {
            counted: kind.counts(),
            kind,
            id,
            control: ControlType::Msr,
            parent: None,
            units,
            max_power_uw: None,
            power,
            counter: vec![(0, 0)],
            faults: Vec::new(),
        }
    }

    /// What it measures.
    pub fn kind(&self) -> &ZoneKind {
        &self.kind
    }

    /// The text of its `name` file.
    pub fn name(&self) -> String {
        self.kind.name()
    }

    /// Its directory name, such as `intel-rapl:0:1`; the parts are hexadecimal.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// The control type that lists it.
    pub fn control(&self) -> ControlType {
        self.control
    }

    /// The zone whose directory holds this one's.
    pub fn parent(&self) -> Option<ZoneId> {
        self.parent
    }

    /// How it counts.
    pub fn units(&self) -> Units {
        self.units
    }

    /// Whether its energy is part of the host's total.
    pub fn counted(&self) -> bool {
        self.counted
    }

    /// The fault that holds at an instant, and since when.
    pub fn fault(&self, t: u64) -> (Fault, u64) {
        let after = self.faults.partition_point(|(at, _)| *at <= t);
        after.checked_sub(1).and_then(|last| self.faults.get(last)).map_or((Fault::Ok, 0), |(at, fault)| (*fault, *at))
    }

    /// How often the zone has gone away until an instant.
    pub(crate) fn departures(&self, t: u64) -> usize {
        self.faults.iter().filter(|(at, fault)| *at <= t && *fault == Fault::Gone).count()
    }

    /// The last instant at which the counter was set, and to what.
    pub(crate) fn counter_origin(&self, t: u64) -> (u64, u64) {
        let after = self.counter.partition_point(|(at, _)| *at <= t);
        after.checked_sub(1).and_then(|last| self.counter.get(last)).copied().unwrap_or((0, 0))
    }

    pub(crate) fn set_counter(&mut self, at: u64, count: u64) {
        let index = self.counter.partition_point(|(other, _)| *other <= at);
        self.counter.insert(index, (at, count));
    }

    /// From `at` on `fault` holds; the same fault again changes nothing.
    pub(crate) fn set_fault(&mut self, at: u64, fault: Fault) {
        if self.fault(at).0 != fault {
            let index = self.faults.partition_point(|(other, _)| *other <= at);
            self.faults.insert(index, (at, fault));
        }
    }

    pub(crate) fn set_units(&mut self, units: Units) -> Result<(), ModelError> {
        self.units = units.check()?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn zone() -> Zone {
        let kind = ZoneKind::Package { package: 0, die: Some(3) };
        Zone::new(kind, "intel-rapl:0".to_owned(), Units::ESU_14, Power::default())
    }

    #[test]
    fn the_last_fault_holds() {
        let mut zone = zone();
        assert_eq!(zone.fault(0), (Fault::Ok, 0));
        zone.set_fault(10, Fault::Eio);
        zone.set_fault(20, Fault::Ok);
        zone.set_fault(15, Fault::Stall);
        assert_eq!(zone.fault(9), (Fault::Ok, 0));
        assert_eq!(zone.fault(14), (Fault::Eio, 10));
        assert_eq!(zone.fault(19), (Fault::Stall, 15));
        assert_eq!(zone.fault(20), (Fault::Ok, 20));
    }

    #[test]
    fn a_stall_asked_for_twice_began_the_first_time() {
        let mut zone = zone();
        zone.set_fault(10, Fault::Stall);
        zone.set_fault(20, Fault::Stall);
        assert_eq!(zone.fault(30), (Fault::Stall, 10));
    }

    #[test]
    fn names_carry_the_die() {
        assert_eq!(zone().name(), "package-0-die-3");
    }
}
