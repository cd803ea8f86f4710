//! The machine itself: true energy, counters, faults and CPU time at any instant, without any IO.

use crate::builder::Builder;
use crate::cgroup::{Cgroup, CgroupLayout};
use crate::error::ModelError;
use crate::fault::{Fault, ReadError};
use crate::moment::Moment;
use crate::power::{MILLION, microwatts};
use crate::units::FEMTO_PER_NANO;
use crate::usage::{HostRates, Process};
use crate::zone::{ControlType, Zone, ZoneId};

/// Counter units a counter stands at after a reset.
const AFTER_RESET: u64 = 16;

/// A scripted machine. Instants are boottime nanoseconds since it was switched on.
///
/// Energy is exact: power is a whole number of microwatts, energy a whole number of femtojoules.
#[derive(Clone, Debug)]
pub struct TrueMachine {
    pub(crate) zones: Vec<Zone>,
    pub(crate) cpus: u32,
    pub(crate) vendor: Vendor,
    pub(crate) topology: bool,
    pub(crate) memory_kb: u64,
    pub(crate) boot_unix_s: u64,
    pub(crate) processes: Vec<Process>,
    pub(crate) rates: HostRates,
    pub(crate) cgroup_layout: CgroupLayout,
    pub(crate) cgroups: Vec<Cgroup>,
    pub(crate) suspends: Vec<Suspend>,
}

/// Who made the processor; `cpuinfo` says it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Vendor {
    /// `GenuineIntel`.
    #[default]
    Intel,
    /// `AuthenticAMD`.
    Amd,
}

/// A sleep: boottime goes on, monotonic time and CPU time stand still; power is as scripted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Suspend {
    pub(crate) at: u64,
    pub(crate) length: u64,
}

impl TrueMachine {
    /// Starts a script: one CPU, no zone, no process.
    pub fn builder() -> Builder {
        Builder::new()
    }

    /// What the machine is and shows at an instant.
    pub fn at(&self, t: u64) -> Moment<'_> {
        Moment::new(self, t)
    }

    /// The zones, in the order in which they were added.
    pub fn zones(&self) -> impl Iterator<Item = (ZoneId, &Zone)> {
        (0..).map(ZoneId).zip(&self.zones)
    }

    /// The zone of an id of this machine.
    pub fn zone(&self, id: ZoneId) -> &Zone {
        &self.zones[id.0]
    }

    /// The processes of the script, the dead and the unborn included.
    pub fn processes(&self) -> &[Process] {
        &self.processes
    }

    /// CPUs online.
    pub fn cpus(&self) -> u32 {
        self.cpus
    }

    /// Finds a zone by directory id, by name, or by `package-1/core`.
    ///
    /// # Errors
    /// When there is none, or several in the same control type.
    pub fn find(&self, name: &str) -> Result<ZoneId, ModelError> {
        if let Some((id, _)) = self.zones().find(|(_, zone)| zone.id == name) {
            return Ok(id);
        }
        let mut found: Vec<ZoneId> =
            self.zones().filter(|(id, zone)| zone.name() == name || self.long_name(*id) == name).map(|(id, _)| id).collect();
        if found.len() > 1 {
            found.retain(|id| self.zone(*id).control == ControlType::Msr);
        }
        match found[..] {
            [one] => Ok(one),
            [] => Err(ModelError::UnknownZone { name: name.to_owned(), known: self.zone_list() }),
            _ => Err(ModelError::AmbiguousZone {
                name: name.to_owned(),
                ids: found.iter().map(|id| self.zone(*id).id.as_str()).collect::<Vec<_>>().join(", "),
            }),
        }
    }

    /// The true energy of a zone from 0 until `t`, in femtojoules.
    pub fn energy_fj(&self, zone: ZoneId, t: u64) -> u128 {
        let power = &self.zone(zone).power;
        let shares = power
            .parts()
            .iter()
            .map(|part| self.energy_fj(part.zone, t.min(part.until)) * u128::from(part.share) / u128::from(MILLION));
        power.own_femtojoules(t) + shares.sum::<u128>()
    }

    /// The true energy of a zone between two instants, in nanojoules rounded down; 0 backwards.
    pub fn energy_nj(&self, zone: ZoneId, from: u64, until: u64) -> u64 {
        let energy = self.energy_fj(zone, until).saturating_sub(self.energy_fj(zone, from));
        (energy / FEMTO_PER_NANO) as u64
    }

    /// The true power of a zone at an instant, in microwatts.
    pub fn power_uw(&self, zone: ZoneId, t: u64) -> u64 {
        let power = &self.zone(zone).power;
        let shares =
            power.parts().iter().filter(|part| t < part.until).map(|part| self.power_uw(part.zone, t) * part.share / MILLION);
        power.own_microwatts(t) + shares.sum::<u64>()
    }

    /// The true energy of the host between two instants, in nanojoules rounded down: packages and
    /// memory, each once.
    pub fn host_nj(&self, from: u64, until: u64) -> u64 {
        let total = |t| -> u128 {
            let counted = self.zones().filter(|(_, zone)| zone.counted);
            counted.map(|(id, _)| self.energy_fj(id, t)).sum()
        };
        (total(until).saturating_sub(total(from)) / FEMTO_PER_NANO) as u64
    }

    /// The counter of a zone at an instant, faults aside.
    pub fn count(&self, zone: ZoneId, t: u64) -> u64 {
        let (at, start) = self.zone(zone).counter_origin(t);
        let gained = self.energy_fj(zone, t) - self.energy_fj(zone, at.min(t));
        self.zone(zone).units.count(start, gained)
    }

    /// The text that a reader of `energy_uj` gets at an instant.
    ///
    /// # Errors
    /// The fault that holds, when it is one that a reader gets as an error number.
    pub fn shown(&self, zone: ZoneId, t: u64) -> Result<String, ReadError> {
        if self.is_gone(zone, t) {
            return Err(ReadError::Absent);
        }
        let show = |t| {
            let uj = self.zone(zone).units.shown_uj(self.count(zone, t));
            format!("{uj}\n")
        };
        let (fault, since) = self.zone(zone).fault(t);
        match fault {
            Fault::Ok => Ok(show(t)),
            Fault::Stall => Ok(show(since)),
            Fault::Garbage => Ok("not a number\n".to_owned()),
            Fault::Empty => Ok(String::new()),
            Fault::Negative => Ok("-12345\n".to_owned()),
            Fault::Zero => Ok("0\n".to_owned()),
            Fault::Eacces => Err(ReadError::Denied),
            Fault::Eio => Err(ReadError::Input),
            Fault::Enodev => Err(ReadError::NoDevice),
            Fault::Gone => Err(ReadError::Absent),
        }
    }

    /// Whether a zone's directory is away, because it or the one around it is gone.
    pub fn is_gone(&self, zone: ZoneId, t: u64) -> bool {
        self.lineage(zone).any(|id| self.zone(id).fault(t).0 == Fault::Gone)
    }

    /// How often a zone's directory has gone away: a descriptor opened under another number is dead.
    pub fn departures(&self, zone: ZoneId, t: u64) -> usize {
        self.lineage(zone).map(|id| self.zone(id).departures(t)).sum()
    }

    /// From `at` on a zone draws `watts`; it follows no other zone any more.
    ///
    /// # Errors
    /// When `watts` is no sensible power.
    pub fn set_power(&mut self, zone: ZoneId, at: u64, watts: f64) -> Result<(), ModelError> {
        let level = microwatts(watts)?;
        self.zones[zone.0].power.set(at, level);
        Ok(())
    }

    /// From `at` for `length_ns` a zone draws `watts` on top of everything else.
    ///
    /// # Errors
    /// When `watts` is no sensible power.
    pub fn add_pulse(&mut self, zone: ZoneId, at: u64, length_ns: u64, watts: f64) -> Result<(), ModelError> {
        let level = microwatts(watts)?;
        let until = at.saturating_add(length_ns);
        self.zones[zone.0].power.pulse(at, until, level);
        Ok(())
    }

    /// From `at` on `fault` holds for a zone.
    pub fn set_fault(&mut self, zone: ZoneId, at: u64, fault: Fault) {
        self.zones[zone.0].set_fault(at, fault);
    }

    /// At `at` a zone's counter jumps so that it shows `uj`, or the nearest value it can show.
    ///
    /// # Errors
    /// When `uj` lies above the zone's range.
    pub fn set_counter(&mut self, zone: ZoneId, at: u64, uj: u64) -> Result<(), ModelError> {
        let count = self.zone(zone).units.count_of(uj)?;
        self.zones[zone.0].set_counter(at, count);
        Ok(())
    }

    /// At `at` a zone's counter falls to a small value; descriptors live on.
    pub fn reset(&mut self, zone: ZoneId, at: u64) {
        self.zones[zone.0].set_counter(at, AFTER_RESET);
    }

    /// At `at` the driver is loaded anew: the counter falls, and descriptors opened before are dead.
    pub fn reload(&mut self, zone: ZoneId, at: u64) {
        let after = self.zone(zone).fault(at).0;
        let after = if after == Fault::Gone { Fault::Ok } else { after };
        self.set_fault(zone, at, Fault::Gone);
        self.set_fault(zone, at, after);
        self.reset(zone, at);
    }

    /// Monotonic nanoseconds at a boottime instant: sleeps are left out.
    pub fn monotonic_ns(&self, t: u64) -> u64 {
        let slept = self.suspends.iter().map(|sleep| t.saturating_sub(sleep.at).min(sleep.length));
        t - slept.sum::<u64>().min(t)
    }

    /// The boottime instant at which monotonic time has a value: the inverse of `monotonic_ns`.
    pub(crate) fn boottime_of(&self, monotonic_ns: u64) -> u64 {
        let mut t = monotonic_ns;
        for sleep in &self.suspends {
            if t >= sleep.at {
                t += sleep.length;
            }
        }
        t
    }

    /// Names and ids of all zones, for messages.
    pub(crate) fn zone_list(&self) -> String {
        self.zones().map(|(id, zone)| format!("{} ({})", self.long_name(id), zone.id)).collect::<Vec<_>>().join(", ")
    }

    fn long_name(&self, id: ZoneId) -> String {
        let zone = self.zone(id);
        match zone.parent {
            Some(parent) => format!("{}/{}", self.zone(parent).name(), zone.name()),
            None => zone.name(),
        }
    }

    /// A zone and the zones whose directories hold it.
    fn lineage(&self, zone: ZoneId) -> impl Iterator<Item = ZoneId> {
        std::iter::successors(Some(zone), |id| self.zone(*id).parent)
    }
}
