//! Truncates texts to the limits of providers.
//!
//! Providers count "characters" without saying of what kind; UTF-16 units are counted here, of
//! which a text has as many as any other kind but bytes, or more.

use unicode_segmentation::UnicodeSegmentation;

use crate::domain::text::plain;

const ELLIPSIS: char = '…';

/// How many units a text has.
pub fn length(text: &str) -> usize {
    text.chars().map(char::len_utf16).sum()
}

/// At most `max` units, ending in `…` where something was cut. What a reader sees as one
/// character stays whole.
pub fn truncate(text: &str, max: usize) -> String {
    truncate_escaped(text, max, |c, out| out.push(c))
}

/// As [`truncate`], of the text that `escape` makes, no escape being cut in two.
pub fn truncate_escaped(text: &str, max: usize, escape: impl Fn(char, &mut String)) -> String {
    let mut whole = String::with_capacity(text.len());
    let (mut units, mut kept) = (0, 0);
    for grapheme in text.graphemes(true) {
        let start = whole.len();
        for c in grapheme.chars() {
            escape(c, &mut whole);
        }
        units += length(&whole[start..]);
        if units < max {
            kept = whole.len();
        } else if units > max {
            whole.truncate(kept);
            whole.truncate(whole.trim_end().len());
            if max > 0 {
                whole.push(ELLIPSIS);
            }
            return whole;
        }
    }
    whole
}

/// Several lines of plain text, each as [`plain`] makes it; what is blank around them is dropped,
/// and so are blank lines but one between two others.
pub fn lines(text: &str) -> String {
    let mut result = String::with_capacity(text.len());
    let mut gap = "";
    for line in text.lines().map(plain) {
        if line.is_empty() {
            gap = if result.is_empty() { "" } else { "\n\n" };
        } else {
            result.push_str(gap);
            result.push_str(&line);
            gap = "\n";
        }
    }
    result
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn doubled(c: char, out: &mut String) {
        if c == '*' {
            out.push('\\');
        }
        out.push(c);
    }

    #[test]
    fn boundaries() {
        // A family of four is eleven units, and one character to its reader.
        for (text, max, short) in [
            ("Ünïcode is cut", 9, "Ünïcode…"),
            ("ab👨‍👩‍👧‍👦", 12, "ab…"),
            ("ab👨‍👩‍👧‍👦", 13, "ab👨‍👩‍👧‍👦"),
            ("abc", 0, ""),
        ] {
            assert_eq!(truncate(text, max), short);
        }
        insta::assert_snapshot!(lines("\n a\u{0} \u{202e}b\n\n\n c\r\nd\n\n"), @"
        a b

        c
        d
        ");
    }

    proptest! {
        #[test]
        fn fits_and_begins_alike(text in "\\PC{0,60}", max in 0_usize..40) {
            let short = truncate(&text, max);
            prop_assert!(length(&short) <= max);
            if length(&text) <= max {
                prop_assert_eq!(short, text);
            } else if max > 0 {
                let kept = short.strip_suffix('…').expect("an ellipsis");
                prop_assert!(text.starts_with(kept));
            }
        }

        #[test]
        fn escapes_stay_whole(text in "[*ab👩 ]{0,60}", max in 0_usize..40) {
            let short = truncate_escaped(&text, max, doubled);
            prop_assert!(length(&short) <= max);
            prop_assert!(!short.trim_end_matches('…').ends_with('\\'));
        }
    }
}
