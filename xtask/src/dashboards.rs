//! `cargo xtask dashboards`: writes the generated dashboards, rules and provisioning files, or compares them.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result, ensure};
use exporters::dashboards;

/// Writes every file that differs from what the generator would write now; with `check` only names them.
///
/// # Errors
/// When a file cannot be written, or with `check` where one differs: the error names the files and the command that mends them.
pub(crate) fn run(check: bool) -> Result<()> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../dashboards");
    let mut stale = Vec::new();
    for file in dashboards::files() {
        let path = folder.join(file.path);
        if fs::read_to_string(&path).is_ok_and(|there| there == file.content) {
            continue;
        }
        stale.push(format!("dashboards/{}", file.path));
        if !check {
            let parent = path.parent().unwrap_or(&folder);
            fs::create_dir_all(parent).with_context(|| format!("cannot make {}", parent.display()))?;
            fs::write(&path, file.content).with_context(|| format!("cannot write {}", path.display()))?;
        }
    }
    ensure!(!check || stale.is_empty(), "stale: {}; run `cargo xtask dashboards`", stale.join(", "));
    Ok(())
}
