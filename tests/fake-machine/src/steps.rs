//! A rate that changes in steps, and its exact integral.

/// A piecewise-constant rate over time in nanoseconds; before the first step it is 0.
///
/// The unit of the rate is the caller's: microwatts integrate to femtojoules, millionths of a CPU
/// integrate to millionths of a CPU-nanosecond. Integrals are exact integers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Steps {
    points: Vec<Point>,
}

/// From `at` on the rate is `level`; `before` is the integral up to `at`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Point {
    at: u64,
    level: u64,
    before: u128,
}

impl Steps {
    /// A rate that never changes, from instant 0.
    pub fn constant(level: u64) -> Self {
        let mut steps = Self::default();
        steps.set(0, level);
        steps
    }

    /// Sets the rate from `at` until the next step that is already there.
    pub fn set(&mut self, at: u64, level: u64) {
        let index = self.split(at);
        if let Some(point) = self.points.get_mut(index) {
            point.level = level;
        }
        self.recount(index);
    }

    /// Adds `extra` to the rate from `from` until `until`.
    pub fn raise(&mut self, from: u64, until: u64, extra: u64) {
        if until <= from {
            return;
        }
        let first = self.split(from);
        let last = self.split(until);
        for point in &mut self.points[first..last] {
            point.level = point.level.saturating_add(extra);
        }
        self.recount(first);
    }

    /// The rate at an instant.
    pub fn level(&self, t: u64) -> u64 {
        self.point_at(t).map_or(0, |point| point.level)
    }

    /// The integral from 0 until `t`.
    pub fn integral(&self, t: u64) -> u128 {
        self.point_at(t).map_or(0, |point| point.before + u128::from(point.level) * u128::from(t - point.at))
    }

    fn point_at(&self, t: u64) -> Option<&Point> {
        let after = self.points.partition_point(|point| point.at <= t);
        self.points.get(after.checked_sub(1)?)
    }

    /// Makes sure that a step starts at `at`, without changing the rate, and returns its index.
    fn split(&mut self, at: u64) -> usize {
        let index = self.points.partition_point(|point| point.at < at);
        if self.points.get(index).is_none_or(|point| point.at != at) {
            let point = Point { at, level: self.level(at), before: self.integral(at) };
            self.points.insert(index, point);
        }
        index
    }

    /// Brings the integrals of the steps after `index` up to date.
    fn recount(&mut self, index: usize) {
        for next in index + 1..self.points.len() {
            let last = self.points[next - 1];
            let length = u128::from(self.points[next].at - last.at);
            self.points[next].before = last.before + u128::from(last.level) * length;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_step_script_integrates_exactly() {
        let mut steps = Steps::constant(10);
        steps.set(100, 30);
        steps.set(250, 0);
        assert_eq!(steps.integral(100), 1_000);
        assert_eq!(steps.integral(101), 1_030);
        assert_eq!(steps.integral(1_000_000), 1_000 + 150 * 30);
        assert_eq!(steps.level(249), 30);
        assert_eq!(steps.level(250), 0);
    }

    #[test]
    fn steps_may_be_given_in_any_order() {
        let mut forward = Steps::default();
        let mut backward = Steps::default();
        let script = [(0, 7), (13, 1), (29, 90), (31, 4)];
        for (at, level) in script {
            forward.set(at, level);
        }
        for (at, level) in script.into_iter().rev() {
            backward.set(at, level);
        }
        for t in 0..50 {
            assert_eq!(forward.integral(t), backward.integral(t), "at {t}");
        }
    }

    #[test]
    fn overlapping_pulses_add_up() {
        let mut steps = Steps::constant(5);
        steps.raise(10, 30, 100);
        steps.raise(20, 40, 1_000);
        assert_eq!(steps.level(25), 1_105);
        assert_eq!(steps.integral(100), 500 + 20 * 100 + 20 * 1_000);
        steps.raise(50, 50, 9);
        assert_eq!(steps.integral(100), 500 + 22_000);
    }

    #[test]
    fn the_integral_is_the_sum_of_the_levels() {
        let mut steps = Steps::default();
        let mut seed = 12_345_u64;
        for _ in 0..40 {
            seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            let (at, level) = (seed >> 33 & 127, seed >> 50);
            if seed & 1 == 0 {
                steps.set(at, level);
            } else {
                steps.raise(at, at + (seed >> 20 & 31), level);
            }
            let mut sum = 0;
            for t in 0..200 {
                assert_eq!(steps.integral(t), sum, "at {t}");
                sum += u128::from(steps.level(t));
            }
        }
    }
}
