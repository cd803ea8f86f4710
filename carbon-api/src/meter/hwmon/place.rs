//! Where each sensor sits: what it sees and which other sensor holds its energy.

use std::path::Path;

use super::chip::{Home, Key, read_number};
use super::parse::trailing_number;
use super::table::{GracePart, chip_type, grace_meter, is_module_rail, rail_kind};
use crate::domain::DomainKind;

/// A sensor as far as its place is concerned.
#[derive(Clone, Copy, Debug)]
pub(super) struct Seen<'a> {
    pub(super) key: &'a Key,
    pub(super) label: Option<&'a str>,
}

/// What a sensor sees, and the index of the one that holds it.
pub(super) type Place = (DomainKind, Option<usize>);

/// The places of all sensors of a machine. What is not known is a rail that nothing holds: listed, outside the host.
pub(super) fn places(sysfs: &Path, seen: &[Seen<'_>]) -> Vec<Place> {
    let mut places = vec![(DomainKind::Rail, None); seen.len()];
    boards(seen, &mut places);
    grace(seen, &mut places);
    amd_energy(sysfs, seen, &mut places);
    places
}

/// The supply of a board holds the rails of its own chip and those of the other monitors of the module.
fn boards(seen: &[Seen<'_>], places: &mut [Place]) {
    let is_monitor = |s: &Seen<'_>| s.key.home == Home::Rails || chip_type(&s.key.name).is_some();
    let label = |i: usize| seen[i].label.unwrap_or_default();
    let monitors: Vec<usize> = (0..seen.len()).filter(|&i| is_monitor(&seen[i])).collect();
    for &i in &monitors {
        places[i].0 = rail_kind(label(i));
    }
    let parents: Vec<usize> = monitors.iter().copied().filter(|&i| places[i].0 == DomainKind::Board).collect();
    let on_module = |key: &Key| monitors.iter().any(|&i| seen[i].key == key && is_module_rail(label(i)));
    for &i in monitors.iter().filter(|&i| !parents.contains(i)) {
        let own = parents.iter().copied().find(|&p| seen[p].key == seen[i].key);
        // VDD_MUX feeds the carrier board and the module both, whatever chip it is on
        let carrier = label(i) == "VDD_MUX";
        places[i].1 = own.or_else(|| parents.first().copied().filter(|_| on_module(seen[i].key))).filter(|_| !carrier);
    }
}

/// Module, then socket, then the rails of processors and of the SoC, each of its own socket.
fn grace(seen: &[Seen<'_>], places: &mut [Place]) {
    let meter = |i: usize| seen[i].label.filter(|_| seen[i].key.name == "power_meter").and_then(grace_meter);
    let find = |part: GracePart, socket: u32| (0..seen.len()).find(|&i| meter(i) == Some((part, socket)));
    for (i, place) in places.iter_mut().enumerate() {
        let Some((part, socket)) = meter(i) else { continue };
        let module = find(GracePart::Module, socket);
        let holder = find(GracePart::Grace, socket).or(module);
        *place = match part {
            GracePart::Module => (DomainKind::Module, None),
            GracePart::Grace => (DomainKind::Board, module),
            GracePart::Cpu => (DomainKind::Cpu, holder),
            GracePart::SysIo => (DomainKind::Rail, holder),
            // the driver of the GPU meters it better, and once is enough
            GracePart::Gpu => (DomainKind::Other, module),
        };
        // a second meter of one name lies beside the first, not above it
        place.1 = place.1.filter(|&holder| holder != i);
    }
}

/// `Ecore000` lies in the `Esocket0` of its processor.
fn amd_energy(sysfs: &Path, seen: &[Seen<'_>], places: &mut [Place]) {
    let number = |i: usize, prefix: &str| {
        let label = seen[i].label.filter(|_| seen[i].key.name == "amd_energy")?;
        label.starts_with(prefix).then(|| trailing_number(label)).flatten()
    };
    let all = |prefix: &str| -> Vec<(usize, u32)> { (0..seen.len()).filter_map(|i| Some((i, number(i, prefix)?))).collect() };
    let (sockets, cores) = (all("Esocket"), all("Ecore"));
    for &(i, _) in &sockets {
        places[i].0 = DomainKind::Package;
    }
    for (place, &(i, cpu)) in cores.iter().enumerate() {
        let topology = sysfs.join(format!("devices/system/cpu/cpu{cpu}/topology/physical_package_id"));
        let package = read_number(&topology).and_then(|p| sockets.iter().find(|(_, n)| i64::from(*n) == p));
        // cores are numbered socket by socket
        let socket = package.or_else(|| sockets.get(place * sockets.len() / cores.len()));
        places[i] = (DomainKind::Core, socket.map(|(s, _)| *s));
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn key(name: &str, device: &str) -> Key {
        Key { home: Home::Hwmon, name: name.into(), device: device.into(), nth: 0 }
    }

    #[test]
    fn the_rails_of_a_carrier_board_are_not_inside_the_module() {
        let (a, b, c) = (key("ina3221", "0-0040"), key("ina3221", "0-0041"), key("ina3221", "0-0042"));
        let labels = [
            (&a, "VDD_SYS_GPU"),
            (&a, "VDD_4V0_WIFI"),
            (&b, "VDD_IN"),
            (&b, "VDD_SYS_CPU"),
            (&c, "VDD_MUX"),
            (&c, "VDD_3V3_SYS"),
        ];
        let seen = labels.map(|(key, label)| Seen { key, label: Some(label) });
        let places = places(Path::new("/nowhere"), &seen);
        assert_eq!(places.iter().map(|p| p.1).collect::<Vec<_>>(), [Some(2), Some(2), None, Some(2), None, None]);
        assert_eq!(places[4].0, DomainKind::Rail);
    }

    #[test]
    fn a_label_of_a_board_means_nothing_on_another_chip() {
        let other = key("nct6775", "nct6775.656");
        let seen = [Seen { key: &other, label: Some("VDD_IN") }, Seen { key: &other, label: Some("CPU") }];
        assert_eq!(places(Path::new("/nowhere"), &seen), [(DomainKind::Rail, None), (DomainKind::Rail, None)]);
    }

    proptest! {
        #[test]
        fn nothing_lies_inside_itself(rows in prop::collection::vec((0_usize..4, 0_usize..12, 0_u8..3), 0..24)) {
            let names = ["ina3221", "power_meter", "amd_energy", "other"];
            let labels = ["VDD_IN", "VDD_CPU", "VDD_MUX", "Module Power Socket 0", "Grace Power Socket 0", "CPU Power Socket 0", "SysIO Power Socket 1",
                "GPU Power Socket 0", "Ecore000", "Ecore001", "Esocket0", "x"];
            let keys: Vec<Key> = rows.iter().map(|(name, _, device)| key(names[*name], &format!("1-004{device}"))).collect();
            let seen: Vec<Seen<'_>> = rows.iter().zip(&keys).map(|((_, label, _), key)| Seen { key, label: Some(labels[*label]) }).collect();
            let places = places(Path::new("/nowhere"), &seen);
            for i in 0..places.len() {
                let mut at = places[i].1;
                for _ in 0..places.len() {
                    prop_assert_ne!(at, Some(i));
                    at = at.and_then(|p| places[p].1);
                }
            }
        }
    }
}
