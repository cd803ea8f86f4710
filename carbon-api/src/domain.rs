//! What is metered: sources, domains, what contains what, and the cover that is the host.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::counter::CounterSpec;

/// How a figure came about: part of every energy that is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Provenance {
    /// A meter covers exactly this.
    Measured,
    /// A share of a meter's reading.
    Attributed,
    /// No meter: a power model.
    Modelled,
}

impl Provenance {
    /// The word in JSON and in labels.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Measured => "measured",
            Self::Attributed => "attributed",
            Self::Modelled => "modelled",
        }
    }

    /// What a share of this reading is: a share of a model stays modelled.
    #[must_use]
    pub const fn of_share(self) -> Self {
        match self {
            Self::Modelled => Self::Modelled,
            Self::Measured | Self::Attributed => Self::Attributed,
        }
    }
}

/// Kind of meter; the `source` of JSON and the `method` of metrics.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Source {
    /// RAPL through the kernel's perf events.
    RaplPerf,
    /// RAPL through the kernel's powercap tree.
    RaplPowercap,
    /// RAPL through the processor's registers.
    RaplMsr,
    /// NVIDIA GPUs through their management library.
    Nvml,
    /// Sensors of the kernel's hwmon class.
    Hwmon,
    /// On-device power monitors of phones.
    Odpm,
    /// Batteries.
    FuelGauge,
    /// A power model: no meter covers the CPU.
    Model,
}

impl Source {
    /// The word in JSON and in labels.
    pub const fn name(self) -> &'static str {
        match self {
            Self::RaplPerf => "rapl_perf",
            Self::RaplPowercap => "rapl_powercap",
            Self::RaplMsr => "rapl_msr",
            Self::Nvml => "nvml",
            Self::Hwmon => "hwmon",
            Self::Odpm => "odpm",
            Self::FuelGauge => "fuel_gauge",
            Self::Model => "model",
        }
    }

    /// The provenance of a reading of this source.
    pub const fn provenance(self) -> Provenance {
        match self {
            Self::Model => Provenance::Modelled,
            Self::RaplPerf | Self::RaplPowercap | Self::RaplMsr | Self::Nvml | Self::Hwmon | Self::Odpm | Self::FuelGauge => {
                Provenance::Measured
            }
        }
    }

    /// One of the ways to RAPL.
    pub const fn is_rapl(self) -> bool {
        matches!(self, Self::RaplPerf | Self::RaplPowercap | Self::RaplMsr)
    }
}

/// What a domain is, which decides containment, attribution and the `hw.type` label.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DomainKind {
    /// The platform as its supply sees it (SoC, memory, more): contains packages.
    Psys,
    /// One processor package or die.
    Package,
    /// The cores of a package, or one of them.
    Core,
    /// Graphics and the like inside a client package.
    Uncore,
    /// Memory, beside the package on servers.
    Dram,
    /// All processors: of a model, or behind a sensor that sees the processors alone.
    Cpu,
    /// All memory: of a model, or behind a sensor that sees memory alone.
    Memory,
    /// A GPU board, or a sensor that sees the GPU alone.
    Gpu,
    /// A partition of a GPU board; its energy is a share of the board's.
    GpuInstance,
    /// A module that holds processors and a GPU (Grace Hopper).
    Module,
    /// The supply of a board that feeds its rails (`VDD_IN` of a Jetson).
    Board,
    /// A rail that feeds something else.
    Rail,
    /// A battery that is being drained.
    Battery,
    /// A zone of a name we do not know: listed, never counted.
    Other,
}

impl DomainKind {
    /// The word in JSON.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Psys => "psys",
            Self::Package => "package",
            Self::Core => "core",
            Self::Uncore => "uncore",
            Self::Dram => "dram",
            Self::Cpu => "cpu",
            Self::Memory => "memory",
            Self::Gpu => "gpu",
            Self::GpuInstance => "gpu_instance",
            Self::Module => "module",
            Self::Board => "board",
            Self::Rail => "rail",
            Self::Battery => "battery",
            Self::Other => "other",
        }
    }

    /// The class under which energy is shared out and kept in the ledger.
    pub const fn class(self) -> DomainClass {
        match self {
            Self::Psys | Self::Module | Self::Board | Self::Battery | Self::Other => DomainClass::Platform,
            Self::Package | Self::Core | Self::Uncore | Self::Cpu => DomainClass::Cpu,
            Self::Dram | Self::Memory => DomainClass::Memory,
            Self::Gpu | Self::GpuInstance => DomainClass::Gpu,
            Self::Rail => DomainClass::Rail,
        }
    }

    /// `hw.type` of the OpenTelemetry semantic conventions; `treehouse_rail` is our addition.
    pub const fn hw_type(self) -> &'static str {
        match self {
            Self::Battery => "battery",
            _ => match self.class() {
                DomainClass::Cpu => "cpu",
                DomainClass::Memory => "memory",
                DomainClass::Gpu => "gpu",
                DomainClass::Rail => "treehouse_rail",
                DomainClass::Platform => "power_supply",
            },
        }
    }

    /// It consumes by itself; a supply side (psys, module, board, battery) only hands on.
    pub const fn consumes(self) -> bool {
        matches!(self, Self::Package | Self::Dram | Self::Cpu | Self::Memory | Self::Gpu | Self::Rail)
    }

    /// A meter of this kind sees the processors, with or without more.
    pub const fn covers_cpu(self) -> bool {
        matches!(self, Self::Psys | Self::Package | Self::Cpu | Self::Module | Self::Board)
    }
}

/// How the energy of a domain is shared out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum DomainClass {
    /// By CPU time.
    Cpu,
    /// By CPU time too; kept apart in the ledger.
    Memory,
    /// CPU time does not explain it: unattributed.
    Gpu,
    /// A rail that feeds neither processors nor memory: unattributed.
    Rail,
    /// Platform energy beyond what CPU time explains: unattributed.
    Platform,
}

impl DomainClass {
    /// Every class, in the order of [`DomainClass::index`].
    pub const ALL: [Self; 5] = [Self::Cpu, Self::Memory, Self::Gpu, Self::Rail, Self::Platform];

    /// Its place in [`DomainClass::ALL`].
    pub const fn index(self) -> usize {
        match self {
            Self::Cpu => 0,
            Self::Memory => 1,
            Self::Gpu => 2,
            Self::Rail => 3,
            Self::Platform => 4,
        }
    }

    /// The word in labels and in the ledger.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Cpu => "cpu",
            Self::Memory => "memory",
            Self::Gpu => "gpu",
            Self::Rail => "rail",
            Self::Platform => "platform",
        }
    }

    /// CPU time says who used it.
    pub const fn by_cpu_time(self) -> bool {
        matches!(self, Self::Cpu | Self::Memory)
    }
}

/// One metered domain: who it is, what holds it, how its counter behaves.
#[derive(Clone, Debug, PartialEq)]
pub struct DomainInfo {
    /// The kind of meter.
    pub source: Source,
    /// Readable and unique within a source: `package-0`, `dram-0`, `psys`.
    pub name: Arc<str>,
    /// Stable hardware id: `socket0`, `socket0-die1`.
    pub device: Arc<str>,
    /// What it is.
    pub kind: DomainKind,
    /// Index of the domain that holds it, within the same list.
    pub contained_in: Option<usize>,
    /// The name of the domain that shows the same energy, where this is a second view of it.
    pub duplicate_of: Option<Arc<str>>,
    /// How the counter counts.
    pub counter: CounterSpec,
    /// How often the source renews its value, in seconds.
    pub update_s: f64,
    /// Its energy is power integrated over time.
    pub integrated: bool,
    /// It sits on a module with processors (the GPU of a Grace Hopper): a meter of the module holds its energy.
    pub on_module: bool,
    /// Relative accuracy of the source (a bound used as a 95 % half width).
    pub accuracy: f64,
}

impl DomainInfo {
    /// `source/name`: unique on a machine.
    pub fn full_name(&self) -> String {
        format!("{}/{}", self.source.name(), self.name)
    }

    /// What a reading of it is: a partition of a GPU has a share of its board's.
    pub const fn provenance(&self) -> Provenance {
        match self.kind {
            DomainKind::GpuInstance => Provenance::Attributed,
            _ => self.source.provenance(),
        }
    }

    /// By which rule its energy is a share of another domain's: a partition of a GPU by its compute slices.
    pub const fn basis(&self) -> Option<&'static str> {
        match self.kind {
            DomainKind::GpuInstance => Some("mig_partition"),
            _ => None,
        }
    }
}

/// True where `outer` holds the energy of `inner`: by the tree, or because psys stands above packages and memory.
pub fn contains(domains: &[DomainInfo], outer: usize, inner: usize) -> bool {
    if outer == inner || is_below(domains, outer, inner) {
        return false;
    }
    let stands_above = domains[outer].kind == DomainKind::Psys
        && matches!(domains[inner].kind, DomainKind::Package | DomainKind::Dram | DomainKind::Core | DomainKind::Uncore);
    stands_above || is_below(domains, inner, outer)
}

fn is_below(domains: &[DomainInfo], inner: usize, outer: usize) -> bool {
    let parents = std::iter::successors(domains[inner].contained_in, |&at| domains[at].contained_in);
    parents.take(domains.len()).any(|parent| parent == outer)
}

#[cfg(test)]
pub(crate) fn test_domain(kind: DomainKind, name: &str, contained_in: Option<usize>) -> DomainInfo {
    use crate::counter::Wrap;
    DomainInfo {
        source: Source::RaplPowercap,
        name: name.into(),
        device: "socket0".into(),
        kind,
        contained_in,
        duplicate_of: None,
        counter: CounterSpec::new(Wrap::Units { unit_nj: 61_035 }),
        update_s: 0.001,
        integrated: false,
        on_module: false,
        accuracy: 0.05,
    }
}
