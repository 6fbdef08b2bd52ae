//! Addresses that are secrets: whoever knows a chat's webhook may write to it.

use std::fmt;
use std::str::FromStr;

use percent_encoding::percent_decode_str;
use url::Url;

use super::InvalidTarget;
use super::destination::{Settings, Target, TargetSpec, required};
use super::redact::Redactor;

/// An address of which everything behind the host may be a secret.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct SecretUrl(Url);

impl SecretUrl {
    pub(super) const SPEC: TargetSpec = TargetSpec {
        option: "--url",
        what: "webhook URL",
        example: "https://hooks.example.com/T0p-secret",
    };

    pub fn expose(&self) -> &Url {
        &self.0
    }

    /// Hides path and query, and each part of them, as written and as a receiver decodes it.
    pub(super) fn redactor(&self) -> Redactor {
        let Self(url) = self;
        let query = url.query().unwrap_or_default();
        let values = query.split('&');
        let values = values.map(|pair| pair.split_once('=').map_or(pair, |(_, value)| value));
        let parts = [url.path().trim_matches('/'), query, url.username()]
            .into_iter()
            .chain(url.password())
            .chain(url.path_segments().into_iter().flatten())
            .chain(values);
        let decoded = |text: &str| percent_decode_str(text).decode_utf8_lossy().into_owned();
        parts.fold(Redactor::default(), |redactor, part| {
            // In a query, a plus sign is a space.
            let form = decoded(&part.replace('+', " "));
            redactor.hiding(part).hiding(&decoded(part)).hiding(&form)
        })
    }
}

impl From<Url> for SecretUrl {
    fn from(url: Url) -> Self {
        Self(url)
    }
}

impl FromStr for SecretUrl {
    type Err = InvalidTarget;

    fn from_str(text: &str) -> Result<Self, InvalidTarget> {
        let url = text.trim().parse();
        url.map(Self).map_err(|_| InvalidTarget::Url)
    }
}

impl Target for SecretUrl {
    fn from_settings(settings: Settings) -> Result<Self, InvalidTarget> {
        required("url", settings.url)
    }

    fn settings(&self) -> Settings {
        Settings {
            url: Some(self.0.to_string()),
            ..Settings::default()
        }
    }

    fn url(&self) -> Option<&Url> {
        Some(&self.0)
    }
}

/// Scheme, host and port.
impl fmt::Display for SecretUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let host = self.0.host_str().unwrap_or("?");
        write!(f, "{}://{host}", self.0.scheme())?;
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
    fn hides_each_part_however_it_is_read() {
        let url: SecretUrl =
            "https://Ada-user:Pass%2Fword@hooks.example.com:8443/Team%20room/x/Se3cret?a=short&token=To+ken%2B1&bare-key&pair=a=b=c=d"
                .parse()
                .expect("an address");
        assert_eq!(url.to_string(), "https://hooks.example.com:8443/…");
        let redactor = url.redactor();
        for part in [
            "Ada-user",
            "Pass%2Fword",
            "Pass/word",
            "Team%20room",
            "Team room",
            "Se3cret",
            "To+ken%2B1",
            "To ken+1",
            "To%20ken%2b1",
            "Pass\\/word",
            "bare-key",
            "a=b=c=d",
        ] {
            assert_eq!(redactor.redact(&format!("<{part}>")), "<•••>", "{part}");
        }
        assert_eq!(redactor.redact("x, short"), "x, short");
    }
}
