//! Hides secrets, e-mail addresses and phone numbers in errors and answers.

use std::sync::LazyLock;

use regex::{Captures, Regex};
use secrecy::{ExposeSecret, SecretString};

use super::outcome::ANSWER_KEPT;

const HIDDEN: &str = "•••";
/// Anything shorter is not a secret, and hiding it would garble unrelated text.
const SHORTEST: usize = 6;

/// The secrets of one attempt. E-mail addresses and phone numbers in the international form are
/// hidden besides.
#[derive(Debug, Clone, Default)]
pub struct Redactor(Vec<SecretString>);

impl Redactor {
    /// Adds a secret, to be hidden as it is, percent-encoded, and as JSON writes it, in the spellings of
    /// different programs.
    pub fn hiding(mut self, secret: &str) -> Self {
        let form: String = url::form_urlencoded::byte_serialize(secret.as_bytes()).collect();
        let path = form.replace('+', "%20");
        let json = serde_json::Value::from(secret).to_string();
        let json = json.trim_matches('"');
        let forms = [
            secret.to_owned(),
            lower_escapes(&form),
            form,
            lower_escapes(&path),
            path,
            json.replace('/', "\\/"),
            json.to_owned(),
        ];
        for form in forms {
            let known = |other: &SecretString| other.expose_secret() == form;
            if form.len() >= SHORTEST && !self.0.iter().any(known) {
                self.0.push(form.into());
            }
        }
        // A secret that contains another one goes first, or the rest of it would be left.
        self.0
            .sort_by_key(|secret| usize::MAX - secret.expose_secret().len());
        self
    }

    pub fn redact(&self, text: &str) -> String {
        let mut text = text.to_owned();
        for secret in &self.0 {
            text = text.replace(secret.expose_secret(), HIDDEN);
        }
        phone_numbers(&mail_addresses(&text))
    }

    /// The beginning of an answer, to store and show. Redacts before it truncates, so that no part of
    /// a secret is left at the end.
    pub fn answer(&self, body: &[u8]) -> String {
        let text: String = String::from_utf8_lossy(body)
            .chars()
            .filter(|&c| c == '\n' || c == '\t' || !c.is_control())
            .collect();
        let mut text = self.redact(&text);
        text.truncate(text.floor_char_boundary(ANSWER_KEPT));
        text
    }
}

/// The first character of what stands before an `@`, the rest, and the `@`, perhaps percent-encoded.
static MAIL_ADDRESS: LazyLock<Regex> =
    LazyLock::new(|| regex(r"([\p{Alphabetic}\p{N}._+'~%-])[\p{Alphabetic}\p{N}._+'~%-]*?(@|%40)"));
/// A plus sign, perhaps percent-encoded, and digits.
static PHONE_NUMBER: LazyLock<Regex> = LazyLock::new(|| regex(r"(\+|%2[Bb])([0-9]+)"));
/// The escape of a percent-encoded character.
static ESCAPE: LazyLock<Regex> = LazyLock::new(|| regex("%[0-9A-F]{2}"));

fn regex(pattern: &str) -> Regex {
    Regex::new(pattern).unwrap_or_else(|error| unreachable!("{error}"))
}

/// `%2F` as `%2f`.
fn lower_escapes(encoded: &str) -> String {
    let lower = |escape: &Captures<'_>| escape[0].to_lowercase();
    ESCAPE.replace_all(encoded, lower).into_owned()
}

/// `ada@example.com` as `a…@example.com`: enough to tell apart, too little to write to.
pub fn mail_addresses(text: &str) -> String {
    MAIL_ADDRESS.replace_all(text, "$1…$2").into_owned()
}

/// `+4915112345678` as `+49…78`.
pub fn phone_numbers(text: &str) -> String {
    let redacted = |found: &Captures<'_>| {
        let (sign, digits) = (&found[1], &found[2]);
        if (7..=15).contains(&digits.len()) {
            format!("{sign}{}…{}", &digits[..2], &digits[digits.len() - 2..])
        } else {
            found[0].to_owned()
        }
    };
    PHONE_NUMBER.replace_all(text, redacted).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn addresses_and_numbers() {
        insta::assert_snapshot!(
            mail_addresses("550 <ada.o+x@example.com>: unknown; to=bo%40example.org, @here, ödä@a@b, x%40%40y"),
            @"550 <a…@example.com>: unknown; to=b…%40example.org, @here, ö…@a…@b, x…%40%40y");
        insta::assert_snapshot!(
            phone_numbers("To +4915112345678 (%2B15551234567) is bad; 1 + 1, +123, 100% +, +1234567890123456"),
            @"To +49…78 (%2B15…67) is bad; 1 + 1, +123, 100% +, +1234567890123456");
    }

    #[test]
    fn secrets_in_every_form() {
        let secrets = ["p@ss/w\"ord", "abc", "p@ss/w"];
        let redactor = secrets
            .into_iter()
            .fold(Redactor::default(), Redactor::hiding);
        insta::assert_snapshot!(
            redactor.redact(r#"p@ss/w"ord p%40ss%2Fw%22ord p%40ss%2fw%22ord {"key":"p@ss/w\"ord","php":"p@ss\/w\"ord"} abc"#),
            @r#"••• ••• ••• {"key":"•••","php":"•••"} abc"#);
        assert!(!format!("{redactor:?}").contains("ss"), "{redactor:?}");
    }

    #[test]
    fn answers_are_short_and_clean() {
        let redactor = Redactor::default().hiding("sesame");
        let body = format!("{}sesame\0{}", "é".repeat(1_022), "x".repeat(3_000));
        let answer = redactor.answer(body.as_bytes());
        assert!(answer.len() <= ANSWER_KEPT, "{}", answer.len());
        assert!(answer.ends_with("é•") || answer.ends_with('é'), "{answer}");
        assert_eq!(redactor.answer(b"a\xffb\x1b[31m\n"), "a\u{fffd}b[31m\n");
    }

    proptest! {
        #[test]
        fn nothing_of_a_secret_is_left(before in "\\PC{0,20}", secret in "[a-zA-Z0-9]{6,20}", after in "\\PC{0,20}") {
            let redacted = Redactor::default().hiding(&secret).redact(&format!("{before}{secret}{after}"));
            prop_assert!(!redacted.contains(&secret));
        }
    }
}
