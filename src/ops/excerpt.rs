//! Part of an error, as a person copies it from what was shown.

/// Whether it would tell one error from another.
pub fn says_something(error: &str) -> bool {
    error.chars().any(char::is_alphanumeric)
}

/// The pattern of `LIKE` for what has it in it, letter by letter; `…` stands for anything.
pub(super) fn pattern(error: &str) -> String {
    let mut pattern = String::from("%");
    for letter in error.chars() {
        match letter {
            '…' => pattern.push('%'),
            '%' | '_' | '\\' => pattern.extend(['\\', letter]),
            _ => pattern.push(letter),
        }
    }
    pattern.push('%');
    pattern
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_is_taken_letter_by_letter_but_for_the_ellipsis() {
        assert_eq!(
            pattern(r"user … at 100% of C:\_tmp"),
            r"%user % at 100\% of C:\\\_tmp%"
        );
    }
}
