//! The back ends that are features, each as one function; what was not compiled in says so.

#[cfg(feature = "msr")]
pub(crate) use with_msr::msr;
#[cfg(feature = "perf")]
pub(crate) use with_perf::perf;
#[cfg(not(feature = "msr"))]
pub(crate) use without_msr::msr;
#[cfg(not(feature = "perf"))]
pub(crate) use without_perf::perf;

#[cfg(feature = "perf")]
mod with_perf {
    use crate::domain::Domain;
    use crate::{Error, Options};

    pub(crate) fn perf(options: &Options) -> Result<Vec<Domain>, Error> {
        crate::perf::discover(&options.sysfs, &options.processor, options.cores)
    }
}

#[cfg(not(feature = "perf"))]
mod without_perf {
    use crate::domain::Domain;
    use crate::{Error, Options};

    pub(crate) fn perf(options: &Options) -> Result<Vec<Domain>, Error> {
        let path = options.sysfs.join("bus/event_source/devices/power");
        Err(Error::Skipped { path, reason: "this program was built without the feature perf" })
    }
}

#[cfg(feature = "msr")]
mod with_msr {
    use crate::domain::Domain;
    use crate::msr::{Registers, discover};
    use crate::{Error, Options, Topology};

    pub(crate) fn msr(options: &Options, topology: &Topology) -> Result<Vec<Domain>, Error> {
        let Options { dev, processor, msr_in_guest, cores, .. } = options;
        discover(&Registers { dev, processor: *processor, in_guest: *msr_in_guest, cores: *cores }, topology)
    }
}

#[cfg(not(feature = "msr"))]
mod without_msr {
    use crate::domain::Domain;
    use crate::{Error, Options, Topology};

    pub(crate) fn msr(options: &Options, _topology: &Topology) -> Result<Vec<Domain>, Error> {
        Err(Error::Skipped { path: options.dev.join("cpu"), reason: "this program was built without the feature msr" })
    }
}
