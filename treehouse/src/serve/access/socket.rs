//! The Unix socket beside TCP: the same routes, for callers whose user the kernel tells (`SO_PEERCRED`).

use std::io::ErrorKind;
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use axum::extract::connect_info::Connected;
use axum::serve::IncomingStream;

use super::Caller;
use super::group::TrustedGroup;
use crate::cli::Cli;
use crate::failure::Failure;
use crate::{output, wiring};

/// Name of the socket in the state folder.
const FILE: &str = "treehouse.sock";
/// Whoever can enter its folder may connect: what they get to see depends on who they are.
const MODE: u32 = 0o666;

/// A socket that listens; its file is removed when it is dropped.
#[derive(Debug)]
pub(crate) struct Socket {
    listener: UnixListener,
    file: SocketFile,
}

/// The file of a socket.
#[derive(Debug)]
pub(crate) struct SocketFile {
    path: PathBuf,
    inode: (u64, u64),
}

impl Socket {
    /// Opens the socket that flag or configuration name: a path, `off`, or `auto` for the state folder. There, where nobody asked
    /// for it, one that cannot be is only said.
    pub(crate) fn open(cli: &Cli, setting: &str) -> Result<Option<Self>, Failure> {
        match setting {
            "off" => Ok(None),
            "auto" => {
                let folder = wiring::state(cli)
                    .and_then(|f| std::fs::create_dir_all(&f).map(|()| f.clone()).map_err(|e| Failure::system(f.display(), e)));
                match folder.and_then(|f| Self::bind(&f.join(FILE))) {
                    Ok(socket) => Ok(Some(socket)),
                    Err(failure) => {
                        output::error(&format!("treehouse: no socket: {failure}"));
                        Ok(None)
                    }
                }
            }
            path => Self::bind(Path::new(path)).map(Some),
        }
    }

    fn bind(path: &Path) -> Result<Self, Failure> {
        let failed = |what: String| Failure::Input(format!("socket {}: {what}", path.display()));
        let listener = match UnixListener::bind(path) {
            Err(e) if e.kind() == ErrorKind::AddrInUse => {
                remove_stale(path).map_err(failed)?;
                UnixListener::bind(path)
            }
            bound => bound,
        };
        let listener =
            listener.map_err(|e| failed(format!("{e}; name a path in a folder that can be written with --socket, or off")))?;
        let about = std::fs::set_permissions(path, std::fs::Permissions::from_mode(MODE))
            .and_then(|()| listener.set_nonblocking(true))
            .and_then(|()| std::fs::symlink_metadata(path))
            .map_err(|e| failed(e.to_string()))?;
        let path = std::path::absolute(path).unwrap_or_else(|_| path.into());
        Ok(Self { listener, file: SocketFile { path, inode: (about.dev(), about.ino()) } })
    }

    /// Where it lies.
    pub(crate) fn path(&self) -> &Path {
        &self.file.path
    }

    /// Takes it apart, to listen in a runtime; the file has to be kept for as long.
    pub(crate) fn listen(self, group: Option<Arc<TrustedGroup>>) -> std::io::Result<(PeerListener, SocketFile)> {
        let listener = tokio::net::UnixListener::from_std(self.listener)?;
        Ok((PeerListener { listener, group }, self.file))
    }
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        // another daemon may have taken the place by now
        let is_ours = std::fs::symlink_metadata(&self.path).is_ok_and(|m| (m.dev(), m.ino()) == self.inode);
        if is_ours {
            let _ = std::fs::remove_file(&self.path);
        }
    }
}

/// Removes what a daemon left that was killed.
fn remove_stale(path: &Path) -> Result<(), String> {
    let is_socket = std::fs::symlink_metadata(path).is_ok_and(|m| m.file_type().is_socket());
    if !is_socket {
        return Err("something that is no socket lies there: name another path with --socket, or off".into());
    }
    match UnixStream::connect(path) {
        Ok(_) => Err("another daemon answers there: stop it, or name another path with --socket, or off".into()),
        Err(e) if e.kind() == ErrorKind::ConnectionRefused => std::fs::remove_file(path).map_err(|e| e.to_string()),
        Err(e) if e.kind() == ErrorKind::NotFound => Ok(()),
        Err(e) => Err(format!("{e}; name another path with --socket, or off")),
    }
}

/// Accepts connections, and learns whose each is.
pub(crate) struct PeerListener {
    listener: tokio::net::UnixListener,
    group: Option<Arc<TrustedGroup>>,
}

impl axum::serve::Listener for PeerListener {
    type Io = tokio::net::UnixStream;
    type Addr = Caller;

    async fn accept(&mut self) -> (Self::Io, Caller) {
        loop {
            let (stream, _) = axum::serve::Listener::accept(&mut self.listener).await;
            // as it was when it connected: what became of the process since does not matter
            let Ok(peer) = stream.peer_cred() else { continue };
            let (uid, gid) = (peer.uid(), peer.gid());
            let trusted = match self.group.clone() {
                // a database of users may be far away, and TCP must not wait for it
                Some(group) if uid != 0 => tokio::task::spawn_blocking(move || group.has(uid, gid)).await.unwrap_or(false),
                _ => false,
            };
            return (stream, Caller::Peer { uid, trusted });
        }
    }

    fn local_addr(&self) -> std::io::Result<Caller> {
        Err(ErrorKind::Unsupported.into())
    }
}

impl Connected<IncomingStream<'_, PeerListener>> for Caller {
    fn connect_info(stream: IncomingStream<'_, PeerListener>) -> Self {
        *stream.remote_addr()
    }
}

impl Connected<IncomingStream<'_, tokio::net::TcpListener>> for Caller {
    fn connect_info(_: IncomingStream<'_, tokio::net::TcpListener>) -> Self {
        Self::Tcp
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_dead_daemons_socket_is_taken_over_and_a_live_ones_is_not() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("s");
        drop(UnixListener::bind(&path).unwrap());
        assert!(path.exists(), "as a killed daemon leaves it");
        let live = Socket::bind(&path).unwrap();
        assert_eq!(std::fs::metadata(&path).unwrap().mode() & 0o777, 0o666);
        let problem = Socket::bind(&path).unwrap_err().to_string();
        assert!(problem.contains("another daemon answers") && problem.contains("--socket"), "{problem}");
        assert!(path.exists(), "the live one is left alone");
        drop(live);
        assert!(!path.exists());
    }

    #[test]
    fn what_is_no_socket_stays_and_the_mend_is_named() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("file");
        std::fs::write(&file, "precious").unwrap();
        let long = dir.path().join("x".repeat(120));
        for path in [file.clone(), dir.path().to_path_buf(), dir.path().join("no/such/folder/s"), long] {
            let problem = Socket::bind(&path).unwrap_err().to_string();
            assert!(problem.contains(path.to_str().unwrap()) && problem.contains("--socket"), "{problem}");
            assert!(!problem.contains('\n'));
        }
        assert_eq!(std::fs::read_to_string(&file).unwrap(), "precious");
    }

    #[test]
    fn a_file_that_is_another_daemons_by_now_is_left() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("s");
        let old = Socket::bind(&path).unwrap();
        // kept under another name, so that its inode is not given to the next one
        std::fs::rename(&path, dir.path().join("moved")).unwrap();
        let _new = UnixListener::bind(&path).unwrap();
        drop(old);
        assert!(path.exists());
    }
}
