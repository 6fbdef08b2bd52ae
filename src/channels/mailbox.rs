//! E-mail addresses with a name.

use std::fmt;
use std::str::FromStr;

use lettre::Address;

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
    /// The name becomes one line of plain text, truncated.
    pub fn new(name: Option<&str>, address: &str) -> Result<Self, InvalidMailbox> {
        let mut address: Address = address.trim().parse().map_err(|_| InvalidMailbox)?;
        if !address.domain().is_ascii() {
            // Any server takes the domain in this form; SMTPUTF8 is for what stands before it.
            let domain = url::Host::parse(address.domain()).map_err(|_| InvalidMailbox)?;
            address =
                Address::new(address.user(), domain.to_string()).map_err(|_| InvalidMailbox)?;
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

/// The error does not repeat the text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a mail address, such as ada@example.com or Ada <ada@example.com>")]
pub struct InvalidMailbox;

impl FromStr for Mailbox {
    type Err = InvalidMailbox;

    /// `ada@example.com`, or `Ada Lovelace <ada@example.com>`. Unlike in a mail's header, the name
    /// need not stand in quotation marks, whatever is in it.
    fn from_str(text: &str) -> Result<Self, InvalidMailbox> {
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
pub(super) mod tests {
    use super::*;

    pub(in crate::channels) fn mailbox(text: &str) -> Mailbox {
        text.parse().expect("a mailbox")
    }

    #[test]
    fn mailboxes() {
        let grace = mailbox(" \"Hopper, Grace\" <grace@example.com> ");
        assert_eq!(
            (grace.name(), grace.address()),
            (Some("Hopper, Grace"), "grace@example.com")
        );
        assert_eq!(format!("{grace:?}"), "g…@example.com");
        let plain = Mailbox::new(Some("A\r\nBcc: b"), "a@example.com").expect("a mailbox");
        assert_eq!(plain.name(), Some("A Bcc: b"));
        for bad in [
            "",
            "ada",
            "a@b@c",
            "a@example.com\r\nBcc: b@example.com",
            "a b@example.com",
            "<>",
        ] {
            assert_eq!(Mailbox::new(None, bad), Err(InvalidMailbox), "{bad}");
            assert_eq!(bad.parse::<Mailbox>(), Err(InvalidMailbox), "{bad}");
        }
    }

    #[test]
    fn domains_are_ascii() {
        let address = |text: &str| mailbox(text).address().to_owned();
        assert_eq!(address("ada@Bücher.example"), "ada@xn--bcher-kva.example");
        assert_eq!(address("ädä@example.com"), "ädä@example.com");
        assert_eq!("ada@a..ü".parse::<Mailbox>(), Err(InvalidMailbox));
    }
}
