//! What a counter may say, worked out a second time: each step against what its readings and its time allow.

use carbon_api::counter::{CounterSpec, Outcome, Step, Wrap};
use carbon_api::stamp::Stamp;

/// One reading as the counter got it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Reading {
    pub(crate) shown: u64,
    pub(crate) at: Stamp,
    pub(crate) failed: bool,
}

/// Everything since the counter last started anew.
#[derive(Debug)]
pub(crate) struct Account {
    spec: CounterSpec,
    last: Option<Reading>,
    changed: Stamp,
    /// Energy as the counter told it, in microjoules.
    told_uj: u128,
    /// Counts that the readings rose by, in the unit of the wrap rule.
    counts: u128,
}

impl Account {
    pub(crate) fn new(spec: CounterSpec) -> Self {
        Self { spec, last: None, changed: Stamp::at(0), told_uj: 0, counts: 0 }
    }

    pub(crate) fn book(&mut self, now: Reading, outcome: &Outcome) {
        assert_eq!(*outcome == Outcome::First, self.last.is_none());
        let last = self.last.replace(now);
        let Some(step) = outcome.step() else {
            (self.changed, self.told_uj, self.counts) = (now.at, 0, 0);
            return;
        };
        let last = last.expect("the first reading is no energy");
        self.check(last, now, step);
        assert_eq!(matches!(outcome, Outcome::Wrapped(_)), now.shown < last.shown);
        if now.shown != last.shown {
            self.changed = now.at;
        }
    }

    fn check(&mut self, last: Reading, now: Reading, step: &Step) {
        assert_eq!((step.from, step.until), (last.at, now.at));
        assert!(!(now.failed && now.shown < last.shown), "a fall across a failed read is no wrap");
        let slept = now.at.suspended_since(last.at);
        assert!(self.spec.survives_suspend || slept <= 100_000_000, "{slept} ns of suspend are no energy");
        // 1.5 * P_max * dt + 16 J, and the microjoule that was carried
        let watts = if self.spec.max_power_w > 0.0 { self.spec.max_power_w } else { 0.0 };
        let draw_uj = |ns: u64| if ns == 0 { 0.0 } else { watts * ns as f64 / 1e3 };
        let most_uj = 1.5 * draw_uj(now.at.since(self.changed)) + 16e6 + 1.0;
        assert!(step.energy.0 as f64 <= most_uj * (1.0 + 1e-9), "{step:?} is more than {most_uj} uJ");
        assert!(
            step.ambiguous_uj.is_none() || range_uj(self.spec.wrap) <= draw_uj(now.at.since(last.at)) * (1.0 + 1e-9),
            "{step:?}: no wrap fits"
        );
        self.counts += rise(self.spec.wrap, last.shown, now.shown);
        self.told_uj += u128::from(step.energy.0);
        let truth_uj = microjoules(self.spec.wrap, self.counts);
        assert!(self.told_uj <= truth_uj, "{} uJ told of {truth_uj}", self.told_uj);
        // nothing is lost either, unless a step does not fit into 64 bits
        assert!(self.told_uj == truth_uj || truth_uj > u128::from(u64::MAX), "{} uJ told of {truth_uj}", self.told_uj);
    }
}

/// Counts from one shown value to the next.
fn rise(wrap: Wrap, old: u64, new: u64) -> u128 {
    let (old, new) = (u128::from(old), u128::from(new));
    let through = |old: u128, new: u128, range: u128| (new + range - old) % range;
    match wrap {
        Wrap::Never => new - old,
        Wrap::Modulus { modulus } => through(old, new, modulus.into()),
        Wrap::Register { .. } => through(old, new, 1 << 32),
        Wrap::Units { unit_nj } => {
            let raw = |shown: u128| (shown * 1000).div_ceil(u128::from(unit_nj.max(1)));
            through(raw(old), raw(new), 1 << 32)
        }
    }
}

/// Energy from one zero to the next.
fn range_uj(wrap: Wrap) -> f64 {
    match wrap {
        Wrap::Never => f64::INFINITY,
        Wrap::Modulus { modulus } => modulus as f64,
        Wrap::Register { .. } | Wrap::Units { .. } => microjoules(wrap, 1 << 32) as f64,
    }
}

fn microjoules(wrap: Wrap, counts: u128) -> u128 {
    match wrap {
        Wrap::Never | Wrap::Modulus { .. } => counts,
        Wrap::Register { esu } => (counts * 1_000_000) >> esu.min(31),
        Wrap::Units { unit_nj } => counts * u128::from(unit_nj.max(1)) / 1000,
    }
}
