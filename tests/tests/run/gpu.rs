//! GPUs beside the processors: the real loader opens a library with a known true power.

use std::ffi::OsString;
use std::time::Duration;

use fake_nvml::{Fake, Gpu, Script};
use treehouse_tests::child;
use treehouse_tests::machine;
use treehouse_tests::scratch::Scratch;

use crate::support::{FAKE_MACHINE, LIMIT, TREEHOUSE, number};

fn with_gpus(scratch: &Scratch, gpus: Vec<Gpu>) -> Fake {
    Fake::install(&scratch.folder("nvml").unwrap(), &Script::new(gpus)).unwrap()
}

#[test]
fn the_energy_of_a_gpu_is_added_to_the_host() {
    let Some(machine) = machine::start(FAKE_MACHINE, &["--watts", "40"]).unwrap() else { return };
    let scratch = Scratch::new().unwrap();
    let fake = with_gpus(&scratch, vec![Gpu::new("GPU-1", 250.0)]);
    let mut command = scratch.command(TREEHOUSE);
    command
        .args(machine::meters(&machine))
        .arg("--nvml")
        .arg(fake.library())
        .args(["--format", "json", "run", "--", "sleep", "2"]);
    let ended = child::run(&mut command, LIMIT).unwrap();
    let report: serde_json::Value = serde_json::from_slice(&ended.stdout).unwrap();
    let wall = number(&report, "wall_s");
    let gpu = report["domains"].as_array().unwrap().iter().find(|d| d["source"] == "nvml").unwrap_or_else(|| panic!("{report}"));
    let (energy, host) = (number(gpu, "energy_j"), number(&report, "host_energy_j"));
    // a counter in steps of up to 100 ms at each end
    assert!((energy - 250.0 * wall).abs() <= 250.0 * 0.25, "{energy} J in {wall} s");
    assert!((host - energy - 40.0 * wall).abs() <= 8.0, "{host} J of {energy} J and the processors");
    assert_eq!((gpu["provenance"].as_str(), gpu["integrated"].as_bool()), (Some("measured"), Some(false)));
}

#[test]
fn a_gpu_without_a_counter_is_integrated_and_says_so() {
    let Some(machine) = machine::start(FAKE_MACHINE, &["--watts", "40"]).unwrap() else { return };
    let scratch = Scratch::new().unwrap();
    let fake = with_gpus(&scratch, vec![Gpu::new("GPU-1", 70.0).without_counter()]);
    let mut command = scratch.command(TREEHOUSE);
    let options: Vec<OsString> = vec!["--nvml".into(), fake.library().into()];
    command.args(machine::meters(&machine)).args(options).args(["--format", "json", "run", "--", "sleep", "3"]);
    let ended = child::run(&mut command, LIMIT + Duration::from_secs(10)).unwrap();
    let report: serde_json::Value = serde_json::from_slice(&ended.stdout).unwrap();
    let gpu = report["domains"].as_array().unwrap().iter().find(|d| d["source"] == "nvml").unwrap_or_else(|| panic!("{report}"));
    assert_eq!(gpu["integrated"], true);
    let (energy, wall) = (number(gpu, "energy_j"), number(&report, "wall_s"));
    assert!((energy - 70.0 * wall).abs() <= 70.0 * 0.5, "{energy} J in {wall} s");
    let warnings = report["warnings"].to_string();
    assert!(warnings.contains("nvml_integrated"), "{warnings}");
}

#[test]
fn a_library_that_cannot_be_loaded_is_named_with_its_mend() {
    let scratch = Scratch::new().unwrap();
    let library = scratch.write("no-library.so", "nothing").unwrap();
    let mut command = scratch.command(TREEHOUSE);
    command.arg("--nvml").arg(&library).arg("sources");
    let ended = child::run(&mut command, LIMIT).unwrap();
    let text = String::from_utf8(ended.stdout).unwrap();
    let line = text.lines().find(|l| l.starts_with("nvml")).unwrap().to_owned();
    assert!(line.contains("no-library.so") && !line.contains(" ok "), "{line}");
}
