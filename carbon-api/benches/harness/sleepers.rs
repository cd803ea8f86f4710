//! Processes that do nothing, as many as are wanted, gone with the benchmark.

use std::process::{Child, Command, Stdio};

/// Sleeping children; killed and waited for when dropped.
#[derive(Debug, Default)]
pub(crate) struct Sleepers {
    children: Vec<Child>,
}

impl Sleepers {
    /// Starts as many as are missing to `number`.
    pub(crate) fn grow_to(&mut self, number: usize) -> std::io::Result<()> {
        while self.children.len() < number {
            let mut sleep = Command::new("sleep");
            // long enough for the benchmark, and an end of its own should that be killed
            sleep.arg("600").stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
            self.children.push(sleep.spawn()?);
        }
        Ok(())
    }
}

impl Drop for Sleepers {
    fn drop(&mut self) {
        for child in &mut self.children {
            let _ = child.kill();
        }
        for child in &mut self.children {
            let _ = child.wait();
        }
    }
}
