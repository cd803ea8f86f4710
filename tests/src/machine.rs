//! A fake machine for the length of a test.

use std::ffi::OsString;
use std::io;
use std::path::Path;

use fake_machine::{Guard, Truth};

use crate::skip;

/// Starts a fake machine whose counters are exact at every read; says that the test is left out where FUSE cannot be used.
///
/// # Errors
/// It does not start.
pub fn start(binary: &str, arguments: &[&str]) -> io::Result<Option<Guard>> {
    let guard = Guard::spawn(Path::new(binary), arguments)?;
    if guard.is_fuse() {
        return Ok(Some(guard));
    }
    skip::required("FUSE cannot be used here: /dev/fuse must be there, and mounting allowed");
    Ok(None)
}

/// Flags that point the program at the counters of a fake machine; processes are the real ones.
pub fn meters(machine: &Guard) -> [OsString; 2] {
    ["--sysfs".into(), machine.sysfs().into()]
}

/// Flags that point the program at all of a fake machine, processes and groups included.
pub fn everything(machine: &Guard) -> [OsString; 6] {
    let [flag, sysfs] = meters(machine);
    [flag, sysfs, "--procfs".into(), machine.procfs().into(), "--cgroupfs".into(), machine.cgroupfs().into()]
}

/// True energy of packages and memory at an instant, in joules since the machine's start.
pub fn host_j(truth: &Truth) -> f64 {
    truth.host_nj as f64 / 1e9
}
