//! Finds the chips: hwmon devices, INA monitors that only IIO drives, and the power monitors of old Jetson kernels.
//!
//! Numbers of devices change from boot to boot: a chip is known by its name and by the device behind it.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use super::parse;
use super::table::chip_type;

/// The interface through which a chip is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Home {
    /// `class/hwmon`.
    Hwmon,
    /// `bus/iio`.
    Iio,
    /// `in_power#_input` and `rail_name_#` below an I2C device (Jetson before Linux 5).
    Rails,
}

/// Who a chip is, whatever number it bears.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Key {
    /// Its interface.
    pub(super) home: Home,
    /// The content of its `name` file.
    pub(super) name: String,
    /// Last part of the path of the device behind it: `1-0040`; empty where there is none.
    pub(super) device: String,
    /// Tells chips apart that are alike in all of this.
    pub(super) nth: usize,
}

impl Key {
    /// A stable id of the hardware.
    pub(super) fn device_id(&self) -> &str {
        if self.device.is_empty() { &self.name } else { &self.device }
    }
}

impl std::fmt::Display for Key {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if self.device.is_empty() { f.write_str(&self.name) } else { write!(f, "{} ({})", self.name, self.device) }
    }
}

/// A chip and the folder of its sensor files.
#[derive(Clone, Debug)]
pub(super) struct Chip {
    pub(super) key: Key,
    pub(super) base: PathBuf,
}

/// What was found.
#[derive(Debug, Default)]
pub(super) struct Chips {
    /// Chips to be read, in an order that does not depend on their numbers.
    pub(super) list: Vec<Chip>,
    /// Second views of what another chip or meter shows, in words.
    pub(super) second_views: Vec<String>,
}

impl Chips {
    /// Looks for chips below `sysfs`.
    ///
    /// # Errors
    /// The list of hwmon devices is there and may not be read.
    pub(super) fn find(sysfs: &Path) -> std::io::Result<Self> {
        let mut found = Self::default();
        let supplies: BTreeSet<String> =
            entries(&sysfs.join("class/power_supply")).unwrap_or_default().iter().map(|p| tail(p)).collect();
        for folder in entries(&sysfs.join("class/hwmon"))? {
            let Some(chip) = hwmon_chip(&folder) else { continue };
            if is_power_supply(&folder, &chip.key.name, &supplies) {
                found.second_views.push(format!("{} is a battery or supply, which power_supply shows", chip.key));
            } else {
                found.list.push(chip);
            }
        }
        let others = iio_chips(sysfs).into_iter().chain(rail_chips(sysfs));
        for chip in others {
            // one chip behind two drivers is one chip
            let first = found.list.iter().find(|c| !c.key.device.is_empty() && c.key.device == chip.key.device);
            if let Some(first) = first {
                found.second_views.push(format!("{} at {} is the chip {}", chip.key, chip.base.display(), first.key));
            } else {
                found.list.push(chip);
            }
        }
        found.list.sort_by(|a, b| (&a.key, &a.base).cmp(&(&b.key, &b.base)));
        for i in 1..found.list.len() {
            if (Key { nth: 0, ..found.list[i - 1].key.clone() }) == found.list[i].key {
                found.list[i].key.nth = found.list[i - 1].key.nth + 1;
            }
        }
        found.second_views.sort_unstable();
        Ok(found)
    }

    /// Where the chip `key` is now.
    pub(super) fn locate(sysfs: &Path, key: &Key) -> Option<PathBuf> {
        Self::find(sysfs).ok()?.list.into_iter().find(|c| c.key == *key).map(|c| c.base)
    }
}

/// The first line of a small file, where it is there and says something.
pub(super) fn read_label(path: &Path) -> Option<String> {
    std::fs::read(path).ok().as_deref().and_then(parse::label)
}

/// The number in a small file, where it is there and holds one.
pub(super) fn read_number(path: &Path) -> Option<i64> {
    std::fs::read(path).ok().as_deref().and_then(parse::number)
}

/// Names of the files in a folder; none where it cannot be listed.
pub(super) fn file_names(folder: &Path) -> BTreeSet<String> {
    entries(folder).unwrap_or_default().iter().map(|p| tail(p)).collect()
}

/// Paths of what lies in a folder, sorted; none where there is no such folder.
fn entries(folder: &Path) -> std::io::Result<Vec<PathBuf>> {
    let list = match std::fs::read_dir(folder) {
        Ok(list) => list,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error),
    };
    let mut paths: Vec<PathBuf> = list.flatten().map(|e| e.path()).collect();
    paths.sort_unstable();
    Ok(paths)
}

fn tail(path: &Path) -> String {
    path.file_name().unwrap_or_default().to_string_lossy().into_owned()
}

fn hwmon_chip(folder: &Path) -> Option<Chip> {
    let device = folder.join("device");
    let has_sensors = |folder: &Path| file_names(folder).iter().any(|n| parse::attribute(n).is_some());
    // drivers of old keep their files in the folder of the device
    let name = read_label(&folder.join("name")).or_else(|| read_label(&device.join("name")))?;
    let base = if !has_sensors(folder) && has_sensors(&device) { device.clone() } else { folder.to_path_buf() };
    let device = std::fs::read_link(&device).map(|target| tail(&target)).unwrap_or_default();
    Some(Chip { key: Key { home: Home::Hwmon, name, device, nth: 0 }, base })
}

/// True for the twin that `power_supply` registers of each battery and charger; hwmon allows no dash in a name.
fn is_power_supply(folder: &Path, name: &str, supplies: &BTreeSet<String>) -> bool {
    let device = folder.join("device");
    let behind = |path: &Path| path.components().any(|part| part.as_os_str() == "power_supply");
    let by_link = std::fs::read_link(&device).is_ok_and(|t| behind(&t))
        || std::fs::canonicalize(&device).is_ok_and(|t| behind(&t))
        || std::fs::read_link(device.join("subsystem")).is_ok_and(|t| tail(&t) == "power_supply");
    by_link || supplies.iter().any(|s| s == name || s.replace('-', "_") == name)
}

fn iio_chips(sysfs: &Path) -> Vec<Chip> {
    let folders = entries(&sysfs.join("bus/iio/devices")).unwrap_or_default();
    let chip = |base: PathBuf| {
        let name = read_label(&base.join("name"))?;
        // rails of old Jetson kernels are found below their I2C device
        let monitor = chip_type(&name).is_some() && !base.join("rail_name_0").exists();
        monitor.then_some(())?;
        let device = std::fs::read_link(base.join("device")).map(|target| tail(&target));
        let device = device.or_else(|_| std::fs::canonicalize(&base).map(|path| path.parent().map(tail).unwrap_or_default()));
        // an entry that is no link lies in the list itself
        let device = device.ok().filter(|d| d != "devices").unwrap_or_default();
        Some(Chip { key: Key { home: Home::Iio, name, device, nth: 0 }, base })
    };
    folders.into_iter().filter_map(chip).collect()
}

fn rail_chips(sysfs: &Path) -> Vec<Chip> {
    let chip = |device: PathBuf| {
        let is_iio = |p: &PathBuf| tail(p) == "iio_device" || tail(p).starts_with("iio:device");
        let has_rails = |p: &PathBuf| file_names(p).iter().any(|n| n.starts_with("rail_name_"));
        let base = entries(&device).ok()?.into_iter().find(|p| is_iio(p) && has_rails(p))?;
        let name = read_label(&base.join("name")).or_else(|| read_label(&device.join("name")));
        let name = name.unwrap_or_else(|| "ina3221x".to_owned());
        Some(Chip { key: Key { home: Home::Rails, name, device: tail(&device), nth: 0 }, base })
    };
    let below = |folder: &str| entries(&sysfs.join(folder)).unwrap_or_default();
    let mut chips: Vec<Chip> = below("bus/i2c/devices").into_iter().filter_map(chip).collect();
    // the same devices, by their driver
    for other in below("bus/i2c/drivers/ina3221x").into_iter().filter_map(chip) {
        if chips.iter().all(|c| c.key.device != other.key.device) {
            chips.push(other);
        }
    }
    chips
}
