//! The file in the state folder that tells other processes where the daemon listens.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use crate::cli::Cli;
use crate::wiring;

/// Name of the file.
pub(crate) const FILE: &str = "daemon.json";

/// The file; removed when the daemon stops.
pub(super) struct AddressFile(Option<PathBuf>);

impl AddressFile {
    /// Writes the address and the socket, where there is a state folder; a daemon without one is simply not found by others.
    pub(super) fn write(cli: &Cli, has_ledger: bool, address: SocketAddr, socket: Option<&Path>) -> Self {
        let path = wiring::state(cli).ok().filter(|_| has_ledger).map(|f| f.join(FILE));
        let text = serde_json::json!({ "address": address.to_string(), "socket": socket, "pid": std::process::id() }).to_string();
        Self(path.filter(|p| std::fs::write(p, text + "\n").is_ok()))
    }
}

impl Drop for AddressFile {
    fn drop(&mut self) {
        if let Some(path) = &self.0 {
            let _ = std::fs::remove_file(path);
        }
    }
}
