//! The model of a phone: its vendor's power profile, at the speeds that the kernel tells.

use std::path::Path;

use crate::meter::model::{Load, Rule};
use crate::meter::power_profile::{CoreUse, PowerProfile};
use crate::system::{KernelFile, leading_u64};

/// Nominal voltage of a phone's battery, where no battery tells it.
const NOMINAL_V: f64 = 3.8;
/// No vendor states the error of its profile: the convention for models whose parameters are known.
const UNCERTAINTY: f64 = 0.40;

/// Reads the profile; its currents are turned into watts at the battery's voltage, asked once.
///
/// Every core is taken to be as busy as all of them on average: the machine's CPU time does not tell them apart.
///
/// # Errors
/// In one sentence: the file cannot be read, or is no profile.
pub(super) fn rule(path: &Path, sysfs: &Path) -> Result<Rule, String> {
    let bytes = std::fs::read(path).map_err(|e| format!("{}: {e}", path.display()))?;
    let profile = PowerProfile::parse(&bytes).map_err(|e| format!("{}: {e}", path.display()))?;
    let told = battery_v(sysfs);
    let volts = told.unwrap_or(NOMINAL_V);
    let speed = |cpu| KernelFile::open(sysfs.join(format!("devices/system/cpu/cpu{cpu}/cpufreq/scaling_cur_freq"))).ok();
    let speeds: Vec<Option<KernelFile>> = (0..profile.cores()).map(speed).collect();
    let known = speeds.iter().flatten().count();
    let parameters = format!("{} cores in {} clusters at {volts:.2} V", profile.cores(), profile.clusters.len());
    let basis = format!(
        "{}; volts {}, speeds of {known} cores from the kernel and else the highest; no vendor states its error",
        path.display(),
        if told.is_some() { "of the battery at the start" } else { "nominal" }
    );
    let mut cores = Vec::with_capacity(speeds.len());
    let curve = move |load: Load| {
        cores.clear();
        cores.extend(speeds.iter().map(|file| CoreUse { utilisation: load.utilisation, khz: file.as_ref().and_then(khz) }));
        profile.cpu_power_w(volts, &cores).total_w()
    };
    Ok(Rule::new("power-profile/1", parameters, basis, UNCERTAINTY, Box::new(curve)))
}

fn khz(file: &KernelFile) -> Option<f64> {
    Some(leading_u64(file.read(&mut [0; 32]).ok()?)? as f64)
}

/// The voltage of the first battery that tells one.
fn battery_v(sysfs: &Path) -> Option<f64> {
    let supplies = std::fs::read_dir(sysfs.join("class/power_supply")).ok()?;
    let volts = |entry: std::fs::DirEntry| {
        let text = |file: &str| std::fs::read_to_string(entry.path().join(file)).ok();
        let is_battery = text("type")?.trim() == "Battery" && text("scope").is_none_or(|scope| scope.trim() != "Device");
        let microvolts = text("voltage_now")?.trim().parse::<u64>().ok()?;
        (is_battery && microvolts > 500_000).then_some(microvolts as f64 / 1e6)
    };
    supplies.flatten().find_map(volts)
}

#[cfg(test)]
mod tests {
    use super::*;

    const PROFILE: &str = r#"<device name="Android"><item name="cpu.idle">10</item>
        <array name="cpu.clusters.cores"><value>2</value></array>
        <array name="cpu.core_speeds.cluster0"><value>500000</value><value>1000000</value></array>
        <array name="cpu.core_power.cluster0"><value>50</value><value>100</value></array></device>"#;

    #[test]
    fn a_profile_is_watts_at_the_batterys_voltage_and_the_kernels_speeds() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("power_profile.xml");
        std::fs::write(&path, PROFILE).unwrap();
        let half = Load { cpus: 2, utilisation: 0.5, seconds: 1.0 };
        let watts = rule(&path, dir.path()).unwrap().watts(half).unwrap();
        assert!((watts - (10.0 + 2.0 * 0.5 * 100.0) / 1000.0 * NOMINAL_V).abs() < 1e-9, "{watts}");

        let write = |file: &str, text: &str| {
            let path = dir.path().join(file);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        };
        write("class/power_supply/battery/type", "Battery\n");
        write("class/power_supply/battery/voltage_now", "4000000\n");
        for cpu in 0..2 {
            write(&format!("devices/system/cpu/cpu{cpu}/cpufreq/scaling_cur_freq"), "500000\n");
        }
        let mut told = rule(&path, dir.path()).unwrap();
        let watts = told.watts(half).unwrap();
        assert!((watts - (10.0 + 2.0 * 0.5 * 50.0) / 1000.0 * 4.0).abs() < 1e-9, "{watts}");
        assert!(told.basis().contains("of the battery"), "{}", told.basis());
    }

    #[test]
    fn what_is_no_profile_is_named() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("power_profile.xml");
        assert!(rule(&path, dir.path()).unwrap_err().contains("power_profile.xml"));
        std::fs::write(&path, "<html/>").unwrap();
        assert!(rule(&path, dir.path()).unwrap_err().contains("power_profile.xml"));
    }
}
