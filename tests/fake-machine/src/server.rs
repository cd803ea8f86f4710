//! The running server, in either form.

use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use fuser::BackgroundSession;
use rustix::fs::{CWD, Mode, OFlags, mkfifoat};
use rustix::mount::{UnmountFlags, unmount};

use crate::fuse;
use crate::live::LiveMachine;
use crate::model::TrueMachine;
use crate::padded::PaddedFile;
use crate::plain::PlainTree;
use crate::watch::{Event, Watch};

/// How often plain files are renewed.
const RENEWAL: Duration = Duration::from_millis(20);
/// How often a FUSE server looks whether its mount and its parent are still there.
const GLANCE: Duration = Duration::from_millis(250);

/// A machine that is being shown.
pub(crate) struct Server {
    directory: PathBuf,
    machine: Arc<LiveMachine>,
    form: Form,
}

enum Form {
    Fuse(BackgroundSession),
    Plain(PlainFiles),
}

/// A plain tree with its control pipe and its truth.
struct PlainFiles {
    tree: PlainTree,
    truth: PaddedFile,
    control: File,
}

impl Server {
    /// Shows a machine in a directory by FUSE.
    pub(crate) fn fuse(directory: &Path, machine: TrueMachine) -> io::Result<Self> {
        let machine = Arc::new(LiveMachine::new(machine, false));
        let session = fuse::mount(directory, Arc::clone(&machine))?;
        Ok(Self { directory: directory.to_owned(), machine, form: Form::Fuse(session) })
    }

    /// Shows a machine in a directory by plain files.
    pub(crate) fn plain(directory: &Path, machine: TrueMachine) -> io::Result<Self> {
        let machine = Arc::new(LiveMachine::new(machine, true));
        let tree = machine.look(|machine, t| PlainTree::write(directory, machine, t));
        let control = directory.join("ctl");
        mkfifoat(CWD, &control, Mode::RUSR | Mode::WUSR)?;
        // Open for writing too: or each writer that leaves would end the input.
        let flags = OFlags::RDWR | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let files = PlainFiles {
            tree: tree.map_err(io::Error::other)?,
            truth: PaddedFile::new(File::create(directory.join("truth"))?),
            control: rustix::fs::open(&control, flags, Mode::empty())?.into(),
        };
        let mut server = Self { directory: directory.to_owned(), machine, form: Form::Plain(files) };
        server.renew();
        Ok(server)
    }

    /// The form, as printed.
    pub(crate) fn form(&self) -> &'static str {
        match self.form {
            Form::Fuse(_) => "fuse",
            Form::Plain(_) => "plain",
        }
    }

    /// Serves until the watch says that it has to end, or the mount is taken away.
    pub(crate) fn run(&mut self, watch: &Watch) -> io::Result<()> {
        let mut next = Instant::now() + RENEWAL;
        loop {
            let event = match &self.form {
                Form::Fuse(session) if session.guard.is_finished() => Event::End,
                Form::Fuse(_) => watch.wait(GLANCE, None)?,
                Form::Plain(files) => {
                    let pause = next.saturating_duration_since(Instant::now());
                    watch.wait(pause, Some(files.control.as_fd()))?
                }
            };
            match event {
                Event::End => return Ok(()),
                Event::Readable => self.take_commands(),
                Event::Timeout => next = Instant::now() + RENEWAL,
            }
            self.renew();
        }
    }

    /// Ends it and leaves the directory empty.
    pub(crate) fn stop(self) -> io::Result<()> {
        match self.form {
            Form::Fuse(session) => {
                // Detached, a reader that still holds a file cannot keep the mount; what is left
                // for the session is to ask fusermount, when this is not root.
                let detached = unmount(&self.directory, UnmountFlags::DETACH);
                drop(session);
                match detached {
                    Ok(()) | Err(rustix::io::Errno::PERM | rustix::io::Errno::INVAL) => Ok(()),
                    Err(error) => Err(error.into()),
                }
            }
            Form::Plain(files) => {
                files.tree.remove().map_err(io::Error::other)?;
                fs::remove_file(self.directory.join("truth"))?;
                fs::remove_file(self.directory.join("ctl"))
            }
        }
    }

    /// Brings plain files to the present; the other form needs nothing.
    fn renew(&mut self) {
        if let Form::Plain(files) = &mut self.form {
            let tree = &mut files.tree;
            let (renewed, truth) = self.machine.look_and_tell(|machine, t| tree.update(machine, t));
            if let Err(error) = renewed {
                report(&error);
            }
            if let Err(error) = files.truth.put(&truth) {
                report(&error);
            }
        }
    }

    fn take_commands(&mut self) {
        if let Form::Plain(files) = &mut self.form {
            let mut buffer = [0; 4096];
            // The pipe is never waited for, so nothing to read is no error.
            let read = files.control.read(&mut buffer).unwrap_or(0);
            let text = String::from_utf8_lossy(&buffer[..read]);
            if let Err(error) = self.machine.command(&text) {
                report(&error);
            }
        }
    }
}

/// Says on standard error what went wrong, and goes on.
fn report(error: &dyn std::error::Error) {
    let _ = writeln!(io::stderr().lock(), "fake-machine: {error}");
}
