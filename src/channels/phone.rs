//! Phone numbers.

use std::fmt;
use std::str::FromStr;

use super::InvalidTarget;
use super::destination::{Settings, Target, TargetSpec, required};
use super::redact::phone_numbers;

/// A number in the international form (E.164): `+`, country, subscriber.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct PhoneNumber(String);

impl PhoneNumber {
    pub(super) const SPEC: TargetSpec = TargetSpec {
        option: "--to",
        what: "phone number",
        example: "+15005550006",
    };

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for PhoneNumber {
    type Err = InvalidTarget;

    /// Ignores the spaces, hyphens, dots and brackets that people write between the digits.
    fn from_str(text: &str) -> Result<Self, InvalidTarget> {
        let number = text.trim().replace(|c| " -.()/\u{a0}".contains(c), "");
        let digits = number.strip_prefix('+').ok_or(InvalidTarget::PhoneNumber)?;
        let is_number = (7..=15).contains(&digits.len())
            && digits.bytes().all(|b| b.is_ascii_digit())
            && !digits.starts_with('0');
        is_number
            .then_some(Self(number))
            .ok_or(InvalidTarget::PhoneNumber)
    }
}

impl Target for PhoneNumber {
    fn from_settings(settings: Settings) -> Result<Self, InvalidTarget> {
        required("number", settings.number)
    }

    fn settings(&self) -> Settings {
        Settings {
            number: Some(self.0.clone()),
            ..Settings::default()
        }
    }
}

/// Redacted.
impl fmt::Display for PhoneNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&phone_numbers(&self.0))
    }
}

impl fmt::Debug for PhoneNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_international() {
        let number: PhoneNumber = " +49 (151) 123-456.78".parse().expect("a number");
        assert_eq!(number.as_str(), "+4915112345678");
        for bad in [
            "",
            "0151 12345678",
            "+0151123456",
            "+49151x2345678",
            "+123",
            "+1234567890123456",
        ] {
            assert_eq!(
                bad.parse::<PhoneNumber>(),
                Err(InvalidTarget::PhoneNumber),
                "{bad}"
            );
        }
    }
}
