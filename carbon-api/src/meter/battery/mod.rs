//! Batteries as meters: what a battery loses while it alone feeds the machine is what the machine used.
//!
//! While it is charged its current is net, not load: that time is a gap, never energy. Files and units: the kernel's
//! `power_supply` class (uV, uA, uW, uAh, uWh; a negative current drains). Vendors deviate: the sign is learned from `status`,
//! the unit of the current from what it does to the level, else it is not used.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::{DomainReport, Meter, SourceReport, Status, Value};
use crate::counter::{CounterSpec, GapReason, Wrap};
use crate::domain::{DomainInfo, DomainKind, Source};
use crate::error::ReadError;
use crate::stamp::{Clock, Stamp};
use crate::system::malformed;

mod direction;
mod flow;
mod stored;
mod supply;

pub use direction::Direction;
pub use flow::{Calibration, CurrentUnit, Flow, Unsettled};
pub use stored::{Held, Stored};
pub use supply::{Look, Method, Supply, integer, is_discharging, list, number_of};

/// What to do where the files may not be read.
const DENIED: &str = "run as root, or let your user read /sys/class/power_supply/*";
/// What to do where a battery cannot be used.
const BROKEN: &str = "look into the battery's folder: charge_now with voltage_now, energy_now or power_now must hold a number";
/// What a current of unknown unit is told.
const WAITING: &str =
    "a current of a known unit yet (microamperes or milliamperes): it is known when the level has fallen by two percent";
/// What a current is told that neither unit explains.
const CONTRADICTION: &str = "a current in microamperes or milliamperes by the fall of the level (broken: current unit)";

/// What the configuration may say about batteries.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct BatteryOptions {
    /// Relative accuracy; else the battery's `capacity_error_margin`, else 0.10 (no vendor gives a figure).
    pub accuracy: Option<f64>,
    /// The most a battery can give, in watts.
    pub max_power_w: f64,
    /// How often the gauge is renewed, in seconds. Gauges take 0.2 to 60 s and do not tell: the longest bounds them all.
    pub update_s: f64,
    /// How often a gauge without a counter is read, in seconds; no more than three times that is bridged.
    pub poll_s: f64,
}

impl Default for BatteryOptions {
    fn default() -> Self {
        Self { accuracy: None, max_power_w: CounterSpec::MAX_POWER_W, update_s: 60.0, poll_s: 5.0 }
    }
}

/// All batteries of a machine.
#[derive(Debug)]
pub struct BatteryMeter {
    domains: Vec<DomainInfo>,
    batteries: Vec<Battery>,
    /// Seconds that an integrated battery may go without a read.
    longest_s: Option<f64>,
}

#[derive(Debug)]
struct Battery {
    folder: PathBuf,
    method: Method,
    supply: Option<Supply>,
    direction: Direction,
    gauge: Gauge,
}

#[derive(Debug)]
enum Gauge {
    Stored { stored: Stored, step: u64 },
    Flow(Flow),
}

impl BatteryMeter {
    /// Looks for batteries below `sysfs`; says what became of each.
    pub fn discover(sysfs: &Path, options: &BatteryOptions) -> (Option<Self>, SourceReport) {
        let class = sysfs.join("class/power_supply");
        let names = match list(&class) {
            Ok(names) => names,
            Err(error) => return (None, refused(&ReadError::from_io(&class, &error), class, "no list of power supplies")),
        };
        if names.is_empty() {
            return (None, report(Status::Absent, "no battery feeds this machine".into(), class));
        }
        let (mut domains, mut batteries, mut unused) = (Vec::new(), Vec::new(), Vec::new());
        let mut first_error = None;
        for name in &names {
            match Battery::open(class.join(name), options) {
                Ok((battery, first)) => {
                    domains.push(describe(name, &battery, &first, options));
                    batteries.push(battery);
                }
                Err(error) => {
                    unused.push(format!("{name}: {error}"));
                    first_error.get_or_insert(error);
                }
            }
        }
        if let (true, Some(error)) = (batteries.is_empty(), first_error) {
            return (None, refused(&error, class, &format!("none of {} batteries can be used", names.len())));
        }
        let mut report = report(Status::Ok, detail(&names, &batteries, &unused), class);
        report.mend = (!unused.is_empty()).then(|| BROKEN.into());
        report.domains = DomainReport::list(&domains, &[]);
        let longest_s = domains.iter().any(|d: &DomainInfo| d.integrated).then_some(3.0 * options.poll_s);
        (Some(Self { domains, batteries, longest_s }), report)
    }
}

impl Meter for BatteryMeter {
    fn domains(&self) -> &[DomainInfo] {
        &self.domains
    }

    fn read(&mut self, clock: &dyn Clock, values: &mut [Result<Value, ReadError>]) {
        for (battery, value) in self.batteries.iter_mut().zip(values) {
            *value = battery.read(clock);
            if matches!(value, Err(ReadError::Absent { .. } | ReadError::Denied { .. })) {
                battery.supply = None;
            }
        }
    }

    fn longest_period_s(&self) -> Option<f64> {
        self.longest_s
    }

    fn warnings(&self, warnings: &mut Vec<Arc<str>>) {
        for (battery, domain) in self.batteries.iter().zip(&self.domains) {
            if let Gauge::Stored { stored, step } = &battery.gauge
                && let Some(learned) = stored.learned_step().filter(|learned| learned > step)
            {
                let (name, file) = (&domain.name, battery.method.file());
                let text = format!(
                    "coarse_gauge: {file} of {name} moves in steps of {learned}, not {step}: short intervals are less certain than they say"
                );
                warnings.push(text.into());
            }
        }
    }
}

impl Battery {
    /// The best way to meter one battery, with what it shows now.
    fn open(folder: PathBuf, options: &BatteryOptions) -> Result<(Self, Look), ReadError> {
        let mut first_error = None;
        for method in Method::ALL {
            match Supply::open(&folder, method).and_then(|supply| Ok((supply.look()?, supply))) {
                Ok((look, supply)) => {
                    let gauge = Gauge::new(&folder, method, &look, options);
                    return settled(&gauge, &look, &supply)
                        .map(|()| (Self { folder, method, supply: Some(supply), direction: Direction::default(), gauge }, look));
                }
                // a file that is there and does not answer says more than one that is not there
                Err(error) if matches!(first_error, None | Some(ReadError::Absent { .. })) => first_error = Some(error),
                Err(_) => {}
            }
        }
        Err(first_error.unwrap_or(ReadError::Absent { path: folder, errno: None }))
    }

    fn read(&mut self, clock: &dyn Clock) -> Result<Value, ReadError> {
        let supply = if let Some(supply) = &mut self.supply {
            supply
        } else {
            let supply = Supply::open(&self.folder, self.method)?;
            // what comes back may be another battery
            match &mut self.gauge {
                Gauge::Stored { stored, .. } => stored.forget(),
                Gauge::Flow(flow) => flow.interrupt(GapReason::Epoch),
            }
            self.supply.insert(supply)
        };
        let look = supply.look()?;
        let at = clock.stamp();
        let flow = if self.method.counts() { look.flow } else { Some(look.main) };
        // a late status does not make a load of what flows in
        let charging = !look.draining || flow.is_some_and(|f| self.direction.flows_in(f));
        self.gauge.take(&look, charging, at).map_err(|unsettled| unknown_unit(unsettled, supply, look.main))
    }
}

impl Gauge {
    fn new(folder: &Path, method: Method, look: &Look, options: &BatteryOptions) -> Self {
        let period_ns = (options.poll_s * 1e9) as u64;
        match method {
            Method::ChargeNow | Method::ChargeCounter => {
                // no gauge is trusted with steps finer than 1 mAh
                let step = 1000;
                Self::Stored { stored: Stored::new(Held::Charge, step), step }
            }
            Method::EnergyNow => {
                // smart batteries count in 10 mWh, other firmware in 1 mWh
                let step = if look.main % 10_000 == 0 { 10_000 } else { 1000 };
                Self::Stored { stored: Stored::new(Held::Energy, step), step }
            }
            Method::PowerNow => Self::Flow(Flow::new(period_ns, None)),
            Method::CurrentNow => {
                let calibration = Calibration::new(full_charge(folder, look), options.max_power_w);
                Self::Flow(Flow::new(period_ns, Some(calibration)))
            }
        }
    }

    fn take(&mut self, look: &Look, charging: bool, at: Stamp) -> Result<Value, Unsettled> {
        match self {
            Self::Stored { stored, .. } => Ok(stored.take(look.main, look.voltage_uv, charging, at)),
            Self::Flow(flow) => flow.take(look.main, look.voltage_uv, look.percent, charging, at),
        }
    }
}

/// A current whose unit neither its size nor the level can ever tell is of no use.
fn settled(gauge: &Gauge, look: &Look, supply: &Supply) -> Result<(), ReadError> {
    match gauge {
        Gauge::Flow(flow) if !flow.can_settle(look.main, look.voltage_uv, look.percent) => {}
        Gauge::Flow(_) | Gauge::Stored { .. } => return Ok(()),
    }
    let found = look.main.to_string();
    let expected = "a current of a known unit (broken: current unit): neither its size nor capacity with charge_full tells it";
    Err(malformed(supply.main_path(), found.as_bytes(), expected))
}

fn unknown_unit(unsettled: Unsettled, supply: &Supply, raw: i64) -> ReadError {
    let expected = match unsettled {
        Unsettled::Waiting => WAITING,
        Unsettled::Contradiction => CONTRADICTION,
    };
    malformed(supply.main_path(), raw.to_string().as_bytes(), expected)
}

/// Charge of the full battery in microampere-hours, as it is or as it was built.
fn full_charge(folder: &Path, look: &Look) -> Option<u64> {
    let positive = |name: &str| number_of(folder, name).ok().and_then(|n| u64::try_from(n).ok()).filter(|&n| n > 0);
    let by_energy = || {
        let microwatt_hours = positive("energy_full").or_else(|| positive("energy_full_design"))?;
        u64::try_from(u128::from(microwatt_hours) * 1_000_000 / u128::from(look.voltage_uv.max(1))).ok()
    };
    positive("charge_full").or_else(|| positive("charge_full_design")).or_else(by_energy)
}

fn describe(name: &str, battery: &Battery, look: &Look, options: &BatteryOptions) -> DomainInfo {
    let margin = number_of(&battery.folder, "capacity_error_margin").ok().filter(|p| (1..=100).contains(p));
    let counter = CounterSpec { max_power_w: options.max_power_w, ..CounterSpec::new(Wrap::Never) };
    let counter = match battery.gauge {
        Gauge::Stored { step, .. } => {
            let volts = if battery.method == Method::EnergyNow { 1.0 } else { look.voltage_uv as f64 / 1e6 };
            CounterSpec { resolution_j: step as f64 * 3600.0 / 1e6 * volts, survives_suspend: true, ..counter }
        }
        // what flowed during a suspend nobody added up
        Gauge::Flow(_) => counter,
    };
    DomainInfo {
        source: Source::FuelGauge,
        name: name.into(),
        device: name.into(),
        kind: DomainKind::Battery,
        contained_in: None,
        duplicate_of: None,
        counter,
        update_s: options.update_s,
        integrated: !battery.method.counts(),
        on_module: false,
        accuracy: options.accuracy.unwrap_or_else(|| margin.map_or(0.10, |percent| percent as f64 / 100.0)),
    }
}

fn detail(names: &[String], batteries: &[Battery], unused: &[String]) -> String {
    let used = batteries.iter().map(|b| {
        let name = b.folder.file_name().unwrap_or_default().to_string_lossy();
        format!("{name} by {}", b.method.file())
    });
    let mut text = used.collect::<Vec<_>>().join(", ");
    if !unused.is_empty() {
        text = format!("{} of {} batteries: {text}; not usable: {}", batteries.len(), names.len(), unused.join("; "));
    }
    text
}

fn report(status: Status, detail: String, path: PathBuf) -> SourceReport {
    let source = Source::FuelGauge.name().into();
    SourceReport { source, status, detail, path: Some(path), errno: None, mend: None, model: None, domains: Vec::new() }
}

fn refused(error: &ReadError, class: PathBuf, why: &str) -> SourceReport {
    let (status, mend) = match error {
        ReadError::Absent { path, .. } if *path == class => (Status::Absent, None),
        ReadError::Denied { .. } => (Status::Denied, Some(DENIED.into())),
        ReadError::Absent { .. } | ReadError::Malformed { .. } | ReadError::Io { .. } => (Status::Broken, Some(BROKEN.into())),
    };
    SourceReport { errno: error.errno(), mend, ..report(status, format!("{why} ({error})"), class) }
}

#[cfg(test)]
#[expect(clippy::float_cmp, reason = "taken over, not computed")]
#[path = "tests.rs"]
mod tests;
