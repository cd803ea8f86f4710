//! What this very program used: its CPU time as a share of the machine's capacity, times the energy that CPU time explains.

use crate::closed::Closed;

/// Seconds between two looks at the own CPU clock: a system call, which would be a good part of a tick that does nothing else.
const EVERY_S: f64 = 10.0;

/// Energy and capacity since the last look, and what was used until then.
#[derive(Debug, Default)]
pub(super) struct OwnUse {
    cpu_ns: u64,
    energy_uj: u64,
    capacity_ns: u64,
    seconds: f64,
    /// Joules used so far.
    pub(super) joules: f64,
}

impl OwnUse {
    /// Counting begins at this CPU time.
    pub(super) fn begin(&mut self, cpu_ns: u64) {
        self.cpu_ns = cpu_ns;
    }

    /// Takes a closed interval.
    pub(super) fn add(&mut self, closed: &Closed) {
        let explained = |l: &&crate::closed::Leftover| !l.class.by_cpu_time();
        let other: u64 = closed.leftovers.iter().filter(explained).map(|l| l.rest.unattributed).sum();
        self.energy_uj += closed.energy() - other;
        self.capacity_ns += closed.host.capacity_ns;
        self.seconds += closed.until.seconds_since(closed.from);
    }

    /// True where it is time to look at the clock.
    pub(super) fn is_due(&self) -> bool {
        self.seconds >= EVERY_S
    }

    /// Books what was used since the last look.
    pub(super) fn settle(&mut self, cpu_ns: u64) {
        if self.capacity_ns > 0 {
            let share = (cpu_ns.saturating_sub(self.cpu_ns) as f64 / self.capacity_ns as f64).min(1.0);
            self.joules += self.energy_uj as f64 / 1e6 * share;
        }
        *self = Self { cpu_ns, joules: self.joules, ..Self::default() };
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::attribution::HostTime;
    use crate::stamp::Stamp;

    #[test]
    fn a_tenth_of_the_capacity_is_a_tenth_of_the_energy() {
        let mut own = OwnUse::default();
        own.begin(5);
        let closed = Closed {
            until: Stamp::at(1_000_000_000),
            members: vec![40_000_000],
            host: HostTime { busy_ns: 0, capacity_ns: 2_000_000_000 },
            ..Closed::default()
        };
        for _ in 0..9 {
            own.add(&closed);
            assert!(!own.is_due());
        }
        own.add(&closed);
        assert!(own.is_due());
        own.settle(5 + 2_000_000_000);
        assert!((own.joules - 40.0).abs() < 1e-9, "{own:?}");
        own.settle(5 + 4_000_000_000);
        assert!((own.joules - 40.0).abs() < 1e-9, "no interval, no energy");
    }
}
