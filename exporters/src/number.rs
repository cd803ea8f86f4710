//! Numbers as text, without allocating: exact decimals of energies, shortest text of floating-point figures.

use std::io::Write;

use carbon_api::units::Microjoules;

/// A value of a sample.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Value {
    /// Written as the exact decimal in joules.
    Energy(Microjoules),
    /// A whole number.
    Count(u64),
    /// The shortest text that reads back the same.
    Figure(f64),
}

impl Value {
    /// The value as a double, for those who hold nothing else (exact for energies up to 2^53 µJ).
    pub fn as_f64(self) -> f64 {
        match self {
            Self::Energy(energy) => energy.joules().value(),
            Self::Count(count) => count as f64,
            Self::Figure(figure) => figure,
        }
    }

    /// True for what a counter may hold: neither negative, nor infinite, nor "not a number".
    pub fn is_countable(self) -> bool {
        match self {
            Self::Energy(_) | Self::Count(_) => true,
            Self::Figure(figure) => figure.is_finite() && figure >= 0.0,
        }
    }

    /// True for what a gauge may hold: an unknown has no sample.
    pub fn is_known(self) -> bool {
        match self {
            Self::Energy(_) | Self::Count(_) => true,
            Self::Figure(figure) => figure.is_finite(),
        }
    }

    /// Appends the text.
    pub(crate) fn write(self, out: &mut Vec<u8>) {
        match self {
            Self::Energy(energy) => write_joules(energy, out),
            Self::Count(count) => out.extend_from_slice(itoa::Buffer::new().format(count).as_bytes()),
            Self::Figure(figure) => write_figure(figure, out),
        }
    }
}

fn write_joules(energy: Microjoules, out: &mut Vec<u8>) {
    let (whole, part) = (energy.0 / 1_000_000, energy.0 % 1_000_000);
    out.extend_from_slice(itoa::Buffer::new().format(whole).as_bytes());
    if part == 0 {
        return;
    }
    let mut text = *b".000000";
    let mut rest = part;
    for digit in text[1..].iter_mut().rev() {
        *digit = b'0' + (rest % 10) as u8;
        rest /= 10;
    }
    let zeros = text.iter().rev().take_while(|&&c| c == b'0').count();
    out.extend_from_slice(&text[..text.len() - zeros]);
}

fn write_figure(figure: f64, out: &mut Vec<u8>) {
    const EXACT: f64 = 9_007_199_254_740_992.0; // 2^53
    if figure.fract() == 0.0 && (0.0..EXACT).contains(&figure) {
        // also turns -0 into 0
        out.extend_from_slice(itoa::Buffer::new().format(figure as u64).as_bytes());
    } else if write!(out, "{figure}").is_err() {
        // writing to a vector does not fail
        out.extend_from_slice(b"NaN");
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn text(value: Value) -> String {
        let mut out = Vec::new();
        value.write(&mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn the_text_of_an_energy_is_its_exact_decimal() {
        for (microjoules, expected) in [
            (123_456_789, "123.456789"),
            (1, "0.000001"),
            (0, "0"),
            (1_500_000, "1.5"),
            (100_000, "0.1"),
            (1 << 53, "9007199254.740992"),
            (u64::MAX, "18446744073709.551615"),
        ] {
            assert_eq!(text(Value::Energy(Microjoules(microjoules))), expected);
        }
    }

    #[test]
    fn a_whole_figure_has_no_point_and_no_sign_of_zero() {
        assert_eq!(text(Value::Figure(475.0)), "475");
        assert_eq!(text(Value::Figure(-0.0)), "0");
        assert_eq!(text(Value::Figure(-1.5)), "-1.5");
        assert_eq!(text(Value::Count(u64::MAX)), "18446744073709551615");
    }

    proptest! {
        #[test]
        fn an_energy_reads_as_the_type_shows_it(microjoules in any::<u64>()) {
            let energy = Microjoules(microjoules);
            prop_assert_eq!(text(Value::Energy(energy)), energy.to_string());
        }

        #[test]
        fn a_figure_reads_back_the_same(figure in any::<f64>().prop_filter("finite", |f| f.is_finite())) {
            let read: f64 = text(Value::Figure(figure)).parse().unwrap();
            prop_assert!(read.to_bits() == figure.to_bits() || (read == 0.0 && figure == 0.0));
        }
    }
}
