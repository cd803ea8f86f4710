//! Another user of this machine, without a privilege.

use std::io::{self, BufRead, BufReader};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use nix::sys::signal::Signal;
use tempfile::TempDir;

use crate::child::Ended;
use crate::http::{Answer, Target};
use crate::wait::LIMIT;
use crate::{child, skip};

/// The user that no file belongs to.
pub const NOBODY: u32 = 65534;

/// A user, and a folder that everybody may enter and only root may write.
#[derive(Debug)]
pub struct Stranger {
    folder: TempDir,
    program: PathBuf,
    uid: u32,
    gid: u32,
}

impl Stranger {
    /// `program` is the test program that asks; says that the test is left out where nobody else can be played.
    ///
    /// # Errors
    /// The system refuses.
    pub fn new(program: &str) -> io::Result<Option<Self>> {
        if !nix::unistd::geteuid().is_root() {
            skip::required("only root can run a program as another user");
            return Ok(None);
        }
        let folder = TempDir::with_prefix("treehouse-open-")?;
        std::fs::set_permissions(folder.path(), std::fs::Permissions::from_mode(0o755))?;
        // where it was built, the other user may not look
        let copy = folder.path().join("stranger");
        std::fs::copy(program, &copy)?;
        Ok(Some(Self { folder, program: copy, uid: NOBODY, gid: NOBODY }))
    }

    /// The same user with another primary group.
    #[must_use]
    pub fn with_group(mut self, gid: u32) -> Self {
        self.gid = gid;
        self
    }

    /// The folder.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// A path in the folder for the daemon's socket.
    pub fn socket(&self) -> PathBuf {
        self.folder().join("socket")
    }

    /// A program that runs as this user, without any further group.
    pub fn command(&self, program: impl AsRef<Path>) -> Command {
        let mut command = Command::new(program.as_ref());
        // further groups are dropped with the change of user
        command.uid(self.uid).gid(self.gid).current_dir("/").env_clear();
        command
    }

    /// Uses a processor until it is dropped.
    ///
    /// # Errors
    /// The system refuses.
    pub fn busy(&self) -> io::Result<Busy> {
        Busy::start(self.command("/bin/sh"))
    }

    /// Asks once.
    ///
    /// # Errors
    /// Nobody answers.
    pub fn ask(&self, target: &Target, path: &str, headers: &[&str]) -> io::Result<Answer> {
        let mut answers = self.start(target, path, (1, 0.0), headers)?.answers()?;
        answers.pop().ok_or_else(|| io::Error::other("no answer"))
    }

    /// Begins to ask every so many milliseconds for so many seconds.
    ///
    /// # Errors
    /// The system refuses.
    pub fn start(&self, target: &Target, path: &str, (every_ms, seconds): (u64, f64), headers: &[&str]) -> io::Result<Poll> {
        let mut command = self.command(&self.program);
        command.arg(target.to_string()).arg(path).args([every_ms.to_string(), seconds.to_string()]).args(headers);
        let child = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()?;
        let limit = Duration::from_secs_f64(seconds) + LIMIT;
        // read at once: a program whose output nobody takes stands still
        Ok(Poll(thread::spawn(move || child::collect(child, limit))))
    }
}

/// A program that asks.
#[derive(Debug)]
pub struct Poll(JoinHandle<io::Result<Ended>>);

impl Poll {
    /// Waits for its end.
    ///
    /// # Errors
    /// Somebody did not answer it.
    pub fn answers(self) -> io::Result<Vec<Answer>> {
        let ended = self.0.join().map_err(|_| io::Error::other("a thread panicked"))??;
        if !ended.status.success() {
            return Err(io::Error::other(ended.stderr));
        }
        ended.text().lines().map(|line| serde_json::from_str(line).map_err(io::Error::other)).collect()
    }
}

/// A process that uses a processor; killed by its id.
///
/// A shell starts it, which is that user's already: a process that changes its user used a moment of the one before.
#[derive(Debug)]
pub struct Busy {
    shell: Child,
    id: u32,
}

impl Busy {
    /// Starts it with this shell.
    ///
    /// # Errors
    /// The system refuses.
    pub fn start(mut shell: Command) -> io::Result<Self> {
        shell.args(["-c", "while :; do :; done & echo $!; wait"]).stdin(Stdio::null()).stdout(Stdio::piped());
        let mut shell = shell.spawn()?;
        let mut line = String::new();
        let read = shell.stdout.take().map_or(Ok(0), |out| BufReader::new(out).read_line(&mut line));
        match read.and_then(|_| line.trim().parse().map_err(io::Error::other)) {
            Ok(id) => Ok(Self { shell, id }),
            Err(error) => {
                let _ = shell.kill();
                let _ = shell.wait();
                Err(error)
            }
        }
    }

    /// The process id, with which the name of its series ends; how it begins depends on whether it was seen before its exec.
    pub fn id(&self) -> u32 {
        self.id
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        let _ = child::signal(self.id, Signal::SIGKILL);
        // the shell ends with it
        if child::wait(&mut self.shell, LIMIT).is_err() {
            let _ = self.shell.kill();
            let _ = self.shell.wait();
        }
    }
}
