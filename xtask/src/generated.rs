//! Files in the repository that a program wrote: each must be what the program would write now.

use anyhow::Result;

use crate::workspace::Workspace;

/// One set of generated files: its name for the terminal, and what compares the files with what would be
/// written now. The error names the files that differ and the command that mends them.
pub(crate) type Check = (&'static str, fn(&Workspace) -> Result<()>);

/// Every set of generated files; a new generator adds its entry here.
pub(crate) fn checks() -> &'static [Check] {
    &[("dashboards", |_| crate::dashboards::run(true))]
}
