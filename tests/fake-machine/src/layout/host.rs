//! CPU topology, procfs and the cgroup trees.

use super::{Node, Presence, Value};
use crate::cgroup::{CgroupLayout, Hierarchy};
use crate::model::TrueMachine;
use crate::proctext;
use crate::zone::ZoneKind;

/// `sys/devices/system/cpu`: CPUs are spread evenly over the packages and their dies.
pub(super) fn add_topology(nodes: &mut Vec<Node>, machine: &TrueMachine) {
    if !machine.topology {
        return;
    }
    let always = Presence::Always;
    let root = "sys/devices/system/cpu";
    for path in ["sys/devices/system", root] {
        nodes.push(Node::directory(path.to_owned(), always));
    }
    let range = match machine.cpus {
        1 => "0\n".to_owned(),
        cpus => format!("0-{}\n", cpus - 1),
    };
    for name in ["online", "possible", "present"] {
        nodes.push(Node::text(format!("{root}/{name}"), range.clone(), always));
    }
    let places = places(machine);
    for cpu in 0..machine.cpus {
        let index = cpu as usize * places.len() / machine.cpus as usize;
        let (package, die) = places[index];
        let path = format!("{root}/cpu{cpu}");
        nodes.push(Node::directory(path.clone(), always));
        let path = format!("{path}/topology");
        nodes.push(Node::directory(path.clone(), always));
        for (name, number) in [("physical_package_id", package), ("die_id", die), ("core_id", cpu)] {
            nodes.push(Node::text(format!("{path}/{name}"), format!("{number}\n"), always));
        }
    }
}

/// `proc`: the machine's files and a directory a process. There is no `self`.
pub(super) fn add_proc(nodes: &mut Vec<Node>, machine: &TrueMachine) {
    let always = Presence::Always;
    for (name, value) in
        [("stat", Value::Stat), ("meminfo", Value::Meminfo), ("uptime", Value::Uptime), ("cpuinfo", Value::Cpuinfo)]
    {
        nodes.push(Node::live(format!("proc/{name}"), value, always));
    }
    for (index, process) in machine.processes.iter().enumerate() {
        let presence = Presence::Process(index);
        let path = format!("proc/{}", process.pid);
        nodes.push(Node::directory(path.clone(), presence));
        let stat = Value::ProcessStat(index);
        nodes.push(Node::live(format!("{path}/stat"), stat, presence));
        for (name, text) in [
            ("comm", format!("{}\n", process.comm)),
            ("status", proctext::process_status(process)),
            ("cgroup", machine.cgroup_layout.membership(process)),
        ] {
            nodes.push(Node::text(format!("{path}/{name}"), text, presence));
        }
    }
}

/// `cgroup`: the hierarchies of the machine's layout.
pub(super) fn add_cgroups(nodes: &mut Vec<Node>, machine: &TrueMachine) {
    let layout = machine.cgroup_layout;
    for hierarchy in [Hierarchy::V2, Hierarchy::Cpuacct] {
        if !layout.has(hierarchy) {
            continue;
        }
        let root = format!("cgroup{}", layout.mount(hierarchy));
        if root != "cgroup" {
            nodes.push(Node::directory(root.clone(), Presence::Always));
        }
        let mut group = |path: &str, presence| {
            let directory = format!("{root}{}", path.trim_end_matches('/'));
            if path != "/" {
                nodes.push(Node::directory(directory.clone(), presence));
            }
            nodes.extend(group_files(layout, hierarchy, &directory, path, presence));
        };
        group("/", Presence::Always);
        for (index, cgroup) in machine.cgroups.iter().enumerate() {
            if cgroup.hierarchy == hierarchy {
                group(&cgroup.path, Presence::Cgroup(index));
            }
        }
    }
    if layout.has(Hierarchy::Cpuacct) {
        for name in ["cpu", "cpuacct"] {
            let target = "cpu,cpuacct".to_owned();
            nodes.push(Node::link(format!("cgroup/{name}"), target, Presence::Always));
        }
    }
}

/// The files of one group, whose directory is `directory`.
fn group_files(layout: CgroupLayout, hierarchy: Hierarchy, directory: &str, group: &str, presence: Presence) -> Vec<Node> {
    let live = |name: &str, value| Node::live(format!("{directory}/{name}"), value, presence);
    let group = group.to_owned();
    let procs = live("cgroup.procs", Value::Procs(hierarchy, group.clone()));
    if hierarchy == Hierarchy::Cpuacct {
        return vec![procs, live("cpuacct.usage", Value::CpuacctUsage(group))];
    }
    // Beside v1, the controllers are bound there and v2 has none.
    let controllers = match layout {
        CgroupLayout::V2 => "cpu memory\n",
        _ => "\n",
    };
    let path = format!("{directory}/cgroup.controllers");
    vec![Node::text(path, controllers, presence), procs, live("cpu.stat", Value::CpuStat(group))]
}

/// The (package, die) pairs that CPUs can be in, by the names of the zones.
fn places(machine: &TrueMachine) -> Vec<(u32, u32)> {
    let mut places: Vec<(u32, u32)> = machine
        .zones()
        .filter_map(|(_, zone)| match zone.kind() {
            ZoneKind::Package { package, die } => Some((*package, die.unwrap_or(0))),
            _ => None,
        })
        .collect();
    places.sort_unstable();
    places.dedup();
    if places.is_empty() {
        places.push((0, 0));
    }
    places
}
