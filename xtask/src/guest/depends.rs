//! Which module needs which, from the `modules.dep` that depmod writes.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context, Result};

/// The modules of a kernel.
#[derive(Debug, Default)]
pub(super) struct Depends {
    /// By name, as modprobe knows it: the module's path and the paths of all that it needs.
    modules: BTreeMap<String, Vec<String>>,
}

impl Depends {
    /// Reads lines such as `kernel/drivers/iio/x.ko: kernel/drivers/iio/y.ko kernel/z.ko`.
    pub(super) fn parse(text: &str) -> Self {
        let modules = text.lines().filter_map(|line| {
            let (module, needed) = line.split_once(':')?;
            let paths = std::iter::once(module).chain(needed.split_whitespace()).map(str::to_owned).collect();
            Some((name(module)?, paths))
        });
        Self { modules: modules.collect() }
    }

    /// The paths of these modules and of all that they need.
    ///
    /// # Errors
    /// The kernel has no module of such a name.
    pub(super) fn closure(&self, names: &[&str]) -> Result<BTreeSet<&str>> {
        let mut paths = BTreeSet::new();
        for wanted in names {
            let found = self.modules.get(&wanted.replace('-', "_"));
            paths.extend(found.with_context(|| format!("the kernel has no module {wanted}"))?.iter().map(String::as_str));
        }
        Ok(paths)
    }
}

/// `kernel/drivers/i2c/i2c-stub.ko` is `i2c_stub`.
fn name(path: &str) -> Option<String> {
    let file = path.rsplit('/').next()?;
    Some(file.split('.').next()?.replace('-', "_"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str =
        "kernel/a/i2c-stub.ko:\nkernel/a/iio.ko: \nkernel/a/adc.ko.xz: kernel/a/iio.ko kernel/b/base.ko\nnonsense\n";

    #[test]
    fn a_module_brings_what_it_needs() {
        let depends = Depends::parse(TEXT);
        let paths = depends.closure(&["adc", "i2c-stub"]).unwrap();
        assert_eq!(Vec::from_iter(paths), ["kernel/a/adc.ko.xz", "kernel/a/i2c-stub.ko", "kernel/a/iio.ko", "kernel/b/base.ko"]);
    }

    #[test]
    fn a_module_that_is_not_there_is_named() {
        let error = Depends::parse(TEXT).closure(&["nothing"]).unwrap_err();
        assert_eq!(error.to_string(), "the kernel has no module nothing");
    }
}
