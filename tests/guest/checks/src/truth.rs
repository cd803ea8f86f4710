//! What was truly used, from the module that owns the registers.

use std::fs;

use anyhow::{Context, Result};

/// The parameters of the module.
const FOLDER: &str = "/sys/module/known_energy/parameters";

/// Microjoules since the module was loaded, without any wrap.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Truth {
    package: u64,
    core: u64,
    dram: u64,
    psys: u64,
    us: u64,
}

impl Truth {
    /// The truth now.
    pub(crate) fn now() -> Result<Self> {
        Self::read("truth")
    }

    /// The truth of the moment when each register was last read through `powercap` or `perf`: what a reader should have got.
    pub(crate) fn last_seen(door: &str) -> Result<Self> {
        Self::read(&format!("seen_through_{door}"))
    }

    fn read(parameter: &str) -> Result<Self> {
        let path = format!("{FOLDER}/{parameter}");
        let text = fs::read_to_string(&path).with_context(|| format!("cannot read {path}"))?;
        Self::parse(&text).with_context(|| format!("{path} does not hold five numbers: {text}"))
    }

    /// As the module writes it.
    pub(crate) fn line(&self) -> String {
        format!("{} {} {} {} {}", self.package, self.core, self.dram, self.psys, self.us)
    }

    /// Reads `package core dram psys microseconds`.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let numbers: Vec<u64> = text.split_whitespace().map(|word| word.parse().ok()).collect::<Option<_>>()?;
        let [package, core, dram, psys, us] = *numbers.as_slice() else { return None };
        Some(Self { package, core, dram, psys, us })
    }

    /// What was used since an earlier moment, in joules, by a domain's name.
    pub(crate) fn joules_since(&self, before: &Self, domain: &str) -> Option<f64> {
        let of = |truth: &Self| {
            Some(match domain {
                "package-0" => truth.package,
                "core-0" => truth.core,
                "dram-0" => truth.dram,
                "psys" => truth.psys,
                "host" => truth.package + truth.dram,
                _ => return None,
            })
        };
        Some((of(self)? - of(before)?) as f64 / 1e6)
    }

    /// Seconds since an earlier moment.
    pub(crate) fn seconds_since(&self, before: &Self) -> f64 {
        (self.us - before.us) as f64 / 1e6
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn joules_are_differences_by_domain() {
        let before = Truth::parse("1000000 500000 200000 3000000 1000000\n").unwrap();
        let after = Truth::parse("3000000 1000000 300000 8000000 2000000\n").unwrap();
        let joules = |domain| after.joules_since(&before, domain);
        assert_eq!([joules("package-0"), joules("core-0"), joules("dram-0")], [Some(2.0), Some(0.5), Some(0.1)]);
        assert_eq!(Truth::parse(&before.line()), Some(before));
        assert_eq!([joules("psys"), joules("host"), joules("gpu-0")], [Some(5.0), Some(2.1), None]);
        assert!((after.seconds_since(&before) - 1.0).abs() < 1e-9);
    }

    #[test]
    fn anything_but_five_numbers_is_refused() {
        for text in ["", "1 2 3 4", "1 2 3 4 5 6", "1 2 3 4 x", "-1 2 3 4 5"] {
            assert_eq!(Truth::parse(text), None, "{text}");
        }
    }
}
