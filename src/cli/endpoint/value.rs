//! Values that need not stand on the command line, where others could read them.

use std::io::{BufRead, IsTerminal as _};

use secrecy::SecretString;
use secrecy::zeroize::Zeroizing;

use crate::cli::Failure;

/// A value as it was given: `-` is the next line of standard input, `@FILE` the first line of a file,
/// anything else itself.
pub(super) fn read(option: &str, given: &str) -> Result<SecretString, Failure> {
    let failed = |place: &str, error: &dyn std::fmt::Display| {
        Failure::Usage(format!("{option}: {place} can't be read: {error}"))
    };
    let (place, line) = match given.strip_prefix('@') {
        None if given == "-" => {
            if std::io::stdin().is_terminal() {
                eprint!("{option}: ");
            }
            let line = first_line(&mut std::io::stdin().lock());
            let place = "standard input";
            (place, line.map_err(|error| failed(place, &error))?)
        }
        None => return Ok(given.into()),
        Some(path) => {
            let file = std::fs::File::open(path).map_err(|error| failed(path, &error))?;
            let line = first_line(&mut std::io::BufReader::new(file));
            (path, line.map_err(|error| failed(path, &error))?)
        }
    };
    if line.is_empty() {
        return Err(Failure::Usage(format!(
            "{option}: {place} has no line left, or an empty one"
        )));
    }
    Ok(line.as_str().into())
}

fn first_line(reader: &mut impl BufRead) -> std::io::Result<Zeroizing<String>> {
    let mut line = Zeroizing::new(String::new());
    reader.read_line(&mut line)?;
    Ok(Zeroizing::new(line.trim().to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use secrecy::ExposeSecret as _;

    #[test]
    fn a_value_may_stand_in_a_file() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("url");
        std::fs::write(&file, " https://example.com/x \nmore\n").expect("a file");
        let given = format!("@{}", file.display());
        let value = read("--url", &given).expect("a value");
        assert_eq!(value.expose_secret(), "https://example.com/x");
        let value = read("--url", "https://example.com").expect("a value");
        assert_eq!(value.expose_secret(), "https://example.com");
        std::fs::write(&file, "\nmore").expect("a file");
        let error = read("--url", &given).expect_err("nothing").to_string();
        assert!(
            error.ends_with("has no line left, or an empty one"),
            "{error}"
        );
        insta::assert_snapshot!(read("--url", "@/nowhere").expect_err("nothing"), @"--url: /nowhere can't be read: No such file or directory (os error 2)");
    }

    #[test]
    fn lines_are_taken_one_by_one() {
        let mut lines = "one\r\ntwo".as_bytes();
        let read: Vec<_> = (0..3)
            .map(|_| first_line(&mut lines).expect("a line").to_string())
            .collect();
        assert_eq!(read, ["one", "two", ""]);
    }
}
