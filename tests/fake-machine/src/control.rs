//! The commands of the control file, one a line.

use std::str::FromStr;

use crate::error::ModelError;
use crate::fault::Fault;
use crate::model::TrueMachine;

/// What the control file understands.
pub const USAGE: &str = "power ZONE WATTS | pulse ZONE WATTS MS | set ZONE UJ | fault ZONE KIND | \
                         reset ZONE | reload ZONE";

/// A command, its zone not yet looked up.
#[derive(Clone, Debug, PartialEq)]
pub struct Command {
    zone: String,
    action: Action,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Action {
    Power { watts: f64 },
    Pulse { watts: f64, length_ns: u64 },
    Set { uj: u64 },
    Fault(Fault),
    Reset,
    Reload,
}

impl FromStr for Command {
    type Err = ModelError;

    fn from_str(line: &str) -> Result<Self, ModelError> {
        let words: Vec<&str> = line.split_whitespace().collect();
        let wrong = || ModelError::Command { line: line.trim().to_owned(), usage: USAGE };
        let number = |text: &str| text.parse::<f64>().map_err(|_| wrong());
        let (zone, action) = match words[..] {
            ["power", zone, watts] => {
                let watts = number(watts)?;
                (zone, Action::Power { watts })
            }
            ["pulse", zone, watts, length] => {
                let (watts, length) = (number(watts)?, number(length)?);
                if !(0.0..=1e9).contains(&length) {
                    return Err(wrong());
                }
                let length_ns = (length * 1e6).round() as u64;
                (zone, Action::Pulse { watts, length_ns })
            }
            ["set", zone, uj] => {
                let uj = uj.parse().map_err(|_| wrong())?;
                (zone, Action::Set { uj })
            }
            ["fault", zone, kind] => (zone, Action::Fault(kind.parse()?)),
            ["reset", zone] => (zone, Action::Reset),
            ["reload", zone] => (zone, Action::Reload),
            _ => return Err(wrong()),
        };
        let zone = zone.to_owned();
        Ok(Self { zone, action })
    }
}

impl Command {
    /// Carries it out at an instant.
    ///
    /// # Errors
    /// When the zone does not exist, or cannot do that.
    pub fn apply(&self, machine: &mut TrueMachine, t: u64) -> Result<(), ModelError> {
        let zone = machine.find(&self.zone)?;
        match self.action {
            Action::Power { watts } => machine.set_power(zone, t, watts)?,
            Action::Pulse { watts, length_ns } => machine.add_pulse(zone, t, length_ns, watts)?,
            Action::Set { uj } => machine.set_counter(zone, t, uj)?,
            Action::Fault(fault) => machine.set_fault(zone, t, fault),
            Action::Reset => machine.reset(zone, t),
            Action::Reload => machine.reload(zone, t),
        }
        Ok(())
    }

    /// The fault it asks for, if it does.
    pub fn fault(&self) -> Option<Fault> {
        match self.action {
            Action::Fault(fault) => Some(fault),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: u64 = 1_000_000_000;

    fn machine() -> TrueMachine {
        TrueMachine::builder().package(0, 40.0).core_share(0.75).build().unwrap()
    }

    fn run(machine: &mut TrueMachine, t: u64, line: &str) {
        line.parse::<Command>().unwrap().apply(machine, t).unwrap();
    }

    #[test]
    fn power_and_pulses_change_the_truth_from_then_on() {
        let mut machine = machine();
        let package = machine.find("package-0").unwrap();
        let core = machine.find("core").unwrap();
        run(&mut machine, SECOND, "power package-0 60");
        run(&mut machine, SECOND, "pulse intel-rapl:0 100 50");
        assert_eq!(machine.energy_nj(package, 0, 2 * SECOND), 105_000_000_000);
        assert_eq!(machine.energy_nj(core, 0, 2 * SECOND), 78_750_000_000);
    }

    #[test]
    fn a_core_with_a_power_of_its_own_stops_following() {
        let mut machine = machine();
        let core = machine.find("package-0/core").unwrap();
        run(&mut machine, SECOND, "power core 1");
        run(&mut machine, SECOND, "power package-0 80");
        assert_eq!(machine.energy_nj(core, 0, 3 * SECOND), 32_000_000_000);
    }

    #[test]
    fn nonsense_is_refused_with_the_reason() {
        let mut machine = machine();
        for bad in ["", "power", "power package-0 x", "pulse core 1 -1", "set core -1", "fault core lazy", "halt core"] {
            assert!(bad.parse::<Command>().is_err(), "{bad}");
        }
        for bad in ["power core -1", "power core nan", "set core 262143328851", "reset dram"] {
            let command: Command = bad.parse().unwrap();
            assert!(command.apply(&mut machine, 0).is_err(), "{bad}");
        }
    }
}
