//! One tree of domains for all back ends: who they are, what holds what, and how each counter counts.

use std::fmt;
use std::path::PathBuf;

use crate::{Epoch, Error, Identity, Kind, Scale};

/// How a counter is reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Backend {
    /// The perf PMUs `power` and `power_core`.
    Perf,
    /// The powercap tree.
    Powercap,
    /// The registers, through `/dev/cpu/N/msr`.
    Msr,
}

impl Backend {
    /// Every back end, in the usual order of choice.
    pub const ALL: [Self; 3] = [Self::Perf, Self::Powercap, Self::Msr];

    /// `rapl_perf`, `rapl_powercap`, `rapl_msr`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Perf => "rapl_perf",
            Self::Powercap => "rapl_powercap",
            Self::Msr => "rapl_msr",
        }
    }
}

impl fmt::Display for Backend {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// What the value of [`Counter::read`] means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Counting {
    /// Microjoules that come back to zero past `range_uj` (powercap); 0 where the range is not known.
    Microjoules {
        /// `max_energy_range_uj`.
        range_uj: u64,
    },
    /// Microjoules since the event was opened, in 64 bits: they do not wrap (perf).
    ///
    /// Read it at least once a minute: above 200 W the kernel's own folding of the 32-bit register can lose a turn.
    SinceOpened,
    /// Counts of `2^-esu` joules in 32 bits (MSR): take wrapping differences in `u32`, then [`Scale::from_esu`].
    Counts {
        /// The energy status unit.
        esu: u8,
    },
}

/// An open counter of any back end.
pub trait Counter: fmt::Debug + Send {
    /// Its value now, as [`Counting`] says. One system call; nothing is allocated.
    ///
    /// # Errors
    /// What the kernel says; [`Error::is_gone`] tells when to [`reopen`](Self::reopen).
    fn read(&mut self) -> Result<u64, Error>;

    /// Opens it anew, after its driver or CPU went away. A perf event starts at 0 and in a new epoch; the others go on.
    ///
    /// # Errors
    /// What the kernel says; the counter stays as it was.
    fn reopen(&mut self) -> Result<(), Error>;

    /// Which readings may be subtracted from each other.
    fn epoch(&self) -> Epoch;
}

/// One domain of a back end, readable or not.
#[derive(Debug)]
pub struct Domain {
    /// Who it is.
    pub identity: Identity,
    /// Readable and unique within its back end: the identity's name, and for a second view `@` and where it was found.
    pub name: String,
    /// Its folder (powercap), event file (perf) or node (MSR).
    pub path: PathBuf,
    /// Index of the package, die or folder above it.
    pub parent: Option<usize>,
    /// Index of the domain of which it is a second view: reading both would count one energy twice.
    pub duplicate_of: Option<usize>,
    /// What its value means.
    pub counting: Counting,
    /// The step in which the counter moves, in joules.
    pub resolution_j: f64,
    /// The largest `constraint_K_max_power_uw`, in watts, where powercap tells one.
    pub max_power_w: Option<f64>,
    /// The open counter, or why there is none.
    pub counter: Result<Box<dyn Counter>, Error>,
}

impl Domain {
    /// Index of the domain that holds its energy: that of [`Domain::parent`], but for memory, which lies beside its package.
    ///
    /// The platform stands above packages whatever the tree says; that edge is the caller's.
    pub fn contained_in(&self) -> Option<usize> {
        self.parent.filter(|_| self.identity.kind != Kind::Dram)
    }

    /// The value of the counter.
    ///
    /// # Errors
    /// What the kernel says, or why it could not be opened.
    pub fn read(&mut self) -> Result<u64, Error> {
        self.counter.as_mut().map_err(|error| error.clone())?.read()
    }

    /// Microjoules of a value as it stands: how often the counter came back to zero before, no single value tells.
    pub fn microjoules(&self, value: u64) -> u64 {
        match self.counting {
            Counting::Microjoules { .. } | Counting::SinceOpened => value,
            Counting::Counts { esu } => Scale::from_esu(esu).microjoules(value),
        }
    }
}

/// Gives every domain a name that no other of its back end bears.
pub(crate) fn name_apart(domains: &mut [Domain]) {
    for i in 0..domains.len() {
        let plain = domains[i].identity.to_string();
        let taken = domains[..i].iter().any(|d| d.name == plain);
        let place = domains[i].path.file_name().unwrap_or_default().to_string_lossy();
        let second = if taken { format!("{plain}@{place}") } else { plain };
        let again = domains[..i].iter().any(|d| d.name == second);
        domains[i].name = if again { format!("{second}#{i}") } else { second };
    }
}

/// Marks all but one domain of an identity as second views of that one: the first that can be read.
#[cfg(any(feature = "perf", feature = "msr", test))]
pub(crate) fn mark_second_views(domains: &mut [Domain]) {
    for i in 0..domains.len() {
        let same = (0..domains.len()).filter(|&other| domains[other].identity == domains[i].identity);
        let first = same.min_by_key(|&other| (domains[other].counter.is_err(), other));
        domains[i].duplicate_of = first.filter(|&first| first != i);
    }
}

/// The package or die that a part sits in, for back ends whose tree does not say.
#[cfg(any(feature = "perf", feature = "msr"))]
pub(crate) fn package_of(domains: &[Domain], part: usize) -> Option<usize> {
    let id = &domains[part].identity;
    let is_above = |d: &Domain| {
        let package = &d.identity;
        package.kind == Kind::Package && package.package == id.package && (package.die.is_none() || package.die == id.die)
    };
    let hangs = !matches!(id.kind, Kind::Package | Kind::Psys);
    let counted = |d: &Domain| is_above(d) && d.duplicate_of.is_none();
    domains.iter().position(counted).filter(|_| hangs)
}
