//! One perf event of a given PMU, open on one CPU.

use std::io;

use perf_event::events::Software;
use perf_event::{Builder, Counter, ReadFormat};

/// An open event that counts for all processes of one CPU.
pub(super) struct Open {
    counter: Counter,
    cpu: u32,
}

impl Open {
    /// `perf_event_open(type, config, pid = -1, cpu, CLOEXEC)`: counting alone, from 0, running at once.
    ///
    /// No `exclude_*` bit is set, since these PMUs cannot exclude anything and answer EINVAL; nor is a sample period.
    pub(super) fn new(pmu: u32, config: u64, cpu: u32) -> io::Result<Self> {
        // any event: what it is, is overwritten below
        let mut builder = Builder::new(Software::DUMMY);
        builder.attrs_mut().type_ = pmu;
        builder.attrs_mut().config = config;
        builder.exclude_kernel(false).exclude_hv(false);
        // the bare count: eight bytes a read
        builder.read_format(ReadFormat::empty());
        builder.any_pid().one_cpu(cpu as usize).enabled(true);
        Ok(Self { counter: builder.build()?, cpu })
    }

    /// The count; an empty answer (the kernel took the event off its CPU) is [`io::ErrorKind::UnexpectedEof`].
    pub(super) fn read(&mut self) -> io::Result<u64> {
        self.counter.read()
    }

    pub(super) fn cpu(&self) -> u32 {
        self.cpu
    }
}

impl std::fmt::Debug for Open {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Open").field("id", &self.counter.id()).field("cpu", &self.cpu).finish()
    }
}
