//! What the model is made from: `meminfo`, `cpuinfo`, names of processors and makers, and a calibration that was kept.

use carbon_api::meter::model::{Calibration, Coefficients, DesignPower, MachineKey, Processor, Provider, memory_gb};

/// Plays one input.
pub fn run(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    if let Some(gigabytes) = memory_gb(&text) {
        assert!(gigabytes.is_finite() && gigabytes >= 0.0, "{gigabytes} GB");
    }
    let processor = Processor::parse(&text);
    assert!(processor.packages >= 1 && !processor.identity().is_empty());
    let provider = Provider::by_vendor(text.lines().next().unwrap_or_default());
    let row = Coefficients::of(&processor, provider);
    assert!(0.0 < row.min_w && row.min_w <= row.max_w && row.uncertainty > 0.0);
    let named = processor.name.unwrap_or(&text);
    assert!(DesignPower::by_name(named).is_none_or(|row| row.watts > 0.0 && !row.source.is_empty()));
    match Calibration::parse(data) {
        Ok(calibration) => fit(calibration),
        Err(reason) => assert!(!reason.is_empty()),
    }
    assert_eq!(MachineKey::new(&text, 4).cpu, processor.identity());
}

fn fit(mut calibration: Calibration) {
    for utilisation in [f64::NAN, 0.0, 0.5, 1.0, 1.5] {
        calibration.observe(utilisation, 100.0, 60.0);
        if let Some(line) = calibration.line() {
            assert!(0.0 <= line.idle_w && line.idle_w <= line.max_w && line.max_w.is_finite(), "{line:?}");
            assert!((0.0..=1.0).contains(&line.band), "{line:?}");
            assert!((line.idle_w..=line.max_w).contains(&line.watts(utilisation)), "{line:?}");
        }
    }
}
