//! A server with ARM processors and no RAPL (sustainable-computing-io/kepler#1615: its figures are labelled `intel_rapl`).

use crate::detect::{Machine, Options};
use crate::domain::Source;

const CPUINFO: &str =
    "processor\t: 0\nBogoMIPS\t: 50.00\nFeatures\t: fp asimd\nCPU implementer\t: 0x41\nCPU architecture: 8\nCPU part\t: 0xd0c\n";
const STAT: &str = "cpu  100 0 100 800 0 0 0 0 0 0\ncpu0 100 0 100 800 0 0 0 0 0 0\n";

#[test]
fn source_is_the_true_source() {
    let dir = tempfile::tempdir().unwrap();
    for (file, text) in [("cpuinfo", CPUINFO), ("stat", STAT), ("meminfo", "MemTotal: 8000000 kB\n")] {
        std::fs::write(dir.path().join(file), text).unwrap();
    }
    let roots = Options {
        sysfs: dir.path().join("sys"),
        procfs: dir.path().into(),
        cgroupfs: dir.path().join("none"),
        ..Options::default()
    };
    let machine = Machine::detect(&roots);
    let domains = machine.bank.domain_list();
    assert!(!domains.is_empty() && domains.iter().all(|d| d.source == Source::Model), "{domains:?}");
    assert!(domains.iter().all(|d| d.provenance().name() == "modelled"));
    assert!(machine.host_cover.iter().all(|name| name.starts_with("model/")), "{:?}", machine.host_cover);
    // RAPL is on the list of what was tried, as absent
    for report in machine.reports.iter().filter(|r| r.source.starts_with("rapl")) {
        assert!(report.status.name() == "absent" && report.domains.is_empty(), "{report:?}");
    }
}
