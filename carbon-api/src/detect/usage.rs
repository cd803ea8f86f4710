//! CPU time: of the machine, of groups, of processes.

use std::path::Path;

use super::Options;
use crate::error::ReadError;
use crate::meter::{SourceReport, Status};
use crate::system::SystemClock;
use crate::usage::UsageSource;
use crate::usage::cgroup::CgroupUsage;
use crate::usage::host::{HostUsage, SharedHost};
use crate::usage::placement::GroupRows;
use crate::usage::process::{ProcessUsage, Reader};

/// Opens the CPU time of the machine; says how many processors are online.
pub(super) fn open_host(options: &Options, reports: &mut Vec<SourceReport>) -> (Option<SharedHost>, u32) {
    let opened =
        HostUsage::open(&options.procfs, &options.cgroupfs).and_then(|mut host| host.row(&SystemClock).map(|row| (host, row)));
    match opened {
        Ok((host, row)) => {
            let step = row.quantum_ns as f64 / 1e6;
            let detail = format!("CPU time of the machine, in steps of {step} ms, {} processors", row.cpus);
            reports.push(usage_report("usage/host", Status::Ok, detail, host.busy_path(), None));
            (Some(SharedHost::new(host)), row.cpus)
        }
        Err(error) => {
            reports.push(failed("usage/host", &options.procfs.join("stat"), &error, "pass the root of procfs with --procfs"));
            (None, 0)
        }
    }
}

/// Everybody who uses the processors; the machine first.
pub(super) fn open_usage(
    options: &Options,
    host: Option<SharedHost>,
    reports: &mut Vec<SourceReport>,
) -> Vec<Box<dyn UsageSource>> {
    let mut usage: Vec<Box<dyn UsageSource>> = Vec::new();
    usage.extend(host.map(|h| Box::new(h) as Box<dyn UsageSource>));
    let (groups, rows) =
        if options.group_rows { CgroupUsage::open_all(&options.cgroupfs) } else { (Vec::new(), GroupRows::default()) };
    match ProcessUsage::open(&options.procfs, rows) {
        Ok(processes) => {
            let detail = match processes.reader() {
                Reader::Clock => "every process by its CPU clock, in nanoseconds",
                Reader::Stat => {
                    "every process by its stat file, in ticks of 10 ms: the CPU clock is off, since this is not the procfs of our own processes"
                }
            };
            reports.push(usage_report("usage/process", Status::Ok, detail.into(), &options.procfs, None));
            usage.push(Box::new(processes));
        }
        Err(error) => reports.push(failed(
            "usage/process",
            &options.procfs,
            &error,
            "pass the root of procfs with --procfs; in a container, use the host's process namespace",
        )),
    }
    if groups.is_empty() {
        let detail =
            if options.group_rows { "no hierarchy with CPU time" } else { "off: every process is a row (view = \"process\")" };
        let mend = options.group_rows.then(|| "mount /sys/fs/cgroup, or pass its root with --cgroupfs".to_owned());
        reports.push(usage_report("usage/cgroup", Status::Absent, detail.into(), &options.cgroupfs, mend));
    }
    for group in groups {
        let detail = "control groups by their own CPU time, exited children included".into();
        reports.push(usage_report(&format!("usage/{}", group.name()), Status::Ok, detail, group.root(), None));
        usage.push(Box::new(group));
    }
    usage
}

fn usage_report(source: &str, status: Status, detail: String, path: &Path, mend: Option<String>) -> SourceReport {
    SourceReport {
        source: source.into(),
        status,
        detail,
        path: Some(path.into()),
        errno: None,
        mend,
        model: None,
        domains: Vec::new(),
    }
}

fn failed(source: &str, path: &Path, error: &ReadError, mend: &str) -> SourceReport {
    let status = match error {
        ReadError::Absent { .. } => Status::Absent,
        ReadError::Denied { .. } => Status::Denied,
        ReadError::Malformed { .. } | ReadError::Io { .. } => Status::Broken,
    };
    SourceReport { errno: error.errno(), ..usage_report(source, status, error.to_string(), path, Some(mend.into())) }
}
