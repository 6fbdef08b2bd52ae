//! HTML as an independent parser reads it.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;
use proptest::sample::select;
use scraper::{ElementRef, Html, Selector};

use super::*;

/// What a name may hold if somebody means ill.
const HOSTILE: &str = r#"</a></td>"'><script>alert(1)</script><img src=//evil.example/x.png onerror=x>{{ 7*7 }}{% endblock %}&amp; https://evil.example www.evil.example"#;

fn parsed() -> Vec<(String, Html)> {
    let templates = templates();
    let named = templates.names().into_iter().map(|name| {
        let html = Html::parse_document(&preview(&templates, &name).html);
        (name, html)
    });
    named.collect()
}

fn elements<'a>(html: &'a Html, selector: &str) -> Vec<ElementRef<'a>> {
    html.select(&Selector::parse(selector).expect("a selector"))
        .collect()
}

#[test]
fn is_well_made() {
    for (name, html) in parsed() {
        assert_eq!(html.errors, Vec::<String>::new(), "{name}");
        let one = |selector| {
            let found = elements(&html, selector);
            assert_eq!(found.len(), 1, "{name}: {selector}");
            found[0]
        };
        assert_eq!(one("html").attr("lang"), Some("en"));
        assert!(!one("title").inner_html().trim().is_empty());
        one("h1");
        one("[role=article][aria-label][lang]");
        assert_eq!(
            one("meta[name=color-scheme]").attr("content"),
            Some("light dark")
        );
        for table in elements(&html, "table") {
            assert_eq!(table.attr("role"), Some("presentation"), "{name}");
        }
        for link in elements(&html, "a") {
            let href = link.attr("href").expect("an address");
            assert!(
                href.starts_with("https://app.example.com"),
                "{name}: {href}"
            );
            assert!(
                !link.text().collect::<String>().trim().is_empty(),
                "{name}: {href}"
            );
        }
        assert!(html.html().len() < 60_000, "Gmail cuts mails at 102 kB");
    }
}

/// Attributes by which a program fetches something without being asked.
const FETCHING: &[&str] = &[
    "src",
    "srcset",
    "background",
    "poster",
    "data",
    "action",
    "formaction",
    "cite",
    "manifest",
    "ping",
];

fn assert_fetches_nothing(name: &str, html: &Html) {
    for element in elements(html, "*") {
        let tag = element.value().name();
        let forbidden = [
            "img", "link", "script", "iframe", "object", "embed", "svg", "video", "audio", "base",
            "form",
        ];
        assert!(!forbidden.contains(&tag), "{name}: <{tag}>");
        for (attribute, value) in element.value().attrs() {
            assert!(
                !FETCHING.contains(&attribute) && !attribute.starts_with("on"),
                "{name}: {attribute}={value}"
            );
            assert!(
                attribute != "style" || !value.to_lowercase().contains("url("),
                "{name}: {value}"
            );
        }
    }
    for style in elements(html, "style") {
        let css = style.inner_html().to_lowercase();
        assert!(
            !css.contains("url(") && !css.contains("@import") && !css.contains("@font-face"),
            "{name}"
        );
    }
}

#[test]
fn fetches_nothing() {
    for (name, html) in parsed() {
        assert_fetches_nothing(&name, &html);
    }
}

/// Declarations of a `style` attribute or of a rule.
fn declarations(css: &str) -> BTreeMap<String, String> {
    let pairs = css.split(';').filter_map(|pair| pair.split_once(':'));
    pairs
        .map(|(key, value)| {
            (
                key.trim().to_owned(),
                value.replace("!important", "").trim().to_owned(),
            )
        })
        .collect()
}

/// The rules of the dark scheme, by class.
fn dark(html: &Html) -> BTreeMap<String, BTreeMap<String, String>> {
    let css: String = elements(html, "style")
        .iter()
        .map(ElementRef::inner_html)
        .collect();
    let (_, media) = css
        .split_once("@media (prefers-color-scheme: dark) {")
        .expect("a dark scheme");
    let rules = media.split('}').filter_map(|rule| rule.split_once('{'));
    let rules: BTreeMap<_, _> = rules
        .map(|(class, css)| {
            (
                class.trim().trim_start_matches('.').to_owned(),
                declarations(css),
            )
        })
        .collect();
    assert_eq!(rules.len(), 6);
    rules
}

/// What a property is for an element, by its own style or, in the dark, its class, else by
/// that of what it stands in.
fn effective(
    element: ElementRef<'_>,
    property: &str,
    dark: Option<&BTreeMap<String, BTreeMap<String, String>>>,
) -> String {
    let around = element.ancestors().filter_map(ElementRef::wrap);
    std::iter::once(element)
        .chain(around)
        .find_map(|element| {
            let by_class = dark.and_then(|dark| {
                element
                    .value()
                    .classes()
                    .find_map(|class| dark.get(class)?.get(property))
                    .cloned()
            });
            let own = declarations(element.attr("style").unwrap_or_default());
            by_class.or_else(|| own.get(property).cloned())
        })
        .unwrap_or_else(|| panic!("no {property} for {}", element.html()))
}

/// Relative luminance (WCAG 2.2).
fn luminance(colour: &str) -> f64 {
    let hex = colour.strip_prefix('#').expect("#rrggbb");
    assert_eq!(hex.len(), 6, "{colour}");
    let channel = |at: usize| {
        let value = u8::from_str_radix(&hex[at..at + 2], 16).expect("hexadecimal");
        let share = f64::from(value) / 255.0;
        if share <= 0.04045 {
            share / 12.92
        } else {
            ((share + 0.055) / 1.055).powf(2.4)
        }
    };
    0.2126 * channel(0) + 0.7152 * channel(2) + 0.0722 * channel(4)
}

fn contrast(one: &str, other: &str) -> f64 {
    let (one, other) = (luminance(one), luminance(other));
    (one.max(other) + 0.05) / (one.min(other) + 0.05)
}

#[test]
fn the_formula() {
    assert!((contrast("#000000", "#ffffff") - 21.0).abs() < 0.001);
    // The grey that just passes.
    assert!((contrast("#767676", "#ffffff") - 4.54).abs() < 0.01);
}

#[test]
fn can_be_read_in_the_light_and_in_the_dark() {
    let mut pairs = BTreeSet::new();
    for (name, html) in parsed() {
        let dark = dark(&html);
        for element in elements(&html, "body *") {
            let has_words = element
                .children()
                .filter_map(|node| node.value().as_text())
                .any(|text| !text.trim().is_empty());
            let is_hidden = |element: ElementRef<'_>| {
                element
                    .attr("style")
                    .is_some_and(|style| style.contains("display:none"))
            };
            if !has_words || is_hidden(element) {
                continue;
            }
            for dark in [None, Some(&dark)] {
                let colour = effective(element, "color", dark);
                let ground = effective(element, "background-color", dark);
                let ratio = contrast(&colour, &ground);
                assert!(
                    ratio >= 4.5,
                    "{name}: {colour} on {ground} is {ratio:.2} in {}",
                    element.html()
                );
                pairs.insert((dark.is_some(), colour, ground));
            }
        }
    }
    // Text, what is muted and links on the card and the page, and the button, twice.
    assert_eq!(pairs.len(), 12, "{pairs:?}");
}

/// The elements of a document and their attributes, without the words.
fn skeleton(html: &Html) -> Vec<String> {
    elements(html, "*")
        .iter()
        .map(|element| {
            let attributes: Vec<_> = element
                .value()
                .attrs()
                .filter(|(name, _)| !matches!(*name, "aria-label"))
                .map(|(name, value)| format!("{name}={value}"))
                .collect();
            format!("{} {}", element.value().name(), attributes.join(" "))
        })
        .collect()
}

fn words() -> impl Strategy<Value = String> {
    prop_oneof![
        Just(HOSTILE.to_owned()),
        Just("\u{202e}\u{2066}עברית العربية".to_owned()),
        Just("👩‍👩‍👧‍👦🇩🇪".to_owned()),
        Just("a\r\nBcc: all@example.com\r\n\r\n<b>".to_owned()),
        Just("w".repeat(10_000)),
        Just("<b>".repeat(3_000)),
        r#"[<>"'&/{}%#a-z \\=`-]{1,40}"#,
        r"\PC{1,40}",
    ]
    // What is blank counts as no name, which is another sentence.
    .prop_map(|words| format!("x{words}"))
}

/// The data of a sample with other words in the place of every name.
fn renamed(mail: &mut QueuedMail, words: &[String]) {
    // Different ones, as names are: a name that the title has is not repeated.
    let words = words.iter().cycle().enumerate();
    let mut words = words.map(|(number, words)| format!("{number}{words}"));
    mail.subject = words.next().expect("words");
    mail.project_name = words.next();
    for (key, value) in mail.body_data.as_object_mut().expect("an object") {
        let is_name = key.ends_with("_name")
            || key.ends_with("_email")
            || key.ends_with("permission")
            || key == "resume_type";
        if is_name && value.is_string() {
            *value = words.next().into();
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    /// Whatever people are called, a mail has the same elements with the same attributes.
    #[test]
    fn names_stay_words(
        event_type in select(mailed().map(|(event_type, _)| event_type).collect::<Vec<_>>()),
        words in proptest::collection::vec(words(), 8),
    ) {
        let templates = templates();
        let tame = samples::queued(event_type, &Rendering::default()).expect("a sample");
        let mut wild = tame.clone();
        renamed(&mut wild, &words);
        let mut generic = samples::generic();
        renamed(&mut generic, &words);
        let pairs = [(tame, wild), (samples::generic(), generic)];
        for (tame, wild) in &pairs {
            let name = words.get(2).map(String::as_str);
            let recipient = Recipient { name, ..recipient() };
            let rendered = templates.mail(wild, &recipient).expect("rendered");
            let expected = templates.mail(tame, &recipient).expect("rendered");
            let html = Html::parse_document(&rendered.html);
            prop_assert_eq!(&html.errors, &Vec::<String>::new());
            prop_assert_eq!(skeleton(&html), skeleton(&Html::parse_document(&expected.html)));
            assert_fetches_nothing("hostile", &html);
            prop_assert!(!rendered.subject.contains(char::is_control));
            prop_assert!(rendered.subject.chars().count() <= crate::domain::text::TITLE_MAX);
            // The only addresses are ours.
            for text in [&rendered.text, &rendered.html] {
                let foreign = text.match_indices("://").any(|(at, _)| !text[at..].starts_with("://app.example.com"));
                prop_assert!(!foreign, "{}", text);
            }
            let own: Vec<_> = expected.text.lines().filter(|line| line.starts_with("https://")).collect();
            let got: Vec<_> = rendered.text.lines().filter(|line| line.starts_with("https://")).collect();
            prop_assert_eq!(own, got);
        }
        let mails: Vec<_> = pairs.into_iter().map(|(_, wild)| wild).collect();
        let digest = Digest::new(&mails).expect("a digest");
        let rendered = templates.digest(&digest, &recipient()).expect("rendered");
        let html = Html::parse_document(&rendered.html);
        prop_assert_eq!(&html.errors, &Vec::<String>::new());
        assert_fetches_nothing("digest", &html);
        prop_assert_eq!(elements(&html, "li").len(), 2);
    }

    /// Whatever an older job left in a row.
    #[test]
    fn whatever_is_queued_can_be_sent(
        event_type in prop_oneof![
            select(EventType::ALL.to_vec()).prop_map(|it| it.name().to_owned()),
            r"[a-z_./]{0,12}|\PC{0,12}",
        ],
        subject in any::<String>(),
        data in data(),
        link_url in r#"[/\\@:?#a-z.<>" ]{0,20}|\PC{0,30}"#,
        zone in r"[A-Z][a-z]{2,9}/[A-Z][a-z]{2,9}|\PC{0,9}",
    ) {
        let mut data = data;
        if let Some(object) = data.as_object_mut() {
            object.insert("link_url".to_owned(), link_url.into());
        }
        let queued = QueuedMail { project_name: Some(subject.clone()), ..mail(&event_type, &subject, data) };
        let recipient = Recipient { name: Some(&subject), time_zone: Some(&zone), ..recipient() };
        let rendered = templates().mail(&queued, &recipient);
        let rendered = rendered.unwrap_or_else(|error| panic!("{error}: {queued:?}"));
        prop_assert!(!rendered.subject.is_empty() && !rendered.subject.contains(char::is_control));
        let html = Html::parse_document(&rendered.html);
        prop_assert_eq!(&html.errors, &Vec::<String>::new());
        assert_fetches_nothing("any", &html);
    }
}

fn data() -> impl Strategy<Value = Value> {
    let keys = mailed().flat_map(|(_, mail)| {
        let data = mail.body_data.as_object().cloned().unwrap_or_default();
        data.into_iter().map(|(key, _)| key)
    });
    let keys: Vec<_> = keys.chain(["start_time".to_owned()]).collect();
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        r"\PC{0,20}".prop_map(Value::from),
        Just(json!("2030-01-02T09:30:00Z")),
    ];
    let value = leaf.prop_recursive(2, 8, 3, |inner| {
        proptest::collection::vec(inner, 0..3).prop_map(Value::from)
    });
    let pairs = proptest::collection::btree_map(select(keys), value.clone(), 0..12);
    prop_oneof![
        6 => pairs.prop_map(|pairs| Value::Object(pairs.into_iter().collect())),
        1 => value,
    ]
}
