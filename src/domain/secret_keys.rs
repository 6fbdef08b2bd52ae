//! Secret keys as the configuration has them.

use std::fmt;

use base64::Engine as _;
use base64::alphabet;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use secrecy::{ExposeSecret, SecretSlice};

/// Bytes that a key has, at least.
pub const KEY_SIZE: usize = 32;

/// Of base64 the padding may be left out.
const CONFIG: GeneralPurposeConfig =
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent);

/// One key or several. The first is used for what is new, all of them for what is there, so that a
/// key can be replaced while the old one's work is still about.
pub struct SecretKeys(Vec<SecretSlice<u8>>);

/// Why the keys can't be used. It repeats nothing of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum InvalidKeys {
    /// One of them, counted from one, is written in another way.
    #[error("key {0} is neither base64 nor hexadecimal; make one with: openssl rand -base64 32")]
    NotEncoded(usize),
    /// One of them, counted from one, could be guessed.
    #[error(
        "key {0} has fewer than {KEY_SIZE} bytes; make one with: openssl rand -base64 {KEY_SIZE}"
    )]
    TooShort(usize),
    /// One of them, counted from one, has no place in a cipher.
    #[error(
        "key {0} has more than {KEY_SIZE} bytes; make one with: openssl rand -base64 {KEY_SIZE}"
    )]
    TooLong(usize),
}

impl SecretKeys {
    /// Reads keys apart by commas, each as base64 (of either alphabet) or hexadecimal.
    pub fn parse(text: &str) -> Result<Self, InvalidKeys> {
        let keys = text.split(',').map(str::trim).enumerate();
        let keys = keys.map(|(place, key)| {
            let bytes = decode(key).ok_or(InvalidKeys::NotEncoded(place + 1))?;
            if bytes.len() < KEY_SIZE {
                return Err(InvalidKeys::TooShort(place + 1));
            }
            Ok(SecretSlice::from(bytes))
        });
        Ok(Self(keys.collect::<Result<_, _>>()?))
    }

    /// As [`parse`](Self::parse), of keys that must have [`KEY_SIZE`] bytes and no more.
    pub fn parse_exact(text: &str) -> Result<Self, InvalidKeys> {
        let keys = Self::parse(text)?;
        let too_long = keys.iter().position(|key| key.len() > KEY_SIZE);
        too_long.map_or(Ok(keys), |place| Err(InvalidKeys::TooLong(place + 1)))
    }

    pub fn iter(&self) -> impl Iterator<Item = &[u8]> {
        self.0.iter().map(ExposeSecret::expose_secret)
    }
}

impl fmt::Debug for SecretKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SecretKeys({})", self.0.len())
    }
}

fn decode(key: &str) -> Option<Vec<u8>> {
    if key.is_empty() {
        return None;
    }
    // Hexadecimal of this length would also pass for base64.
    if key.len() >= 2 * KEY_SIZE && key.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return hex::decode(key).ok();
    }
    [alphabet::STANDARD, alphabet::URL_SAFE]
        .iter()
        .find_map(|alphabet| GeneralPurpose::new(alphabet, CONFIG).decode(key).ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn encodings() {
        let hex = "fb".repeat(33);
        for text in [
            "+/v7+/v7+/v7+/v7+/v7+/v7+/v7+/v7+/v7+/v7+/v7",
            "-_v7-_v7-_v7-_v7-_v7-_v7-_v7-_v7-_v7-_v7-_v7",
            hex.as_str(),
            &hex.to_uppercase(),
        ] {
            let keys = SecretKeys::parse(text).unwrap_or_else(|error| panic!("{text}: {error}"));
            assert!(keys.iter().eq([[0xfb_u8; 33].as_slice()]), "{text}");
        }
        for length in [32, 34] {
            let padded = base64::prelude::BASE64_STANDARD.encode(vec![7; length]);
            assert!(padded.ends_with('='));
            assert!(SecretKeys::parse(&padded).is_ok());
            assert!(SecretKeys::parse(padded.trim_end_matches('=')).is_ok());
        }
    }

    #[test]
    fn what_is_not_a_key_is_named_by_its_place() {
        use InvalidKeys::{NotEncoded, TooLong, TooShort};
        let (good, long) = ("fb".repeat(32), "fb".repeat(33));
        for (text, error) in [
            (format!("{good}, {long}"), None),
            ("hunter2!".to_owned(), Some(NotEncoded(1))),
            ("aHVudGVyMg==".to_owned(), Some(TooShort(1))),
            (format!("{good}, "), Some(NotEncoded(2))),
            (format!("{good},{good}a"), Some(NotEncoded(2))),
            // Too short for hexadecimal, and as base64.
            ("ab".repeat(20), Some(TooShort(1))),
        ] {
            assert_eq!(SecretKeys::parse(&text).err(), error, "{text}");
        }
        let exact = |text: &str| SecretKeys::parse_exact(text).err();
        assert_eq!(exact(&format!("{good}, {good}")), None);
        assert_eq!(exact(&format!("{good},{long}")), Some(TooLong(2)));
        assert_eq!(exact("aHVudGVyMg=="), Some(TooShort(1)));
    }

    #[test]
    fn nothing_prints_a_key() {
        let keys = SecretKeys::parse(&"fb".repeat(32)).expect("a key");
        assert_eq!(format!("{keys:?}"), "SecretKeys(1)");
    }
}
