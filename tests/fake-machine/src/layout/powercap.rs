//! `sys/devices/virtual/powercap` and the links to it in `sys/class/powercap`.

use super::{Content, Node, Presence, Value};
use crate::model::TrueMachine;
use crate::zone::{ControlType, Zone, ZoneId, ZoneKind};

const DEVICES: &str = "devices/virtual/powercap";

/// Adds both directories; a machine without zones has them too, but empty.
pub(super) fn add(nodes: &mut Vec<Node>, machine: &TrueMachine) {
    let always = Presence::Always;
    for path in ["sys/class", "sys/class/powercap", "sys/devices"] {
        nodes.push(Node::directory(path.to_owned(), always));
    }
    for path in ["sys/devices/virtual", "sys/devices/virtual/powercap"] {
        nodes.push(Node::directory(path.to_owned(), always));
    }
    for control in [ControlType::Msr, ControlType::Mmio] {
        if machine.zones().any(|(_, zone)| zone.control() == control) {
            let path = format!("sys/{DEVICES}/{}", control.name());
            nodes.push(Node::directory(path.clone(), always));
            nodes.push(Node::text(format!("{path}/enabled"), "1\n", always));
            nodes.push(subsystem(&path, always));
            nodes.push(class_link(&path, always));
        }
    }
    for (id, zone) in machine.zones() {
        add_zone(nodes, machine, id, zone);
    }
}

fn add_zone(nodes: &mut Vec<Node>, machine: &TrueMachine, id: ZoneId, zone: &Zone) {
    let presence = Presence::Zone(id);
    let path = format!("sys/{}", device_path(machine, zone));
    nodes.push(Node::directory(path.clone(), presence));
    nodes.push(class_link(&path, presence));
    nodes.push(subsystem(&path, presence));
    let mut text = |name: &str, text: String| {
        nodes.push(Node::text(format!("{path}/{name}"), text, presence));
    };
    text("name", format!("{}\n", zone.name()));
    text("enabled", "1\n".to_owned());
    text("max_energy_range_uj", format!("{}\n", zone.units().range_uj()));
    for (number, limit) in limits(zone).iter().enumerate() {
        text(&format!("constraint_{number}_name"), format!("{}\n", limit.name));
        text(&format!("constraint_{number}_power_limit_uw"), format!("{}\n", limit.power_uw));
        text(&format!("constraint_{number}_time_window_us"), format!("{}\n", limit.window_us));
        if let Some(most) = limit.max_uw {
            text(&format!("constraint_{number}_max_power_uw"), format!("{most}\n"));
        }
    }
    nodes.push(Node { path: format!("{path}/energy_uj"), content: Content::Live(Value::Energy(id)), presence, mode: 0o400 });
}

/// A power limit; no program under test sets it.
struct Limit {
    name: &'static str,
    power_uw: u64,
    window_us: u64,
    max_uw: Option<u64>,
}

/// Packages have a long-term and a short-term limit, the others one without a maximum.
fn limits(zone: &Zone) -> Vec<Limit> {
    let package = matches!(zone.kind(), ZoneKind::Package { .. } | ZoneKind::Psys);
    let most = zone.max_power_uw;
    let long = Limit {
        name: "long_term",
        power_uw: if package { most.unwrap_or(125_000_000) } else { 0 },
        window_us: 27_983_872,
        max_uw: most,
    };
    let short = Limit { name: "short_term", power_uw: long.power_uw / 4 * 5, window_us: 2_440, max_uw: most.map(|_| 0) };
    if package { vec![long, short] } else { vec![long] }
}

/// The directory of a zone below `sys`.
fn device_path(machine: &TrueMachine, zone: &Zone) -> String {
    let above = match zone.parent() {
        Some(parent) => device_path(machine, machine.zone(parent)),
        None => format!("{DEVICES}/{}", zone.control().name()),
    };
    format!("{above}/{}", zone.id())
}

/// The link of a device in `sys/class/powercap`.
fn class_link(path: &str, presence: Presence) -> Node {
    let name = path.rsplit('/').next().unwrap_or(path);
    let below = path.strip_prefix("sys/").unwrap_or(path);
    Node::link(format!("sys/class/powercap/{name}"), format!("../../{below}"), presence)
}

/// The link of a device back to its class.
fn subsystem(path: &str, presence: Presence) -> Node {
    let up = "../".repeat(path.split('/').count() - 1);
    Node::link(format!("{path}/subsystem"), format!("{up}class/powercap"), presence)
}
