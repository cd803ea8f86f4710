//! GPUs beside the processors: the real loader opens a library with a known true power.

use std::ffi::OsString;
use std::time::Duration;

use fake_machine::Guard;
use fake_nvml::{Fake, Gpu, Script};
use treehouse_tests::scratch::Scratch;
use treehouse_tests::{child, machine, stall};

use crate::support::{FAKE_MACHINE, LIMIT, TREEHOUSE, number};

/// A stall that can explain a figure that is off.
const STALL: Duration = Duration::from_millis(40);

fn with_gpus(scratch: &Scratch, gpus: Vec<Gpu>) -> Fake {
    Fake::install(&scratch.folder("nvml").unwrap(), &Script::new(gpus)).unwrap()
}

#[test]
fn the_energy_of_a_gpu_is_added_to_the_host() {
    let Some(machine) = machine::start(FAKE_MACHINE, &["--watts", "40"]).unwrap() else { return };
    // a figure is told as of its stamp, which a machine that stands still sets late
    stall::unless_stalled(STALL, || counted(&machine));
}

fn counted(machine: &Guard) -> Result<(), String> {
    let scratch = Scratch::new().unwrap();
    let fake = with_gpus(&scratch, vec![Gpu::new("GPU-1", 250.0)]);
    let mut command = scratch.command(TREEHOUSE);
    command
        .args(machine::meters(machine))
        .arg("--nvml")
        .arg(fake.library())
        .args(["--format", "json", "run", "--", "sleep", "2"]);
    let ended = child::run(&mut command, LIMIT).unwrap();
    let report: serde_json::Value = serde_json::from_slice(&ended.stdout).unwrap();
    let wall = number(&report, "wall_s");
    let gpu = report["domains"].as_array().unwrap().iter().find(|d| d["source"] == "nvml").unwrap_or_else(|| panic!("{report}"));
    let (energy, host) = (number(gpu, "energy_j"), number(&report, "host_energy_j"));
    assert_eq!((gpu["provenance"].as_str(), gpu["integrated"].as_bool()), (Some("measured"), Some(false)));
    // a counter in steps of up to 100 ms at each end
    let near = (energy - 250.0 * wall).abs() <= 250.0 * 0.25 && (host - energy - 40.0 * wall).abs() <= 8.0;
    if near { Ok(()) } else { Err(format!("{energy} J in {wall} s, {host} J with the processors")) }
}

#[test]
fn a_gpu_without_a_counter_is_integrated_and_says_so() {
    let Some(machine) = machine::start(FAKE_MACHINE, &["--watts", "40"]).unwrap() else { return };
    stall::unless_stalled(STALL, || integrated(&machine));
}

fn integrated(machine: &Guard) -> Result<(), String> {
    let scratch = Scratch::new().unwrap();
    let fake = with_gpus(&scratch, vec![Gpu::new("GPU-1", 70.0).without_counter()]);
    let mut command = scratch.command(TREEHOUSE);
    let options: Vec<OsString> = vec!["--nvml".into(), fake.library().into()];
    command.args(machine::meters(machine)).args(options).args(["--format", "json", "run", "--", "sleep", "3"]);
    let ended = child::run(&mut command, LIMIT).unwrap();
    let report: serde_json::Value = serde_json::from_slice(&ended.stdout).unwrap();
    let gpu = report["domains"].as_array().unwrap().iter().find(|d| d["source"] == "nvml").unwrap_or_else(|| panic!("{report}"));
    assert_eq!(gpu["integrated"], true);
    let warnings = report["warnings"].to_string();
    assert!(warnings.contains("nvml_integrated"), "{warnings}");
    // without a value for seconds nothing is made up
    let (energy, wall) = (gpu["energy_j"].as_f64(), number(&report, "wall_s"));
    let near = energy.is_some_and(|energy| (energy - 70.0 * wall).abs() <= 70.0 * 0.5);
    if near { Ok(()) } else { Err(format!("{energy:?} J in {wall} s")) }
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
