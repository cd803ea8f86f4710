//! Android's `power_profile.xml`: any bytes, and any use of the cores that it describes.

use carbon_api::meter::power_profile::{CoreUse, PowerProfile};

/// Plays one input.
pub fn run(data: &[u8]) {
    let profile = match PowerProfile::parse(data) {
        Ok(profile) => profile,
        Err(error) => {
            assert!(!error.to_string().is_empty());
            return;
        }
    };
    assert!(!profile.items.values().any(|ma| !ma.is_finite() || *ma < 0.0));
    let idle: Vec<CoreUse> = (0..profile.cores().min(4096)).map(|_| CoreUse { utilisation: 0.0, khz: None }).collect();
    let busy: Vec<CoreUse> = idle.iter().map(|_| CoreUse { utilisation: 1.0, khz: Some(1e6) }).collect();
    let (idle, busy) = (profile.cpu_power_w(3.8, &idle), profile.cpu_power_w(3.8, &busy));
    assert!(idle.busy_w == 0.0 && idle.idle_w >= 0.0, "{idle:?}");
    assert!(busy.busy_w >= 0.0 && busy.total_w() >= idle.total_w(), "{busy:?}");
    let odd = [f64::NAN, -1.0, f64::INFINITY].map(|utilisation| CoreUse { utilisation, khz: Some(utilisation) });
    assert!(profile.cpu_power_w(3.8, &odd).busy_w >= 0.0);
}
