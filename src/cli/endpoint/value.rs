//! Values that need not stand on the command line, where others could read them.

use std::io::{BufRead, IsTerminal as _, stdin};

use secrecy::SecretString;
use secrecy::zeroize::Zeroizing;

use crate::cli::Failure;

/// A value as it was given: `-` is the next line of standard input, `@FILE` the first line of a file,
/// anything else itself.
pub(super) fn read(option: &str, given: &str) -> Result<SecretString, Failure> {
    let (place, line) = match given.strip_prefix('@') {
        None if given == "-" => {
            if stdin().is_terminal() {
                eprint!("{option}: ");
            }
            ("standard input", first_line(&mut stdin().lock()))
        }
        None => return Ok(given.into()),
        Some(path) => {
            let file = std::fs::File::open(path).map(std::io::BufReader::new);
            (path, file.and_then(|mut file| first_line(&mut file)))
        }
    };
    match line {
        Ok(line) if line.is_empty() => Err(Failure::Usage(format!(
            "{option}: {place} has no line left, or an empty one"
        ))),
        Ok(line) => Ok(line.as_str().into()),
        Err(error) => Err(Failure::Usage(format!(
            "{option}: {place} can't be read: {error}"
        ))),
    }
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
        let file = tempfile::NamedTempFile::new().expect("a file");
        let given = format!("@{}", file.path().display());
        let error = read("--url", &given).expect_err("nothing").to_string();
        assert!(error.ends_with("no line left, or an empty one"), "{error}");
        std::fs::write(&file, " https://example.com/x \r\nmore\n").expect("written");
        let value = read("--url", &given).expect("a value");
        assert_eq!(value.expose_secret(), "https://example.com/x");
    }
}
