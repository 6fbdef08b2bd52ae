//! Words that came from people, made safe to show.

/// Longest title or subject, in characters.
pub const TITLE_MAX: usize = 119;
/// Longest name within a body, in characters.
pub const NAME_MAX: usize = 120;
/// Longest quotation of a message in a body, in characters.
pub const PREVIEW_MAX: usize = 280;
/// Longest message that a body repeats in full, in characters.
pub const MESSAGE_MAX: usize = 10_000;

/// One line of plain text: runs of white space become one space, and control and
/// direction-override characters, which could disguise what follows, are dropped.
#[must_use]
pub fn plain(text: &str) -> String {
    let mut line = String::with_capacity(text.len());
    for c in text.chars() {
        if c.is_whitespace() {
            if !line.is_empty() && !line.ends_with(' ') {
                line.push(' ');
            }
        } else if !c.is_control() && !is_direction_control(c) {
            line.push(c);
        }
    }
    line.truncate(line.trim_end().len());
    line
}

/// Whether nothing of it can be seen.
#[must_use]
pub fn is_blank(text: &str) -> bool {
    plain(text).is_empty()
}

/// At most `max` characters, the last of them `…` where something was cut.
#[must_use]
pub fn clip(text: &str, max: usize) -> String {
    if text.chars().count() <= max {
        return text.to_owned();
    }
    let kept: String = text.chars().take(max.saturating_sub(1)).collect();
    format!("{}…", kept.trim_end())
}

/// One plain line of title length.
#[must_use]
pub fn title(text: &str) -> String {
    clip(&plain(text), TITLE_MAX)
}

/// One line of Markdown that renders as exactly these words: no emphasis, link, image, HTML,
/// autolink or mention can be smuggled in (`CommonMark` 0.31, 2.4 "Backslash escapes", and the
/// autolinks of GitHub Flavored Markdown).
#[must_use]
pub fn markdown(text: &str) -> String {
    let text = plain(text);
    let mut escaped = String::with_capacity(text.len() + 8);
    for (at, c) in text.char_indices() {
        if is_markup(c) || opens_a_block(&text, at, c) || c == '.' && ends_with_www(&text[..at]) {
            escaped.push('\\');
        }
        escaped.push(c);
    }
    escaped
}

/// The start of a message as a quotation: one line, cut to [`PREVIEW_MAX`], escaped.
#[must_use]
pub fn preview(text: &str) -> String {
    markdown(&clip(&plain(text), PREVIEW_MAX))
}

/// A name as bold Markdown, cut to [`NAME_MAX`]. What stands next to it must not be a letter.
#[must_use]
pub fn bold(name: &str) -> String {
    format!("**{}**", markdown(&clip(&plain(name), NAME_MAX)))
}

/// A whole message, cut to [`MESSAGE_MAX`], escaped; its lines and paragraphs stay apart.
#[must_use]
pub fn message(text: &str) -> String {
    let text = clip(text, MESSAGE_MAX);
    let mut escaped = String::with_capacity(text.len() + 8);
    let mut between = "";
    for line in text.lines().map(markdown) {
        if line.is_empty() {
            between = if escaped.is_empty() { "" } else { "\n\n" };
        } else {
            escaped.push_str(between);
            escaped.push_str(&line);
            between = "\\\n";
        }
    }
    escaped
}

fn is_markup(c: char) -> bool {
    // ':' and '@' end the autolinks "https:", "user@host"; '@' starts a mention.
    r"\`*_{}[]<>#|~^&@:!$".contains(c)
}

/// Marks that mean something only at the start of a line: lists, rules, underlined headings.
fn opens_a_block(text: &str, at: usize, c: char) -> bool {
    match c {
        '-' | '+' | '=' => at == 0,
        '.' | ')' => at > 0 && text[..at].bytes().all(|b| b.is_ascii_digit()),
        _ => false,
    }
}

fn ends_with_www(text: &str) -> bool {
    let start = text.len().saturating_sub(3);
    text.get(start..)
        .is_some_and(|end| end.eq_ignore_ascii_case("www"))
}

fn is_direction_control(c: char) -> bool {
    matches!(c, '\u{061c}' | '\u{200b}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}')
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use pulldown_cmark::{Event, Options, Parser, Tag};

    /// What an independent Markdown parser makes of it; `None` where it finds any markup.
    fn rendered(markdown: &str) -> Option<String> {
        let mut words = String::new();
        for event in Parser::new_ext(markdown, Options::all() - Options::ENABLE_SMART_PUNCTUATION) {
            match event {
                Event::Text(text) => words.push_str(&text),
                Event::Start(Tag::Paragraph) | Event::End(_) | Event::HardBreak => {}
                _ => return None,
            }
        }
        Some(words)
    }

    proptest! {
        #[test]
        fn escaped_text_renders_as_itself(text in r"[ -~\n\t]{0,40}|\PC{0,40}") {
            prop_assert_eq!(rendered(&markdown(&text)), Some(plain(&text)));
        }

        #[test]
        fn messages_render_as_their_lines(text in r"([ -~\n]{0,30}\n){0,4}|\PC{0,40}") {
            let lines: Vec<_> = text.lines().map(plain).filter(|line| !line.is_empty()).collect();
            prop_assert_eq!(rendered(&message(&text)), Some(lines.concat()));
        }

        #[test]
        fn titles_are_one_short_line(text in any::<String>()) {
            let title = title(&text);
            prop_assert!(title.chars().count() <= TITLE_MAX);
            prop_assert!(!title.contains(char::is_control));
        }
    }

    #[test]
    fn hostile_names() {
        insta::assert_snapshot!(markdown("[Click](https://evil.example) <b>@everyone</b>"),
            @r"\[Click\](https\://evil.example) \<b\>\@everyone\</b\>");
        insta::assert_snapshot!(markdown("1. www.evil.example"), @r"1\. www\.evil.example");
        insta::assert_snapshot!(markdown("- Q3-report_final.pdf"), @r"\- Q3-report\_final.pdf");
        insta::assert_snapshot!(plain("invoice\u{202e}fdp.exe\u{0}\n  now"), @"invoicefdp.exe now");
        insta::assert_snapshot!(bold("a*b"), @r"**a\*b**");
        insta::assert_snapshot!(markdown("^2^ ~2~"), @r"\^2\^ \~2\~");
        insta::assert_snapshot!(message("Hi @Bo,\n\n- one\n# two"), @r"
        Hi \@Bo,

        \- one\
        \# two
        ");
        insta::assert_snapshot!(clip("Ünïcode is cut by character", 9), @"Ünïcode…");
    }
}
