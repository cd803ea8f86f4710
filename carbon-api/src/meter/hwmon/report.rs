//! What became of the source, in words, with what to do about it.

use std::path::PathBuf;

use crate::cover::{HostCover, host_cover};
use crate::domain::{DomainInfo, Source};
use crate::error::ReadError;
use crate::meter::{DomainReport, SourceReport, Status};

/// The rule that lets a group read the sensors, to be pasted.
const DENIED: &str = r#"put this line into /etc/udev/rules.d/60-treehouse-hwmon.rules: ACTION=="add", SUBSYSTEM=="hwmon", RUN+="/bin/sh -c 'for f in /sys%p/energy*_input /sys%p/power*_input /sys%p/power*_average; do test -e $$f && chgrp treehouse $$f && chmod g+r $$f; done'" ; then run: udevadm trigger -s hwmon -c add ; or once: sudo treehouse run …"#;
/// What to do where a sensor answers nonsense.
const BROKEN: &str = "the sensor is there and does not answer: look for its driver in `dmesg`, then load that driver anew";
/// What to do where all there is has been switched off.
const OFF: &str = "write 1 into the _enable file of a channel to switch it on";

/// A channel, or a way to one, that does not answer.
#[derive(Debug)]
pub(super) struct Unread {
    /// Chip and channel.
    pub(super) channel: String,
    pub(super) why: String,
    /// `None` where it is switched off or not connected.
    pub(super) error: Option<ReadError>,
}

/// The report of one look.
pub(super) fn report(
    class: PathBuf,
    domains: &[DomainInfo],
    unread: &[Unread],
    shunts: &[String],
    second_views: &[String],
) -> SourceReport {
    let errors = || unread.iter().filter_map(|u| u.error.as_ref());
    let denied = errors().find(|e| matches!(e, ReadError::Denied { .. }));
    let broken = errors().find(|e| matches!(e, ReadError::Malformed { .. } | ReadError::Io { .. }));
    let off = unread.iter().any(|u| u.why.starts_with("switched off"));
    let status = match (domains.is_empty(), denied, broken) {
        (false, ..) => Status::Ok,
        (true, Some(_), _) => Status::Denied,
        (true, None, Some(_)) => Status::Broken,
        (true, None, None) => Status::Absent,
    };
    let mend = match (denied, broken) {
        (Some(_), _) => Some(DENIED),
        (None, Some(_)) => Some(BROKEN),
        (None, None) if domains.is_empty() && off => Some(OFF),
        (None, None) => None,
    };
    let mut detail = if domains.is_empty() { no_sensor(status) } else { counted(domains) };
    let mut add = |what: &str, list: Vec<String>| {
        if !list.is_empty() {
            detail = format!("{detail}; {what}: {}", list.join(", "));
        }
    };
    add("shunt resistors, which scale every figure", shunts.to_vec());
    let mixed = domains.iter().filter(|d| d.name.contains("CPU_GPU")).map(|d| d.name.to_string()).collect();
    add("feeds processors and GPU together and is shared out by CPU time", mixed);
    add("not read", unread.iter().map(|u| format!("{}: {}", u.channel, u.why)).collect());
    add("left out, counted elsewhere", second_views.to_vec());
    SourceReport {
        source: Source::Hwmon.name().into(),
        status,
        detail,
        path: Some(class),
        errno: if status == Status::Ok { None } else { denied.or(broken).and_then(ReadError::errno) },
        mend: mend.map(str::to_owned),
        model: None,
        domains: DomainReport::list(domains, &host_cover(domains, &HostCover::Auto)),
    }
}

/// The report where the class cannot be listed.
pub(super) fn unlisted(error: &ReadError, class: PathBuf) -> SourceReport {
    let unread = Unread { channel: "the list of chips".into(), why: error.to_string(), error: Some(error.clone()) };
    let report = report(class, &[], &[unread], &[], &[]);
    SourceReport { mend: Some("mount sysfs, or pass its root with --sysfs".into()), ..report }
}

/// The report where the sensors answer and cannot be sampled.
pub(super) fn failed_thread(report: SourceReport, error: &std::io::Error) -> SourceReport {
    SourceReport {
        status: Status::Broken,
        detail: format!("the system gives no thread to sample with ({error})"),
        errno: error.raw_os_error(),
        mend: Some("raise the limit on threads: `ulimit -u`, pids.max of the control group, or TasksMax of the service".into()),
        domains: Vec::new(),
        ..report
    }
}

fn no_sensor(status: Status) -> String {
    match status {
        Status::Denied => "no sensor of energy or power may be read",
        Status::Broken => "no sensor of energy or power answers",
        Status::Ok | Status::Absent => "no chip here senses energy or power",
    }
    .into()
}

fn counted(domains: &[DomainInfo]) -> String {
    let integrated = domains.iter().filter(|d| d.integrated).count();
    match (domains.len() - integrated, integrated) {
        (counters, 0) => format!("{counters} counters of energy"),
        (0, sensors) => format!("{sensors} sensors of power, integrated over time"),
        (counters, sensors) => format!("{counters} counters of energy, {sensors} sensors of power, integrated over time"),
    }
}
