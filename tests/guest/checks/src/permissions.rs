//! Who may read what: the program as a user without rights, at every level of paranoia, with and without the capability.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::path::PathBuf;

use anyhow::{Context, Result, ensure};
use rustix::fs::XattrFlags;

use crate::checks::Checks;
use crate::program::{self, PROGRAM, SOMEBODY, User};

/// A copy of the program that holds CAP_PERFMON.
pub(crate) const WITH_PERFMON: &str = "/tmp/treehouse-with-perfmon";
const PARANOID: &str = "/proc/sys/kernel/perf_event_paranoid";
const EACCES: i64 = 13;

/// Powercap alone, before there are perf events.
pub(crate) fn powercap(checks: &mut Checks) {
    checks.check("the kernel lets root alone read powercap", || {
        let modes = zones()?.into_iter().map(|file| Ok((file.metadata()?.mode() & 0o777, file.metadata()?.uid())));
        let modes = modes.collect::<Result<Vec<_>>>()?;
        ensure!(modes.iter().all(|mode| *mode == (0o400, 0)), "{modes:?}");
        Ok(format!("{} counters, mode 0400", modes.len()))
    });
    checks.check("root may read powercap, and the host is package and memory", || {
        let sources = program::sources(User::Root)?;
        ensure!(sources.status("rapl_powercap") == Some("ok"), "{sources}");
        let cover = sources.host_cover();
        ensure!(cover == ["rapl_powercap/package-0", "rapl_powercap/dram-0"], "{cover:?}");
        Ok(cover.join(" + "))
    });
    checks.check("a user without rights is denied powercap, told the mend, and given the model", || {
        let sources = program::sources(User::Somebody)?;
        denied(&sources, "rapl_powercap", "chmod g+r")?;
        ensure!(sources.code == Some(0), "exit status {:?}", sources.code);
        let cover = sources.host_cover();
        ensure!(cover.iter().all(|domain| domain.starts_with("model/")) && !cover.is_empty(), "{cover:?}");
        Ok(cover.join(" + "))
    });
    checks.check("a user without rights and without the model gets exit status 3", || {
        let output = program::output(User::Somebody.command().args(["--no-model", "sources"]))?;
        ensure!(output.status.code() == Some(3), "{}", output.status);
        Ok(String::new())
    });
    checks.check("the mend for powercap mends", || {
        // What the udev rule would do.
        for file in zones()? {
            chown(&file, None, Some(SOMEBODY))?;
            fs::set_permissions(&file, PermissionsExt::from_mode(0o440))?;
        }
        let sources = program::sources(User::Somebody);
        for file in zones()? {
            fs::set_permissions(&file, PermissionsExt::from_mode(0o400))?;
            chown(&file, None, Some(0))?;
        }
        let sources = sources?;
        ensure!(sources.status("rapl_powercap") == Some("ok"), "{sources}");
        Ok(sources.host_cover().join(" + "))
    });
}

/// Perf events at every level of paranoia.
pub(crate) fn perf(checks: &mut Checks, known: bool) {
    if !known {
        return checks.skip("perf events open at paranoia 0, or with CAP_PERFMON", "this program knows no perf events");
    }
    let before = fs::read_to_string(PARANOID).unwrap_or_default();
    for paranoid in 0..=3 {
        for user in [User::Somebody, User::SomebodyWithPerfmon] {
            // Level 3 is Debian's own, and its default: there only root and CAP_SYS_ADMIN open any event.
            let may = paranoid == 0 || (paranoid < 3 && user == User::SomebodyWithPerfmon);
            let who = if user == User::Somebody { "without rights" } else { "with CAP_PERFMON" };
            let what = if may { "may" } else { "may not" };
            checks.check(&format!("a user {who} {what} use perf events at paranoia {paranoid}"), || one(user, paranoid, may));
        }
    }
    if let Err(error) = fs::write(PARANOID, before.trim()) {
        checks.record("perf_event_paranoid is put back", Err(error.into()));
    }
}

/// One square of the matrix.
fn one(user: User, paranoid: u32, may: bool) -> Result<String> {
    if user == User::SomebodyWithPerfmon {
        copy_with_perfmon().context("cannot make a program with CAP_PERFMON")?;
    }
    fs::write(PARANOID, paranoid.to_string()).context("cannot set perf_event_paranoid")?;
    let sources = program::sources(user)?;
    let cover = sources.host_cover();
    if may {
        ensure!(sources.status("rapl_perf") == Some("ok"), "{sources}");
        ensure!(cover == ["rapl_perf/package-0", "rapl_perf/dram-0"], "{cover:?}");
    } else {
        denied(&sources, "rapl_perf", "kernel.perf_event_paranoid=2")?;
        ensure!(cover.iter().all(|domain| domain.starts_with("model/")) && !cover.is_empty(), "{cover:?}");
    }
    Ok(cover.join(" + "))
}

/// Denied, with the errno, the path and a mend that names this.
fn denied(sources: &program::Sources, source: &str, mend: &str) -> Result<()> {
    let report = sources.source(source).with_context(|| format!("{source} is not listed"))?;
    ensure!(report["status"] == "denied", "{report}");
    ensure!(report["errno"].as_i64() == Some(EACCES), "{report}");
    ensure!(report["path"].as_str().is_some_and(|path| path.starts_with("/sys/")), "{report}");
    ensure!(report["mend"].as_str().is_some_and(|text| text.contains(mend)), "{report}");
    Ok(())
}

fn zones() -> Result<Vec<PathBuf>> {
    let mut files: Vec<PathBuf> = Vec::new();
    for entry in fs::read_dir("/sys/class/powercap").context("cannot read /sys/class/powercap")? {
        files.push(entry?.path().join("energy_uj"));
    }
    files.retain(|file| file.exists());
    ensure!(!files.is_empty(), "no zone in /sys/class/powercap");
    Ok(files)
}

/// What `setcap cap_perfmon+ep` does, by the format of `linux/capability.h` (`struct vfs_cap_data`, revision 2).
fn copy_with_perfmon() -> Result<()> {
    const CAP_PERFMON: u32 = 38;
    const EFFECTIVE_REVISION_2: u32 = 0x0200_0001;
    fs::copy(PROGRAM, WITH_PERFMON)?;
    let words = [EFFECTIVE_REVISION_2, 0, 0, 1 << (CAP_PERFMON - 32), 0];
    let value: Vec<u8> = words.iter().flat_map(|word| word.to_le_bytes()).collect();
    Ok(rustix::fs::setxattr(WITH_PERFMON, "security.capability", &value, XattrFlags::empty())?)
}
