//! What became of each way to RAPL, and what to paste where one is closed.

use std::path::Path;

use rapl_sys::choose::{Listed, Tried};
use rapl_sys::{Backend, Counting, Error};

use super::{UPDATE_S, sort};
use crate::counter::Wrap;
use crate::cover::{HostCover, host_cover};
use crate::domain::DomainInfo;
use crate::error::ReadError;
use crate::meter::{DomainReport, SourceReport, Status};

/// The rule that lets a group read the powercap counters.
const UDEV_RULE: &str = r#"put this line into /etc/udev/rules.d/60-treehouse.rules: ACTION=="add", SUBSYSTEM=="powercap", KERNEL=="intel-rapl*:*", RUN+="/bin/chgrp treehouse /sys%p/energy_uj", RUN+="/bin/chmod g+r /sys%p/energy_uj" ; then run: udevadm trigger -s powercap -c add ; or once: sudo treehouse run …"#;
/// What to do where a container masks the tree.
const CONTAINER: &str = "in a container, bind-mount the host's /sys/devices/virtual/powercap read-only and pass --sysfs";
/// What to do where a counter answers nonsense.
const BROKEN: &str = "the counter is there and does not answer: look for intel_rapl in `dmesg`, then load its driver anew: modprobe -r intel_rapl_msr && modprobe intel_rapl_msr";
/// Above level 2, which mainline does not know and Debian starts with, only `CAP_SYS_ADMIN` opens any event.
const PERF: &str = "sudo setcap cap_perfmon+ep $(which treehouse) ; above level 2 of perf_event_paranoid (Debian's default is 3) that is refused as well: also run sudo sysctl kernel.perf_event_paranoid=2 , or give cap_sys_admin in its place (as before Linux 5.8) ; or without setcap: sudo sysctl kernel.perf_event_paranoid=0";
const PERF_BROKEN: &str = "the events are there and do not open: look for rapl in `dmesg`";
const MSR: &str = "sudo setcap cap_sys_rawio+ep $(which treehouse), and let its user read /dev/cpu/*/msr; a locked-down kernel may refuse all the same";
const MSR_ABSENT: &str = "sudo modprobe msr";

/// One back end; `infos` are the domains of the chosen one.
pub(super) fn of(tried: &Tried, infos: &[DomainInfo], sysfs: &Path, dev: &Path) -> SourceReport {
    let path = match tried.backend {
        Backend::Perf => sysfs.join("bus/event_source/devices/power"),
        Backend::Powercap => sysfs.join("class/powercap"),
        Backend::Msr => dev.join("cpu"),
    };
    let mut report = SourceReport {
        source: tried.backend.name().into(),
        status: Status::Ok,
        detail: String::new(),
        path: Some(path),
        errno: None,
        mend: None,
        model: None,
        domains: tried.domains.iter().map(listed).collect(),
    };
    if tried.chosen {
        report.domains = DomainReport::list(infos, &host_cover(infos, &HostCover::Auto));
    }
    let failing: Vec<&Listed> = tried.domains.iter().filter(|d| d.error.is_some()).collect();
    let error = tried.error.as_ref().or_else(|| failing.first().and_then(|d| d.error.as_ref()));
    let opens = tried.domains.len() - failing.len();
    let unread = failing.iter().filter_map(|d| Some(format!("{}: {}", d.name, d.error.as_ref()?))).collect::<Vec<_>>().join("; ");
    match error {
        None if tried.domains.is_empty() => {
            (report.status, report.detail) = (Status::Absent, nothing(tried.backend));
            report.mend = (tried.backend == Backend::Powercap).then(|| CONTAINER.to_owned());
        }
        None if tried.chosen => report.detail = format!("{opens} domains"),
        None => report.detail = format!("{opens} domains, not counted: another way shows the same energy"),
        Some(_) if tried.chosen => {
            report.detail = format!("{} domains; not readable: {unread}", tried.domains.len());
            report.mend = error.and_then(|e| mend(tried.backend, e));
        }
        Some(error) => {
            report.status = status(error);
            report.detail = match error {
                Error::Skipped { reason, .. } => (*reason).to_owned(),
                _ if unread.is_empty() => format!("{} ({error})", nothing(tried.backend)),
                _ => format!("not readable: {unread}"),
            };
            report.errno = error.errno();
            report.mend = mend(tried.backend, error);
        }
    }
    report
}

fn nothing(backend: Backend) -> String {
    match backend {
        Backend::Perf => "no perf events of energy: this kernel or machine has none".into(),
        Backend::Powercap => "no powercap tree: this kernel or machine has no RAPL".into(),
        Backend::Msr => "no registers: this kernel or machine shows none".into(),
    }
}

fn status(error: &Error) -> Status {
    match sort(error) {
        ReadError::Absent { .. } => Status::Absent,
        ReadError::Denied { .. } => Status::Denied,
        ReadError::Malformed { .. } | ReadError::Io { .. } => Status::Broken,
    }
}

fn mend(backend: Backend, error: &Error) -> Option<String> {
    if matches!(error, Error::Skipped { .. }) {
        return None;
    }
    let text = match (backend, status(error)) {
        (Backend::Perf, Status::Denied) => PERF,
        (Backend::Perf, Status::Absent) => return None,
        (Backend::Perf, _) => PERF_BROKEN,
        (Backend::Powercap, Status::Denied) => UDEV_RULE,
        (Backend::Powercap, Status::Absent) => CONTAINER,
        (Backend::Powercap, _) => BROKEN,
        (Backend::Msr, Status::Absent) => MSR_ABSENT,
        (Backend::Msr, _) => MSR,
    };
    Some(text.to_owned())
}

/// A domain of a back end that was not chosen.
fn listed(domain: &Listed) -> DomainReport {
    let wrap = match domain.counting {
        Counting::Microjoules { range_uj } => Wrap::from_range(range_uj),
        Counting::SinceOpened => Wrap::Never,
        Counting::Counts { esu } => Wrap::Register { esu },
    };
    DomainReport {
        domain: domain.name.as_str().into(),
        device: domain.identity.device().into(),
        kind: super::kind(domain.identity.kind).name(),
        resolution_j: domain.resolution_j,
        update_s: UPDATE_S,
        integrated: false,
        wrap_j: wrap.range_uj().map(|r| r as f64 / 1e6),
        wrap_s_at_max: None,
        contained_in: None,
        contains: Vec::new(),
        duplicate_of: domain.duplicate_of.as_ref().map(|(backend, name)| format!("{backend}/{name}").into()),
        in_host: false,
        survives_suspend: false,
        basis: None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn perf_denied_names_the_level_above_which_its_capability_is_refused_too() {
        for errno in [1, 13] {
            let denied = Error::Io { path: "/sys/bus".into(), source: std::io::Error::from_raw_os_error(errno) };
            let text = mend(Backend::Perf, &denied).unwrap();
            for words in [
                "setcap cap_perfmon+ep $(which treehouse) ;",
                "level 2",
                "sysctl kernel.perf_event_paranoid=2 ,",
                "cap_sys_admin",
            ] {
                assert!(text.contains(words), "no {words} in {text}");
            }
            assert!(!text.contains('\n'));
        }
    }
}
