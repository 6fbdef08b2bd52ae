//! The format of notification bodies: whatever people wrote shows as exactly that.

use super::text::{MESSAGE_MAX, NAME_MAX, PREVIEW_MAX, clip, line, plain};

/// What the application renders.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum BodyFormat {
    /// Plain text with `**bold**`, newlines and mentions: `**` in what people wrote is removed,
    /// mentions stay.
    #[default]
    Plain,
    /// Markdown: what people wrote is escaped.
    Markdown,
}

impl BodyFormat {
    pub fn line(self, text: &str) -> String {
        match self {
            // What `**` stood between may be white space.
            Self::Plain => line(&line(text).replace("**", "")),
            Self::Markdown => markdown(text),
        }
    }

    /// A name in bold, truncated to [`NAME_MAX`]. What stands next to it must not be a letter.
    pub fn bold(self, name: &str) -> String {
        match self {
            Self::Plain => {
                let name = self.line(&clip(&plain(name), NAME_MAX));
                // At an edge, a single star would be one of three.
                let name = name.trim_matches(['*', ' ']);
                format!("**{}**", if name.is_empty() { "…" } else { name })
            }
            Self::Markdown => format!("**{}**", markdown(&clip(&line(name), NAME_MAX))),
        }
    }

    /// The start of a message as a quotation: one line, truncated to [`PREVIEW_MAX`].
    pub fn preview(self, text: &str) -> String {
        self.line(&clip(&line(text), PREVIEW_MAX))
    }

    /// A whole message, truncated to [`MESSAGE_MAX`]; its lines and paragraphs stay apart.
    pub fn message(self, text: &str) -> String {
        let text = clip(text, MESSAGE_MAX);
        let mut body = String::with_capacity(text.len() + 8);
        let mut between = "";
        for line in text.lines().map(|line| self.line(line)) {
            if line.is_empty() {
                between = if body.is_empty() { "" } else { "\n\n" };
            } else {
                body.push_str(between);
                body.push_str(&line);
                between = self.line_break();
            }
        }
        body
    }

    pub const fn line_break(self) -> &'static str {
        match self {
            Self::Plain => "\n",
            Self::Markdown => "\\\n",
        }
    }
}

/// One line of Markdown that renders as exactly these words: no emphasis, link, image, HTML,
/// autolink or mention can be smuggled in (`CommonMark` 0.31, 2.4 "Backslash escapes", and the
/// autolinks of GitHub Flavored Markdown).
fn markdown(text: &str) -> String {
    let text = line(text);
    let mut escaped = String::with_capacity(text.len() + 8);
    for (at, c) in text.char_indices() {
        if is_markup(c) || opens_a_block(&text, at, c) || c == '.' && ends_with_www(&text[..at]) {
            escaped.push('\\');
        }
        escaped.push(c);
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

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use pulldown_cmark::{Event, Options, Parser, Tag};

    const MENTION: &str = "@[Cy Young](user:00000000-0000-0000-0000-0000000000c1)";

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
        fn markdown_renders_as_the_text(text in r"[ -~\n\t]{0,40}|\PC{0,40}") {
            prop_assert_eq!(rendered(&markdown(&text)), Some(line(&text)));
        }

        #[test]
        fn messages_render_as_their_lines(text in r"([ -~\n]{0,30}\n){0,4}|\PC{0,40}") {
            let lines: Vec<_> = text.lines().map(line).filter(|line| !line.is_empty()).collect();
            prop_assert_eq!(rendered(&BodyFormat::Markdown.message(&text)), Some(lines.concat()));
        }

        #[test]
        fn plain_names_are_bold_and_nothing_else_is(text in r"[*a \n\u{0}\u{202e}]{0,40}|\PC{0,40}") {
            let bold = BodyFormat::Plain.bold(&text);
            let name = bold.strip_prefix("**").and_then(|rest| rest.strip_suffix("**")).expect("bold");
            prop_assert!(!name.is_empty() && !name.starts_with('*') && !name.ends_with('*'));
            for plain in [name, &BodyFormat::Plain.preview(&text), &BodyFormat::Plain.message(&text)] {
                prop_assert!(!plain.contains("**"), "{}", plain);
                prop_assert!(plain.lines().all(|each| line(each) == each), "{}", plain);
            }
        }
    }

    #[test]
    fn plain_text_is_as_people_wrote_it() {
        let plain = BodyFormat::Plain;
        for (name, bold) in [
            ("Harbour & Sons [Phase_2]", "**Harbour & Sons [Phase_2]**"),
            ("***a** b*", "**a b**"),
            ("*\u{202e}*", "**…**"),
            (MENTION, "**Cy Young**"),
        ] {
            assert_eq!(plain.bold(name), bold);
        }
        let preview = plain.preview(&format!("{MENTION}: **now**"));
        assert_eq!(preview, format!("{MENTION}: now"));
        let message = plain.message("Hi,\n\n\n- *one*\n# two ** three \n");
        assert_eq!(message, "Hi,\n\n- *one*\n# two three");
    }

    #[test]
    fn hostile_names() {
        insta::assert_snapshot!(markdown("[Click](https://evil.example) <b>@everyone</b>"),
            @r"\[Click\](https\://evil.example) \<b\>\@everyone\</b\>");
        insta::assert_snapshot!(markdown("1. www.evil.example"), @r"1\. www\.evil.example");
        insta::assert_snapshot!(BodyFormat::Markdown.bold("a*b"), @r"**a\*b**");
        insta::assert_snapshot!(BodyFormat::Markdown.message("Hi @Bo,\n\n- one\n# two"), @r"
        Hi \@Bo,

        \- one\
        \# two
        ");
    }
}
