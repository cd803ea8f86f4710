//! The command as a child of ours: its own process group, the terminal while it runs, signals passed on, every exit seen.

use std::ffi::{OsStr, OsString};
use std::io::Read;
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::{SigSet, SigmaskHow, Signal, kill};
use nix::sys::wait::{Id, WaitPidFlag, WaitStatus, waitid, waitpid};
use nix::unistd::Pid;
use rustix::termios::{tcgetpgrp, tcsetpgrp};
use signal_hook::SigId;

/// Signals that are meant for the command.
const FORWARDED: [Signal; 6] =
    [Signal::SIGTERM, Signal::SIGINT, Signal::SIGHUP, Signal::SIGQUIT, Signal::SIGUSR1, Signal::SIGUSR2];

/// Signals that wake us instead of ending us. Caught, never blocked: a blocked signal would stay blocked in the command.
pub(super) struct Signals {
    wake: UnixStream,
    heard: Vec<(Signal, Arc<AtomicBool>)>,
    registered: Vec<SigId>,
}

impl Signals {
    /// Begins to listen. What is ignored stays ignored (`nohup`), for the command too.
    pub(super) fn listen() -> std::io::Result<Self> {
        let (wake, sender) = UnixStream::pair()?;
        wake.set_nonblocking(true)?;
        let mut signals = Self { wake, heard: Vec::new(), registered: Vec::new() };
        let ignored = ignored_signals();
        for signal in FORWARDED.into_iter().filter(|s| ignored >> (*s as u32 - 1) & 1 == 0) {
            let flag = Arc::new(AtomicBool::new(false));
            signals.registered.push(signal_hook::flag::register(signal as i32, Arc::clone(&flag))?);
            signals.registered.push(signal_hook::low_level::pipe::register(signal as i32, sender.try_clone()?)?);
            signals.heard.push((signal, flag));
        }
        signals.registered.push(signal_hook::low_level::pipe::register(Signal::SIGCHLD as i32, sender)?);
        Ok(signals)
    }

    /// Waits until a signal comes or the time is over.
    fn wait(&self, longest: Duration) {
        // rounded up: a poll of 0 ms would spin
        let timeout = PollTimeout::try_from(longest.as_millis() + 1).unwrap_or(PollTimeout::MAX);
        let mut descriptors = [PollFd::new(self.wake.as_fd(), PollFlags::POLLIN)];
        if matches!(poll(&mut descriptors, timeout), Err(e) if e != Errno::EINTR) {
            std::thread::sleep(longest.min(Duration::from_millis(10)));
        }
        let mut buffer = [0_u8; 64];
        while matches!((&self.wake).read(&mut buffer), Ok(n) if n > 0) {}
    }

    /// Signals to pass on.
    fn take(&self) -> impl Iterator<Item = Signal> + '_ {
        self.heard.iter().filter(|(_, flag)| flag.swap(false, Ordering::Relaxed)).map(|(signal, _)| *signal)
    }
}

impl Drop for Signals {
    fn drop(&mut self) {
        for id in self.registered.drain(..) {
            signal_hook::low_level::unregister(id);
        }
    }
}

/// Which signals this process ignores, as the kernel's mask.
fn ignored_signals() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mask = status.lines().find_map(|l| l.strip_prefix("SigIgn:")).map(str::trim);
    mask.and_then(|m| u64::from_str_radix(m, 16).ok()).unwrap_or(0)
}

/// Why there is no child.
pub(super) struct SpawnError {
    command: OsString,
    error: std::io::Error,
}

impl SpawnError {
    /// The status that shells give: 127 not found, 126 found and not to be run; and one line.
    pub(super) fn into_failure(self) -> (i32, String) {
        let name = self.command.to_string_lossy();
        match self.error.kind() {
            std::io::ErrorKind::NotFound => (127, format!("treehouse: {name}: command not found")),
            _ => (126, format!("treehouse: {name}: cannot be run: {}", self.error)),
        }
    }
}

/// What happened while waiting.
pub(super) enum Event {
    /// It is time to read the meters.
    Tick,
    /// The command ended.
    Ended(Ended),
}

/// How the command ended.
pub(super) struct Ended {
    /// Its exit status, or 128 and the number of the signal.
    pub(super) code: i32,
}

/// The running command.
pub(super) struct Child {
    pid: Pid,
    foreground: Option<rustix::process::Pid>,
    next_tick: Option<Instant>,
}

impl Child {
    /// Starts the command in a process group of its own; on a terminal that is the foreground group.
    pub(super) fn spawn(command: &[OsString]) -> Result<Self, SpawnError> {
        let (program, arguments): (&OsStr, &[OsString]) = command.split_first().map_or((OsStr::new(""), &[]), |(p, a)| (p, a));
        let child = Command::new(program)
            .args(arguments)
            .process_group(0)
            .spawn()
            .map_err(|error| SpawnError { command: program.to_owned(), error })?;
        let pid = Pid::from_raw(i32::try_from(child.id()).unwrap_or(0));
        let mut child = Self { pid, foreground: None, next_tick: None };
        child.give_terminal();
        Ok(child)
    }

    /// Waits for the command, a signal or the time to read the meters.
    pub(super) fn wait(&mut self, signals: &Signals, period: Duration) -> Event {
        let due = *self.next_tick.get_or_insert_with(|| Instant::now() + period);
        loop {
            if let Some(ended) = self.reap() {
                return Event::Ended(ended);
            }
            let left = due.saturating_duration_since(Instant::now());
            if left.is_zero() {
                self.next_tick = Some(due + period);
                return Event::Tick;
            }
            signals.wait(left);
            signals.take().for_each(|signal| self.forward(signal));
        }
    }

    /// Passes a signal to the command's group; to the command alone where it has left the group.
    fn forward(&self, signal: Signal) {
        if kill(Pid::from_raw(-self.pid.as_raw()), signal).is_err() {
            let _ = kill(self.pid, signal);
        }
    }

    /// Takes every child that ended: the command, and orphans of its tree that were handed to us.
    fn reap(&mut self) -> Option<Ended> {
        loop {
            // looked at first, taken after: the time of what is taken is ours from then on
            let flags = WaitPidFlag::WEXITED | WaitPidFlag::WSTOPPED | WaitPidFlag::WNOHANG | WaitPidFlag::WNOWAIT;
            let found = waitid(Id::All, flags);
            let pid = match found {
                Ok(status) => status.pid()?,
                Err(_) => return None,
            };
            match waitpid(pid, Some(WaitPidFlag::WNOHANG | WaitPidFlag::WUNTRACED)) {
                Ok(WaitStatus::Exited(ended, code)) if ended == self.pid => return Some(finish(code)),
                Ok(WaitStatus::Signaled(ended, signal, _)) if ended == self.pid => return Some(finish(128 + signal as i32)),
                Ok(WaitStatus::Stopped(stopped, _)) if stopped == self.pid => self.follow_into_stop(),
                Ok(WaitStatus::StillAlive) | Err(_) => return None,
                Ok(_) => {}
            }
        }
    }

    /// The user stopped the command (Ctrl-Z): give the terminal back and stop as well; when woken, wake it.
    fn follow_into_stop(&mut self) {
        if self.foreground.is_none() {
            return;
        }
        self.take_terminal();
        let _ = kill(Pid::this(), Signal::SIGSTOP);
        self.give_terminal();
        let _ = kill(Pid::from_raw(-self.pid.as_raw()), Signal::SIGCONT);
    }

    /// Makes the command's group the foreground group, where ours is.
    fn give_terminal(&mut self) {
        let stdin = std::io::stdin();
        // by nix: a group led from outside our pid namespace is number 0, which rustix asserts away; no terminal then
        let Some(own) = rustix::process::Pid::from_raw(nix::unistd::getpgrp().as_raw()) else { return };
        let group = rustix::process::Pid::from_raw(self.pid.as_raw());
        if let (Ok(foreground), Some(group)) = (tcgetpgrp(&stdin), group)
            && foreground == own
            && tcsetpgrp(&stdin, group).is_ok()
        {
            self.foreground = Some(own);
            // it may have stopped for wanting to read before it was allowed to
            let _ = kill(Pid::from_raw(-self.pid.as_raw()), Signal::SIGCONT);
        }
    }

    fn take_terminal(&mut self) {
        let Some(own) = self.foreground.take() else { return };
        // from the background the terminal answers with SIGTTOU, which would stop us
        let mut ttou = SigSet::empty();
        ttou.add(Signal::SIGTTOU);
        let before = ttou.thread_swap_mask(SigmaskHow::SIG_BLOCK);
        let _ = tcsetpgrp(std::io::stdin(), own);
        if let Ok(before) = before {
            let _ = before.thread_set_mask();
        }
    }
}

/// Takes orphans that ended at the same moment as the command, so that their time is counted with it.
fn finish(code: i32) -> Ended {
    while let Ok(status) = waitpid(None, Some(WaitPidFlag::WNOHANG)) {
        if status == WaitStatus::StillAlive {
            break;
        }
    }
    Ended { code }
}

impl Drop for Child {
    fn drop(&mut self) {
        self.take_terminal();
    }
}
