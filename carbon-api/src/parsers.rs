//! Parsers that are nobody else's business, for fuzz targets and for the test that replays their corpus.

use std::collections::BTreeSet;
use std::sync::Arc;

use crate::meter::hwmon;
use crate::usage::{HostRow, cgroup, host, process, stat};

/// What `/proc/PID/stat` says of a process.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProcessStat {
    /// Its name and a process id of 7: `name:7`.
    pub name: Arc<str>,
    /// Its parent.
    pub parent: i32,
    /// Its own CPU time, in nanoseconds.
    pub cpu_ns: u64,
    /// That of children that it has waited for, in nanoseconds.
    pub reaped_ns: u64,
    /// When it began, in clock ticks since boot.
    pub started_ticks: u64,
}

/// The text of `/proc/PID/stat`.
pub fn process_stat(text: &[u8]) -> Option<ProcessStat> {
    let stat = stat::Stat::parse(text)?;
    let stat::Stat { parent, cpu_ns, reaped_ns, started_ticks, .. } = stat;
    Some(ProcessStat { name: stat.name(7), parent, cpu_ns, reaped_ns, started_ticks })
}

/// The text of `/proc/stat`.
pub fn host_stat(text: &[u8]) -> Option<HostRow> {
    host::parse_stat(text)
}

/// `usage_usec` of the text of a group's `cpu.stat`.
pub fn group_usage_us(text: &[u8]) -> Option<u64> {
    cgroup::parse_usage_usec(text)
}

/// The name of a folder in `/proc` that is a process.
pub fn process_id(name: &[u8]) -> Option<i32> {
    process::parse_pid(name)
}

/// The unsigned decimal that begins a text.
pub fn leading_number(text: &[u8]) -> Option<u64> {
    crate::system::leading_u64(text)
}

/// Names of the channels that `files` of an hwmon `chip` make; `read` gives the text of a file.
pub fn hwmon_channels(chip: &str, files: &BTreeSet<String>, read: &dyn Fn(&str) -> Option<String>) -> Vec<String> {
    hwmon::channel_names(Some(chip), files, read)
}

/// The same of a power monitor in IIO.
pub fn iio_channels(files: &BTreeSet<String>, read: &dyn Fn(&str) -> Option<String>) -> Vec<String> {
    hwmon::channel_names(None, files, read)
}
