//! Who used the processors: `/proc/stat`, `/proc/PID/stat`, `/proc/PID/cgroup`, `cpu.stat` and paths of groups.

use carbon_api::parsers;
use carbon_api::usage::container::container_id;
use carbon_api::usage::owner::{GroupOwners, Owner};
use carbon_api::usage::placement::{GroupRows, Groups, Memberships};

/// Plays one input.
pub fn run(data: &[u8]) {
    if let Some(host) = parsers::host_stat(data) {
        assert!(host.cpus > 0 && host.quantum_ns > 0);
        assert_eq!((host.busy_ns % host.quantum_ns, host.steal_ns % host.quantum_ns), (0, 0));
    }
    if let Some(process) = parsers::process_stat(data) {
        assert!(process.name.ends_with(":7") && !process.name.chars().any(|c| c.is_ascii_control()));
        assert_eq!((process.cpu_ns % 10_000_000, process.reaped_ns % 10_000_000), (0, 0));
    }
    assert!(parsers::process_id(data).is_none_or(|pid| pid >= 0));
    if let Some(microseconds) = parsers::group_usage_us(data) {
        let digits = microseconds.to_string();
        assert!(data.windows(digits.len()).any(|window| window == digits.as_bytes()) || microseconds == 0);
    }
    assert!(parsers::leading_number(data).is_none() || data.trim_ascii_start()[0].is_ascii_digit());
    let text = String::from_utf8_lossy(data);
    assert!(container_id(&text).is_none_or(|id| !id.is_empty() && text.contains(id)));
    placement(&Groups::parse(data));
}

fn placement(groups: &Groups) {
    for path in [&groups.v2, &groups.v1] {
        assert!(path.starts_with('/') && !path.starts_with("/.."), "{path}");
    }
    let (mut members, mut owners) = (Memberships::default(), GroupOwners::default());
    members.count(groups, true);
    owners.came(groups, Some(1000));
    // whatever is a row of its own, its time is counted once
    let rows = GroupRows { v2: true, v1: true };
    let in_group = &*groups.v2 != "/" || (&*groups.v1 != "/" && members.v1_is_row(&groups.v1));
    assert_eq!(members.process_is_row(groups, rows), !in_group);
    members.count(groups, false);
    owners.left(groups);
    assert_eq!((owners.of_v2(&groups.v2), owners.of_v1(&groups.v1)), (Owner::Unknown, Owner::Unknown));
}
