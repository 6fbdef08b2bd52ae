//! What people call an endpoint.

use std::fmt;
use std::str::FromStr;

const MAX: usize = 60;

/// A name that needs no quotation marks in a shell, and is no route's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Name(String);

#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "a name has 1 to {MAX} letters, digits, dots, hyphens and underscores, the first a letter or digit"
)]
pub struct InvalidName;

impl Name {
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Name {
    type Err = InvalidName;

    fn from_str(text: &str) -> Result<Self, InvalidName> {
        let fits = |c: char| c.is_alphanumeric() || ".-_".contains(c);
        let is_name = text.chars().count() <= MAX
            && text.chars().all(fits)
            && text.starts_with(char::is_alphanumeric);
        is_name.then(|| Self(text.to_owned())).ok_or(InvalidName)
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_need_no_quotation_marks() {
        let (longest, too_long) = ("a".repeat(60), "a".repeat(61));
        for good in ["ops", "Ops_2.eu-west", "Größe", &longest] {
            assert!(good.parse::<Name>().is_ok(), "{good}");
        }
        for bad in [
            "",
            "env:slack",
            "-ops",
            ".",
            "a b",
            "a\n",
            "a/b",
            "*",
            &too_long,
        ] {
            assert_eq!(bad.parse::<Name>(), Err(InvalidName), "{bad}");
        }
    }
}
