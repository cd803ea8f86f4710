//! What happens to the zone added last.

use super::Builder;
use crate::error::ModelError;
use crate::fault::Fault;
use crate::power::{MILLION, Power, microwatts};
use crate::units::Units;

impl Builder {
    /// Makes this zone read the counter of another, as the dies of one AMD package do.
    pub fn twin_of(mut self, name: &str) -> Self {
        match self.machine.find(name) {
            Ok(other) => self.edit("twin_of", |zone| {
                zone.power = Power::share_of(other, MILLION);
                zone.counted = false;
                Ok(())
            }),
            Err(error) => self.fail(error),
        }
        self
    }

    /// The units of this zone.
    pub fn units(mut self, units: Units) -> Self {
        self.edit("units", |zone| zone.set_units(units));
        self
    }

    /// What the counter of this zone shows at the start, in microjoules.
    pub fn start_uj(mut self, uj: u64) -> Self {
        self.edit("start_uj", |zone| {
            zone.set_counter(0, zone.units.count_of(uj)?);
            Ok(())
        });
        self
    }

    /// The raw value of this zone's counter at the start, in its units.
    pub fn start_count(mut self, count: u64) -> Self {
        self.edit("start_count", |zone| {
            let count = u128::from(count) % zone.units.modulus();
            zone.set_counter(0, count as u64);
            Ok(())
        });
        self
    }

    /// Starts this zone's counter so that it wraps at `at`, by the finished script.
    pub fn wraps_at(mut self, at: u64) -> Self {
        match self.last() {
            Some(zone) => self.near_wraps.push((zone, at)),
            None => self.fail(ModelError::NoZone { step: "wraps_at" }),
        }
        self
    }

    /// The largest power limit of this zone, in watts; without it the zone has no such file.
    pub fn max_power(mut self, watts: f64) -> Self {
        self.edit("max_power", |zone| {
            zone.max_power_uw = Some(microwatts(watts)?);
            Ok(())
        });
        self
    }

    /// The number in this zone's directory name, written in hexadecimal: 10 is `intel-rapl:a`.
    ///
    /// Give it before zones inside are added.
    pub fn number(mut self, number: u32) -> Self {
        self.edit("number", |zone| {
            let stem = zone.id.rsplit_once(':').map_or("", |(stem, _)| stem);
            zone.id = format!("{stem}:{number:x}");
            Ok(())
        });
        self
    }

    /// From `at` on this zone draws `watts`.
    pub fn step(mut self, at: u64, watts: f64) -> Self {
        self.edit("step", |zone| {
            zone.power.set(at, microwatts(watts)?);
            Ok(())
        });
        self
    }

    /// From `at` for `length_ns` this zone draws `watts` on top.
    pub fn pulse(mut self, at: u64, length_ns: u64, watts: f64) -> Self {
        self.edit("pulse", |zone| {
            let until = at.saturating_add(length_ns);
            zone.power.pulse(at, until, microwatts(watts)?);
            Ok(())
        });
        self
    }

    /// From `at` on `fault` holds for this zone.
    pub fn fault(mut self, at: u64, fault: Fault) -> Self {
        self.edit("fault", |zone| {
            zone.set_fault(at, fault);
            Ok(())
        });
        self
    }

    /// At `at` the counter of this zone falls to a small value.
    pub fn reset(mut self, at: u64) -> Self {
        match self.last() {
            Some(zone) => self.machine.reset(zone, at),
            None => self.fail(ModelError::NoZone { step: "reset" }),
        }
        self
    }

    /// At `at` the driver of this zone is loaded anew.
    pub fn reload(mut self, at: u64) -> Self {
        match self.last() {
            Some(zone) => self.machine.reload(zone, at),
            None => self.fail(ModelError::NoZone { step: "reload" }),
        }
        self
    }
}
