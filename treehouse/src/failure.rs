//! Why a command ended without an answer, by the exit status that says so.

use std::fmt;
use std::process::ExitCode;

use carbon_api::detect::DetectError;
use carbon_api::grid::fixed::FixedError;
use carbon_api::grid::zone::UnknownZone;
use carbon_api::ledger::LedgerError;
use carbon_api::meter::replay::RecordingError;
use carbon_api::policy::PolicyError;

/// One line for people, and a status for programs.
#[derive(Debug)]
pub(crate) enum Failure {
    /// Bad usage, configuration or input: status 2.
    Input(String),
    /// Nothing to answer with: status 3.
    Nothing(String),
    /// The system refused something: status 1.
    System(String),
}

impl Failure {
    /// 2 for input, 3 for nothing to answer with, 1 for the system.
    pub(crate) fn exit_code(&self) -> ExitCode {
        match self {
            Self::Input(_) => ExitCode::from(2),
            Self::Nothing(_) => ExitCode::from(3),
            Self::System(_) => ExitCode::from(1),
        }
    }

    /// An error of the system, with what was being done.
    pub(crate) fn system(what: impl fmt::Display, error: impl fmt::Display) -> Self {
        Self::System(format!("{what}: {error}"))
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (Self::Input(text) | Self::Nothing(text) | Self::System(text)) = self;
        f.write_str(text)
    }
}

impl From<LedgerError> for Failure {
    fn from(error: LedgerError) -> Self {
        Self::Input(error.to_string())
    }
}

impl From<PolicyError> for Failure {
    fn from(error: PolicyError) -> Self {
        Self::Input(error.to_string())
    }
}

impl From<RecordingError> for Failure {
    fn from(error: RecordingError) -> Self {
        Self::Input(error.to_string())
    }
}

impl From<UnknownZone> for Failure {
    fn from(error: UnknownZone) -> Self {
        Self::Input(error.to_string())
    }
}

impl From<FixedError> for Failure {
    fn from(error: FixedError) -> Self {
        Self::Input(error.to_string())
    }
}

impl From<DetectError> for Failure {
    fn from(error: DetectError) -> Self {
        match error {
            DetectError::NoMeter { .. } => Self::Nothing(error.to_string()),
            DetectError::Thread(_) => Self::System(error.to_string()),
        }
    }
}
