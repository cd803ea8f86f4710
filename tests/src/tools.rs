//! Programs of others that tests look for.

use std::hash::{BuildHasher, RandomState};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU16, Ordering};

/// Names the Python environment that `cargo xtask test` makes.
const VENV: &str = "TREEHOUSE_TEST_VENV";

/// A program of the path, by its first name that is there.
pub fn find(names: &[&str]) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    let folders: Vec<PathBuf> = std::env::split_paths(&path).collect();
    names.iter().find_map(|name| folders.iter().map(|folder| folder.join(name)).find(|file| file.is_file()))
}

/// A program of the Python environment: by its own variable, or inside the environment.
pub fn find_in_venv(variable: &str, name: &str) -> Option<PathBuf> {
    let named = std::env::var_os(variable).map(PathBuf::from).filter(|path| path.is_file());
    let default = Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/venv");
    let venv = std::env::var_os(VENV).map_or(default, PathBuf::from);
    named.or_else(|| Some(venv.join("bin").join(name)).filter(|path| path.is_file()))
}

/// A port of loopback that nobody listens on now, and that nobody was told of before.
///
/// It lies below the ports that the system gives to whoever connects (`ip_local_port_range`, usually from 32768 on), so that no
/// connection takes it before the program does that it is for.
///
/// # Errors
/// There is none.
pub fn free_port() -> std::io::Result<u16> {
    static NEXT: OnceLock<AtomicU16> = OnceLock::new();
    const PORTS: std::ops::Range<u16> = 10_000..32_000;
    // two runs beside each other begin at different places
    let place = || AtomicU16::new(RandomState::new().hash_one(0) as u16);
    let next = NEXT.get_or_init(place);
    let found = (0..PORTS.len()).find_map(|_| {
        let port = PORTS.start + next.fetch_add(1, Ordering::Relaxed) % (PORTS.end - PORTS.start);
        TcpListener::bind(("127.0.0.1", port)).ok()
    });
    found.map_or_else(|| TcpListener::bind("127.0.0.1:0"), Ok)?.local_addr().map(|address| address.port())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_port_is_told_twice() {
        let ports: std::collections::BTreeSet<u16> = (0..50).map(|_| free_port().unwrap()).collect();
        assert_eq!(ports.len(), 50);
    }
}
