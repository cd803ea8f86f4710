//! Zones called `package-0-die-1` (Alumet's powercap source expects a number behind `package-` and fails for all of RAPL).

use super::bench::powercap;
use crate::meter::Meter;
use crate::meter::rapl::RaplMeter;

#[test]
fn every_die_is_read_and_an_unknown_name_hides_none() {
    let dir = tempfile::tempdir().unwrap();
    powercap(
        dir.path(),
        &[
            ("intel-rapl:0", "package-0-die-0", 5),
            ("intel-rapl:1", "package-0-die-1", 6),
            ("intel-rapl:1:0", "dram", 7),
            ("intel-rapl:2", "package-zero", 8),
        ],
    );
    let (meter, report) = RaplMeter::powercap(dir.path());
    let meter = meter.unwrap();
    let devices: Vec<(&str, &str)> = meter.domains().iter().map(|d| (&*d.name, &*d.device)).collect();
    assert_eq!(devices[..2], [("package-0-die-0", "socket0-die0"), ("package-0-die-1", "socket0-die1")]);
    assert_eq!((meter.domains().len(), report.status.name()), (4, "ok"));
    let in_host: Vec<&str> = report.domains.iter().filter(|d| d.in_host).map(|d| &*d.domain).collect();
    assert_eq!(
        in_host,
        ["package-0-die-0", "package-0-die-1", "dram-0-die-1"],
        "dies of Intel are distinct; the unknown is no part"
    );
}
