//! CPU time of the whole machine: v1 root `cpuacct.usage` (nanoseconds) where it is mounted, else `/proc/stat` (ticks).
//!
//! Measured at 250 Hz: `/proc/stat` and the v2 root `cpu.stat` move in steps of 10 and 4 ms, `cpuacct.usage` is right to 0.5 ms.

use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use super::{Consumers, HostRow, UsagePass, UsageSource};
use crate::error::ReadError;
use crate::stamp::Clock;
use crate::system::{KernelFile, leading_u64, malformed};

/// Nanoseconds of one clock tick of procfs (USER_HZ is 100 on every Linux that we know of).
pub const TICK_NS: u64 = 10_000_000;
/// Where v1 keeps the counter, below the root of the cgroup file systems.
const V1_ROOTS: [&str; 2] = ["cpuacct/cpuacct.usage", "cpu,cpuacct/cpuacct.usage"];

/// The machine's CPU time for several readers of one tick (the model and the attribution): the kernel is asked once.
#[derive(Clone, Debug)]
pub struct SharedHost(Arc<Mutex<HostUsage>>);

impl SharedHost {
    /// Shares a reader.
    pub fn new(host: HostUsage) -> Self {
        Self(Arc::new(Mutex::new(host)))
    }

    /// The last reading where it is of this tick, else a new one.
    ///
    /// # Errors
    /// As [`HostUsage::row`].
    pub fn recent(&self, clock: &dyn Clock) -> Result<HostRow, ReadError> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).recent(clock)
    }
}

impl UsageSource for SharedHost {
    fn name(&self) -> &'static str {
        "host"
    }

    fn read(&mut self, clock: &dyn Clock, consumers: &mut Consumers, pass: &mut UsagePass) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).read(clock, consumers, pass);
    }
}

/// Reads the machine's CPU time.
#[derive(Debug)]
pub struct HostUsage {
    stat: KernelFile,
    exact: Option<KernelFile>,
    buffer: Vec<u8>,
    last: Option<HostRow>,
}

/// A reading that is not older than this serves a second reader of the same tick.
const FRESH_NS: u64 = 5_000_000;

impl HostUsage {
    /// Opens `<procfs>/stat`, and the exact counter below `cgroupfs` where there is one of the whole machine.
    ///
    /// # Errors
    /// `<procfs>/stat` is absent, denied or no such file.
    pub fn open(procfs: &Path, cgroupfs: &Path) -> Result<Self, ReadError> {
        let stat = KernelFile::open(procfs.join("stat"))?;
        let mut host = Self { stat, exact: None, buffer: vec![0; 16 * 1024], last: None };
        let ticks = host.read_stat()?;
        let exact = V1_ROOTS.iter().find_map(|name| KernelFile::open(cgroupfs.join(name)).ok());
        // in a container the root may be the container's own group: it then lacks most of the machine's time
        let covers = |file: &KernelFile| host_time(file, &mut [0; 32]).is_ok_and(|ns| ns >= ticks.busy_ns / 10 * 9);
        host.exact = exact.filter(covers);
        Ok(host)
    }

    /// Cumulative CPU time, now.
    ///
    /// # Errors
    /// What the kernel says, or a text that is not of this kind.
    pub fn row(&mut self, clock: &dyn Clock) -> Result<HostRow, ReadError> {
        let mut row = self.read_stat()?;
        if let Some(exact) = &self.exact {
            row.busy_ns = host_time(exact, &mut [0; 32])?;
            row.quantum_ns = 500_000;
        }
        row.at_ns = clock.stamp().boottime_ns;
        self.last = Some(row);
        Ok(row)
    }

    /// The last reading where it is of this tick, else a new one.
    ///
    /// # Errors
    /// As [`HostUsage::row`].
    pub fn recent(&mut self, clock: &dyn Clock) -> Result<HostRow, ReadError> {
        let now = clock.stamp().boottime_ns;
        match self.last {
            Some(row) if now.saturating_sub(row.at_ns) < FRESH_NS => Ok(row),
            _ => self.row(clock),
        }
    }

    /// Which file tells busy time.
    pub fn busy_path(&self) -> &Path {
        self.exact.as_ref().unwrap_or(&self.stat).path()
    }

    fn read_stat(&mut self) -> Result<HostRow, ReadError> {
        let text = self.stat.read(&mut self.buffer)?;
        parse_stat(text).ok_or_else(|| malformed(self.stat.path(), text, "the CPU lines of /proc/stat"))
    }
}

impl UsageSource for HostUsage {
    fn name(&self) -> &'static str {
        "host"
    }

    fn read(&mut self, clock: &dyn Clock, _: &mut Consumers, pass: &mut UsagePass) {
        match self.row(clock) {
            Ok(row) => pass.host = Some(row),
            Err(error) => pass.errors.push(("usage/host", error)),
        }
    }
}

fn host_time(file: &KernelFile, buffer: &mut [u8; 32]) -> Result<u64, ReadError> {
    let text = file.read(buffer)?;
    leading_u64(text).ok_or_else(|| malformed(file.path(), text, "nanoseconds"))
}

/// Busy, steal and the number of online processors. Guest time is inside user time already; iowait is idle; steal is neither.
pub(crate) fn parse_stat(text: &[u8]) -> Option<HostRow> {
    let mut lines = text.split(|&b| b == b'\n');
    let first = lines.next()?.strip_prefix(b"cpu ")?;
    let mut ticks = [0_u64; 8];
    let fields = first.split(u8::is_ascii_whitespace).filter(|f| !f.is_empty());
    let mut seen = 0;
    for (place, field) in ticks.iter_mut().zip(fields) {
        *place = leading_u64(field)?;
        seen += 1;
    }
    let [user, nice, system, _idle, _iowait, irq, softirq, steal] = ticks;
    let is_processor = |l: &&[u8]| l.strip_prefix(b"cpu").and_then(|r| r.first()).is_some_and(u8::is_ascii_digit);
    let cpus = lines.take_while(|l| l.starts_with(b"cpu")).filter(is_processor).count();
    let busy = [user, nice, system, irq, softirq].iter().try_fold(0_u64, |sum, t| sum.checked_add(*t))?;
    (seen >= 4 && cpus > 0).then_some(HostRow {
        at_ns: 0,
        busy_ns: busy.checked_mul(TICK_NS)?,
        steal_ns: steal.checked_mul(TICK_NS)?,
        cpus: u32::try_from(cpus).ok()?,
        quantum_ns: TICK_NS,
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const STAT: &[u8] = b"cpu  100 20 30 4000 50 6 7 8 90 10\ncpu0 50 10 15 2000 25 3 3 4 45 5\ncpu1 50 10 15 2000 25 3 4 4 45 5\nintr 12345 0 9\nctxt 99\n";

    #[test]
    fn guest_time_counts_once() {
        assert_eq!(parse_stat(STAT).unwrap().busy_ns, (100 + 20 + 30 + 6 + 7) * TICK_NS);
    }

    #[test]
    fn steal_is_not_busy() {
        assert_eq!(parse_stat(STAT).unwrap().steal_ns, 8 * TICK_NS);
    }

    #[test]
    fn online_processors_are_counted_from_their_lines() {
        assert_eq!(parse_stat(STAT).unwrap().cpus, 2);
    }

    #[test]
    fn the_exact_counter_is_used_only_where_it_covers_the_machine() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("stat"), STAT).unwrap();
        std::fs::create_dir(dir.path().join("cpuacct")).unwrap();
        let usage = dir.path().join("cpuacct/cpuacct.usage");
        std::fs::write(&usage, "1650000000\n").unwrap();
        assert_eq!(HostUsage::open(dir.path(), dir.path()).unwrap().busy_path(), usage);
        std::fs::write(&usage, "50000000\n").unwrap();
        assert_eq!(HostUsage::open(dir.path(), dir.path()).unwrap().busy_path(), dir.path().join("stat"));
    }

    proptest! {
        #[test]
        fn any_bytes_are_parsed_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
            let _ = parse_stat(&bytes);
        }
    }
}
