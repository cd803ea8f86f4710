//! Programs of others that tests look for.

use std::net::TcpListener;
use std::path::{Path, PathBuf};

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

/// A port of loopback that nobody listens on now.
///
/// # Errors
/// There is none.
pub fn free_port() -> std::io::Result<u16> {
    Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?.port())
}
