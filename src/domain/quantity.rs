//! Numbers and sums of money as applications write them: as JSON numbers, or as text that keeps
//! its zeros.

use std::fmt;

use serde_json::{Number, Value};

use super::payload::{Fields, FromPayload};

/// Longest number that is read from a text, in bytes.
const DIGITS_MAX: usize = 30;
/// What a sum is in where nobody says.
const CURRENCY: &str = "USD";

/// A number and how it was written.
#[derive(Debug, Clone, PartialEq)]
pub struct Quantity {
    written: String,
    number: Number,
}

/// A JSON number, or a text of nothing but a decimal number.
impl FromPayload for Quantity {
    const TYPE: &'static str = "a number";

    fn read(value: &Value, _: Fields<'_>) -> Option<Self> {
        match value {
            Value::Number(number) => {
                let written = match (number.as_i64(), number.as_u64()) {
                    (None, None) => number.as_f64()?.to_string(),
                    _ => number.to_string(),
                };
                let number = number.clone();
                Some(Self { written, number })
            }
            Value::String(text) => Self::of_text(text.trim()),
            _ => None,
        }
    }
}

impl Quantity {
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
        let written = text.to_owned();
        Some(Self { written, number })
    }

    /// Its value, as near as a double comes to it.
    pub fn value(&self) -> f64 {
        self.number.as_f64().unwrap_or_default()
    }

    pub fn number(&self) -> &Number {
        &self.number
    }
}

impl fmt::Display for Quantity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.written)
    }
}

/// A sum of money: `EUR 12.50`.
#[derive(Debug, Clone, PartialEq)]
pub struct Amount {
    pub quantity: Quantity,
    /// The currency's code in capitals.
    pub currency: String,
}

/// A number, or a text that may name its currency too (`EUR 12.50`, `12.50 EUR`). Else it is in the
/// payload's `currency`, if that is a code of letters, and else in US dollars.
impl FromPayload for Amount {
    const TYPE: &'static str = "an amount";

    fn read(value: &Value, fields: Fields<'_>) -> Option<Self> {
        let (quantity, own) = match value.as_str().map(str::split_whitespace) {
            Some(words) => match words.collect::<Vec<_>>()[..] {
                [first, last] => match code(first) {
                    Some(code) => (Quantity::of_text(last)?, Some(code)),
                    None => (Quantity::of_text(first)?, Some(code(last)?)),
                },
                _ => (Quantity::read(value, fields)?, None),
            },
            None => (Quantity::read(value, fields)?, None),
        };
        let given = || fields.optional::<String>("currency");
        let currency = own.or_else(|| code(given()?.trim()));
        Some(Self {
            quantity,
            currency: currency.unwrap_or_else(|| CURRENCY.to_owned()),
        })
    }
}

impl fmt::Display for Amount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let written = &self.quantity.written;
        // A JSON number has lost its last zero.
        let has_one_decimal = written
            .rsplit_once('.')
            .is_some_and(|(_, decimals)| decimals.len() == 1);
        let zero = if has_one_decimal { "0" } else { "" };
        write!(f, "{} {written}{zero}", self.currency)
    }
}

fn code(text: &str) -> Option<String> {
    let is_code = (3..=5).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_alphabetic());
    is_code.then(|| text.to_ascii_uppercase())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::event::EventRow;
    use super::*;

    fn read<T: FromPayload + fmt::Display>(value: &Value, currency: Option<&str>) -> String {
        let row = EventRow {
            payload: Some(json!({ "currency": currency })),
            ..EventRow::default()
        };
        let fields = Fields {
            row: &row,
            event_type: "payment_failed",
        };
        T::read(value, fields).map_or_else(|| "none".to_owned(), |read| read.to_string())
    }

    #[test]
    fn numbers_in_both_forms() {
        let numbers = [
            (json!(40), "40"),
            (json!(-2.5), "-2.5"),
            (json!(1e21), "1000000000000000000000"),
            (json!("40"), "40"),
            (json!(" 12.50 "), "12.50"),
            (json!("-0.10"), "-0.10"),
            (json!([1]), "none"),
        ];
        for (value, expected) in numbers {
            assert_eq!(read::<Quantity>(&value, None), expected);
        }
        let long = "9".repeat(31);
        for text in ["", "1e5", "NaN", "1.2.3", ".5", "5.", "--1", "1,000", &long] {
            assert_eq!(read::<Quantity>(&json!(text), None), "none", "{text}");
        }
    }

    #[test]
    fn amounts_with_their_currency() {
        let amounts = [
            (json!(12.5), None, "USD 12.50"),
            (json!(12), Some("eur"), "EUR 12"),
            (json!("12.50"), Some(" chf "), "CHF 12.50"),
            (json!(0.0125), Some("US dollars"), "USD 0.0125"),
            (json!("EUR 12.50"), Some("USD"), "EUR 12.50"),
            (json!("12.50 gbp"), None, "GBP 12.50"),
            (json!("EUR"), None, "none"),
            (json!("EUR twelve"), None, "none"),
            (json!("12.50 of them"), None, "none"),
        ];
        for (value, currency, expected) in amounts {
            assert_eq!(read::<Amount>(&value, currency), expected);
        }
    }
}
