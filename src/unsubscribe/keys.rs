//! The secret keys that tokens are signed with.

use base64::Engine as _;
use base64::alphabet;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use hmac::{Hmac, KeyInit, Mac};
use secrecy::{ExposeSecret, SecretSlice};
use sha2::Sha256;

/// Bytes that a key has at least: as many as the hash.
const LEAST: usize = 32;

/// Of base64 the padding may be left out.
const CONFIG: GeneralPurposeConfig =
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent);

/// One key or several: the first signs, all of them verify, so that a key can be replaced while
/// the mails that were signed with it are still about.
#[derive(Debug)]
pub struct Keys(Vec<SecretSlice<u8>>);

/// Why the keys can't be used. It repeats nothing of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum InvalidKeys {
    /// One of them, counted from one, is written in another way.
    #[error("key {0} is neither base64 nor hexadecimal; make one with: openssl rand -base64 32")]
    NotEncoded(usize),
    /// One of them, counted from one, could be guessed.
    #[error("key {0} has fewer than {LEAST} bytes; make one with: openssl rand -base64 32")]
    TooShort(usize),
}

impl Keys {
    /// Reads keys apart by commas, each as base64 (of either alphabet) or hexadecimal.
    pub fn parse(text: &str) -> Result<Self, InvalidKeys> {
        let keys = text.split(',').map(str::trim).enumerate();
        let keys = keys.map(|(place, key)| {
            let bytes = decode(key).ok_or(InvalidKeys::NotEncoded(place + 1))?;
            if bytes.len() < LEAST {
                return Err(InvalidKeys::TooShort(place + 1));
            }
            Ok(SecretSlice::from(bytes))
        });
        Ok(Self(keys.collect::<Result<_, _>>()?))
    }

    /// The signature of the first key.
    pub(super) fn sign(&self, message: &[&[u8]]) -> Option<Vec<u8>> {
        let mac = mac(self.0.first()?, message)?;
        Some(mac.finalize().into_bytes().to_vec())
    }

    /// Whether any key made the signature. Takes the same time wherever the two differ.
    pub(super) fn verify(&self, message: &[&[u8]], signature: &[u8]) -> bool {
        let mut macs = self.0.iter().filter_map(|key| mac(key, message));
        macs.any(|mac| mac.verify_slice(signature).is_ok())
    }
}

fn mac(key: &SecretSlice<u8>, message: &[&[u8]]) -> Option<Hmac<Sha256>> {
    let mut mac = Hmac::<Sha256>::new_from_slice(key.expose_secret()).ok()?;
    for part in message {
        mac.update(part);
    }
    Some(mac)
}

fn decode(key: &str) -> Option<Vec<u8>> {
    if key.is_empty() {
        return None;
    }
    // Hexadecimal of this length would also pass for base64.
    if key.len() >= 2 * LEAST && key.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return hexadecimal(key);
    }
    [alphabet::STANDARD, alphabet::URL_SAFE]
        .iter()
        .find_map(|alphabet| GeneralPurpose::new(alphabet, CONFIG).decode(key).ok())
}

fn hexadecimal(key: &str) -> Option<Vec<u8>> {
    if !key.len().is_multiple_of(2) {
        return None;
    }
    (0..key.len())
        .step_by(2)
        .map(|at| u8::from_str_radix(key.get(at..at + 2)?, 16).ok())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn encodings() {
        let bytes = [0xfb_u8; 33];
        let message: &[&[u8]] = &[b"message"];
        let signature = Hmac::<Sha256>::new_from_slice(&bytes)
            .expect("a key")
            .chain_update(b"message")
            .finalize()
            .into_bytes();
        let hex = "fb".repeat(33);
        for text in [
            "+/v7+/v7+/v7+/v7+/v7+/v7+/v7+/v7+/v7+/v7+/v7",
            "-_v7-_v7-_v7-_v7-_v7-_v7-_v7-_v7-_v7-_v7-_v7",
            hex.as_str(),
            &hex.to_uppercase(),
        ] {
            let keys = Keys::parse(text).unwrap_or_else(|error| panic!("{text}: {error}"));
            assert!(keys.verify(message, &signature), "{text}");
        }
        for length in [32, 34] {
            let padded = base64::prelude::BASE64_STANDARD.encode(vec![7; length]);
            assert!(padded.ends_with('='));
            assert!(Keys::parse(&padded).is_ok());
            assert!(Keys::parse(padded.trim_end_matches('=')).is_ok());
        }
    }

    #[test]
    fn what_is_no_key_is_told_by_its_place() {
        let good = "fb".repeat(32);
        let error = |text: &str| Keys::parse(text).expect_err("no key").to_string();
        insta::assert_snapshot!(error("hunter2!"), @"key 1 is neither base64 nor hexadecimal; make one with: openssl rand -base64 32");
        insta::assert_snapshot!(error("aHVudGVyMg=="), @"key 1 has fewer than 32 bytes; make one with: openssl rand -base64 32");
        insta::assert_snapshot!(error(&format!("{good}, ")), @"key 2 is neither base64 nor hexadecimal; make one with: openssl rand -base64 32");
        insta::assert_snapshot!(error(&format!("{good},{good}a")), @"key 2 is neither base64 nor hexadecimal; make one with: openssl rand -base64 32");
        // Too short for hexadecimal, and as base64.
        insta::assert_snapshot!(error(&"ab".repeat(20)), @"key 1 has fewer than 32 bytes; make one with: openssl rand -base64 32");
    }

    #[test]
    fn nothing_prints_a_key() {
        let keys = Keys::parse(&"fb".repeat(32)).expect("a key");
        let printed = format!("{keys:?}");
        assert!(
            !printed.contains("fb") && !printed.contains("251"),
            "{printed}"
        );
    }
}
