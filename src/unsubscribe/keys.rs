//! The secret keys that tokens are signed with.

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

use crate::domain::secret_keys::{InvalidKeys, SecretKeys};

/// One key or several: the first signs, all of them verify, so that a key can be replaced while
/// the mails that were signed with it are still about.
#[derive(Debug)]
pub struct Keys(SecretKeys);

impl Keys {
    /// Reads keys apart by commas, each as base64 (of either alphabet) or hexadecimal.
    pub fn parse(text: &str) -> Result<Self, InvalidKeys> {
        SecretKeys::parse(text).map(Self)
    }

    /// The signature of the first key.
    pub(super) fn sign(&self, message: &[&[u8]]) -> Option<Vec<u8>> {
        let mac = mac(self.0.iter().next()?, message)?;
        Some(mac.finalize().into_bytes().to_vec())
    }

    /// Whether any key made the signature. Takes the same time wherever the two differ.
    pub(super) fn verify(&self, message: &[&[u8]], signature: &[u8]) -> bool {
        let mut macs = self.0.iter().filter_map(|key| mac(key, message));
        macs.any(|mac| mac.verify_slice(signature).is_ok())
    }
}

fn mac(key: &[u8], message: &[&[u8]]) -> Option<Hmac<Sha256>> {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).ok()?;
    for part in message {
        mac.update(part);
    }
    Some(mac)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_signature_is_hmac_sha256() {
        let signature = Hmac::<Sha256>::new_from_slice(&[0xfb; 33])
            .expect("a key")
            .chain_update(b"message")
            .finalize()
            .into_bytes();
        let keys = Keys::parse(&"fb".repeat(33)).expect("a key");
        assert!(keys.verify(&[b"mess", b"age"], &signature));
        assert_eq!(keys.sign(&[b"message"]).as_deref(), Some(&*signature));
    }
}
