//! Checks the metrics files.

use std::ffi::OsString;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use super::Finding;

/// A file that metrics are asked for in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MetricsFile {
    /// The variable that names it.
    pub variable: &'static str,
    /// Where it is.
    pub path: PathBuf,
}

/// Whether the metrics can be written.
pub(super) fn metrics_file(file: &MetricsFile) -> Finding {
    const NAME: &str = "metrics file";
    let place = file.path.display();
    match probe(&file.path) {
        Ok(()) => Finding::ok(NAME, format!("{place} can be written by this user")),
        Err(error) => Finding::problem(
            NAME,
            format!("{place}: {error}"),
            format!(
                "runs continue without it; create its folder, writable by the job's user, or \
                 change {}",
                file.variable
            ),
        ),
    }
}

/// Does what a run does, beside the file: the file itself is replaced, not written.
fn probe(path: &Path) -> io::Result<()> {
    if path.is_dir() {
        return Err(io::Error::new(
            io::ErrorKind::IsADirectory,
            "is a folder, not a file",
        ));
    }
    let mut name = path.file_name().map_or_else(OsString::new, OsString::from);
    name.push(format!(".doctor-{}", std::process::id()));
    let beside = path.with_file_name(name);
    File::create_new(&beside)?;
    fs::remove_file(beside)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops::doctor::Severity;

    fn check(path: PathBuf) -> Finding {
        metrics_file(&MetricsFile {
            variable: "NOTIFY_FANOUT_METRICS_FILE",
            path,
        })
    }

    #[test]
    fn a_folder_that_takes_files_is_fine_and_stays_empty() {
        let folder = tempfile::tempdir().expect("a folder");
        let check = check(folder.path().join("job.prom"));
        assert_eq!(check.severity, Severity::Ok);
        assert_eq!(fs::read_dir(folder.path()).expect("a folder").count(), 0);
    }

    #[test]
    fn a_folder_that_is_missing_or_in_the_way_is_found() {
        let folder = tempfile::tempdir().expect("a folder");
        for path in [folder.path().join("no/job.prom"), folder.path().to_owned()] {
            assert_eq!(check(path).severity, Severity::Problem);
        }
    }
}
