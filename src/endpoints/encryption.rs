//! Encryption of settings at rest. Without a key they stay plain.
//!
//! XChaCha20-Poly1305 with a random nonce for each encryption, and the endpoint's identifier as
//! associated data: what was encrypted for one endpoint can't be put into another's row.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use chacha20poly1305::aead::{Aead, Payload};
use chacha20poly1305::{KeyInit, XChaCha20Poly1305, XNonce};
use rand::CryptoRng;
use secrecy::SecretString;
use secrecy::zeroize::Zeroizing;
use uuid::Uuid;

use crate::domain::secret_keys::SecretKeys;

/// What encrypted settings begin with, of any version; plain ones are JSON and don't.
const ENCRYPTED: &str = "enc:";
/// Then comes the base64 of nonce, ciphertext and tag.
const VERSION: &str = "enc:v1:";
const NONCE_SIZE: usize = 24;

/// Encrypts settings with the first of its keys, and decrypts with any. Without keys settings stay
/// as they are.
#[derive(Debug, Default)]
pub struct Encryption(Option<SecretKeys>);

/// Settings as JSON, and how they were stored.
#[derive(Debug)]
pub struct Decrypted {
    pub settings: SecretString,
    pub form: StoredForm,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StoredForm {
    Plain,
    /// Encrypted with the key that is used for new ones.
    Encrypted,
    /// Encrypted with a key that is about to be replaced.
    EncryptedWithOldKey,
}

/// The errors repeat nothing of the settings.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum DecryptError {
    #[error("its settings are encrypted, and NOTIFY_SECRET_KEY is not set")]
    NoKey,
    #[error(
        "its settings can't be decrypted: none of the keys of NOTIFY_SECRET_KEY is the one that they \
         were encrypted with, or they were tampered with"
    )]
    WrongKey,
    #[error(
        "its settings are encrypted in a form that is not known here; is this program too old?"
    )]
    UnknownForm,
}

impl Encryption {
    pub fn new(keys: SecretKeys) -> Self {
        Self(Some(keys))
    }

    pub fn encrypts(&self) -> bool {
        self.0.is_some()
    }

    /// The settings of an endpoint as they are to be stored.
    pub fn encrypt(&self, endpoint: Uuid, settings: &str, random: &mut impl CryptoRng) -> String {
        let Some(cipher) = self.ciphers().next() else {
            return settings.to_owned();
        };
        let mut nonce = [0; NONCE_SIZE];
        random.fill_bytes(&mut nonce);
        let payload = Payload {
            msg: settings.as_bytes(),
            aad: endpoint.as_bytes(),
        };
        let encrypted = cipher
            .encrypt(&XNonce::from(nonce), payload)
            .unwrap_or_else(|_| unreachable!("settings are shorter than 256 GB"));
        format!(
            "{VERSION}{}",
            STANDARD.encode([&nonce[..], &encrypted].concat())
        )
    }

    /// Reads the settings of an endpoint.
    pub fn decrypt(&self, endpoint: Uuid, stored: &str) -> Result<Decrypted, DecryptError> {
        if !stored.starts_with(ENCRYPTED) {
            return Ok(Decrypted {
                settings: stored.into(),
                form: StoredForm::Plain,
            });
        }
        let encoded = stored.strip_prefix(VERSION);
        let encoded = encoded.ok_or(DecryptError::UnknownForm)?;
        if !self.encrypts() {
            return Err(DecryptError::NoKey);
        }
        let encrypted = STANDARD.decode(encoded);
        let encrypted = encrypted.map_err(|_| DecryptError::WrongKey)?;
        let (nonce, encrypted) = encrypted
            .split_first_chunk::<NONCE_SIZE>()
            .ok_or(DecryptError::WrongKey)?;
        let payload = || Payload {
            msg: encrypted,
            aad: endpoint.as_bytes(),
        };
        let opened = self.ciphers().enumerate().find_map(|(place, cipher)| {
            let bytes = cipher.decrypt(&XNonce::from(*nonce), payload()).ok()?;
            Some((place, Zeroizing::new(bytes)))
        });
        let (place, bytes) = opened.ok_or(DecryptError::WrongKey)?;
        let settings = str::from_utf8(&bytes).map_err(|_| DecryptError::WrongKey)?;
        Ok(Decrypted {
            settings: settings.into(),
            form: if place == 0 {
                StoredForm::Encrypted
            } else {
                StoredForm::EncryptedWithOldKey
            },
        })
    }

    fn ciphers(&self) -> impl Iterator<Item = XChaCha20Poly1305> {
        let keys = self.0.iter().flat_map(SecretKeys::iter);
        keys.filter_map(|key| XChaCha20Poly1305::new_from_slice(key).ok())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use rand::SeedableRng as _;
    use rand::rngs::StdRng;
    use secrecy::ExposeSecret as _;

    const OLD: &str = "0101010101010101010101010101010101010101010101010101010101010101";
    const NEW: &str = "AgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgI=";

    fn encryption(keys: &str) -> Encryption {
        Encryption::new(SecretKeys::parse_exact(keys).expect("keys"))
    }

    fn read(
        encryption: &Encryption,
        id: Uuid,
        stored: &str,
    ) -> Result<(String, StoredForm), DecryptError> {
        let read = encryption.decrypt(id, stored)?;
        Ok((read.settings.expose_secret().to_owned(), read.form))
    }

    #[test]
    fn keys_are_replaced_one_by_one() {
        let (id, settings) = (Uuid::from_u128(7), r#"{"number":"+4915112345678"}"#);
        let random = &mut StdRng::seed_from_u64(7);
        let stored = encryption(OLD).encrypt(id, settings, random);
        assert!(stored.starts_with("enc:v1:") && !stored.contains("1234"));
        let both = encryption(&format!("{NEW},{OLD}"));
        let again = both.encrypt(id, settings, random);
        for (encryption, id, stored, form) in [
            (&encryption(OLD), id, &*stored, Ok(StoredForm::Encrypted)),
            (&both, id, &stored, Ok(StoredForm::EncryptedWithOldKey)),
            (&encryption(NEW), id, &stored, Err(DecryptError::WrongKey)),
            (&encryption(NEW), id, &again, Ok(StoredForm::Encrypted)),
            (
                &Encryption::default(),
                id,
                &stored,
                Err(DecryptError::NoKey),
            ),
            (&both, id, settings, Ok(StoredForm::Plain)),
            // Another endpoint's row is no place for it.
            (&both, Uuid::nil(), &stored, Err(DecryptError::WrongKey)),
            (&both, id, "enc:v1:AAAA", Err(DecryptError::WrongKey)),
            (&both, id, "enc:v1:{}", Err(DecryptError::WrongKey)),
            (&both, id, "enc:v2:AAAA", Err(DecryptError::UnknownForm)),
        ] {
            let expected = form.map(|form| (settings.to_owned(), form));
            assert_eq!(read(encryption, id, stored), expected, "{stored}");
        }
        assert_eq!(
            Encryption::default().encrypt(id, settings, random),
            settings
        );
    }

    proptest! {
        #[test]
        fn what_is_encrypted_comes_back_unless_a_bit_is_changed(
            settings: String, seed: u64, at: prop::sample::Index, bit in 0_u32..8,
        ) {
            let (id, encryption) = (Uuid::from_u128(7), encryption(NEW));
            let random = &mut StdRng::seed_from_u64(seed);
            let once = encryption.encrypt(id, &settings, random);
            prop_assert_ne!(&once, &encryption.encrypt(id, &settings, random));
            prop_assert_eq!(read(&encryption, id, &once), Ok((settings, StoredForm::Encrypted)));

            let mut bytes = STANDARD.decode(&once[VERSION.len()..]).expect("base64");
            let at = at.index(bytes.len());
            bytes[at] ^= 1 << bit;
            for bytes in [&bytes[..], &bytes[..at]] {
                let changed = format!("{VERSION}{}", STANDARD.encode(bytes));
                prop_assert_eq!(read(&encryption, id, &changed), Err(DecryptError::WrongKey));
            }
        }
    }
}
