//! Android's `power_profile.xml`: what a vendor says that the processors of a phone draw, in mA at each speed.
//!
//! Names and units as in the Android Open Source Project: `<item name="…">` and `<array name="…"><value>…`; currents in mA,
//! `battery.capacity` in mAh, speeds in kHz. A power made from it is always modelled: no source gives its accuracy.

use std::collections::BTreeMap;

use roxmltree::{Document, Node, ParsingOptions};
use thiserror::Error;

/// The most elements and texts that a profile may have; real ones have some hundreds.
const MOST_NODES: u32 = 100_000;

/// Why a text is no power profile.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum ProfileError {
    /// Not UTF-8, not XML, or not a `<device>`.
    #[error("the power profile cannot be read: {0}")]
    NotAProfile(String),
    /// An item or array is missing or does not fit the others.
    #[error("{item} of the power profile {problem}")]
    Malformed {
        /// The name of the item or array.
        item: String,
        /// What is wrong with it.
        problem: String,
    },
}

/// The processors of a phone as its vendor describes them.
#[derive(Clone, Debug, PartialEq)]
pub struct PowerProfile {
    /// `cpu.suspend`: mA while the machine sleeps.
    pub suspend_ma: f64,
    /// `cpu.idle`, older `cpu.awake`: mA on top while it is awake.
    pub idle_ma: f64,
    /// `cpu.active`: mA on top while any core runs, without clusters and cores.
    pub active_ma: f64,
    /// Its clusters; processors are numbered through them, in the kernel's order.
    pub clusters: Vec<Cluster>,
    /// `battery.capacity` in mAh.
    pub battery_mah: Option<f64>,
    /// Every `<item>`, also those that are not about processors.
    pub items: BTreeMap<String, f64>,
}

/// Cores of one kind.
#[derive(Clone, Debug, PartialEq)]
pub struct Cluster {
    /// How many there are.
    pub cores: usize,
    /// `cpu.cluster_power.clusterN`: mA while any of its cores runs.
    pub cluster_ma: f64,
    /// `cpu.core_speeds.clusterN`, older `cpu.speeds.clusterN`: kHz.
    pub speeds_khz: Vec<f64>,
    /// `cpu.core_power.clusterN`, older `cpu.active.clusterN`: mA of one core at each speed.
    pub core_ma: Vec<f64>,
}

/// What one core does.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct CoreUse {
    /// The part of the time that it runs; held between 0 and 1.
    pub utilisation: f64,
    /// Its speed in kHz; `None`: the highest.
    pub khz: Option<f64>,
}

/// Power of all processors by the profile: modelled, never measured.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ModelledPower {
    /// Watts of a machine that is awake and does nothing.
    pub idle_w: f64,
    /// Watts on top of that, by what runs.
    pub busy_w: f64,
}

impl ModelledPower {
    /// Both.
    pub fn total_w(self) -> f64 {
        self.idle_w + self.busy_w
    }
}

impl PowerProfile {
    /// Reads a profile.
    ///
    /// # Errors
    /// No XML with a `<device>`, a value that is no number or negative, no list of cores, or a cluster whose two arrays differ in
    /// length.
    pub fn parse(bytes: &[u8]) -> Result<Self, ProfileError> {
        let text = std::str::from_utf8(bytes).map_err(|e| ProfileError::NotAProfile(e.to_string()))?;
        let options = ParsingOptions { nodes_limit: MOST_NODES, ..ParsingOptions::default() };
        let document = Document::parse_with_options(text, options).map_err(|e| ProfileError::NotAProfile(e.to_string()))?;
        let device = document.root_element();
        if !device.has_tag_name("device") {
            let found = device.tag_name().name();
            return Err(ProfileError::NotAProfile(format!("it holds a <{found}> where a <device> belongs")));
        }
        let Lists { items, arrays } = Lists::read(device)?;
        let item = |name: &str| items.get(name).copied();
        let counts = arrays.get(CORES).ok_or_else(|| malformed(CORES, "is missing"))?;
        let mut clusters = Vec::new();
        for (number, &count) in counts.iter().enumerate() {
            clusters.push(cluster(number, count, &items, &arrays)?);
        }
        Ok(Self {
            suspend_ma: item("cpu.suspend").unwrap_or(0.0),
            idle_ma: item("cpu.idle").or_else(|| item("cpu.awake")).unwrap_or(0.0),
            active_ma: item("cpu.active").unwrap_or(0.0),
            battery_mah: item("battery.capacity"),
            clusters,
            items,
        })
    }

    /// Power at `volts`, from what each core does, in the kernel's order; cores beyond the profile's are left out.
    ///
    /// The profile holds currents only: `volts` is the voltage of the battery they are drawn from, as its gauge shows it, or
    /// the nominal 3.8 V of a lithium cell. A cluster draws for as long as its busiest core runs, and so does what all share:
    /// the times of cores are taken to overlap. A speed between two listed ones draws as the next higher one.
    pub fn cpu_power_w(&self, volts: f64, cores: &[CoreUse]) -> ModelledPower {
        let mut cores = cores.iter();
        let (mut busy_ma, mut any) = (0.0, 0.0_f64);
        for cluster in &self.clusters {
            let mut busiest = 0.0_f64;
            for core in cores.by_ref().take(cluster.cores) {
                // a NaN is no use at all
                let utilisation = core.utilisation.clamp(0.0, 1.0).max(0.0);
                busy_ma += utilisation * cluster.core_ma_at(core.khz);
                busiest = busiest.max(utilisation);
            }
            busy_ma += busiest * cluster.cluster_ma;
            any = any.max(busiest);
        }
        busy_ma += any * self.active_ma;
        ModelledPower { idle_w: self.idle_ma * volts / 1000.0, busy_w: busy_ma * volts / 1000.0 }
    }

    /// How many processors it describes.
    pub fn cores(&self) -> usize {
        self.clusters.iter().map(|c| c.cores).sum()
    }
}

impl Cluster {
    /// mA of one core that runs at `khz`: of the next listed speed at or above it, of the highest where there is none or it is
    /// not known.
    pub fn core_ma_at(&self, khz: Option<f64>) -> f64 {
        let listed = || self.speeds_khz.iter().copied().zip(self.core_ma.iter().copied());
        let by_speed = |a: &(f64, f64), b: &(f64, f64)| a.0.total_cmp(&b.0);
        let above = khz.and_then(|khz| listed().filter(|(speed, _)| *speed >= khz).min_by(by_speed));
        above.or_else(|| listed().max_by(by_speed)).map_or(0.0, |(_, ma)| ma)
    }
}

const CORES: &str = "cpu.clusters.cores";

/// What stands directly below `<device>`; a name that comes twice counts as it came last.
#[derive(Default)]
struct Lists {
    items: BTreeMap<String, f64>,
    arrays: BTreeMap<String, Vec<f64>>,
}

impl Lists {
    fn read(device: Node<'_, '_>) -> Result<Self, ProfileError> {
        let mut lists = Self::default();
        for node in device.children().filter(Node::is_element) {
            let Some(name) = node.attribute("name") else {
                continue;
            };
            match node.tag_name().name() {
                "item" => {
                    lists.items.insert(name.to_owned(), number(name, node)?);
                }
                "array" => {
                    let values = node.children().filter(|child| child.has_tag_name("value"));
                    lists.arrays.insert(name.to_owned(), values.map(|v| number(name, v)).collect::<Result<_, _>>()?);
                }
                _ => {}
            }
        }
        Ok(lists)
    }
}

fn cluster(
    number: usize,
    count: f64,
    items: &BTreeMap<String, f64>,
    arrays: &BTreeMap<String, Vec<f64>>,
) -> Result<Cluster, ProfileError> {
    if !(1.0..=4096.0).contains(&count) || count.fract() != 0.0 {
        return Err(malformed(CORES, format!("holds {count} where a number of cores belongs")));
    }
    let array = |new: &str, old: &str| {
        let names = [format!("{new}.cluster{number}"), format!("{old}.cluster{number}")];
        let found = names.iter().find_map(|name| Some((name.clone(), arrays.get(name)?.clone())));
        found.ok_or_else(|| malformed(&names[0], "is missing"))
    };
    let (_, speeds_khz) = array("cpu.core_speeds", "cpu.speeds")?;
    let (name, core_ma) = array("cpu.core_power", "cpu.active")?;
    if core_ma.is_empty() || core_ma.len() != speeds_khz.len() {
        return Err(malformed(&name, format!("has {} values for {} speeds", core_ma.len(), speeds_khz.len())));
    }
    let cluster_ma = items.get(&format!("cpu.cluster_power.cluster{number}")).copied().unwrap_or(0.0);
    Ok(Cluster { cores: count as usize, cluster_ma, speeds_khz, core_ma })
}

fn number(name: &str, node: Node<'_, '_>) -> Result<f64, ProfileError> {
    let text = node.text().unwrap_or_default().trim();
    let value = text.parse().ok().filter(|v: &f64| v.is_finite() && *v >= 0.0);
    value.ok_or_else(|| {
        malformed(name, format!("holds {:?} where a number from 0 up belongs", text.chars().take(24).collect::<String>()))
    })
}

fn malformed(item: &str, problem: impl Into<String>) -> ProfileError {
    ProfileError::Malformed { item: item.to_owned(), problem: problem.into() }
}

#[cfg(test)]
#[expect(clippy::float_cmp, reason = "parsed, not computed")]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const TWO_CLUSTERS: &str = r#"<?xml version="1.0" encoding="utf-8"?>
<device name="Android">
  <!-- made up for this test -->
  <item name="battery.capacity">4000</item>
  <item name="screen.full.display0"> 200.5 </item>
  <array name="cpu.clusters.cores"><value>2</value><!-- little --><value>1</value></array>
  <item name="cpu.suspend">3</item>
  <item name="cpu.idle">10</item>
  <item name="cpu.active">5</item>
  <item name="cpu.cluster_power.cluster0">2</item>
  <item name="cpu.cluster_power.cluster1">4</item>
  <array name="cpu.core_speeds.cluster0"><value>300000</value><value>1800000</value></array>
  <array name="cpu.core_power.cluster0"><value>20</value><value>60</value></array>
  <array name="cpu.core_speeds.cluster1"><value>500000</value><value>2800000</value></array>
  <array name="cpu.core_power.cluster1"><value>80</value><value>400</value></array>
  <modem><active rat="DEFAULT"><rxDrain>1</rxDrain></active></modem>
</device>"#;

    fn profile(text: &str) -> Result<PowerProfile, ProfileError> {
        PowerProfile::parse(text.as_bytes())
    }

    fn running(utilisation: f64, khz: Option<f64>) -> CoreUse {
        CoreUse { utilisation, khz }
    }

    #[test]
    fn a_profile_is_read_as_the_vendor_wrote_it() {
        let p = profile(TWO_CLUSTERS).unwrap();
        assert_eq!((p.suspend_ma, p.idle_ma, p.active_ma, p.battery_mah), (3.0, 10.0, 5.0, Some(4000.0)));
        assert_eq!(p.cores(), 3);
        assert_eq!(p.clusters[1].core_ma, [80.0, 400.0]);
        assert_eq!(p.items["screen.full.display0"], 200.5);
    }

    #[test]
    fn one_big_core_at_full_speed_is_current_times_voltage() {
        let text = r#"<device name="Android"><array name="cpu.clusters.cores"><value>1</value></array>
            <item name="cpu.active">1</item><item name="cpu.cluster_power.cluster0">1</item>
            <array name="cpu.core_speeds.cluster0"><value>2000000</value></array>
            <array name="cpu.core_power.cluster0"><value>205</value></array></device>"#;
        let power = profile(text).unwrap().cpu_power_w(3.8, &[running(1.0, None)]);
        assert!((power.total_w() - 0.7866).abs() < 1e-12, "{power:?}");
    }

    #[test]
    fn a_cluster_and_what_all_share_draw_once() {
        let p = profile(TWO_CLUSTERS).unwrap();
        let power = p.cpu_power_w(4.0, &[running(1.0, Some(300_000.0)), running(0.5, None), running(0.25, Some(500_001.0))]);
        // cores 20 + 0.5 * 60 + 0.25 * 400, clusters 2 + 0.25 * 4, active 5
        assert!((power.busy_w - 0.004 * 158.0).abs() < 1e-12, "{power:?}");
        assert!((power.idle_w - 0.04).abs() < 1e-12);
        assert_eq!(p.cpu_power_w(4.0, &[]).busy_w, 0.0);
    }

    #[test]
    fn a_speed_between_two_draws_as_the_higher_one() {
        let cluster = &profile(TWO_CLUSTERS).unwrap().clusters[0];
        for (khz, ma) in [(Some(1.0), 20.0), (Some(300_000.0), 20.0), (Some(300_001.0), 60.0), (Some(9e9), 60.0), (None, 60.0)] {
            assert_eq!(cluster.core_ma_at(khz), ma, "{khz:?}");
        }
    }

    #[test]
    fn older_names_are_understood() {
        let text = TWO_CLUSTERS.replace("core_speeds", "speeds").replace("core_power", "active").replace("cpu.idle", "cpu.awake");
        let (old, new) = (profile(&text).unwrap(), profile(TWO_CLUSTERS).unwrap());
        assert_eq!((old.clusters, old.idle_ma), (new.clusters, new.idle_ma));
    }

    #[test]
    fn a_malformed_profile_is_named_by_its_item() {
        let broken = |from: &str, to: &str| profile(&TWO_CLUSTERS.replace(from, to)).unwrap_err().to_string();
        assert_eq!(broken("<value>80</value>", ""), "cpu.core_power.cluster1 of the power profile has 1 values for 2 speeds");
        assert_eq!(broken("cpu.clusters.cores", "cpu.cores"), "cpu.clusters.cores of the power profile is missing");
        assert_eq!(broken("cpu.core_power.cluster0", "x"), "cpu.core_power.cluster0 of the power profile is missing");
        assert!(broken("<value>2</value>", "<value>2.5</value>").contains("holds 2.5 where a number of cores belongs"));
        assert!(broken(">10<", ">-1<").starts_with("cpu.idle of the power profile holds \"-1\""));
        assert!(broken(">10<", ">NaN<").starts_with("cpu.idle"));
        assert!(profile("<devices/>").unwrap_err().to_string().contains("<devices>"));
        assert!(PowerProfile::parse(b"\xff").is_err());
    }

    #[test]
    fn a_text_made_to_hurt_is_refused() {
        for depth in [1000, 90_000, 200_000] {
            let deep = format!("<device>{}{}</device>", "<a>".repeat(depth), "</a>".repeat(depth));
            assert!(profile(&deep).is_err(), "{depth}");
        }
        let wide = TWO_CLUSTERS.replace("<modem>", &format!("<modem>{}", "<a/>".repeat(200_000)));
        assert!(profile(&wide).unwrap_err().to_string().contains("limit"), "a profile has some hundreds of elements");
        let bomb = r#"<!DOCTYPE d [<!ENTITY a "aaaa"><!ENTITY b "&a;&a;">]><device>&b;</device>"#;
        assert!(profile(bomb).is_err(), "no entities of its own");
    }

    proptest! {
        #[test]
        fn any_bytes_are_taken(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = PowerProfile::parse(&bytes);
        }

        #[test]
        fn any_change_of_a_profile_is_taken(at in 0..TWO_CLUSTERS.len(), length in 0_usize..40, put in "\\PC{0,12}") {
            let end = (at + length).min(TWO_CLUSTERS.len());
            let text = format!("{}{put}{}", &TWO_CLUSTERS[..at], &TWO_CLUSTERS[end..]);
            if let Ok(p) = profile(&text) {
                let power = p.cpu_power_w(3.8, &vec![running(1.0, None); p.cores()]);
                prop_assert!(power.total_w().is_finite() && power.total_w() >= 0.0);
            }
        }

        #[test]
        fn more_use_never_draws_less(a in 0.0_f64..1.0, b in 0.0_f64..1.0, khz in proptest::option::of(0.0_f64..4e6)) {
            let p = profile(TWO_CLUSTERS).unwrap();
            let busy = |u: f64| p.cpu_power_w(3.8, &[running(u, khz), running(0.3, None), running(u, khz)]).busy_w;
            prop_assert!(busy(a.min(b)) <= busy(a.max(b)) + 1e-12);
        }
    }
}
