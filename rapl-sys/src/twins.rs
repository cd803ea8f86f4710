//! Dies that read one counter: AMD and Hygon name zones by die, and every die of a package shows the same energy.
//!
//! Source: Linux commit 8d72eba1cf8c ("perf/x86/rapl: Fix the energy-pkg event for AMD CPUs").

use std::time::Duration;

use crate::domain::{Counting, Domain};
use crate::{Kind, Vendor};

/// Readings that must agree, where the vendor is not known.
const READINGS: usize = 5;
/// Two counters agree where they are as near as this.
const AGREEMENT: f64 = 0.001;
/// A register is renewed about every millisecond.
const RENEWAL: Duration = Duration::from_millis(2);

/// Marks every further die of a package as a second view of its first one: on AMD and Hygon always, on Intel never, and for
/// an unknown vendor where the counters of the packages agree within 0.1 % in five readings.
///
/// The first one is the lowest die that can be read.
pub fn mark(domains: &mut [Domain], vendor: Vendor) {
    for i in 0..domains.len() {
        let Some(first) = first_die(domains, i).filter(|&first| first != i) else { continue };
        let twins = match vendor {
            Vendor::Amd | Vendor::Hygon => true,
            Vendor::Intel => false,
            Vendor::Unknown => agree_as_packages(domains, first, i),
        };
        if twins {
            domains[i].duplicate_of = Some(first);
        }
    }
    // a second view of what is now a second view itself shows the first one
    for i in 0..domains.len() {
        let views = std::iter::successors(domains[i].duplicate_of, |&at| domains[at].duplicate_of);
        domains[i].duplicate_of = views.take(domains.len()).last();
    }
}

/// The lowest readable die of the same kind and package that is no second view itself; `None` for what has no die.
fn first_die(domains: &[Domain], of: usize) -> Option<usize> {
    let id = &domains[of].identity;
    let has_twins = |d: &Domain| {
        let other = &d.identity;
        other.die.is_some() && (other.kind, other.package, other.cpu) == (id.kind, id.package, id.cpu)
    };
    let known = domains[of].duplicate_of.is_none() && id.die.is_some() && id.kind != Kind::Other;
    let dies = (0..domains.len()).filter(|&i| known && domains[i].duplicate_of.is_none() && has_twins(&domains[i]));
    dies.min_by_key(|&i| (domains[i].counter.is_err(), domains[i].identity.die))
}

/// Parts are twins where their packages are.
fn agree_as_packages(domains: &mut [Domain], first: usize, second: usize) -> bool {
    let package_of = |domains: &[Domain], part: usize| {
        let id = &domains[part].identity;
        let is_it = |d: &Domain| d.identity.kind == Kind::Package && (d.identity.package, d.identity.die) == (id.package, id.die);
        domains.iter().position(is_it)
    };
    let (Some(a), Some(b)) = (package_of(domains, first), package_of(domains, second)) else { return false };
    (0..READINGS).all(|reading| {
        if reading > 0 {
            std::thread::sleep(RENEWAL);
        }
        let values = [a, b].map(|i| domains[i].read());
        matches!(values, [Ok(x), Ok(y)] if are_near(x, y, domains[a].counting))
    })
}

/// True where two values of one counter's kind are nearly the same, also across its return to zero.
pub fn are_near(x: u64, y: u64, counting: Counting) -> bool {
    let modulus = match counting {
        Counting::Microjoules { range_uj } => range_uj.saturating_add(1),
        Counting::Counts { .. } => 1 << 32,
        // counts from different openings say nothing about the registers
        Counting::SinceOpened => return false,
    };
    let apart = x.abs_diff(y);
    let across = if modulus > apart { apart.min(modulus - apart) } else { apart };
    across as f64 <= AGREEMENT * x.max(y) as f64
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const RANGE: Counting = Counting::Microjoules { range_uj: 65_532_610_987 };

    #[test]
    fn near_is_a_thousandth_also_across_zero() {
        assert!(are_near(1_000_000, 1_000_900, RANGE) && !are_near(1_000_000, 1_002_000, RANGE));
        assert!(are_near(65_532_610_900, 50, RANGE) && !are_near(30_000_000_000, 50, RANGE));
        assert!(are_near(u32::MAX.into(), 3, Counting::Counts { esu: 16 }));
        assert!(!are_near(7, 7, Counting::SinceOpened));
    }

    proptest! {
        #[test]
        fn any_two_values_compare_alike_both_ways(x in any::<u64>(), y in any::<u64>(), range_uj in any::<u64>()) {
            let counting = Counting::Microjoules { range_uj };
            prop_assert_eq!(are_near(x, y, counting), are_near(y, x, counting));
            prop_assert!(are_near(x, x, counting));
        }
    }
}
