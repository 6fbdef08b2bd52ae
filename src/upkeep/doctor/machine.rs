//! What the job needs of this machine.

use std::ffi::OsString;
use std::fs::{self, File};
use std::io;
use std::path::Path;

use super::Check;

/// Whether the metrics can be written, if they are asked for.
pub(super) fn metrics_file(path: Option<&Path>) -> Option<Check> {
    const NAME: &str = "metrics file";
    let path = path?;
    Some(match probe(path) {
        Ok(()) => Check::ok(
            NAME,
            format!("{} can be written by this user", path.display()),
        ),
        Err(error) => Check::problem(
            NAME,
            format!("{}: {error}", path.display()),
            "the run goes on without; make its folder and let the job's user write there, or change \
             NOTIFY_FANOUT_METRICS_FILE",
        ),
    })
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
    use crate::upkeep::doctor::Verdict;

    #[test]
    fn nothing_asked_for_is_nothing_to_check() {
        assert_eq!(metrics_file(None), None);
    }

    #[test]
    fn a_folder_that_takes_files_is_fine_and_stays_empty() {
        let folder = tempfile::tempdir().expect("a folder");
        let check = metrics_file(Some(&folder.path().join("job.prom"))).expect("a check");
        assert_eq!(check.verdict, Verdict::Ok);
        assert_eq!(fs::read_dir(folder.path()).expect("a folder").count(), 0);
    }

    #[test]
    fn a_folder_that_is_missing_or_in_the_way_is_found() {
        let folder = tempfile::tempdir().expect("a folder");
        for path in [folder.path().join("no/job.prom"), folder.path().to_owned()] {
            assert_eq!(
                metrics_file(Some(&path)).expect("a check").verdict,
                Verdict::Problem
            );
        }
    }
}
