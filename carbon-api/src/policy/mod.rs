//! Policies: pure functions from what a scheduler sees and what the grid says to a decision.
//!
//! A [`Policy`] reads no clock, no file and no network: the time is an argument, and feeds keep the [`CarbonSignal`] fresh
//! elsewhere. Its view, settings and action are plain serialisable types, so that one definition serves Rust callers, the
//! command line and HTTP. Every policy has a `carbon_weight`: at 0 it is the published rule of its system, decision for
//! decision, and no code that knows of carbon runs.

use std::fmt::Debug;

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::Serialize;
use serde::de::DeserializeOwned;
use thiserror::Error;

mod decision;
mod signal;

pub use decision::{Basis, Decision, Saved, decision_id};
pub use signal::CarbonSignal;

/// A rule that decides.
pub trait Policy: Sized {
    /// What the scheduler knows.
    type View: DeserializeOwned + Serialize + JsonSchema + Debug;
    /// What it can do.
    type Action: Serialize + JsonSchema + Debug;
    /// What its owner may set; every key has a default.
    type Settings: DeserializeOwned + Serialize + JsonSchema + Debug + Default;
    /// What an action is expected to cost, for the chosen one and for the baseline.
    type Outcome: Serialize + JsonSchema + Debug;

    /// The name in commands, addresses and labels.
    fn name() -> &'static str;

    /// The policy with its settings.
    ///
    /// # Errors
    /// A setting that cannot be, by its key.
    fn new(settings: Self::Settings) -> Result<Self, PolicyError>;

    /// The instant that a decision is for when the caller sends the signal along with the view: such an input is a question
    /// about that moment, and its answer is the same whenever it is asked.
    fn moment(_view: &Self::View, signal: &CarbonSignal) -> Option<Timestamp> {
        signal.moment()
    }

    /// Decides. Without a signal, or with a stale one, it decides as its system does, and says so in `why` and `fallback`.
    ///
    /// # Errors
    /// A value of the view or of the signal that cannot be, by its key.
    fn decide(
        &self,
        view: &Self::View,
        signal: Option<&CarbonSignal>,
        now: Timestamp,
    ) -> Result<Decision<Self::Action, Self::Outcome>, PolicyError>;
}

/// Why there is no decision: always something in the input, by the key at fault and with the mend.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum PolicyError {
    /// No policy of that name is built.
    #[error("unknown policy {asked:?}: built are {}", known.join(", "))]
    UnknownPolicy {
        /// What was asked for.
        asked: String,
        /// What there is.
        known: Vec<&'static str>,
    },
    /// The input has not the shape that is asked for: a key is missing, unknown or of another type.
    #[error("{key}: {problem}; {mend}")]
    Malformed {
        /// Where, as a path such as `view.deadline_at`.
        key: String,
        /// What is wrong.
        problem: String,
        /// What to do.
        mend: String,
    },
    /// The input is well formed and asks for something that cannot be.
    #[error("{key}: {problem}; {mend}")]
    Refused {
        /// Where, as a path such as `view.deadline_at`.
        key: String,
        /// What is wrong.
        problem: String,
        /// What to do.
        mend: String,
    },
}

impl PolicyError {
    /// A key that is missing, unknown or of the wrong type.
    pub fn malformed(key: impl Into<String>, problem: impl Into<String>, mend: impl Into<String>) -> Self {
        let (key, problem, mend) = (key.into(), problem.into(), mend.into());
        Self::Malformed { key, problem, mend }
    }

    /// A value that cannot be.
    pub fn refused(key: impl Into<String>, problem: impl Into<String>, mend: impl Into<String>) -> Self {
        let (key, problem, mend) = (key.into(), problem.into(), mend.into());
        Self::Refused { key, problem, mend }
    }

    /// The key at fault; `policy` for a name that no policy has.
    pub fn key(&self) -> &str {
        match self {
            Self::UnknownPolicy { .. } => "policy",
            Self::Malformed { key, .. } | Self::Refused { key, .. } => key,
        }
    }
}
