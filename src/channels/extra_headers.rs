//! Headers that an endpoint adds to its webhooks.

use std::fmt;

use reqwest::header::HeaderName;
use secrecy::{ExposeSecret, SecretString};

/// An endpoint's own headers. Their values may be secrets.
#[derive(Clone, Default)]
pub struct ExtraHeaders(pub(super) Vec<(HeaderName, SecretString)>);

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidHeader {
    #[error("{0:?} is no name of a header")]
    Name(String),
    #[error("the value of the header {0} is not printable ASCII")]
    Value(HeaderName),
    #[error("the header {0} is set by the sender")]
    Reserved(HeaderName),
    #[error("an endpoint may have 20 headers of its own")]
    TooMany,
}

const HEADERS_MAX: usize = 20;

impl ExtraHeaders {
    pub fn new<'a>(
        headers: impl IntoIterator<Item = (&'a str, SecretString)>,
    ) -> Result<Self, InvalidHeader> {
        let mut checked = Vec::new();
        for (name, value) in headers {
            let Ok(name) = name.parse::<HeaderName>() else {
                return Err(InvalidHeader::Name(name.to_owned()));
            };
            if is_reserved(&name) {
                return Err(InvalidHeader::Reserved(name));
            }
            let printable = |b: u8| (b' '..=b'~').contains(&b);
            if !value.expose_secret().bytes().all(printable) {
                return Err(InvalidHeader::Value(name));
            }
            checked.push((name, value));
        }
        if checked.len() > HEADERS_MAX {
            return Err(InvalidHeader::TooMany);
        }
        Ok(Self(checked))
    }

    /// The names, which are no secrets.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(|(name, _)| name.as_str())
    }

    pub fn expose(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0
            .iter()
            .map(|(name, value)| (name.as_str(), value.expose_secret()))
    }
}

impl fmt::Debug for ExtraHeaders {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.names()).finish()
    }
}

fn is_reserved(name: &HeaderName) -> bool {
    const RESERVED: [&str; 13] = [
        "connection",
        "content-encoding",
        "content-length",
        "content-type",
        "expect",
        "host",
        "keep-alive",
        "proxy-authorization",
        "proxy-connection",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
    ];
    RESERVED.contains(&name.as_str()) || name.as_str().starts_with("webhook-")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_that_an_endpoint_cannot_have() {
        let refusal = |name: &str, value: &str| {
            let headers = ExtraHeaders::new([(name, value.into())]);
            headers.expect_err("a refusal").to_string()
        };
        insta::assert_snapshot!(refusal("a b", ""), @r#""a b" is no name of a header"#);
        insta::assert_snapshot!(refusal("x-a", "1\r\nx-b: 2"), @"the value of the header x-a is not printable ASCII");
        insta::assert_snapshot!(refusal("Webhook-Signature", "v1,"), @"the header webhook-signature is set by the sender");
        insta::assert_snapshot!(refusal("Host", "localhost"), @"the header host is set by the sender");
        let many = vec![("x-a", SecretString::from("1")); 21];
        assert_eq!(
            ExtraHeaders::new(many).expect_err("a refusal"),
            InvalidHeader::TooMany
        );
    }
}
