//! E-mail addresses with a name.

use std::fmt;
use std::str::FromStr;

use lettre::Address;

use super::InvalidTarget;
use super::destination::{Settings, Target, TargetSpec, required};
use super::redact::mail_addresses;
use super::truncate::truncate;
use crate::domain::text::plain;

/// Longest name, in UTF-16 units. A line of an e-mail has 998 bytes.
const NAME_MAX: usize = 128;
/// Has no width, and is no part of an encoded word.
const JOINER: &str = "\u{2060}";

/// An address, and perhaps a name.
#[derive(Clone, PartialEq, Eq)]
pub struct Mailbox(pub(super) lettre::message::Mailbox);

impl Mailbox {
    pub(super) const SPEC: TargetSpec = TargetSpec {
        option: "--to",
        what: "e-mail address",
        example: "ada@example.com",
    };

    /// The name becomes one line of plain text, truncated.
    pub fn new(name: Option<&str>, address: &str) -> Result<Self, InvalidTarget> {
        let invalid = |_| InvalidTarget::Mailbox;
        let mut address: Address = address.trim().parse().map_err(invalid)?;
        if !address.domain().is_ascii() {
            // Any server takes the domain in this form; SMTPUTF8 is for what stands before it.
            let domain = url::Host::parse(address.domain()).map_err(|_| InvalidTarget::Mailbox)?;
            address = Address::new(address.user(), domain.to_string()).map_err(invalid)?;
        }
        let name = name.map(|name| not_encoded(&truncate(&plain(name), NAME_MAX)));
        let name = name.filter(|name| !name.is_empty());
        Ok(Self(lettre::message::Mailbox::new(name, address)))
    }

    pub fn address(&self) -> &str {
        self.0.email.as_ref()
    }

    pub fn name(&self) -> Option<&str> {
        self.0.name.as_deref()
    }

    /// Both, as an unencoded header.
    pub(super) fn header(&self) -> String {
        self.0.to_string()
    }

    pub(super) fn envelope_address(&self) -> &Address {
        &self.0.email
    }

    pub(super) fn domain(&self) -> &str {
        self.0.email.domain()
    }
}

impl FromStr for Mailbox {
    type Err = InvalidTarget;

    /// `ada@example.com`, or `Ada Lovelace <ada@example.com>`. Unlike in a mail's header, the name
    /// need not stand in quotation marks, whatever is in it.
    fn from_str(text: &str) -> Result<Self, InvalidTarget> {
        let text = text.trim();
        let Some((name, address)) = text
            .strip_suffix('>')
            .and_then(|text| text.rsplit_once('<'))
        else {
            return Self::new(None, text);
        };
        let name = name.trim();
        let quoted = name
            .strip_prefix('"')
            .and_then(|name| name.strip_suffix('"'));
        let name = quoted.map_or_else(|| name.to_owned(), |name| name.replace('\\', ""));
        Self::new(Some(&name), address)
    }
}

impl Target for Mailbox {
    fn from_settings(settings: Settings) -> Result<Self, InvalidTarget> {
        required("address", settings.address)
    }

    fn settings(&self) -> Settings {
        let address = match self.name() {
            Some(name) => format!("{name} <{}>", self.address()),
            None => self.address().to_owned(),
        };
        Settings {
            address: Some(address),
            ..Settings::default()
        }
    }
}

/// The address, redacted.
impl fmt::Display for Mailbox {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&mail_addresses(self.address()))
    }
}

impl fmt::Debug for Mailbox {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// The same to see, and no encoded word to whoever reads it as a header.
pub(super) fn not_encoded(text: &str) -> String {
    text.replace("=?", &format!("={JOINER}?"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::channels::samples::mailbox;

    #[test]
    fn names_are_one_line_and_domains_ascii() {
        for (text, name, address) in [
            (
                " \"Hopper, Grace\" <g@example.com> ",
                Some("Hopper, Grace"),
                "g@example.com",
            ),
            (
                "A\r\nBcc: b <a@example.com>",
                Some("A Bcc: b"),
                "a@example.com",
            ),
            ("ada@Bücher.example", None, "ada@xn--bcher-kva.example"),
            ("ädä@example.com", None, "ädä@example.com"),
        ] {
            let read = mailbox(text);
            assert_eq!((read.name(), read.address()), (name, address));
        }
        for bad in [
            "",
            "ada",
            "a@b@c",
            "a@b.c\r\nBcc: b@b.c",
            "a b@b.c",
            "<>",
            "ada@a..ü",
        ] {
            assert_eq!(
                Mailbox::new(None, bad),
                Err(InvalidTarget::Mailbox),
                "{bad}"
            );
            assert_eq!(bad.parse::<Mailbox>(), Err(InvalidTarget::Mailbox), "{bad}");
        }
    }
}
