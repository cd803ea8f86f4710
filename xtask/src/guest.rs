//! `cargo xtask guest-test`: boots Debian's kernel in an emulated machine, with meters whose true energy is known, and
//! runs the program there.
//!
//! Nothing is installed: Debian's packages are fetched by name into `target/guest`, once, and unpacked there. The kernel
//! modules of `tests/guest/kmod` are built against the headers of that kernel, the program and the checks as static
//! programs; they and busybox are all there is in the guest. What the guest says comes back through a port of its own.

mod apt;
mod cpio;
mod depends;
mod image;
mod kit;
mod kmod;
mod machine;
mod programs;
mod transcript;

use std::fs;
use std::path::PathBuf;
use std::process::{Command, ExitCode};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use clap::Args;

use self::kit::{Kit, Ready};
use self::machine::{Ended, Machine};
use self::transcript::Transcript;
use crate::setting::Setting;
use crate::workspace::Workspace;

/// What can be chosen.
#[derive(Args, Debug)]
pub(crate) struct Options {
    /// Fetches nothing: without the packages in target/guest nothing is run.
    #[arg(long)]
    no_install: bool,
    /// Length of the measurements that are compared with the truth.
    #[arg(long, value_name = "SECONDS", default_value_t = 60, value_parser = clap::value_parser!(u32).range(30..=600))]
    seconds: u32,
}

/// What a guest may take beyond its measurements before it is ended: five times what it takes on a quiet machine.
const PATIENCE: Duration = Duration::from_secs(900);

/// Where everything of the guest is kept.
#[derive(Debug)]
struct Folder(PathBuf);

impl Folder {
    fn of(workspace: &Workspace) -> Self {
        Self(workspace.target().join("guest"))
    }

    fn join(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }
}

/// Prepares, boots, listens, sums up. The last line is `N passed, N failed, N skipped`.
///
/// # Errors
/// When something cannot be fetched, built or started.
pub(crate) fn run(workspace: &Workspace, options: &Options) -> Result<ExitCode> {
    let setting = Setting::find(!options.no_install)?;
    let folder = Folder::of(workspace);
    println!("== kit: Debian's kernel and what boots it");
    let kit = match timed(|| Kit::prepare(workspace, setting, &folder))? {
        Ready::Kit(kit) => kit,
        Ready::Not(why) => return Ok(skip(&why, setting)),
    };
    println!("== modules: known meters, and drivers of the kernel that Debian leaves out");
    let modules = timed(|| kmod::build(workspace, &kit, &folder))?;
    println!("== programs: the program and the checks, static; at first this takes two minutes");
    let programs = timed(|| programs::build(workspace))?;
    println!("== guest: Linux {} under TCG", kit.release());
    let image = image::write(&kit, workspace, &modules, &programs, &folder)?;
    let mut machine = Machine::start(&kit, &folder, &image, options.seconds)?;
    let mut transcript = Transcript::default();
    let limit = PATIENCE + 2 * Duration::from_secs(options.seconds.into());
    let ended = timed(|| machine.listen(limit, |line| transcript.take(line)))?;
    if let Err(error) = keep_recorded(workspace, &folder) {
        transcript.fail("the trees that the kernel showed are kept", &format!("{error:#}"));
    }
    if !transcript.is_complete() {
        let how = match ended {
            Ended::ByItself => "the guest ended before its last line",
            Ended::TimedOut => "the guest was ended: it took too long",
        };
        transcript.fail("the guest runs to its end", how);
    }
    if transcript.failed() > 0 {
        println!("   what its kernel said: {}", machine.console().display());
    }
    println!("{transcript}");
    Ok(if transcript.failed() == 0 && transcript.passed() > 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Says what is missing; a failure where nothing may be left out.
fn skip(why: &str, setting: Setting) -> ExitCode {
    println!("   not run: {why}");
    if setting.ci {
        println!("   CI must be able to run the guest");
        println!("0 passed, 1 failed, 0 skipped");
        ExitCode::FAILURE
    } else {
        println!("0 passed, 0 failed, 1 skipped");
        ExitCode::SUCCESS
    }
}

/// Unpacks the node trees that the guest sent into `target/guest/recorded`.
fn keep_recorded(workspace: &Workspace, folder: &Folder) -> Result<()> {
    let (archive, recorded) = (folder.join("recorded.tar"), folder.join("recorded"));
    let length = fs::metadata(&archive).map_or(0, |m| m.len());
    ensure!(length > 0, "{} is empty", archive.display());
    make_anew(&recorded)?;
    let mut tar = workspace.command("tar");
    tar.args(["--extract", "--no-same-owner", "--file"]).arg(&archive).arg("--directory").arg(&recorded);
    succeed(tar, "tar")?;
    println!("   recorded: {}", recorded.display());
    Ok(())
}

/// An empty folder, whatever was there.
fn make_anew(folder: &std::path::Path) -> Result<()> {
    if folder.exists() {
        fs::remove_dir_all(folder).with_context(|| format!("cannot remove {}", folder.display()))?;
    }
    fs::create_dir_all(folder).with_context(|| format!("cannot make {}", folder.display()))
}

/// Runs a command that must succeed.
fn succeed(mut command: Command, what: &str) -> Result<()> {
    let status = command.status().with_context(|| format!("cannot start {what}"))?;
    ensure!(status.success(), "{what} failed; see above");
    Ok(())
}

/// Does it and says how long it took.
fn timed<T>(what: impl FnOnce() -> Result<T>) -> Result<T> {
    let start = Instant::now();
    let result = what()?;
    println!("   done, {:.1} s", start.elapsed().as_secs_f64());
    Ok(result)
}
