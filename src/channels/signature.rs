//! Signatures by which a receiver knows that a request is ours (Standard Webhooks 1.0).

use std::fmt;
use std::str::FromStr;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use chrono::{DateTime, Utc};
use hmac::{Hmac, KeyInit, Mac};
use secrecy::zeroize::Zeroizing;
use sha2::Sha256;

const PREFIX: &str = "whsec_";
const SIZES: std::ops::RangeInclusive<usize> = 24..=64;

/// A key that sender and receiver share.
#[derive(Clone, PartialEq, Eq)]
pub struct SigningSecret(Zeroizing<Vec<u8>>);

/// The error does not repeat the text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a signing secret is whsec_ and 24 to 64 bytes in base64")]
pub struct InvalidSecret;

impl SigningSecret {
    /// Of random bytes; 32 are usual.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, InvalidSecret> {
        if SIZES.contains(&bytes.len()) {
            Ok(Self(Zeroizing::new(bytes.to_vec())))
        } else {
            Err(InvalidSecret)
        }
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
    let each: Vec<_> = secrets
        .iter()
        .map(|secret| secret.sign(id, at, body))
        .collect();
    each.join(" ")
}

impl FromStr for SigningSecret {
    type Err = InvalidSecret;

    /// The prefix may be missing.
    fn from_str(text: &str) -> Result<Self, InvalidSecret> {
        let text = text.trim();
        let encoded = text.strip_prefix(PREFIX).unwrap_or(text);
        let bytes = Zeroizing::new(STANDARD.decode(encoded).map_err(|_| InvalidSecret)?);
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

    const PUBLISHED: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

    fn secret(text: &str) -> SigningSecret {
        text.parse().expect("a secret")
    }

    #[test]
    fn the_published_vector() {
        let at = DateTime::from_timestamp(1_614_265_330, 0).expect("a time");
        let id = "msg_p5jXN8AQM9LWM0D4loKWxJek";
        let body = br#"{"test": 2432232314}"#;
        let known = "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=";
        assert_eq!(signatures(&[secret(PUBLISHED)], id, at, body), known);

        let new = SigningSecret::from_bytes(&[7; 32]).expect("a secret");
        let both = signatures(&[new.clone(), secret(PUBLISHED)], id, at, body);
        assert_eq!(both, format!("{} {known}", new.sign(id, at, body)));
    }

    #[test]
    fn secrets_as_text() {
        assert_eq!(*secret(PUBLISHED).reveal(), PUBLISHED);
        assert_eq!(secret(&PUBLISHED[6..]), secret(PUBLISHED));
        assert_eq!(format!("{:?}", secret(PUBLISHED)), "whsec_…");
        let of = |size| format!("whsec_{}", STANDARD.encode(vec![1_u8; size]));
        for bad in ["", "whsec_", "whsec_not base64!", &of(23), &of(65)] {
            assert_eq!(bad.parse::<SigningSecret>(), Err(InvalidSecret));
        }
        for good in [of(24), of(64)] {
            assert_eq!(*secret(&good).reveal(), good);
        }
    }
}
