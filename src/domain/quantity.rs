//! Numbers and sums of money as applications write them: as JSON numbers, or as text that keeps
//! its zeros.

use std::fmt;

use serde_json::{Number, Value};

/// Longest number that is read from a text, in bytes.
const DIGITS_MAX: usize = 30;
/// What a sum is in where nobody says.
const CURRENCY: &str = "USD";

/// A number and how it was written.
#[derive(Debug, Clone, PartialEq)]
pub struct Quantity {
    words: String,
    number: Number,
}

impl Quantity {
    /// Reads a JSON number, or a text of nothing but a decimal number.
    #[must_use]
    pub fn read(value: &Value) -> Option<Self> {
        match value {
            Value::Number(number) => {
                let words = match (number.as_i64(), number.as_u64()) {
                    (None, None) => number.as_f64()?.to_string(),
                    _ => number.to_string(),
                };
                let number = number.clone();
                Some(Self { words, number })
            }
            Value::String(text) => Self::of_text(text.trim()),
            _ => None,
        }
    }

    fn of_text(text: &str) -> Option<Self> {
        let digits = text.strip_prefix('-').unwrap_or(text);
        let is_decimal = digits.starts_with(|c: char| c.is_ascii_digit())
            && digits.ends_with(|c: char| c.is_ascii_digit())
            && digits.bytes().all(|b| b.is_ascii_digit() || b == b'.')
            && digits.matches('.').count() <= 1;
        if !is_decimal || text.len() > DIGITS_MAX {
            return None;
        }
        let number = match text.parse::<i64>() {
            Ok(whole) => whole.into(),
            Err(_) => Number::from_f64(text.parse().ok()?)?,
        };
        let words = text.to_owned();
        Some(Self { words, number })
    }

    /// Its value, as near as a double comes to it.
    #[must_use]
    pub fn value(&self) -> f64 {
        self.number.as_f64().unwrap_or_default()
    }

    /// As JSON.
    #[must_use]
    pub fn number(&self) -> &Number {
        &self.number
    }
}

impl fmt::Display for Quantity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.words)
    }
}

/// A sum of money: `EUR 12.50`.
#[derive(Debug, Clone, PartialEq)]
pub struct Amount {
    /// How much.
    pub quantity: Quantity,
    /// The currency's code in capitals.
    pub currency: String,
}

impl Amount {
    /// Reads a number, or a text that may name its currency too (`EUR 12.50`, `12.50 EUR`). Else
    /// it is in the currency given, if that is a code of letters, and else in US dollars.
    #[must_use]
    pub fn read(value: &Value, currency: Option<&str>) -> Option<Self> {
        let (quantity, own) = match value.as_str().map(str::split_whitespace) {
            Some(words) => match words.collect::<Vec<_>>()[..] {
                [first, last] => match code(first) {
                    Some(code) => (Quantity::of_text(last)?, Some(code)),
                    None => (Quantity::of_text(first)?, Some(code(last)?)),
                },
                _ => (Quantity::read(value)?, None),
            },
            None => (Quantity::read(value)?, None),
        };
        let currency = own.or_else(|| currency.and_then(|currency| code(currency.trim())));
        Some(Self {
            quantity,
            currency: currency.unwrap_or_else(|| CURRENCY.to_owned()),
        })
    }
}

impl fmt::Display for Amount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let words = &self.quantity.words;
        // A JSON number has lost its last zero.
        let has_one_decimal = words
            .rsplit_once('.')
            .is_some_and(|(_, decimals)| decimals.len() == 1);
        let zero = if has_one_decimal { "0" } else { "" };
        write!(f, "{} {words}{zero}", self.currency)
    }
}

fn code(text: &str) -> Option<String> {
    let is_code = (3..=5).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_alphabetic());
    is_code.then(|| text.to_ascii_uppercase())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn quantity(value: &Value) -> String {
        let read = Quantity::read(value);
        read.map_or_else(
            || "none".to_owned(),
            |read| format!("{read} = {}", read.number()),
        )
    }

    #[test]
    fn numbers_in_both_forms() {
        let values = [
            json!(40),
            json!(-2.5),
            json!(1e21),
            json!("40"),
            json!(" 12.50 "),
            json!("-0.10"),
        ];
        insta::assert_snapshot!(values.map(|value| quantity(&value)).join("\n"), @"
        40 = 40
        -2.5 = -2.5
        1000000000000000000000 = 1e+21
        40 = 40
        12.50 = 12.5
        -0.10 = -0.1
        ");
        for value in [
            json!(null),
            json!(true),
            json!([1]),
            json!(""),
            json!("1e5"),
            json!("NaN"),
            json!("1.2.3"),
            json!(".5"),
            json!("5."),
            json!("--1"),
            json!("1,000"),
            json!("9".repeat(31)),
        ] {
            assert_eq!(quantity(&value), "none", "{value}");
        }
    }

    #[test]
    fn sums_with_their_currency() {
        let amount = |value: Value, currency| {
            let read = Amount::read(&value, currency);
            read.map_or_else(|| "none".to_owned(), |read| read.to_string())
        };
        let words = [
            amount(json!(12.5), None),
            amount(json!(12), Some("eur")),
            amount(json!("12.50"), Some(" chf ")),
            amount(json!(0.0125), Some("US dollars")),
            amount(json!("EUR 12.50"), Some("USD")),
            amount(json!("12.50 gbp"), None),
            amount(json!("EUR"), None),
            amount(json!("EUR twelve"), None),
            amount(json!("12.50 of them"), None),
        ];
        insta::assert_snapshot!(words.join("\n"), @"
        USD 12.50
        EUR 12
        CHF 12.50
        USD 0.0125
        EUR 12.50
        GBP 12.50
        none
        none
        none
        ");
    }
}
