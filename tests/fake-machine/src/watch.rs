//! When a server has to end: signals, its parent's death, the end of its standard input.

use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::time::Duration;

use nix::sys::signal::{SigSet, Signal};
use nix::sys::signalfd::{SfdFlags, SignalFd};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, getppid, set_parent_process_death_signal};

/// Sent by the kernel when the thread that started this process ends.
///
/// Not one of the signals that end a program by themselves: a test's thread may end long before
/// its process does, and then the server has to go on.
const PARENT_SIGNAL: Signal = Signal::SIGUSR1;

/// Waits for whatever ends a server.
#[derive(Debug)]
pub(crate) struct Watch {
    signals: SignalFd,
    /// The parent to outlive, unless it was asked to outlive it.
    parent: Option<Pid>,
    until_stdin_closes: bool,
}

/// What a wait came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Event {
    /// The time is over.
    Timeout,
    /// The other descriptor has something to read.
    Readable,
    /// The server has to end.
    End,
}

impl Watch {
    /// Takes the signals over; call it before any thread is started.
    ///
    /// # Errors
    /// When the system refuses.
    pub(crate) fn start(until_stdin_closes: bool) -> io::Result<Self> {
        let mut signals = SigSet::empty();
        for signal in [Signal::SIGTERM, Signal::SIGINT, Signal::SIGHUP, PARENT_SIGNAL] {
            if signal != Signal::SIGHUP || !hangup_is_ignored() {
                signals.add(signal);
            }
        }
        signals.thread_block()?;
        let parent = if outlives_its_parent() {
            None
        } else {
            let parent = getppid();
            set_parent_process_death_signal(Some(rustix::process::Signal::USR1))?;
            parent
        };
        Ok(Self { signals: SignalFd::with_flags(&signals, SfdFlags::SFD_CLOEXEC)?, parent, until_stdin_closes })
    }

    /// Waits, at most `timeout`, until it has to end or `other` can be read.
    ///
    /// # Errors
    /// When a descriptor cannot be waited for.
    pub(crate) fn wait(&self, timeout: Duration, other: Option<BorrowedFd<'_>>) -> io::Result<Event> {
        if self.parent.is_some() && self.parent != getppid() {
            return Ok(Event::End);
        }
        let stdin = io::stdin();
        let watched = self.until_stdin_closes.then_some(stdin.as_fd());
        let mut descriptors = vec![PollFd::new(&self.signals, PollFlags::IN)];
        for extra in [watched, other].into_iter().flatten() {
            descriptors.push(PollFd::from_borrowed_fd(extra, PollFlags::IN));
        }
        let limit =
            Timespec { tv_sec: i64::try_from(timeout.as_secs()).unwrap_or(i64::MAX), tv_nsec: i64::from(timeout.subsec_nanos()) };
        match poll(&mut descriptors, Some(&limit)) {
            Ok(0) | Err(rustix::io::Errno::INTR) => return Ok(Event::Timeout),
            Ok(_) => {}
            Err(error) => return Err(error.into()),
        }
        let mut ready = descriptors.iter().map(|fd| !fd.revents().is_empty());
        let signal = ready.next().unwrap_or(false);
        let closed = watched.is_some() && ready.next().unwrap_or(false);
        let readable = ready.next().unwrap_or(false);
        if signal && self.signal_ends()? || closed && stdin_has_ended()? {
            Ok(Event::End)
        } else if readable {
            Ok(Event::Readable)
        } else {
            Ok(Event::Timeout)
        }
    }

    /// Takes one signal; that of the parent counts only when the whole parent is gone.
    fn signal_ends(&self) -> io::Result<bool> {
        let signal = self.signals.read_signal()?;
        let number = signal.map(|signal| signal.ssi_signo.cast_signed());
        let thread_only = number == Some(PARENT_SIGNAL as i32) && self.parent == getppid();
        Ok(number.is_some() && !thread_only)
    }
}

/// Reads away what came in; true at the end of the input.
fn stdin_has_ended() -> io::Result<bool> {
    let mut buffer = [0; 512];
    match rustix::io::read(io::stdin().as_fd(), &mut buffer) {
        Ok(read) => Ok(read == 0),
        Err(rustix::io::Errno::INTR | rustix::io::Errno::AGAIN) => Ok(false),
        Err(error) => Err(error.into()),
    }
}

/// Under `nohup` and `setsid` a server is meant to stay when whoever started it is gone.
fn outlives_its_parent() -> bool {
    // nix and not rustix: a session led from outside our pid namespace is number 0, which rustix asserts away
    hangup_is_ignored() || nix::unistd::getsid(None).is_ok_and(|session| session == nix::unistd::getpid())
}

/// Whether SIGHUP was ignored when this program was started.
fn hangup_is_ignored() -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mask =
        status.lines().find_map(|line| line.strip_prefix("SigIgn:")).and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok());
    mask.is_some_and(|mask| mask & 1 << (Signal::SIGHUP as i32 - 1) != 0)
}
