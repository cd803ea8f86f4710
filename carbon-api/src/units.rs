//! Energy, power, carbon and intensity as types, so that watts are never added to joules.
//!
//! Energy that is *counted* is [`Microjoules`] (an integer: sums are exact). Energy that is *computed with* is [`Joules`].
//! Grams carry the accounting kind in their type; kinds do not add:
//!
//! ```compile_fail
//! use carbon_api::units::{Grams, LocationAverage, Marginal};
//! let _ = Grams::<LocationAverage>::new(1.0) + Grams::<Marginal>::new(1.0); // different questions
//! ```

use std::fmt;
use std::iter::Sum;
use std::marker::PhantomData;
use std::ops::{Add, AddAssign, Div, Mul, Sub};

use serde::{Deserialize, Serialize};

/// Power is not energy, however long it lasts:
///
/// ```compile_fail
/// use carbon_api::units::{Joules, Watts};
/// let _ = Joules::new(1.0) + Watts::new(1.0);
/// ```
///
/// Each of the two adds to its like, so that nothing else is what the compiler refuses:
///
/// ```
/// use carbon_api::units::{Joules, Watts};
/// let _ = (Joules::new(1.0) + Joules::new(1.0), Watts::new(1.0) + Watts::new(1.0));
/// ```
#[cfg(doctest)]
pub fn watts_are_not_joules() {}

/// Joules in one kilowatt-hour.
pub const JOULES_PER_KWH: f64 = 3_600_000.0;

/// Counted energy in microjoules; the only type in which energy is summed and shared out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Microjoules(pub u64);

impl Microjoules {
    /// No energy.
    pub const ZERO: Self = Self(0);

    /// The sum, or `None` where it leaves 64 bits (18 TJ): an error to report, never a wrap.
    pub fn checked_add(self, other: Self) -> Option<Self> {
        self.0.checked_add(other.0).map(Self)
    }

    /// The difference, 0 where `other` is larger.
    #[must_use]
    pub fn saturating_sub(self, other: Self) -> Self {
        Self(self.0.saturating_sub(other.0))
    }

    /// The same energy as a figure in joules (exact up to 2^53 µJ).
    pub fn joules(self) -> Joules {
        Joules(self.0 as f64 / 1e6)
    }

    /// Rounded down to whole millijoules, which is what unprivileged readers see.
    #[must_use]
    pub fn coarse(self) -> Self {
        Self(self.0 / 1000 * 1000)
    }
}

impl Add for Microjoules {
    type Output = Self;
    fn add(self, other: Self) -> Self {
        Self(self.0 + other.0)
    }
}

impl AddAssign for Microjoules {
    fn add_assign(&mut self, other: Self) {
        self.0 += other.0;
    }
}

impl Sum for Microjoules {
    fn sum<I: Iterator<Item = Self>>(iter: I) -> Self {
        Self(iter.map(|e| e.0).sum())
    }
}

/// The exact decimal in joules, without trailing zeros: `123.456789`, `0.000001`, `0`.
impl fmt::Display for Microjoules {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (whole, mut part) = (self.0 / 1_000_000, self.0 % 1_000_000);
        if part == 0 {
            return write!(f, "{whole}");
        }
        let mut width = 6;
        while part.is_multiple_of(10) {
            part /= 10;
            width -= 1;
        }
        write!(f, "{whole}.{part:0width$}")
    }
}

macro_rules! figure {
    ($(#[$doc:meta])* $name:ident, $unit:literal) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, Default, PartialEq, PartialOrd, Serialize, Deserialize, schemars::JsonSchema)]
        #[serde(transparent)]
        pub struct $name(f64);

        impl $name {
            /// Takes the figure as it is.
            pub const fn new(value: f64) -> Self {
                Self(value)
            }

            /// The bare number, for output and arithmetic within one unit.
            pub const fn value(self) -> f64 {
                self.0
            }

            /// True for a finite number that is not negative.
            pub fn is_plausible(self) -> bool {
                self.0.is_finite() && self.0 >= 0.0
            }
        }

        impl Add for $name {
            type Output = Self;
            fn add(self, other: Self) -> Self {
                Self(self.0 + other.0)
            }
        }

        impl AddAssign for $name {
            fn add_assign(&mut self, other: Self) {
                self.0 += other.0;
            }
        }

        impl Sub for $name {
            type Output = Self;
            fn sub(self, other: Self) -> Self {
                Self(self.0 - other.0)
            }
        }

        impl Mul<f64> for $name {
            type Output = Self;
            fn mul(self, factor: f64) -> Self {
                Self(self.0 * factor)
            }
        }

        impl Div<$name> for $name {
            type Output = f64;
            fn div(self, other: Self) -> f64 {
                self.0 / other.0
            }
        }

        impl Sum for $name {
            fn sum<I: Iterator<Item = Self>>(iter: I) -> Self {
                Self(iter.map(|v| v.0).sum())
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)?;
                f.write_str(concat!(" ", $unit))
            }
        }
    };
}

figure!(
    /// Energy as a figure, in joules.
    Joules, "J"
);
figure!(
    /// Power, in watts.
    Watts, "W"
);
figure!(
    /// Grid intensity, in grams of CO2-equivalent per kilowatt-hour.
    GramsPerKwh, "gCO2e/kWh"
);

impl Joules {
    /// The counted form, rounded to the nearest microjoule; 0 for what is negative or not a number.
    pub fn microjoules(self) -> Microjoules {
        Microjoules((self.0 * 1e6).round().max(0.0) as u64)
    }

    /// Mean power over `seconds`; `None` over no time at all.
    pub fn over(self, seconds: f64) -> Option<Watts> {
        (seconds > 0.0).then(|| Watts(self.0 / seconds))
    }
}

impl Watts {
    /// Energy at this power for `seconds`.
    pub fn over(self, seconds: f64) -> Joules {
        Joules(self.0 * seconds)
    }
}

impl GramsPerKwh {
    /// Grams for an energy: `E / 3.6e6 * I` (ISO/IEC 21031, operational part).
    pub fn price<K>(self, energy: Joules) -> Grams<K> {
        Grams::new(energy.0 / JOULES_PER_KWH * self.0)
    }
}

/// Accounting by the average mix of the place (GHG Protocol scope 2, location-based).
#[derive(Clone, Copy, Debug, Default, PartialEq, PartialOrd)]
pub struct LocationAverage;
/// Accounting by contracts (GHG Protocol scope 2, market-based).
#[derive(Clone, Copy, Debug, Default, PartialEq, PartialOrd)]
pub struct MarketBased;
/// What one more kilowatt-hour would cause: for decisions, never for an inventory.
#[derive(Clone, Copy, Debug, Default, PartialEq, PartialOrd)]
pub struct Marginal;
/// A share of the making of the machine.
#[derive(Clone, Copy, Debug, Default, PartialEq, PartialOrd)]
pub struct Embodied;

/// Carbon in grams of CO2-equivalent, of one accounting kind `K`.
#[derive(Clone, Copy, Debug, Default, PartialEq, PartialOrd)]
pub struct Grams<K = LocationAverage>(f64, PhantomData<K>);

impl<K> Grams<K> {
    /// Takes the figure as it is.
    pub const fn new(value: f64) -> Self {
        Self(value, PhantomData)
    }

    /// The bare number in grams.
    pub const fn value(self) -> f64 {
        self.0
    }
}

impl<K> Add for Grams<K> {
    type Output = Self;
    fn add(self, other: Self) -> Self {
        Self::new(self.0 + other.0)
    }
}

impl<K> AddAssign for Grams<K> {
    fn add_assign(&mut self, other: Self) {
        self.0 += other.0;
    }
}

impl<K> Sum for Grams<K> {
    fn sum<I: Iterator<Item = Self>>(iter: I) -> Self {
        Self::new(iter.map(|g| g.0).sum())
    }
}

impl<K> Serialize for Grams<K> {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.serialize(serializer)
    }
}

impl<'de, K> Deserialize<'de> for Grams<K> {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        f64::deserialize(deserializer).map(Self::new)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_text_of_an_energy_is_its_exact_decimal() {
        for (microjoules, text) in [
            (123_456_789, "123.456789"),
            (1, "0.000001"),
            (0, "0"),
            (1_500_000, "1.5"),
            (1 << 53, "9007199254.740992"),
            (u64::MAX, "18446744073709.551615"),
        ] {
            assert_eq!(Microjoules(microjoules).to_string(), text);
        }
    }

    #[test]
    fn one_kilowatt_hour_costs_its_intensity() {
        let grams: Grams = GramsPerKwh::new(250.0).price(Joules::new(3.6e6));
        assert!((grams.value() - 250.0).abs() < 1e-9);
    }

    #[test]
    fn a_coarse_energy_is_whole_millijoules() {
        assert_eq!(Microjoules(1_000_400).coarse(), Microjoules(1_000_000));
        assert_eq!(Microjoules(2_000_700).coarse(), Microjoules(2_000_000));
    }
}
