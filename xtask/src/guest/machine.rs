//! The emulated machine: started, listened to line by line, and ended whatever happens.

use std::fs::{self, File};
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};

use super::Folder;
use super::kit::Kit;

/// How often its lines are looked for.
const LOOK: Duration = Duration::from_millis(100);
/// A processor with RAPL on which the kernel finds its way without one: a Xeon, as far as its numbers tell.
const PROCESSOR: &str = "max,vendor=GenuineIntel,family=6,model=85,stepping=7";
/// What the kernel is told. Emulation makes clocks of the processor useless, and mitigations slow.
const COMMAND_LINE: &str = "console=ttyS0 quiet panic=-1 tsc=unstable random.trust_cpu=on mitigations=off";

/// How it came to its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ended {
    /// It powered off, or its kernel gave up.
    ByItself,
    /// It took too long and was ended.
    TimedOut,
}

/// One that runs.
#[derive(Debug)]
pub(super) struct Machine {
    child: Child,
    lines: PathBuf,
    console: PathBuf,
}

impl Machine {
    /// Boots the image.
    ///
    /// # Errors
    /// The emulator cannot be started.
    pub(super) fn start(kit: &Kit, folder: &Folder, image: &Path, seconds: u32) -> Result<Self> {
        let [lines, console, recorded] = ["checks.log", "console.log", "recorded.tar"].map(|name| folder.join(name));
        for file in [&lines, &console, &recorded] {
            fs::write(file, "").with_context(|| format!("cannot write {}", file.display()))?;
        }
        // Whoever ends us ends the emulator too, with a signal or without.
        let mut command = Command::new("setpriv");
        command.args(["--pdeathsig", "KILL", "--"]).arg(kit.file("usr/bin/qemu-system-x86_64")?);
        command.env("LD_LIBRARY_PATH", kit.library_path()?);
        command.env("QEMU_MODULE_DIR", kit.folder("usr/lib/x86_64-linux-gnu/qemu"));
        for data in ["usr/share/qemu", "usr/share/seabios"] {
            command.arg("-L").arg(kit.folder(data));
        }
        command.args(["-accel", "tcg,thread=multi", "-cpu", PROCESSOR, "-smp", "2", "-m", "768"]);
        command.args(["-nodefaults", "-no-user-config", "-no-reboot", "-display", "none", "-monitor", "none"]);
        command.arg("-kernel").arg(kit.kernel()).arg("-initrd").arg(image);
        // What the kernel does not know becomes a variable of init.
        command.arg("-append").arg(format!("{COMMAND_LINE} GUEST_SECONDS={seconds}"));
        command.arg("-serial").arg(format!("file:{}", comma(&console)));
        command.args(["-device", "virtio-serial-pci"]);
        for (name, path) in [("checks", &lines), ("recorded", &recorded)] {
            command.arg("-chardev").arg(format!("file,id={name},path={}", comma(path)));
            command.arg("-device").arg(format!("virtserialport,chardev={name},name={name}"));
        }
        command.stdin(std::process::Stdio::null());
        let child = command.spawn().context("cannot start setpriv (of util-linux) with the emulator")?;
        Ok(Self { child, lines, console })
    }

    /// Passes on each line until it ends or the time is up.
    ///
    /// # Errors
    /// The lines cannot be read.
    pub(super) fn listen(&mut self, limit: Duration, mut hear: impl FnMut(&str)) -> Result<Ended> {
        let lines = self.lines.display().to_string();
        let mut file = File::open(&self.lines).with_context(|| format!("cannot open {lines}"))?;
        let start = Instant::now();
        let mut rest = Vec::new();
        let ended = loop {
            // Asked before the lines are read, or its last ones would be lost.
            let over = self.child.try_wait().context("cannot wait for the emulator")?.is_some();
            file.read_to_end(&mut rest).with_context(|| format!("cannot read {lines}"))?;
            while let Some(end) = rest.iter().position(|byte| *byte == b'\n') {
                let line: Vec<u8> = rest.drain(..=end).collect();
                hear(String::from_utf8_lossy(&line).trim_end());
            }
            if over {
                break Ended::ByItself;
            }
            if start.elapsed() > limit {
                break Ended::TimedOut;
            }
            thread::sleep(LOOK);
        };
        if !rest.is_empty() {
            hear(&String::from_utf8_lossy(&rest));
        }
        Ok(ended)
    }

    /// Where its kernel's words are kept.
    pub(super) fn console(&self) -> &Path {
        &self.console
    }
}

impl Drop for Machine {
    /// Ends it by its process id, if it still runs.
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The emulator takes a comma for the end of a value.
fn comma(path: &Path) -> String {
    path.display().to_string().replace(',', ",,")
}

#[cfg(test)]
mod tests {
    use std::process::Stdio;

    use tempfile::TempDir;

    use super::*;

    /// A machine whose part a shell plays.
    fn machine(script: &str) -> (Machine, TempDir) {
        let folder = tempfile::tempdir().unwrap();
        let lines = folder.path().join("lines");
        fs::write(&lines, "").unwrap();
        let child = Command::new("sh").args(["-c", script, "sh"]).arg(&lines).stdin(Stdio::null()).spawn().unwrap();
        (Machine { child, lines, console: folder.path().join("console") }, folder)
    }

    fn hear(machine: &mut Machine, limit: Duration) -> (Ended, Vec<String>) {
        let mut heard = Vec::new();
        let ended = machine.listen(limit, |line| heard.push(line.to_owned())).unwrap();
        (ended, heard)
    }

    #[test]
    fn lines_are_heard_as_they_come_and_the_last_without_an_end_too() {
        let (mut machine, _folder) = machine(r#"printf 'one\r\ntw' >> "$1"; sleep 0.3; printf 'o\nthree' >> "$1""#);
        let (ended, heard) = hear(&mut machine, Duration::from_secs(120));
        assert_eq!((ended, heard), (Ended::ByItself, vec!["one".into(), "two".into(), "three".into()]));
    }

    #[test]
    fn one_that_takes_too_long_is_ended_with_its_process() {
        let (mut machine, _folder) = machine(r#"echo one >> "$1"; exec sleep 600"#);
        while fs::metadata(&machine.lines).unwrap().len() == 0 {
            thread::sleep(LOOK);
        }
        let (ended, heard) = hear(&mut machine, Duration::from_millis(500));
        let process = PathBuf::from(format!("/proc/{}", machine.child.id()));
        assert_eq!((ended, heard.len(), process.exists()), (Ended::TimedOut, 1, true));
        drop(machine);
        assert!(!process.exists());
    }

    #[test]
    fn a_comma_in_a_path_is_doubled() {
        assert_eq!(comma(Path::new("/a,b")), "/a,,b");
    }
}
