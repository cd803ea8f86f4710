//! One channel that is read: its files kept open, opened anew where the chip is found again after its driver went away.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::channel::{Part, Recipe, Scale};
use super::chip::{Chips, Key};
use super::parse;
use crate::counter::Value;
use crate::error::ReadError;
use crate::stamp::{Clock, Stamp};
use crate::system::{KernelFile, malformed};

/// A chip that went away is looked for no more often than this.
const RETRY_NS: u64 = 500_000_000;
/// What the kernel answers for a channel that is switched off.
pub(super) const ENODATA: i32 = 61;

/// A figure in a file, with its scale.
#[derive(Debug)]
struct Gauge {
    file: KernelFile,
    scale: f64,
}

impl Gauge {
    fn open(base: &Path, part: &Part) -> Result<Self, ReadError> {
        let scale = match &part.scale {
            Scale::Is(scale) => *scale,
            Scale::In(name, factor) => {
                let path = base.join(name);
                let text = std::fs::read(&path).map_err(|e| ReadError::from_io(&path, &e))?;
                factor * parse::fraction(&text).ok_or_else(|| malformed(&path, &text, "a scale"))?
            }
        };
        Ok(Self { file: KernelFile::open(base.join(&part.file))?, scale })
    }

    fn number(&self) -> Result<i64, ReadError> {
        let mut buffer = [0; 32];
        let text = self.file.read(&mut buffer)?;
        parse::number(text).ok_or_else(|| malformed(self.file.path(), text, "a whole number"))
    }

    fn value(&self) -> Result<f64, ReadError> {
        Ok(self.number()? as f64 * self.scale)
    }
}

#[derive(Debug)]
enum Open {
    Energy(Gauge),
    Power(Gauge),
    Product(Gauge, Gauge),
}

impl Open {
    fn at(base: &Path, recipe: &Recipe) -> Result<Self, ReadError> {
        Ok(match recipe {
            Recipe::Energy(part) => Self::Energy(Gauge::open(base, part)?),
            Recipe::Power(part) => Self::Power(Gauge::open(base, part)?),
            Recipe::Product(volts, amperes) => Self::Product(Gauge::open(base, volts)?, Gauge::open(base, amperes)?),
        })
    }

    fn read(&self) -> Result<i64, ReadError> {
        match self {
            Self::Energy(gauge) => gauge.number(),
            // a conversion to i64 keeps to its range
            Self::Power(gauge) => Ok(gauge.value()?.round() as i64),
            Self::Product(volts, amperes) => Ok((volts.value()? * amperes.value()?).round() as i64),
        }
    }
}

/// One channel, open.
#[derive(Debug)]
pub(super) struct Sensor {
    sysfs: Arc<Path>,
    key: Key,
    recipe: Recipe,
    open: Option<Open>,
    /// Boot time before which the chip is not looked for again, and what was said last.
    retry: (u64, ReadError),
}

impl Sensor {
    /// Opens the files below `base`, where the chip `key` is now, and reads once.
    ///
    /// # Errors
    /// A file is absent, denied or broken; [`ReadError::Absent`] for a channel that is switched off.
    pub(super) fn open(sysfs: &Arc<Path>, key: &Key, base: &Path, recipe: Recipe) -> Result<Self, ReadError> {
        let open = Open::at(base, &recipe).map_err(off_is_absent)?;
        open.read().map_err(off_is_absent)?;
        let retry = (0, ReadError::Absent { path: base.join(recipe.first()), errno: None });
        Ok(Self { sysfs: Arc::clone(sysfs), key: key.clone(), recipe, open: Some(open), retry })
    }

    /// Microjoules of a counter, microwatts of power, stamped after the read.
    pub(super) fn read(&mut self, clock: &dyn Clock) -> Result<(i64, Stamp), ReadError> {
        let open = match &self.open {
            Some(open) => open,
            None => self.reopen(clock)?,
        };
        let read = open.read().map_err(off_is_absent);
        let at = clock.stamp();
        if let Err(error @ ReadError::Absent { errno, .. }) = &read
            && *errno != Some(ENODATA)
        {
            self.lose(error.clone());
        }
        read.map(|value| (value, at))
    }

    /// A reading of a counter as a value.
    pub(super) fn counter(&self, shown: i64, at: Stamp) -> Result<Value, ReadError> {
        match u64::try_from(shown) {
            Ok(shown) => Ok(Value::new(shown, at)),
            Err(_) => {
                Err(ReadError::Malformed { path: self.recipe.first().into(), found: shown.to_string(), expected: "an energy" })
            }
        }
    }

    /// The chip is gone: its files lead nowhere any more.
    pub(super) fn lose(&mut self, error: ReadError) {
        self.open = None;
        self.retry = (0, error);
    }

    fn reopen(&mut self, clock: &dyn Clock) -> Result<&Open, ReadError> {
        let now = clock.stamp().boottime_ns;
        if now < self.retry.0 {
            return Err(self.retry.1.clone());
        }
        let base: Option<PathBuf> = Chips::locate(&self.sysfs, &self.key);
        let opened = base.ok_or_else(|| self.retry.1.clone()).and_then(|base| Open::at(&base, &self.recipe));
        match opened {
            Ok(open) => Ok(self.open.insert(open)),
            Err(error) => {
                self.retry = (now + RETRY_NS, error.clone());
                Err(error)
            }
        }
    }
}

/// A channel that is switched off has no data: there is nothing to read until it is switched on.
fn off_is_absent(error: ReadError) -> ReadError {
    match error {
        ReadError::Io { path, errno: ENODATA } => ReadError::Absent { path, errno: Some(ENODATA) },
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_channel_without_data_is_absent() {
        let path = PathBuf::from("in1_input");
        let off = off_is_absent(ReadError::Io { path: path.clone(), errno: ENODATA });
        assert_eq!(off, ReadError::Absent { path: path.clone(), errno: Some(ENODATA) });
        let broken = ReadError::Io { path, errno: 5 };
        assert_eq!(off_is_absent(broken.clone()), broken);
    }
}
