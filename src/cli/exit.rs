//! What the exit code says.

use std::process::ExitCode;

/// How the program ended. The numbers are part of its interface.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum ExitStatus {
    /// Everything asked for was done.
    Success = 0,
    /// It failed for a reason that has no code of its own.
    Failure = 1,
    /// A flag or a variable is missing or wrong. (The command line parser's own code.)
    Config = 2,
    /// The run went through, and events failed for good in it.
    EventsFailed = 3,
    /// The database can't be reached, or its server is in trouble.
    DatabaseUnreachable = 4,
    /// Another instance is running, and `--exclusive` was given.
    AlreadyRunning = 5,
    /// A check found something to do.
    CheckFailed = 6,
}

impl ExitStatus {
    /// All of them, in the order of their numbers.
    pub(crate) const ALL: [Self; 7] = [
        Self::Success,
        Self::Failure,
        Self::Config,
        Self::EventsFailed,
        Self::DatabaseUnreachable,
        Self::AlreadyRunning,
        Self::CheckFailed,
    ];

    /// What it says, for people.
    pub(crate) const fn meaning(self) -> &'static str {
        match self {
            Self::Success => "success",
            Self::Failure => "failure of any other kind",
            Self::Config => "wrong usage or configuration; the error names the flag or variable",
            Self::EventsFailed => {
                "events failed permanently in this run, or messages became dead letters"
            }
            Self::DatabaseUnreachable => {
                "the database is unreachable, or its server is in trouble (disk full, out of memory)"
            }
            Self::AlreadyRunning => "another instance is running, and --exclusive was given",
            Self::CheckFailed => {
                "the check found a problem (migrate --check, doctor, endpoint test)"
            }
        }
    }
}

impl From<ExitStatus> for ExitCode {
    fn from(status: ExitStatus) -> Self {
        Self::from(status as u8)
    }
}
