//! Addresses that are secrets.

use std::fmt;
use std::str::FromStr;

use url::Url;

use super::mask::Mask;

/// An address of which everything behind the host may be a secret: whoever has a chat's webhook
/// may write to it.
#[derive(Clone, PartialEq, Eq)]
pub struct SecretUrl(Url);

impl SecretUrl {
    /// The whole of it.
    #[must_use]
    pub fn expose(&self) -> &Url {
        &self.0
    }

    /// A mask that hides path and query.
    pub(super) fn mask(&self) -> Mask {
        let mask = Mask::default()
            .hiding(self.0.path().trim_matches('/'))
            .hiding(self.0.query().unwrap_or_default());
        // An answer may name the last part alone, which is what makes it a secret.
        let last = self
            .0
            .path_segments()
            .and_then(|mut parts| parts.next_back());
        last.map_or(mask.clone(), |last| mask.hiding(last))
    }
}

impl From<Url> for SecretUrl {
    fn from(url: Url) -> Self {
        Self(url)
    }
}

impl FromStr for SecretUrl {
    type Err = url::ParseError;

    fn from_str(text: &str) -> Result<Self, url::ParseError> {
        text.trim().parse().map(Self)
    }
}

/// Scheme, host and port.
impl fmt::Display for SecretUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{}://{}",
            self.0.scheme(),
            self.0.host_str().unwrap_or("?")
        )?;
        if let Some(port) = self.0.port() {
            write!(f, ":{port}")?;
        }
        f.write_str("/…")
    }
}

impl fmt::Debug for SecretUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shows_the_host_alone() {
        let url: SecretUrl = "https://u:p@hooks.example.com:8443/services/T1/B2/Se3cret?token=x"
            .parse()
            .expect("an address");
        assert_eq!(
            format!("{url} {url:?}"),
            "https://hooks.example.com:8443/… https://hooks.example.com:8443/…"
        );
        let masked = url
            .mask()
            .apply("no /services/T1/B2/Se3cret here, Se3cret?token=x");
        assert_eq!(masked, "no /••• here, •••?•••");
    }
}
