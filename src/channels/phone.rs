//! Phone numbers.

use std::fmt;
use std::str::FromStr;

use super::redact::phone_numbers;

/// A number in the international form (E.164): `+`, country, subscriber.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct PhoneNumber(String);

impl PhoneNumber {
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a phone number has to be in the international form, such as +4915112345678")]
pub struct InvalidPhoneNumber;

impl FromStr for PhoneNumber {
    type Err = InvalidPhoneNumber;

    /// Ignores the spaces, hyphens, dots and brackets that people write between the digits.
    fn from_str(text: &str) -> Result<Self, InvalidPhoneNumber> {
        let number: String = text
            .trim()
            .chars()
            .filter(|c| !" -.()/\u{a0}".contains(*c))
            .collect();
        let digits = number.strip_prefix('+').ok_or(InvalidPhoneNumber)?;
        let is_number = (7..=15).contains(&digits.len())
            && digits.bytes().all(|b| b.is_ascii_digit())
            && !digits.starts_with('0');
        if is_number {
            Ok(Self(number))
        } else {
            Err(InvalidPhoneNumber)
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
    fn forms() {
        let number: PhoneNumber = " +49 (151) 123-456.78".parse().expect("a number");
        assert_eq!(number.as_str(), "+4915112345678");
        assert_eq!(format!("{number:?}"), "+49…78");
        for bad in [
            "",
            "0151 12345678",
            "+0151123456",
            "+49151x2345678",
            "+123",
            "+1234567890123456",
        ] {
            assert_eq!(bad.parse::<PhoneNumber>(), Err(InvalidPhoneNumber), "{bad}");
        }
    }
}
