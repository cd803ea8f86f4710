//! Runs the program under test and reads its answers.

use std::fmt;
use std::os::unix::process::CommandExt;
use std::process::{Command, Output};

use anyhow::{Context, Result, bail};
use serde_json::Value;

/// Where it is in the guest.
pub(crate) const PROGRAM: &str = "/bin/treehouse";
/// Someone who is not root.
pub(crate) const SOMEBODY: u32 = 1000;

/// Who runs it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum User {
    /// The superuser.
    Root,
    /// A user without any right.
    Somebody,
    /// The same user with a copy of the program that holds CAP_PERFMON.
    SomebodyWithPerfmon,
}

impl User {
    /// The program as this user runs it.
    pub(crate) fn command(self) -> Command {
        let mut command = match self {
            Self::SomebodyWithPerfmon => Command::new(crate::permissions::WITH_PERFMON),
            Self::Root | Self::Somebody => Command::new(PROGRAM),
        };
        if self != Self::Root {
            command.uid(SOMEBODY).gid(SOMEBODY);
        }
        command.current_dir("/tmp");
        command
    }
}

/// What `treehouse sources` says.
#[derive(Debug)]
pub(crate) struct Sources {
    /// Its exit status.
    pub(crate) code: Option<i32>,
    answer: Value,
}

impl Sources {
    /// What it says of one source.
    pub(crate) fn source(&self, name: &str) -> Option<&Value> {
        self.answer["sources"].as_array()?.iter().find(|source| source["source"] == name)
    }

    /// `ok`, `denied`, `absent` or `broken`; `None` where the source is not listed.
    pub(crate) fn status(&self, name: &str) -> Option<&str> {
        self.source(name)?["status"].as_str()
    }

    /// The host's domains, as `source/domain`.
    pub(crate) fn host_cover(&self) -> Vec<&str> {
        self.answer["host_cover"].as_array().into_iter().flatten().filter_map(Value::as_str).collect()
    }
}

impl fmt::Display for Sources {
    /// Every source with its status, and what the host is: what a failed check shows.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "host {:?};", self.host_cover())?;
        for source in self.answer["sources"].as_array().into_iter().flatten() {
            let word = |key: &str| source[key].as_str().unwrap_or("?");
            write!(f, " {} {} ({});", word("source"), word("status"), word("detail"))?;
        }
        Ok(())
    }
}

/// Asks for the sources.
pub(crate) fn sources(user: User) -> Result<Sources> {
    let output = output(user.command().args(["sources", "--format", "json"]))?;
    Ok(Sources { code: output.status.code(), answer: answer(&output)? })
}

/// The one JSON object on standard output.
pub(crate) fn answer(output: &Output) -> Result<Value> {
    serde_json::from_slice(&output.stdout).with_context(|| {
        let [out, err] = [&output.stdout, &output.stderr].map(|text| String::from_utf8_lossy(text).into_owned());
        format!("no JSON from the program ({}): {out} {err}", output.status)
    })
}

/// Runs a command to its end.
pub(crate) fn output(command: &mut Command) -> Result<Output> {
    match command.output() {
        Ok(output) => Ok(output),
        Err(error) => bail!("cannot run {command:?}: {error}"),
    }
}
