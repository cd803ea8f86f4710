//! One battery of `class/power_supply`: the files that say what it gives, kept open and read together.

use std::fs;
use std::path::{Path, PathBuf};

use crate::error::ReadError;
use crate::system::{KernelFile, malformed};

/// Voltages that a battery can have, in microvolts; half a volt to a kilovolt.
const VOLTAGES_UV: std::ops::RangeInclusive<i64> = 500_000..=1_000_000_000;

/// What of a battery is turned into energy, the best first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Method {
    /// Falls of `charge_now`, times the voltage.
    ChargeNow,
    /// Falls of `charge_counter`, times the voltage.
    ChargeCounter,
    /// Falls of `energy_now`.
    EnergyNow,
    /// `power_now`, added up.
    PowerNow,
    /// `current_now` times the voltage, added up.
    CurrentNow,
}

impl Method {
    /// Every method, in order of preference.
    pub const ALL: [Self; 5] = [Self::ChargeNow, Self::ChargeCounter, Self::EnergyNow, Self::PowerNow, Self::CurrentNow];

    /// The file it lives by.
    pub const fn file(self) -> &'static str {
        match self {
            Self::ChargeNow => "charge_now",
            Self::ChargeCounter => "charge_counter",
            Self::EnergyNow => "energy_now",
            Self::PowerNow => "power_now",
            Self::CurrentNow => "current_now",
        }
    }

    /// It reads what the battery holds, not what flows.
    pub const fn counts(self) -> bool {
        matches!(self, Self::ChargeNow | Self::ChargeCounter | Self::EnergyNow)
    }

    const fn needs_voltage(self) -> bool {
        !matches!(self, Self::EnergyNow | Self::PowerNow)
    }
}

/// What one look at a battery showed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Look {
    /// `status` is `Discharging`.
    pub draining: bool,
    /// Volts times a million; 0 where the method has no use for it.
    pub voltage_uv: u64,
    /// The file of the method, in its unit: uAh, uWh, uW, or the unknown unit of `current_now`.
    pub main: i64,
    /// Current or power with its sign, where there is one.
    pub flow: Option<i64>,
    /// `capacity`, in percent.
    pub percent: Option<u64>,
}

/// The open files of one battery.
#[derive(Debug)]
pub struct Supply {
    folder: PathBuf,
    present: Option<KernelFile>,
    status: KernelFile,
    voltage: Option<KernelFile>,
    main: KernelFile,
    flow: Option<KernelFile>,
    percent: Option<KernelFile>,
}

impl Supply {
    /// Opens what a method needs, and what else helps.
    ///
    /// # Errors
    /// One of the needed files cannot be opened.
    pub fn open(folder: &Path, method: Method) -> Result<Self, ReadError> {
        let open = |name: &str| KernelFile::open(folder.join(name));
        let flow = || open("current_now").or_else(|_| open("power_now")).ok();
        Ok(Self {
            folder: folder.to_path_buf(),
            present: open("present").ok(),
            status: open("status")?,
            voltage: if method.needs_voltage() { Some(open("voltage_now")?) } else { None },
            main: open(method.file())?,
            flow: if method.counts() { flow() } else { None },
            percent: if method == Method::CurrentNow { open("capacity").ok() } else { None },
        })
    }

    /// Reads everything once.
    ///
    /// # Errors
    /// The battery is gone, a needed file cannot be read, or holds no number.
    pub fn look(&self) -> Result<Look, ReadError> {
        if let Some(present) = &self.present
            && number(present)? == 0
        {
            return Err(ReadError::Absent { path: self.folder.clone(), errno: None });
        }
        let draining = is_discharging(self.status.read(&mut [0; 32])?);
        let voltage_uv = self.voltage.as_ref().map_or(Ok(0), voltage)?;
        let main = number(&self.main)?;
        let optional = |file: &Option<KernelFile>| file.as_ref().and_then(|f| number(f).ok());
        Ok(Look {
            draining,
            voltage_uv,
            main,
            flow: optional(&self.flow),
            percent: optional(&self.percent).and_then(|p| u64::try_from(p).ok()),
        })
    }

    /// The file of the method.
    pub fn main_path(&self) -> &Path {
        self.main.path()
    }
}

fn number(file: &KernelFile) -> Result<i64, ReadError> {
    let mut buffer = [0; 32];
    let bytes = file.read(&mut buffer)?;
    integer(bytes).ok_or_else(|| malformed(file.path(), bytes, "a whole number"))
}

fn voltage(file: &KernelFile) -> Result<u64, ReadError> {
    let microvolts = number(file)?;
    let plausible = VOLTAGES_UV.contains(&microvolts);
    u64::try_from(microvolts)
        .ok()
        .filter(|_| plausible)
        .ok_or_else(|| malformed(file.path(), microvolts.to_string().as_bytes(), "a voltage of a battery in microvolts"))
}

/// Parses a signed decimal with blanks around it; `None` for anything else and for what 64 bits do not hold.
pub fn integer(bytes: &[u8]) -> Option<i64> {
    std::str::from_utf8(bytes).ok()?.trim_ascii().parse().ok()
}

/// True where the text of `status` says that the battery alone feeds the machine.
pub fn is_discharging(bytes: &[u8]) -> bool {
    bytes.trim_ascii().eq_ignore_ascii_case(b"Discharging")
}

/// Names of the batteries below `class/power_supply` that feed the machine: present, and not inside a mouse or a headset.
///
/// # Errors
/// The folder cannot be listed.
pub fn list(class: &Path) -> std::io::Result<Vec<String>> {
    let mut names: Vec<String> = fs::read_dir(class)?
        .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
        .filter(|name| {
            let text = |file: &str| fs::read_to_string(class.join(name).join(file)).unwrap_or_default();
            text("type").trim() == "Battery" && text("scope").trim() != "Device" && !matches!(text("present").trim(), "0")
        })
        .collect();
    names.sort_unstable();
    Ok(names)
}

/// Reads one number off a file beside the ones that are kept open: `charge_full`, `capacity_error_margin`.
///
/// # Errors
/// The file cannot be read or holds no number.
pub fn number_of(folder: &Path, name: &str) -> Result<i64, ReadError> {
    number(&KernelFile::open(folder.join(name))?)
}
