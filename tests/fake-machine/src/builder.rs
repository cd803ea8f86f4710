//! How a script is written: zones first, then what happens to the zone added last.

mod host;
mod script;

use crate::cgroup::CgroupLayout;
use crate::error::ModelError;
use crate::model::{TrueMachine, Vendor};
use crate::power::{MILLION, Power, microwatts, millionths};
use crate::units::Units;
use crate::usage::HostRates;
use crate::zone::{ControlType, Zone, ZoneId, ZoneKind};

/// Writes the script of a [`TrueMachine`].
///
/// Methods that add a zone come first; methods that say "of this zone" change the zone added last.
/// The first mistake is kept and returned by [`Builder::build`].
///
/// ```
/// use fake_machine::{Fault, TrueMachine};
/// let second = 1_000_000_000;
/// let machine = TrueMachine::builder()
///     .cpus(2)
///     .package(0, 40.0)
///     .step(10 * second, 80.0)
///     .core_share(0.75)
///     .dram(5.0)
///     .fault(3 * second, Fault::Eio)
///     .build()?;
/// let package = machine.find("package-0")?;
/// assert_eq!(machine.energy_nj(package, 0, 11 * second), 480_000_000_000);
/// # Ok::<(), fake_machine::ModelError>(())
/// ```
#[derive(Clone, Debug)]
#[must_use]
pub struct Builder {
    machine: TrueMachine,
    error: Option<ModelError>,
    units: Units,
    /// The package that `core` and `dram` lie in.
    package: Option<ZoneId>,
    /// `psys` zones, which follow all packages and memory.
    platforms: Vec<ZoneId>,
    /// Zones that wrap at an instant.
    near_wraps: Vec<(ZoneId, u64)>,
}

impl Builder {
    pub(crate) fn new() -> Self {
        Self {
            machine: TrueMachine {
                zones: Vec::new(),
                cpus: 1,
                vendor: Vendor::Intel,
                topology: true,
                memory_kb: 8 * 1024 * 1024,
                boot_unix_s: 1_750_000_000,
                processes: Vec::new(),
                rates: HostRates::default(),
                cgroup_layout: CgroupLayout::V2,
                cgroups: Vec::new(),
                suspends: Vec::new(),
            },
            error: None,
            units: Units::ESU_14,
            package: None,
            platforms: Vec::new(),
            near_wraps: Vec::new(),
        }
    }

    /// The units of the zones added from here on; [`Units::ESU_14`] to begin with.
    pub fn default_units(mut self, units: Units) -> Self {
        match units.check() {
            Ok(units) => self.units = units,
            Err(error) => self.fail(error),
        }
        self
    }

    /// Adds zone `package-N`.
    pub fn package(self, package: u32, watts: f64) -> Self {
        self.top(ZoneKind::Package { package, die: None }, watts)
    }

    /// Adds zone `package-N-die-D`.
    pub fn package_die(self, package: u32, die: u32, watts: f64) -> Self {
        let die = Some(die);
        self.top(ZoneKind::Package { package, die }, watts)
    }

    /// Adds zone `core` inside the last package, with a power of its own.
    pub fn core(self, watts: f64) -> Self {
        self.inside(ZoneKind::Core, watts)
    }

    /// Adds zone `core` inside the last package, drawing a share (0 to 1) of what that draws.
    pub fn core_share(mut self, share: f64) -> Self {
        self = self.inside(ZoneKind::Core, 0.0);
        match (millionths(share, 1), self.package) {
            (Ok(share), Some(package)) => {
                self.edit("core_share", |zone| {
                    zone.power = Power::share_of(package, share);
                    Ok(())
                });
            }
            (Err(error), _) => self.fail(error),
            (Ok(_), None) => {}
        }
        self
    }

    /// Adds zone `uncore` inside the last package.
    pub fn uncore(self, watts: f64) -> Self {
        self.inside(ZoneKind::Uncore, watts)
    }

    /// Adds zone `dram`, whose directory is inside the last package; its energy is not.
    pub fn dram(self, watts: f64) -> Self {
        self.inside(ZoneKind::Dram, watts)
    }

    /// Adds a zone of any name inside the last package.
    pub fn other(self, name: &str, watts: f64) -> Self {
        self.inside(ZoneKind::Other(name.to_owned()), watts)
    }

    /// Adds zone `psys`: all packages and memory of the machine, plus `rest` watts.
    pub fn psys(mut self, rest: f64) -> Self {
        let package = self.package;
        self = self.top(ZoneKind::Psys, rest);
        self.package = package;
        self.platforms.extend(self.last());
        self
    }

    /// Adds the last package and its memory once more under `intel-rapl-mmio`.
    pub fn mmio(mut self) -> Self {
        let Some(package) = self.package else {
            self.fail(ModelError::NoPackage { zone: ControlType::Mmio.name().to_owned() });
            return self;
        };
        let id = self.next_id(None, ControlType::Mmio);
        let copy = self.copy(package, id, None);
        let memory = self
            .machine
            .zones()
            .find(|(_, zone)| zone.parent == Some(package) && zone.kind == ZoneKind::Dram && zone.control == ControlType::Msr);
        if let Some((memory, _)) = memory {
            let id = self.next_id(Some(copy), ControlType::Mmio);
            self.copy(memory, id, Some(copy));
        }
        self
    }

    /// Finishes the script.
    ///
    /// # Errors
    /// The first mistake in it.
    pub fn build(mut self) -> Result<TrueMachine, ModelError> {
        if let Some(error) = self.error {
            return Err(error);
        }
        let zones = &mut self.machine.zones;
        for (index, zone) in zones.iter().enumerate() {
            if zones[..index].iter().any(|other| other.id == zone.id) {
                let id = zone.id.clone();
                return Err(ModelError::DuplicateId { id });
            }
        }
        let counted: Vec<ZoneId> = (0..zones.len()).filter(|index| zones[*index].counted).map(ZoneId).collect();
        for platform in self.platforms {
            for zone in &counted {
                zones[platform.0].power.add_part(*zone, MILLION);
            }
        }
        for (zone, at) in self.near_wraps {
            let units = self.machine.zone(zone).units;
            let gained = units.whole_units(self.machine.energy_fj(zone, at));
            if gained == 0 {
                let zone = self.machine.zone(zone).name();
                return Err(ModelError::NeverWraps { zone });
            }
            let start = (units.modulus() - gained % units.modulus()) % units.modulus();
            self.machine.zones[zone.0].set_counter(0, start as u64);
        }
        Ok(self.machine)
    }

    fn fail(&mut self, error: ModelError) {
        self.error.get_or_insert(error);
    }

    fn last(&self) -> Option<ZoneId> {
        self.machine.zones.len().checked_sub(1).map(ZoneId)
    }

    /// Changes the zone added last.
    fn edit(&mut self, step: &'static str, change: impl FnOnce(&mut Zone) -> Result<(), ModelError>) {
        let outcome = match self.machine.zones.last_mut() {
            Some(zone) => change(zone),
            None => Err(ModelError::NoZone { step }),
        };
        if let Err(error) = outcome {
            self.fail(error);
        }
    }

    /// Adds a zone beside the packages.
    fn top(mut self, kind: ZoneKind, watts: f64) -> Self {
        let id = self.next_id(None, ControlType::Msr);
        self.add(kind, id, watts);
        self.package = self.last();
        self
    }

    /// Adds a zone inside the last package.
    fn inside(mut self, kind: ZoneKind, watts: f64) -> Self {
        if self.package.is_none() {
            self.fail(ModelError::NoPackage { zone: kind.name() });
            return self;
        }
        let id = self.next_id(self.package, ControlType::Msr);
        self.add(kind, id, watts);
        let package = self.package;
        self.edit("inside", |zone| {
            zone.parent = package;
            Ok(())
        });
        self
    }

    fn add(&mut self, kind: ZoneKind, id: String, watts: f64) {
        let power = microwatts(watts).unwrap_or_else(|error| {
            self.fail(error);
            0
        });
        let zone = Zone::new(kind, id, self.units, Power::constant(power));
        self.machine.zones.push(zone);
    }

    /// Adds a second view of a zone.
    fn copy(&mut self, of: ZoneId, id: String, parent: Option<ZoneId>) -> ZoneId {
        let mut zone = self.machine.zone(of).clone();
        zone.id = id;
        zone.control = ControlType::Mmio;
        zone.parent = parent;
        zone.counted = false;
        zone.power = Power::share_of(of, MILLION);
        self.machine.zones.push(zone);
        ZoneId(self.machine.zones.len() - 1)
    }

    /// The directory name of the next zone inside `parent`, as the kernel hands them out.
    fn next_id(&self, parent: Option<ZoneId>, control: ControlType) -> String {
        let zones = &self.machine.zones;
        let stem = parent.map_or(control.name(), |parent| &zones[parent.0].id);
        let beside = zones.iter().filter(|zone| zone.parent == parent && zone.control == control).map(|zone| {
            let number = zone.id.rsplit_once(':').map_or("", |(_, number)| number);
            u32::from_str_radix(number, 16).unwrap_or(0)
        });
        let next = beside.max().map_or(0, |last| last + 1);
        format!("{stem}:{next:x}")
    }
}
