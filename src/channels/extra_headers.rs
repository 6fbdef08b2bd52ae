//! Headers that an endpoint adds to its webhooks.

use std::fmt;

use reqwest::header::HeaderName;
use secrecy::{ExposeSecret, SecretString};

use super::InvalidTarget;

/// An endpoint's own headers. Their values may be secrets.
#[derive(Clone, Default)]
pub struct ExtraHeaders(pub(super) Vec<(HeaderName, SecretString)>);

const HEADERS_MAX: usize = 20;

impl ExtraHeaders {
    pub fn new<'a>(
        headers: impl IntoIterator<Item = (&'a str, SecretString)>,
    ) -> Result<Self, InvalidTarget> {
        let mut checked = Vec::new();
        for (name, value) in headers {
            let Ok(name) = name.parse::<HeaderName>() else {
                return Err(InvalidTarget::HeaderName(name.to_owned()));
            };
            if is_reserved(&name) {
                return Err(InvalidTarget::ReservedHeader(name));
            }
            let printable = |b: u8| (b' '..=b'~').contains(&b);
            if !value.expose_secret().bytes().all(printable) {
                return Err(InvalidTarget::HeaderValue(name));
            }
            checked.push((name, value));
        }
        if checked.len() > HEADERS_MAX {
            return Err(InvalidTarget::TooManyHeaders);
        }
        Ok(Self(checked))
    }

    /// The names, which are no secrets.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(|(name, _)| name.as_str())
    }
}

impl fmt::Debug for ExtraHeaders {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.names()).finish()
    }
}

/// Headers that the client or the protocol sets.
const RESERVED: &str = "connection content-encoding content-length content-type expect host keep-alive \
                        proxy-authorization proxy-connection te trailer transfer-encoding upgrade";

fn is_reserved(name: &HeaderName) -> bool {
    let name = name.as_str();
    RESERVED.split(' ').any(|reserved| reserved == name) || name.starts_with("webhook-")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_that_an_endpoint_cannot_have() {
        for (name, value, error) in [
            ("a b", "", r#""a b" is no name of a header"#),
            (
                "x-a",
                "1\r\nx-b: 2",
                "the value of the header x-a is not printable ASCII",
            ),
            (
                "Webhook-Signature",
                "v1,",
                "the header webhook-signature is set by the sender",
            ),
            ("Host", "localhost", "the header host is set by the sender"),
        ] {
            let refused = ExtraHeaders::new([(name, value.into())]);
            assert_eq!(refused.expect_err(name).to_string(), error);
        }
        let many = vec![("x-a", SecretString::from("1")); 21];
        let refused = ExtraHeaders::new(many).expect_err("a refusal");
        assert_eq!(refused, InvalidTarget::TooManyHeaders);
    }
}
