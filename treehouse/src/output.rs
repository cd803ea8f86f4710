//! Text for people: stdout for answers, stderr for everything else; numbers with three digits and a prefix.

use std::io::Write;

use crate::failure::Failure;

/// Writes an answer to stdout; a reader that went away early (`| head`) is no error.
pub(crate) fn print(text: &str) -> Result<(), Failure> {
    let mut out = std::io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => Err(Failure::system("writing the answer", error)),
        _ => Ok(()),
    }
}

/// Writes one line to stderr; where even that fails there is nobody to tell.
pub(crate) fn error(line: &str) {
    let _ = writeln!(std::io::stderr().lock(), "{line}");
}

/// A value with three significant digits and an SI prefix: `12.3 mJ`, `0 W`.
pub(crate) fn si(value: f64, unit: &str) -> String {
    const PREFIXES: [(f64, &str); 7] = [(1e9, "G"), (1e6, "M"), (1e3, "k"), (1.0, ""), (1e-3, "m"), (1e-6, "µ"), (1e-9, "n")];
    if value == 0.0 || !value.is_finite() {
        return format!("{value:.0} {unit}");
    }
    // 999.9 m would print as 1000 m
    let fits = |scale: f64| value.abs() >= scale * 0.9995;
    let (scale, prefix) = PREFIXES.into_iter().find(|(scale, _)| fits(*scale)).unwrap_or((1e-9, "n"));
    let scaled = value / scale;
    let decimals = match scaled.abs() {
        v if v >= 99.95 => 0,
        v if v >= 9.995 => 1,
        _ => 2,
    };
    format!("{scaled:.decimals$} {prefix}{unit}")
}

/// Seconds as people read them: `850 ms`, `12.3 s`, `2 min 05 s`, `3 h 07 min`.
pub(crate) fn seconds(value: f64) -> String {
    match value {
        v if v < 60.0 => si(v, "s"),
        v if v < 3600.0 => format!("{:.0} min {:02.0} s", (v / 60.0).floor(), (v % 60.0).floor()),
        v => format!("{:.0} h {:02.0} min", (v / 3600.0).floor(), (v % 3600.0 / 60.0).floor()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_have_three_digits_and_a_prefix() {
        for (value, text) in [
            (0.0, "0 J"),
            (0.012_34, "12.3 mJ"),
            (999.9, "1.00 kJ"),
            (123.4, "123 J"),
            (1_234_567.0, "1.23 MJ"),
            (-4.0, "-4.00 J"),
            (3e-12, "0.00 nJ"),
        ] {
            assert_eq!(si(value, "J"), text);
        }
    }

    #[test]
    fn seconds_read_as_people_say_them() {
        assert_eq!(
            (seconds(0.85), seconds(125.0), seconds(11_240.0)),
            ("850 ms".into(), "2 min 05 s".into(), "3 h 07 min".into())
        );
    }
}
