//! Hides secrets, e-mail addresses and phone numbers in errors and answers.

use std::fmt;

use secrecy::{ExposeSecret, SecretString};

use super::outcome::ANSWER_KEPT;

const HIDDEN: &str = "•••";
/// Anything shorter is not a secret, and hiding it would garble unrelated text.
const SHORTEST: usize = 6;

/// The secrets of one attempt. E-mail addresses and phone numbers in the international form are
/// hidden besides.
#[derive(Clone, Default)]
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

impl fmt::Debug for Redactor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Redactor({} secrets)", self.0.len())
    }
}

/// `%2F` as `%2f`.
fn lower_escapes(encoded: &str) -> String {
    let mut parts = encoded.split('%');
    let start = parts.next().unwrap_or_default().to_owned();
    parts.fold(start, |text, part| {
        let (escape, rest) = part.split_at(part.len().min(2));
        text + "%" + &escape.to_lowercase() + rest
    })
}

/// `ada@example.com` as `a…@example.com`: enough to tell apart, too little to write to.
pub fn mail_addresses(text: &str) -> String {
    let mut redacted = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((at, sign)) = next_sign(rest) {
        let before = &rest[..at];
        let local = before
            .char_indices()
            .rev()
            .take_while(|&(_, c)| is_local(c))
            .last()
            .map_or(at, |(start, _)| start);
        redacted.push_str(&before[..local]);
        if let Some(first) = before[local..].chars().next() {
            redacted.push(first);
            redacted.push('…');
        }
        redacted.push_str(sign);
        rest = &rest[at + sign.len()..];
    }
    redacted.push_str(rest);
    redacted
}

fn next_sign(text: &str) -> Option<(usize, &'static str)> {
    ["@", "%40"]
        .into_iter()
        .filter_map(|sign| Some((text.find(sign)?, sign)))
        .min()
}

fn is_local(c: char) -> bool {
    c.is_alphanumeric() || "._+-'~%".contains(c)
}

/// `+4915112345678` as `+49…78`.
pub fn phone_numbers(text: &str) -> String {
    let mut redacted = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(plus) = rest.find(['+', '%']) {
        let sign = ["+", "%2B", "%2b"]
            .into_iter()
            .find(|sign| rest[plus..].starts_with(sign));
        let start = plus + sign.map_or(1, str::len);
        redacted.push_str(&rest[..start]);
        rest = &rest[start..];
        let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
        if sign.is_some() && (7..=15).contains(&digits) {
            redacted.push_str(&rest[..2]);
            redacted.push('…');
            redacted.push_str(&rest[digits - 2..digits]);
            rest = &rest[digits..];
        }
    }
    redacted.push_str(rest);
    redacted
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn addresses_and_numbers() {
        insta::assert_snapshot!(
            mail_addresses("550 <ada.o+x@example.com>: unknown; to=bo%40example.org, @here"),
            @"550 <a…@example.com>: unknown; to=b…%40example.org, @here");
        insta::assert_snapshot!(
            phone_numbers("To +4915112345678 (%2B15551234567) is bad; 1 + 1, +123, 100% +"),
            @"To +49…78 (%2B15…67) is bad; 1 + 1, +123, 100% +");
    }

    #[test]
    fn secrets_in_every_form() {
        let redactor = Redactor::default()
            .hiding("p@ss/w\"ord")
            .hiding("abc")
            .hiding("p@ss/w");
        insta::assert_snapshot!(
            redactor.redact(r#"p@ss/w"ord p%40ss%2Fw%22ord p%40ss%2fw%22ord {"key":"p@ss/w\"ord","php":"p@ss\/w\"ord"} abc"#),
            @r#"••• ••• ••• {"key":"•••","php":"•••"} abc"#);
        assert_eq!(format!("{redactor:?}"), "Redactor(9 secrets)");
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

        #[test]
        fn any_text_is_survived(text in "[@%+40B\\PC]{0,40}") {
            let _ = phone_numbers(&mail_addresses(&text));
        }
    }
}
