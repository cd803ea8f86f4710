//! From the use of the processors to watts: the rules, and which of them a machine gets.
//!
//! `vcpu-linear/1`: `P = n * (Pmin + u * (Pmax - Pmin))` for n online processors and utilisation u without steal.
//! `tdp-curve/1`: the thermal design power times 0.12, 0.32, 0.75 and 1.02 at u = 0, 0.1, 0.5 and 1, linear in between (ratios
//! of BoaviztAPI). `calibrated-line/1`: idle and full power that a meter of this machine showed when it could be read.

use std::path::Path;

use super::calibration::Calibration;
use super::cpus::{Coefficients, DesignPower, KNOWN, Processor, Provider, UNKNOWN};
use crate::error::ReadError;
use crate::system::leading_u64;

/// Utilisation and share of the thermal design power. Source: BoaviztAPI.
const TDP_KNOTS: [(f64, f64); 4] = [(0.0, 0.12), (0.1, 0.32), (0.5, 0.75), (1.0, 1.02)];
/// Watts of one package beyond which a figure is no thermal design power.
const MOST_TDP_W: f64 = 2000.0;
const CONVENTION: &str = "consistent errors up to 40 % of static estimators (arXiv 2509.22092); a convention, no guarantee";
/// What came of the conventions on load profiles of five machines, as `cargo bench -p carbon-api --bench model_error` prints.
const HELD_BY_TDP: &str = "58 % of 106 points lay inside, mean absolute error 54 %,";
const HELD_BY_FAMILY: &str = "60 % of 62 points lay inside, mean absolute error 67 %,";
const HELD_BY_MEAN: &str = "70 % of 106 points lay inside, mean absolute error 39 %,";

/// What the processors did in one interval.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Load {
    /// Online processors.
    pub cpus: u32,
    /// Busy share of their time, 0 to 1, without steal.
    pub utilisation: f64,
    /// Length of the interval.
    pub seconds: f64,
}

/// Watts of all processors under a load. A negative figure counts as 0; one that is no number is an error of the reading.
pub type Curve = Box<dyn FnMut(Load) -> f64 + Send>;

/// A power model of the processors, with what it was made from.
pub struct Rule {
    id: &'static str,
    parameters: String,
    basis: String,
    uncertainty: f64,
    curve: Curve,
}

impl std::fmt::Debug for Rule {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Rule").field("id", &self.id).field("parameters", &self.parameters).finish_non_exhaustive()
    }
}

impl Rule {
    /// A rule from outside. `id` is name and version (`power-profile/1`), `parameters` and `basis` are words for people,
    /// `uncertainty` is the relative half width of the 95 % interval; one that is no positive number becomes 1.
    pub fn new(id: &'static str, parameters: String, basis: String, uncertainty: f64, curve: Curve) -> Self {
        let uncertainty = if uncertainty.is_finite() && uncertainty > 0.0 { uncertainty } else { UNKNOWN };
        Self { id, parameters, basis, uncertainty, curve }
    }

    /// `vcpu-linear/1`.
    pub fn vcpu_linear(coefficients: Coefficients) -> Self {
        let Coefficients { family, min_w, max_w, uncertainty } = coefficients;
        let parameters = format!("{min_w} W idle and {max_w} W busy a processor");
        let held = if uncertainty < UNKNOWN { HELD_BY_FAMILY } else { HELD_BY_MEAN };
        let basis = format!("Cloud Carbon Footprint coefficients, row: {family}; {}", band(uncertainty, held));
        let curve = move |load: Load| f64::from(load.cpus) * (min_w + load.utilisation * (max_w - min_w));
        Self::new("vcpu-linear/1", parameters, basis, uncertainty, Box::new(curve))
    }

    /// `tdp-curve/1` of a machine whose packages have `tdp_w` watts together; `origin` says how that is known.
    pub fn tdp_curve(tdp_w: f64, origin: &str) -> Self {
        let parameters = format!("{tdp_w} W x 0.12, 0.32, 0.75, 1.02 at 0, 10, 50, 100 % use");
        let basis = format!("thermal design power from {origin}, ratios of BoaviztAPI; {}", band(KNOWN, HELD_BY_TDP));
        Self::new("tdp-curve/1", parameters, basis, KNOWN, Box::new(move |load| tdp_w * tdp_share(load.utilisation)))
    }

    /// `calibrated-line/1`, where enough was learned.
    pub fn calibrated(calibration: &Calibration) -> Option<Self> {
        let line = calibration.line()?;
        let day = calibration.learned().map_or_else(|| "just now".to_owned(), |t| t.strftime("%Y-%m-%d").to_string());
        let parameters = format!("{:.1} W idle and {:.1} W busy, all processors", line.idle_w, line.max_w);
        let basis = format!(
            "line learned on this machine from {} of {}, last on {day}, at {:.0}-{:.0} % use; residual {:.1} W (rms); 95 % band ± {:.0} % from the residuals",
            minutes(line.minutes),
            calibration.meter(),
            line.from * 100.0,
            line.until * 100.0,
            line.residual_w,
            line.band * 100.0
        );
        Some(Self::new("calibrated-line/1", parameters, basis, line.band, Box::new(move |load| line.watts(load.utilisation))))
    }

    /// The best rule for a machine: its own line; a guest `vcpu-linear/1`; bare metal with a known design power
    /// `tdp-curve/1`; `vcpu-linear/1` for the rest.
    pub fn choose(facts: &Facts<'_>, calibration: Option<&Calibration>) -> Self {
        if let Some(own) = calibration.and_then(Self::calibrated) {
            return own;
        }
        let processor = Processor::parse(facts.cpuinfo);
        let linear = || Self::vcpu_linear(Coefficients::of(&processor, facts.provider));
        if processor.is_guest {
            let mut rule = linear();
            if facts.configured_tdp_w.is_some() {
                rule.basis.push_str("; tdp_w is not used in a virtual machine");
            }
            return rule;
        }
        let configured = facts.configured_tdp_w.filter(|w| w.is_finite() && *w > 0.0);
        let packages = f64::from(processor.packages);
        if let Some(tdp_w) = configured {
            Self::tdp_curve(tdp_w, "the configuration (tdp_w)")
        } else if let Some(tdp_w) = facts.powercap_tdp_w {
            Self::tdp_curve(tdp_w, "the power limits of the powercap zones")
        } else if let Some(row) = processor.name.and_then(DesignPower::by_name) {
            let origin = format!("the table, {} x {} ({})", processor.packages, row.name, row.source);
            Self::tdp_curve(row.watts * packages, &origin)
        } else {
            linear()
        }
    }

    /// Name and version.
    pub const fn id(&self) -> &'static str {
        self.id
    }

    /// Its parameters in words.
    pub fn parameters(&self) -> &str {
        &self.parameters
    }

    /// Where they come from, and what the interval means.
    pub fn basis(&self) -> &str {
        &self.basis
    }

    /// Relative half width of the 95 % interval.
    pub const fn uncertainty(&self) -> f64 {
        self.uncertainty
    }

    /// Watts of all processors, never negative.
    ///
    /// # Errors
    /// The curve gave no number.
    pub fn watts(&mut self, load: Load) -> Result<f64, ReadError> {
        let watts = (self.curve)(load);
        if watts.is_finite() {
            return Ok(watts.max(0.0));
        }
        Err(ReadError::Malformed { path: self.id.into(), found: watts.to_string(), expected: "a power in watts" })
    }
}

/// What decides on the rule.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Facts<'a> {
    /// The text of `/proc/cpuinfo`.
    pub cpuinfo: &'a str,
    /// Who runs the machine, by its firmware.
    pub provider: Option<Provider>,
    /// Design power of all packages by the configuration, in watts.
    pub configured_tdp_w: Option<f64>,
    /// Design power of all packages by the kernel, in watts.
    pub powercap_tdp_w: Option<f64>,
}

impl<'a> Facts<'a> {
    /// Asks what lies below `sysfs`; nothing there needs a privilege.
    pub fn read(sysfs: &Path, cpuinfo: &'a str, configured_tdp_w: Option<f64>) -> Self {
        let vendor = std::fs::read_to_string(sysfs.join("class/dmi/id/sys_vendor")).ok();
        let provider = vendor.as_deref().and_then(Provider::by_vendor);
        Self { cpuinfo, provider, configured_tdp_w, powercap_tdp_w: powercap_tdp_w(sysfs) }
    }
}

/// Share of the thermal design power at a utilisation; 0 to 1 is meant, beyond it the ends hold.
pub fn tdp_share(utilisation: f64) -> f64 {
    let u = utilisation.clamp(0.0, 1.0);
    let between = |w: &[(f64, f64)]| {
        let ((u0, s0), (u1, s1)) = (w[0], w[1]);
        (u <= u1).then(|| s0 + (s1 - s0) * (u - u0) / (u1 - u0))
    };
    TDP_KNOTS.windows(2).find_map(between).unwrap_or(TDP_KNOTS[3].1)
}

/// Thermal design power of all packages together, from `constraint_0_max_power_uw` of the package zones, which may be read
/// where `energy_uj` is denied. `None` where a package does not tell (AMD's never do).
pub fn powercap_tdp_w(sysfs: &Path) -> Option<f64> {
    let text = |path: std::path::PathBuf| std::fs::read(path).ok();
    let mut packages: Vec<(Vec<u8>, f64)> = Vec::new();
    for entry in std::fs::read_dir(sysfs.join("class/powercap")).ok()?.flatten() {
        let folder = entry.file_name();
        let is_top = folder.to_str().and_then(|n| n.strip_prefix("intel-rapl:")).is_some_and(|id| !id.contains(':'));
        let Some(name) = is_top.then(|| text(entry.path().join("name"))).flatten() else { continue };
        let name = name.trim_ascii().to_vec();
        if !name.starts_with(b"package-") || packages.iter().any(|(n, _)| *n == name) {
            continue;
        }
        let watts = leading_u64(&text(entry.path().join("constraint_0_max_power_uw"))?)? as f64 / 1e6;
        if !(1.0..=MOST_TDP_W).contains(&watts) {
            return None;
        }
        packages.push((name, watts));
    }
    (!packages.is_empty()).then(|| packages.iter().map(|(_, watts)| watts).sum())
}

fn band(uncertainty: f64, held: &str) -> String {
    format!("95 % band ± {:.0} %: {CONVENTION}; {held} against RAPL (benchmark model_error)", uncertainty * 100.0)
}

fn minutes(count: usize) -> String {
    format!("{count} minute{}", if count == 1 { "" } else { "s" })
}
