//! The identifier of a delivery towards the outside.

use std::fmt;
use std::str::FromStr;

use uuid::Uuid;

/// With what channels add, it stays below the shortest limit: 256 characters of Resend's
/// `Idempotency-Key`.
const MAX: usize = 200;

/// The same in every attempt: Message-ID, idempotency key, `webhook-id`. Other installations may share
/// the account or domain, so a number from a sequence is not enough.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct DeliveryKey(String);

impl DeliveryKey {
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl From<Uuid> for DeliveryKey {
    fn from(id: Uuid) -> Self {
        Self(id.to_string())
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a delivery key has 1 to 200 letters, digits, '-', '_' and single dots within")]
pub struct InvalidKey;

impl FromStr for DeliveryKey {
    type Err = InvalidKey;

    fn from_str(text: &str) -> Result<Self, InvalidKey> {
        // What RFC 5322 calls a dot-atom, and little of it.
        let atom = |part: &str| {
            !part.is_empty()
                && part
                    .bytes()
                    .all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
        };
        if text.len() <= MAX && text.split('.').all(atom) {
            Ok(Self(text.to_owned()))
        } else {
            Err(InvalidKey)
        }
    }
}

impl fmt::Display for DeliveryKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fit_for_a_header() {
        for good in ["a", "msg_p5jXN8AQM9LWM0D4loKWxJek", "email.5f0c.2"] {
            assert_eq!(
                good.parse::<DeliveryKey>().map(|k| k.to_string()),
                Ok(good.to_owned())
            );
        }
        let long = "a".repeat(201);
        for bad in ["", ".", "a..b", "a b", "a@b", "a\r\nX: y", "é", &long] {
            assert_eq!(bad.parse::<DeliveryKey>(), Err(InvalidKey), "{bad}");
        }
        let id = Uuid::nil();
        assert_eq!(
            DeliveryKey::from(id).as_str().parse(),
            Ok(DeliveryKey::from(id))
        );
    }
}
