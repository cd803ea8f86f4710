//! Sets up what else the kernel can show, and checks the raw nodes: sensors on a bus, batteries, a phone's rails.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail, ensure};

use crate::checks::Checks;
use crate::modules::{load, run, set};

/// A chip on the bus, with registers as they would be read from it.
struct Chip {
    address: u8,
    name: &'static str,
    driver: &'static str,
    registers: &'static [(u8, u16)],
}

/// 5 V over 10 mΩ: 4000 x 1.25 mV, 1000 x 2.5 µV; current and power as the chip would multiply them, 0xff its identity.
const INA226: &[(u8, u16)] = &[(0x01, 1000), (0x02, 4000), (0x03, 200), (0x04, 1000), (0xff, 0x2260)];
/// Channel 1: 320 / 8 x 40 µV and 5000 / 8 x 8 mV.
const INA3221: &[(u8, u16)] = &[(0x00, 0x7127), (0x01, 320), (0x02, 5000), (0xfe, 0x5449), (0xff, 0x3220)];
const CHIPS: [Chip; 3] = [
    Chip { address: 0x40, name: "ina226", driver: "ina2xx", registers: INA226 },
    Chip { address: 0x41, name: "ina3221", driver: "ina3221", registers: INA3221 },
    Chip { address: 0x42, name: "ina226", driver: "ina2xx_adc", registers: INA226 },
];

/// Loads the drivers, puts chips on the bus, and looks at what comes of it.
pub(crate) fn set_up(checks: &mut Checks) -> Result<()> {
    let addresses: Vec<String> = CHIPS.iter().map(|chip| format!("{:#x}", chip.address)).collect();
    load("i2c-stub", &[&format!("chip_addr={}", addresses.join(","))])?;
    for module in ["i2c-dev", "ina2xx", "ina2xx-adc", "ina3221", "known_odpm"] {
        load(module, &[])?;
    }
    load("test_power", &["battery_voltage=3800000", "battery_current=-500000"])?;
    let bus = stub_bus()?;
    // Two drivers answer to one name: which chip gets which is said below.
    fs::write("/sys/bus/i2c/drivers_autoprobe", "0").context("cannot write drivers_autoprobe")?;
    for chip in &CHIPS {
        place(bus, chip)?;
    }
    checks.check("the kernel's hwmon driver reads an INA226", || {
        let folder = hwmon("ina226")?;
        expect(&folder, &[("in1_input", 5000), ("curr1_input", 250), ("power1_input", 1_250_000), ("shunt_resistor", 10000)])
    });
    checks.check("the kernel's hwmon driver reads an INA3221", || {
        expect(&hwmon("ina3221")?, &[("in1_input", 5000), ("curr1_input", 160)])
    });
    checks.check("the kernel's IIO driver reads an INA226", || {
        expect(&iio("ina226")?, &[("in_voltage1_raw", 4000), ("in_voltage0_raw", 1000)])
    });
    checks.check("the kernel shows a battery", || {
        let folder = Path::new("/sys/class/power_supply/test_battery");
        ensure!(text(&folder.join("type"))? == "Battery", "it is a {}", text(&folder.join("type"))?);
        expect(folder, &[("present", 1), ("charge_now", 50), ("voltage_now", 3_800_000), ("current_now", -500_000)])
    });
    checks.check("the battery has a twin in hwmon", || Ok(hwmon("test_battery")?.display().to_string()));
    checks.check("a phone's rails count in microwattseconds", rails);
    Ok(())
}

/// The folder of the hwmon chip of this name.
pub(crate) fn hwmon(name: &str) -> Result<PathBuf> {
    named(Path::new("/sys/class/hwmon"), name)
}

/// The folder of the IIO device of this name.
pub(crate) fn iio(name: &str) -> Result<PathBuf> {
    named(Path::new("/sys/bus/iio/devices"), name)
}

/// The text of a node, without the end of its line.
pub(crate) fn text(path: &Path) -> Result<String> {
    Ok(fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?.trim_end().to_owned())
}

fn named(class: &Path, name: &str) -> Result<PathBuf> {
    for entry in fs::read_dir(class).with_context(|| format!("cannot read {}", class.display()))? {
        let folder = entry?.path();
        if text(&folder.join("name")).is_ok_and(|found| found == name) {
            return Ok(folder);
        }
    }
    bail!("no {name} in {}", class.display())
}

/// The number of the bus that exists in software only.
fn stub_bus() -> Result<u32> {
    for entry in fs::read_dir("/sys/class/i2c-adapter").context("cannot read /sys/class/i2c-adapter")? {
        let folder = entry?.path();
        if text(&folder.join("name"))?.contains("stub") {
            let name = folder.file_name().unwrap_or_default().to_string_lossy().into_owned();
            return name.trim_start_matches("i2c-").parse().with_context(|| format!("no number in {name}"));
        }
    }
    bail!("no bus of i2c-stub")
}

fn place(bus: u32, chip: &Chip) -> Result<()> {
    for (register, value) in chip.registers {
        let numbers = [format!("{:#x}", chip.address), format!("{register:#x}"), format!("{:#x}", value.swap_bytes())];
        // The chips send the high byte first, the bus's words begin with the low one.
        run(Command::new("i2cset").arg("-y").arg(bus.to_string()).args(numbers).arg("w"))?;
    }
    let new = format!("/sys/bus/i2c/devices/i2c-{bus}/new_device");
    fs::write(&new, format!("{} {:#x}", chip.name, chip.address)).with_context(|| format!("cannot write {new}"))?;
    let bind = format!("/sys/bus/i2c/drivers/{}/bind", chip.driver);
    fs::write(&bind, format!("{bus}-{:04x}", chip.address)).with_context(|| format!("cannot write {bind}"))
}

/// Every node holds its number.
fn expect(folder: &Path, nodes: &[(&str, i64)]) -> Result<String> {
    let mut found = Vec::new();
    for (node, expected) in nodes {
        let value = text(&folder.join(node))?;
        ensure!(value.parse() == Ok(*expected), "{node} is {value}, not {expected}");
        found.push(format!("{node} {value}"));
    }
    Ok(found.join(", "))
}

/// Both forms, and a channel that another rail is put on.
fn rails() -> Result<String> {
    let folder = iio("s2mpg10-odpm")?;
    let read = || text(&folder.join("energy_value"));
    let new = read()?;
    let mut lines = new.lines();
    ensure!(lines.next().is_some_and(|line| line.starts_with("t=")), "{new}");
    let first = lines.next().context("no channel")?;
    let (ms, uws) = first
        .strip_prefix("CH0(T=")
        .and_then(|rest| rest.split_once(")[S2M_VDD_CPUCL2], "))
        .and_then(|(ms, uws)| Some((ms.parse::<u64>().ok()?, uws.parse::<u64>().ok()?)))
        .with_context(|| format!("not a channel: {first}"))?;
    ensure!(uws == ms * 1500, "{first} is not 1.5 W");
    set("known_odpm", "old_form", "1")?;
    let old = read();
    set("known_odpm", "old_form", "0")?;
    let old = old?;
    ensure!(old.lines().next().is_some_and(|line| line.parse::<u64>().is_ok()), "{old}");
    ensure!(old.lines().nth(1).is_some_and(|line| line.starts_with("S2M_VDD_CPUCL2, ")), "{old}");
    fs::write(folder.join("enabled_rails"), "CH7=BUCK10M").context("cannot write enabled_rails")?;
    let swapped = read()?;
    ensure!(
        swapped.lines().last().is_some_and(|line| line.starts_with("CH7(T=") && line.contains("[S10M_VDD_TPU], ")),
        "{swapped}"
    );
    Ok(format!("{first}, then {}", swapped.lines().last().unwrap_or_default()))
}
