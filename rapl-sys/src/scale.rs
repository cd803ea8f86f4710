//! From counts to microjoules in integers: what a file's scale says, exactly.

/// Digits of a scale that are used where it is no power of two.
const DIGITS: usize = 18;
/// Microjoules of a joule.
const MICRO: u128 = 1_000_000;

/// Joules of one count.
///
/// Conversion is meant for *cumulative* counts: the floor of a cumulative value never falls, and differences of it lose
/// nothing over time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Scale {
    /// `2^-exponent` joules: exact.
    PowerOfTwo {
        /// 32 for perf events, the energy status unit for registers.
        exponent: u8,
    },
    /// `digits * 10^-exponent` joules.
    Decimal {
        /// At most 18 significant digits.
        digits: u64,
        /// Power of ten.
        exponent: i32,
    },
}

impl Scale {
    /// `2^-esu` joules.
    pub const fn from_esu(esu: u8) -> Self {
        Self::PowerOfTwo { exponent: esu }
    }

    /// Reads a positive decimal number of joules, as in an `events/energy-pkg.scale`; any bytes.
    ///
    /// The kernel writes 2^-32 in full, `2.3283064365386962890625e-10`, and that is recognised as what it is.
    ///
    /// ```
    /// use rapl_sys::Scale;
    /// let scale = Scale::parse(b"2.3283064365386962890625e-10\n").unwrap();
    /// assert_eq!(scale, Scale::PowerOfTwo { exponent: 32 });
    /// assert_eq!(scale.microjoules(1 << 32), 1_000_000);
    /// ```
    pub fn parse(bytes: &[u8]) -> Option<Self> {
        let text = std::str::from_utf8(bytes).ok()?.trim_matches(['\n', ' ', '\t', '\0']);
        let (mantissa, power) = text.split_once(['e', 'E']).unwrap_or((text, "0"));
        let power: i32 = power.parse().ok().filter(|p: &i32| (-64..=64).contains(p))?;
        let (whole, part) = mantissa.split_once('.').unwrap_or((mantissa, ""));
        if whole.is_empty() || whole.len() + part.len() > 64 || !whole.bytes().chain(part.bytes()).all(|b| b.is_ascii_digit()) {
            return None;
        }
        let exponent = i32::try_from(part.len()).ok()? - power;
        Self::from_decimal(&format!("{whole}{part}"), exponent)
    }

    /// Microjoules of so many counts, rounded down; the largest number where they do not fit into 64 bits.
    pub fn microjoules(self, counts: u64) -> u64 {
        let counts = u128::from(counts);
        let value = match self {
            // 64 bits of counts times 20 bits of micro
            Self::PowerOfTwo { exponent } => (counts * MICRO).checked_shr(exponent.into()).unwrap_or(0),
            Self::Decimal { digits, exponent } => {
                let product = counts * u128::from(digits);
                match u32::try_from(exponent - 6) {
                    Ok(down) => 10_u128.checked_pow(down).map_or(0, |by| product / by),
                    // no counts are no energy, whatever the scale
                    Err(_) => product.saturating_mul(10_u128.checked_pow((6 - exponent).unsigned_abs()).unwrap_or(u128::MAX)),
                }
            }
        };
        u64::try_from(value).unwrap_or(u64::MAX)
    }

    /// Joules of one count, for people.
    pub fn joules(self) -> f64 {
        match self {
            Self::PowerOfTwo { exponent } => 2_f64.powi(-i32::from(exponent)),
            Self::Decimal { digits, exponent } => digits as f64 * 10_f64.powi(-exponent),
        }
    }

    /// `digits * 10^-exponent`, with the power of two recognised: 2^-k is 5^k * 10^-k.
    fn from_decimal(digits: &str, exponent: i32) -> Option<Self> {
        let digits = digits.trim_start_matches('0');
        let short = digits.trim_end_matches('0');
        let exponent = exponent - i32::try_from(digits.len() - short.len()).ok()?;
        if short.is_empty() {
            return None;
        }
        let power = u32::try_from(exponent).ok().and_then(|e| Some((e, 5_u128.checked_pow(e)?)));
        if let (Some((exponent, power)), Ok(value)) = (power, short.parse::<u128>())
            && power == value
        {
            return Some(Self::PowerOfTwo { exponent: u8::try_from(exponent).ok()? });
        }
        let kept = &short[..short.len().min(DIGITS)];
        let exponent = exponent - i32::try_from(short.len() - kept.len()).ok()?;
        Some(Self::Decimal { digits: kept.parse().ok()?, exponent })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_kernels_scale_is_two_to_the_minus_32() {
        let exact = Some(Scale::PowerOfTwo { exponent: 32 });
        assert_eq!(Scale::parse(b"2.3283064365386962890625e-10"), exact);
        assert_eq!(Scale::parse(b"0.00000000023283064365386962890625\n"), exact);
        assert_eq!(Scale::parse(b"1"), Some(Scale::PowerOfTwo { exponent: 0 }));
        assert_eq!(Scale::parse(b"6.103515625e-05"), Some(Scale::PowerOfTwo { exponent: 14 }));
    }

    #[test]
    fn another_scale_is_read_as_written() {
        assert_eq!(Scale::parse(b"1e-6"), Some(Scale::Decimal { digits: 1, exponent: 6 }));
        assert_eq!(Scale::parse(b"1e-6").unwrap().microjoules(77), 77);
        assert_eq!(Scale::parse(b"15.3e-6").unwrap().microjoules(1_000_000), 15_300_000);
        assert_eq!(Scale::parse(b"3").unwrap().microjoules(2), 6_000_000);
        // one digit off the power of two
        let near = Scale::parse(b"2.3283064365386962890626e-10").unwrap();
        assert!(matches!(near, Scale::Decimal { .. }));
        assert_eq!(near.microjoules(1 << 40), (1 << 8) * 1_000_000 - 1);
        for bad in ["", "\n", "-1e-6", "0", "0.0e5", "1e", ".5", "1e999", "1.2.3", "joules", "1e-6 J", "+1"] {
            assert_eq!(Scale::parse(bad.as_bytes()), None, "{bad:?}");
        }
    }

    #[test]
    fn a_unit_is_exact() {
        // 2^-14 J is 61.035 uJ, and 2^32 counts of it are 262144 J
        assert_eq!(Scale::from_esu(14).microjoules(1 << 32), 262_144_000_000);
        assert_eq!(Scale::from_esu(14).microjoules(1001), 61_096);
        assert_eq!(Scale::from_esu(0).microjoules(3), 3_000_000);
        assert!((Scale::from_esu(16).joules() - 15.258_789e-6).abs() < 1e-11);
        assert_eq!(Scale::from_esu(0).microjoules(u64::MAX), u64::MAX);
    }

    proptest! {
        #[test]
        fn any_bytes_are_a_scale_or_are_refused(bytes in prop::collection::vec(any::<u8>(), 0..80), counts in any::<u64>()) {
            if let Some(scale) = Scale::parse(&bytes) {
                let _ = scale.microjoules(counts);
            }
        }

        #[test]
        fn any_decimal_is_read(text in "[0-9]{1,30}(\\.[0-9]{0,30})?([eE]-?[0-9]{1,2})?", counts in any::<u64>()) {
            if let Some(scale) = Scale::parse(text.as_bytes()) {
                let (exact, got) = (text.parse::<f64>().unwrap() * counts as f64 * 1e6, scale.microjoules(counts) as f64);
                prop_assert!((exact - got).abs() <= 1.0 + exact * 1e-9 || exact > 1.8e19, "{} against {}", exact, got);
            }
        }

        /// However the way is cut, the pieces make the whole: no energy is lost between reads.
        #[test]
        fn pieces_make_the_whole(esu in 0_u8..64, mut cuts in prop::collection::vec(any::<u32>(), 1..50)) {
            let scale = Scale::from_esu(esu);
            cuts.sort_unstable();
            let (mut sum, mut last) = (0, scale.microjoules(0));
            for cut in &cuts {
                let now = scale.microjoules((*cut).into());
                sum += now - last;
                last = now;
            }
            prop_assert_eq!(sum, scale.microjoules((*cuts.last().unwrap()).into()));
        }
    }
}
