//! `/proc/PID/stat`, and CPU time of single processes.

use std::sync::Arc;

use nix::time::{ClockId, clock_gettime};

use super::host::TICK_NS;

/// CPU time of one living process of this machine, and of the children that it has waited for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProcessTime {
    /// `name:pid`.
    pub name: Arc<str>,
    /// Its parent.
    pub parent: i32,
    /// Its own time, exited threads included, in nanoseconds.
    pub cpu_ns: u64,
    /// That of children that it has waited for, in nanoseconds (ticks of 10 ms).
    pub reaped_ns: u64,
}

/// Asks the kernel for one process of our own namespace; `None` where it is gone.
pub fn process_time(pid: i32) -> Option<ProcessTime> {
    let stat = Stat::parse(&std::fs::read(format!("{OWN}/{pid}/stat")).ok()?)?;
    let exact = clock_gettime(cpu_clock(pid)).ok().map(nanoseconds);
    Some(ProcessTime {
        name: stat.name(pid),
        parent: stat.parent,
        cpu_ns: exact.unwrap_or(stat.cpu_ns),
        reaped_ns: stat.reaped_ns,
    })
}

/// Where the processes of our own namespace are.
const OWN: &str = "/proc";

pub(super) fn nanoseconds(time: nix::sys::time::TimeSpec) -> u64 {
    u64::try_from(time.tv_sec()).unwrap_or(0) * 1_000_000_000 + u64::try_from(time.tv_nsec()).unwrap_or(0)
}

/// What `/proc/PID/stat` says of a process.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Stat {
    pub(crate) comm: String,
    pub(crate) parent: i32,
    pub(crate) cpu_ns: u64,
    pub(crate) reaped_ns: u64,
    pub(crate) started_ticks: u64,
}

impl Stat {
    /// The name may hold blanks and brackets: the fields begin after the last `)`.
    pub(crate) fn parse(text: &[u8]) -> Option<Self> {
        let open = text.iter().position(|&b| b == b'(')?;
        let close = text.iter().rposition(|&b| b == b')')?;
        let comm = String::from_utf8_lossy(text.get(open + 1..close)?).into_owned();
        let mut fields = text.get(close + 1..)?.split(u8::is_ascii_whitespace).filter(|f| !f.is_empty());
        let number = |field: Option<&[u8]>| std::str::from_utf8(field?).ok()?.parse::<u64>().ok();
        // the first field after the name is field 3; 4 is the parent, 14 to 17 are times, 22 is the start
        let parent = std::str::from_utf8(fields.nth(1)?).ok()?.parse().ok()?;
        let times = [number(fields.nth(9))?, number(fields.next())?, number(fields.next())?, number(fields.next())?];
        let started_ticks = number(fields.nth(4))?;
        let ns = |a: u64, b: u64| a.checked_add(b)?.checked_mul(TICK_NS);
        Some(Self { comm, parent, cpu_ns: ns(times[0], times[1])?, reaped_ns: ns(times[2], times[3])?, started_ticks })
    }

    /// `name:pid`, control characters escaped.
    pub(crate) fn name(&self, pid: i32) -> Arc<str> {
        format!("{}:{pid}", self.comm.escape_debug()).into()
    }
}

/// The clock of a whole process: the kernel's `CPUCLOCK_SCHED` of a thread group.
pub(super) fn cpu_clock(pid: i32) -> ClockId {
    ClockId::from_raw((!pid << 3) | 2)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn line(pid: i32, comm: &str, ticks: u64, start: u64) -> String {
        format!("{pid} ({comm}) S 1 1 1 0 -1 0 0 0 0 0 {ticks} 0 0 0 20 0 1 0 {start} 0 0\n")
    }

    #[test]
    fn a_hostile_name_parses() {
        let stat = Stat::parse(line(7, "x) R 1 (", 124, 99).as_bytes()).unwrap();
        assert_eq!((stat.comm.as_str(), stat.cpu_ns, stat.started_ticks), ("x) R 1 (", 1_240_000_000, 99));
        assert_eq!(&*Stat { comm: "a\nb".into(), ..stat }.name(7), "a\\nb:7");
    }

    #[test]
    fn our_own_time_is_told_by_pid() {
        let own = process_time(std::process::id().cast_signed()).unwrap();
        // 0 where the parent lies outside of our namespace
        assert_eq!((own.cpu_ns > 0, own.parent), (true, std::os::unix::process::parent_id().cast_signed()));
        assert!(process_time(-1).is_none());
    }

    proptest! {
        #[test]
        fn any_bytes_are_parsed_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
            let _ = Stat::parse(&bytes);
        }
    }
}
