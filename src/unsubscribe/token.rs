//! Tokens: a version, the person and the kind of mail, and a signature over them (HMAC-SHA-256), in
//! the letters of base64url. They don't expire: an old mail must still unsubscribe.

use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use uuid::Uuid;

use super::{Keys, UnsubscribeRequest, UnsubscribeScope};

const VERSION: u8 = 1;
const ID_LENGTH: usize = 16;
const SIGNATURE_LENGTH: usize = 32;
/// Keeps these signatures apart from any other use of the key.
const PURPOSE: &[u8] = b"notify-fan-out unsubscribe\0";

#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("invalid unsubscribe token: malformed, truncated, or signed with a retired key")]
pub struct InvalidToken;

pub(super) fn sign(request: &UnsubscribeRequest, keys: &Keys) -> String {
    let mut token = vec![VERSION];
    token.extend(request.user_id.as_bytes());
    token.extend(request.scope.as_str().as_bytes());
    let signature = keys.sign(&[PURPOSE, &token]).unwrap_or_default();
    token.extend(signature);
    BASE64_URL_SAFE_NO_PAD.encode(token)
}

pub(super) fn verify(token: &str, keys: &Keys) -> Result<UnsubscribeRequest, InvalidToken> {
    read(token, keys).ok_or(InvalidToken)
}

fn read(token: &str, keys: &Keys) -> Option<UnsubscribeRequest> {
    let token = BASE64_URL_SAFE_NO_PAD.decode(token).ok()?;
    let (signed, signature) = token.split_last_chunk::<SIGNATURE_LENGTH>()?;
    if !keys.verify(&[PURPOSE, signed], signature) {
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

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn keys(text: &str) -> Keys {
        Keys::parse(text).expect("keys")
    }

    fn old() -> String {
        "01".repeat(32)
    }

    fn new() -> String {
        "02".repeat(64)
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
        let token = sign(&request("*"), &keys(&old()));
        let both = keys(&format!("{}, {}", new(), old()));
        assert_eq!(verify(&token, &both), Ok(request("*")));
        // The first one signs.
        let newer = sign(&request("*"), &both);
        assert_eq!(verify(&newer, &keys(&new())), Ok(request("*")));
        assert_eq!(verify(&newer, &keys(&old())), Err(InvalidToken));
        assert_eq!(verify(&token, &keys(&new())), Err(InvalidToken));
    }

    #[test]
    fn what_was_never_signed() {
        let keys = keys(&old());
        let signed_token = |signed: &[u8], purpose: &[u8]| {
            let mut token = signed.to_vec();
            token.extend(keys.sign(&[purpose, signed]).expect("a signature"));
            BASE64_URL_SAFE_NO_PAD.encode(token)
        };
        let mut signed = vec![VERSION];
        signed.extend([0; ID_LENGTH]);
        signed.push(b'*');
        assert!(verify(&signed_token(&signed, PURPOSE), &keys).is_ok());
        assert_eq!(
            verify(&signed_token(&signed, b""), &keys),
            Err(InvalidToken)
        );
        // Of another version, without a scope, or with one that is no text.
        let variant = |version: u8, scope: &[u8]| {
            let mut signed = vec![version];
            signed.extend([0; ID_LENGTH]);
            signed.extend(scope);
            verify(&signed_token(&signed, PURPOSE), &keys)
        };
        assert_eq!(variant(2, b"*"), Err(InvalidToken));
        assert_eq!(variant(VERSION, b""), Err(InvalidToken));
        assert_eq!(variant(VERSION, &[0xff]), Err(InvalidToken));
        for text in ["", "*", "AQ", "not base64!", &"A".repeat(5_000)] {
            assert_eq!(verify(text, &keys), Err(InvalidToken), "{text}");
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
