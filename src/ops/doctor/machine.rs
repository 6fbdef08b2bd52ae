//! Checks the metrics files.

use std::ffi::OsString;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use super::Finding;

/// Whether the metrics can be written.
pub(super) fn metrics_file((variable, path): &(&'static str, PathBuf)) -> Finding {
    let place = path.display();
    match probe(path) {
        Ok(()) => Finding::ok(format!("{place} can be written by this user")),
        Err(error) => Finding::problem(
            format!("{place}: {error}"),
            format!(
                "runs continue without it; create its folder, writable by the job's user, or \
                 change {variable}"
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

    #[test]
    fn a_folder_that_takes_no_file_is_found_and_another_stays_empty() {
        let folder = tempfile::tempdir().expect("a folder");
        for (path, severity) in [
            (folder.path().join("job.prom"), Severity::Ok),
            (folder.path().join("no/job.prom"), Severity::Problem),
            (folder.path().to_owned(), Severity::Problem),
        ] {
            let finding = metrics_file(&("NOTIFY_FANOUT_METRICS_FILE", path));
            assert_eq!(finding.severity, severity, "{finding:?}");
        }
        assert_eq!(fs::read_dir(folder.path()).expect("a folder").count(), 0);
    }
}
