//! Plain text as mail programs show it best: short lines, one blank line between paragraphs.

/// Longest line, in characters. A longer word, such as an address, has a line of its own.
const LINE_MAX: usize = 72;

/// Wraps lines, and takes out what templates leave between them. What continues an entry of a list
/// is indented like its first line.
pub(super) fn tidy(text: &str) -> String {
    let mut tidy = String::with_capacity(text.len());
    let mut is_apart = true;
    for line in text.lines().map(str::trim_end) {
        if line.is_empty() {
            if !is_apart {
                tidy.push('\n');
            }
            is_apart = true;
        } else {
            wrap(line, &mut tidy);
            is_apart = false;
        }
    }
    tidy.truncate(tidy.trim_end().len());
    tidy.push('\n');
    tidy
}

fn wrap(line: &str, to: &mut String) {
    let text = line.trim_start();
    let indent = line.len() - text.len();
    let hanging = indent + if text.starts_with("- ") { 2 } else { 0 };
    let mut column = indent;
    to.extend(std::iter::repeat_n(' ', indent));
    for (number, word) in text.split(' ').enumerate() {
        let width = word.chars().count();
        if number > 0 && column + 1 + width > LINE_MAX && column > hanging {
            to.push('\n');
            to.extend(std::iter::repeat_n(' ', hanging));
            column = hanging;
        } else if number > 0 {
            to.push(' ');
            column += 1;
        }
        to.push_str(word);
        column += width;
    }
    to.push('\n');
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn paragraphs_and_lists() {
        let text = "\n\nOne\n\n\n\nA line that is quite a lot longer than the seventy-two characters that there is room for  \n- an entry that is longer than the seventy-two characters that there is room for\n  https://app.example.com/a/very/long/address/that/does/not/fit/into/a/line/of/that/length\n\n";
        insta::assert_snapshot!(tidy(text), @"
        One

        A line that is quite a lot longer than the seventy-two characters that
        there is room for
        - an entry that is longer than the seventy-two characters that there is
          room for
          https://app.example.com/a/very/long/address/that/does/not/fit/into/a/line/of/that/length
        ");
    }

    proptest! {
        #[test]
        fn no_word_is_lost_and_no_line_too_long(text in r"( {0,3}(- )?([a-zä]{1,90} ?){0,9}\n){0,5}") {
            let tidy = tidy(&text);
            let words = |text: &str| text.split_whitespace().map(str::to_owned).collect::<Vec<_>>();
            prop_assert_eq!(words(&tidy), words(&text));
            prop_assert!(!tidy.contains("\n\n\n") && tidy.ends_with('\n'));
            for line in tidy.lines() {
                prop_assert!(line.chars().count() <= LINE_MAX || line.trim_start().trim_start_matches("- ").split(' ').count() == 1, "{}", line);
            }
        }
    }
}
