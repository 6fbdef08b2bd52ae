//! Tokens: a version, the person and the kind of mail, and a signature over them (HMAC-SHA-256), in
//! the letters of base64url. They don't expire: an old mail must still unsubscribe.

use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use uuid::Uuid;

use super::{UnsubscribeRequest, UnsubscribeScope};
use crate::domain::secret_keys::SecretKeys;

const VERSION: u8 = 1;
const ID_LENGTH: usize = 16;
const SIGNATURE_LENGTH: usize = 32;
/// Keeps these signatures apart from any other use of the key.
const PURPOSE: &[u8] = b"notify-fan-out unsubscribe\0";

#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("invalid unsubscribe token: malformed, truncated, or signed with a retired key")]
pub struct InvalidToken;

/// A token that the first key signs.
pub(super) fn sign(request: &UnsubscribeRequest, keys: &SecretKeys) -> String {
    let mut token = vec![VERSION];
    token.extend(request.user_id.as_bytes());
    token.extend(request.scope.as_str().as_bytes());
    if let Some(mac) = keys.iter().next().and_then(|key| mac(key, &token)) {
        token.extend(mac.finalize().into_bytes());
    }
    BASE64_URL_SAFE_NO_PAD.encode(token)
}

/// Reads a token that any of the keys has signed.
pub(super) fn verify(token: &str, keys: &SecretKeys) -> Result<UnsubscribeRequest, InvalidToken> {
    read(token, keys).ok_or(InvalidToken)
}

fn read(token: &str, keys: &SecretKeys) -> Option<UnsubscribeRequest> {
    let token = BASE64_URL_SAFE_NO_PAD.decode(token).ok()?;
    let (signed, signature) = token.split_last_chunk::<SIGNATURE_LENGTH>()?;
    let mut macs = keys.iter().filter_map(|key| mac(key, signed));
    // Takes the same time wherever the two differ.
    if !macs.any(|mac| mac.verify_slice(signature).is_ok()) {
        return None;
    }
    let (version, rest) = signed.split_first()?;
    let (user_id, scope) = rest.split_first_chunk::<ID_LENGTH>()?;
    let scope = std::str::from_utf8(scope).ok()?;
    let is_ours = *version == VERSION && !scope.is_empty();
    is_ours.then(|| UnsubscribeRequest {
        user_id: Uuid::from_bytes(*user_id),
        scope: UnsubscribeScope::from(scope),
    })
}

fn mac(key: &[u8], signed: &[u8]) -> Option<Hmac<Sha256>> {
    let mac = Hmac::<Sha256>::new_from_slice(key).ok()?;
    Some(mac.chain_update(PURPOSE).chain_update(signed))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn keys(text: &str) -> SecretKeys {
        SecretKeys::parse(text).expect("keys")
    }

    fn old() -> String {
        "01".repeat(32)
    }

    fn request(scope: &str) -> UnsubscribeRequest {
        UnsubscribeRequest {
            user_id: Uuid::from_u128(7),
            scope: scope.into(),
        }
    }

    /// Mails that were sent stay valid only as long as this does not change.
    #[test]
    fn a_token_of_today_is_one_tomorrow() {
        let token = sign(&request("document_uploaded"), &keys(&old()));
        insta::assert_snapshot!(token, @"AQAAAAAAAAAAAAAAAAAAAAdkb2N1bWVudF91cGxvYWRlZIZPcCC-FVs2PiOfrN1OluJxN_3m9k_Zsf8Zvc5Fjqgk");
        let all = sign(&request("*"), &keys(&old()));
        insta::assert_snapshot!(all, @"AQAAAAAAAAAAAAAAAAAAAAcqEJGsRRCp9miexroGNw14bkxbrcYRGPCeVWRQYDtavbo");
        assert_eq!(verify(&all, &keys(&old())), Ok(request("*")));
    }

    #[test]
    fn a_key_is_replaced() {
        let new = "02".repeat(64);
        let token = sign(&request("*"), &keys(&old()));
        let both = keys(&format!("{new}, {}", old()));
        assert_eq!(verify(&token, &both), Ok(request("*")));
        // The first one signs.
        let newer = sign(&request("*"), &both);
        assert_eq!(verify(&newer, &keys(&new)), Ok(request("*")));
        assert_eq!(verify(&newer, &keys(&old())), Err(InvalidToken));
        assert_eq!(verify(&token, &keys(&new)), Err(InvalidToken));
    }

    /// Of another version, without a scope, or with one that is no text.
    #[test]
    fn what_is_signed_must_be_a_token() {
        let read = |version: u8, scope: &[u8]| {
            let mut token = vec![version];
            token.extend([0; ID_LENGTH]);
            token.extend(scope);
            let mac = mac(&[1; 32], &token).expect("a key");
            token.extend(mac.finalize().into_bytes());
            verify(&BASE64_URL_SAFE_NO_PAD.encode(token), &keys(&old()))
        };
        assert!(read(VERSION, b"*").is_ok());
        for (version, scope) in [(2, &b"*"[..]), (VERSION, b""), (VERSION, &[0xff])] {
            assert_eq!(read(version, scope), Err(InvalidToken));
        }
        for text in ["", "*", "AQ", "not base64!", &"A".repeat(5_000)] {
            assert_eq!(verify(text, &keys(&old())), Err(InvalidToken), "{text}");
        }
    }

    proptest! {
        #[test]
        fn what_was_asked_for_comes_back(user_id in any::<u128>(), scope in r"[a-z_.]{1,40}|\PC{1,40}|\*") {
            let request = UnsubscribeRequest { user_id: Uuid::from_u128(user_id), scope: scope.as_str().into() };
            let token = sign(&request, &keys(&old()));
            prop_assert!(token.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte)));
            prop_assert_eq!(verify(&token, &keys(&old())), Ok(request));
        }

        #[test]
        fn a_changed_letter_is_noticed(at in 0_usize..88, letter in r"[A-Za-z0-9_=. -]") {
            let token = sign(&request("document_uploaded"), &keys(&old()));
            prop_assume!(at < token.len() && !token[at..].starts_with(&letter));
            let changed = format!("{}{letter}{}", &token[..at], &token[at + 1..]);
            prop_assert_eq!(verify(&changed, &keys(&old())), Err(InvalidToken));
            let cut = &token[..at];
            prop_assert_eq!(verify(cut, &keys(&old())), Err(InvalidToken));
        }
    }
}
