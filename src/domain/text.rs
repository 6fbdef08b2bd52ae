//! Words that came from people, made safe to show.

use std::borrow::Cow;
use std::ops::Range;

use uuid::Uuid;
use uuid::fmt::Hyphenated;

/// Longest title or subject, in characters.
pub const TITLE_MAX: usize = 119;
/// Longest name within a body, in characters.
pub const NAME_MAX: usize = 120;
/// Longest quotation of a message in a body, in characters.
pub const PREVIEW_MAX: usize = 280;
/// Longest message that a body repeats in full, in characters.
pub const MESSAGE_MAX: usize = 10_000;

/// One line: runs of white space become one space, and control and direction-override characters,
/// which could disguise what follows, are dropped.
pub fn line(text: &str) -> String {
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

/// The same, of plain text: a mention is the name alone.
pub fn plain(text: &str) -> String {
    line(&without_mentions(text))
}

/// Whether nothing of it can be seen.
pub fn is_blank(text: &str) -> bool {
    plain(text).is_empty()
}

/// At most `max` characters, the last of them `…` where something was cut. No mention is cut in
/// two.
pub fn clip(text: &str, max: usize) -> String {
    if text.chars().count() <= max {
        return text.to_owned();
    }
    let kept = text.char_indices().nth(max.saturating_sub(1));
    let cut = kept.map_or(0, |(at, _)| at);
    let cut = mentions(text)
        .take_while(|(place, _)| place.start < cut)
        .find(|(place, _)| cut < place.end)
        .map_or(cut, |(place, _)| place.start);
    format!("{}…", text[..cut].trim_end())
}

/// One plain line of title length.
pub fn title(text: &str) -> String {
    clip(&plain(text), TITLE_MAX)
}

/// The text with the name in the place of each mention.
fn without_mentions(text: &str) -> Cow<'_, str> {
    let mut named = String::new();
    let mut rest = 0;
    for (place, name) in mentions(text) {
        named.push_str(&text[rest..place.start]);
        named.push_str(name);
        rest = place.end;
    }
    if rest == 0 {
        return Cow::Borrowed(text);
    }
    named.push_str(&text[rest..]);
    Cow::Owned(named)
}

/// Where a text mentions a person or a document, `@[Name](user:UUID)` or `@[Name](doc:UUID)`, and
/// by what name.
fn mentions(text: &str) -> impl Iterator<Item = (Range<usize>, &str)> {
    text.match_indices("@[").filter_map(|(start, _)| {
        let name_start = start + "@[".len();
        // No further than the next bracket: what is never closed is not searched again and again.
        let length = text[name_start..].find(['[', ']', '\n'])?;
        let (name, target) = text[name_start..].split_at(length);
        let id = ["](user:", "](doc:"]
            .into_iter()
            .find_map(|kind| target.strip_prefix(kind))?;
        let (id, rest) = id.split_at_checked(Hyphenated::LENGTH)?;
        let is_mention = !name.trim().is_empty() && Uuid::try_parse(id).is_ok();
        let end = text.len() - rest.strip_prefix(')')?.len();
        is_mention.then_some((start..end, name))
    })
}

fn is_direction_control(c: char) -> bool {
    matches!(c, '\u{061c}' | '\u{200b}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_words() {
        insta::assert_snapshot!(plain("invoice\u{202e}fdp.exe\u{0}\n  now"), @"invoicefdp.exe now");
        insta::assert_snapshot!(clip("Ünïcode is cut by character", 9), @"Ünïcode…");
    }

    #[test]
    fn a_mention_is_not_cut_in_two() {
        let mention = format!("@[Cy Young](user:{})", Uuid::nil());
        assert_eq!(clip(&format!("words {mention}"), 20), "words…");
        assert_eq!(clip(&format!("{mention} words"), 56), format!("{mention}…"));
    }

    #[test]
    fn mentions_are_reduced_to_the_name() {
        let id = Uuid::from_u128(0xc1);
        let whole = format!("@[Cy Young](user:{id}), see @[Q3 (final).pdf](doc:{id})");
        assert_eq!(plain(&whole), "Cy Young, see Q3 (final).pdf");
        // Nobody, nothing, no identifier, another kind, or never closed.
        for other in [
            format!("@[](user:{id})"),
            "@[Cy](user:)".to_owned(),
            "@[Cy](user:ada)".to_owned(),
            format!("@[Cy](team:{id})"),
            format!("@[Cy](user:{id}"),
            format!("@[[Cy](user:{})", id.simple()),
            "@[".repeat(9),
        ] {
            assert_eq!(plain(&other), other);
        }
    }
}
