//! A machine in real time: the script, the clock, and the commands that came in.

use std::sync::{Mutex, MutexGuard, PoisonError};

use rustix::time::{ClockId, Timespec, clock_gettime};

use crate::control::Command;
use crate::error::ModelError;
use crate::model::TrueMachine;
use crate::truth::Truth;

/// A machine whose instants are those of this computer's monotonic clock.
#[derive(Debug)]
pub(crate) struct LiveMachine {
    /// `CLOCK_MONOTONIC` at instant 0.
    origin: u64,
    plain: bool,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    machine: TrueMachine,
    commands: u64,
    outcome: String,
}

impl LiveMachine {
    /// Switches the machine on; `plain` when ordinary files show it.
    pub(crate) fn new(machine: TrueMachine, plain: bool) -> Self {
        Self {
            origin: nanoseconds(ClockId::Monotonic),
            plain,
            state: Mutex::new(State { machine, commands: 0, outcome: "ok".to_owned() }),
        }
    }

    /// Shows the machine and the present instant, which lies inside this call.
    pub(crate) fn look<T>(&self, look: impl FnOnce(&TrueMachine, u64) -> T) -> T {
        let state = self.state();
        look(&state.machine, self.now())
    }

    /// The same, and the truth of that instant.
    pub(crate) fn look_and_tell<T>(&self, look: impl FnOnce(&TrueMachine, u64) -> T) -> (T, String) {
        let state = self.state();
        let t = self.now();
        (look(&state.machine, t), self.tell(&state, t))
    }

    /// Carries out every line; the first that fails ends it.
    pub(crate) fn command(&self, text: &str) -> Result<(), ModelError> {
        let mut state = self.state();
        let now = self.now();
        let lines = text.lines().filter(|line| !line.trim().is_empty());
        for line in lines {
            let done = line.parse::<Command>().and_then(|command| {
                let unfit = command.fault().filter(|fault| !fault.fits_plain_files());
                match unfit {
                    Some(fault) if self.plain => Err(ModelError::NeedsFuse { fault }),
                    _ => command.apply(&mut state.machine, now),
                }
            });
            state.commands += 1;
            state.outcome = match &done {
                Ok(()) => "ok".to_owned(),
                Err(error) => error.to_string(),
            };
            done?;
        }
        Ok(())
    }

    /// What the last command came to.
    pub(crate) fn outcome(&self) -> String {
        self.state().outcome.clone()
    }

    /// The truth now, as one line of JSON.
    pub(crate) fn truth(&self) -> String {
        self.look_and_tell(|_, _| ()).1
    }

    fn tell(&self, state: &State, t: u64) -> String {
        let truth = Truth {
            monotonic_ns: self.origin + t,
            boottime_ns: nanoseconds(ClockId::Boottime),
            commands: state.commands,
            outcome: state.outcome.clone(),
            ..Truth::of(&state.machine, t)
        };
        // Numbers and plain texts always have a JSON form.
        let mut line = serde_json::to_string(&truth).unwrap_or_default();
        line.push('\n');
        line
    }

    fn now(&self) -> u64 {
        nanoseconds(ClockId::Monotonic).saturating_sub(self.origin)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn nanoseconds(clock: ClockId) -> u64 {
    let Timespec { tv_sec, tv_nsec } = clock_gettime(clock);
    let seconds = u64::try_from(tv_sec).unwrap_or(0);
    seconds * 1_000_000_000 + u64::try_from(tv_nsec).unwrap_or(0)
}
