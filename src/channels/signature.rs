//! Signatures by which a receiver knows that a request is ours (Standard Webhooks 1.0).

use std::fmt;
use std::str::FromStr;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use chrono::{DateTime, Utc};
use hmac::{Hmac, KeyInit, Mac};
use secrecy::zeroize::Zeroizing;
use sha2::Sha256;

use super::InvalidTarget;

const PREFIX: &str = "whsec_";
const SIZES: std::ops::RangeInclusive<usize> = 24..=64;

/// A key that sender and receiver share.
#[derive(Clone, PartialEq, Eq)]
pub struct SigningSecret(Zeroizing<Vec<u8>>);

impl SigningSecret {
    /// Of random bytes; 32 are usual.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, InvalidTarget> {
        let secret = SIZES.contains(&bytes.len()).then(|| bytes.to_vec());
        let secret = secret.ok_or(InvalidTarget::Secret)?;
        Ok(Self(Zeroizing::new(secret)))
    }

    /// As it is given to the receiver, once.
    pub fn reveal(&self) -> Zeroizing<String> {
        Zeroizing::new(format!("{PREFIX}{}", STANDARD.encode(&*self.0)))
    }

    /// `v1,` and the base64 of HMAC-SHA256 over id, time and body.
    fn sign(&self, id: &str, at: DateTime<Utc>, body: &[u8]) -> String {
        let mut mac = Hmac::<Sha256>::new_from_slice(&self.0)
            .unwrap_or_else(|_| unreachable!("HMAC takes keys of any length"));
        mac.update(format!("{id}.{}.", at.timestamp()).as_bytes());
        mac.update(body);
        format!("v1,{}", STANDARD.encode(mac.finalize().into_bytes()))
    }
}

/// The value of `webhook-signature`: one signature for each secret, so that a receiver may go
/// over from the old secret to the new one at any time while both are given.
pub fn signatures(secrets: &[SigningSecret], id: &str, at: DateTime<Utc>, body: &[u8]) -> String {
    let each = secrets.iter().map(|secret| secret.sign(id, at, body));
    each.collect::<Vec<_>>().join(" ")
}

impl FromStr for SigningSecret {
    type Err = InvalidTarget;

    /// The prefix may be missing.
    fn from_str(text: &str) -> Result<Self, InvalidTarget> {
        let text = text.trim();
        let encoded = text.strip_prefix(PREFIX).unwrap_or(text);
        let bytes = Zeroizing::new(
            STANDARD
                .decode(encoded)
                .map_err(|_| InvalidTarget::Secret)?,
        );
        Self::from_bytes(&bytes)
    }
}

impl fmt::Debug for SigningSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("whsec_…")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_have_a_size_and_perhaps_a_prefix() {
        let published = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
        for text in [published, &published[PREFIX.len()..]] {
            let secret: SigningSecret = text.parse().expect("a secret");
            assert_eq!(*secret.reveal(), published);
        }
        let of = |size| format!("whsec_{}", STANDARD.encode(vec![1_u8; size]));
        for good in [of(24), of(64)] {
            assert!(good.parse::<SigningSecret>().is_ok(), "{good}");
        }
        for bad in ["", "whsec_", "whsec_not base64!", &of(23), &of(65)] {
            assert_eq!(bad.parse::<SigningSecret>(), Err(InvalidTarget::Secret));
        }
    }
}
