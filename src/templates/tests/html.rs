//! HTML as an independent parser reads it.

use std::collections::BTreeSet;

use proptest::prelude::*;
use proptest::sample::select;
use scraper::{ElementRef, Html, Selector};

use super::*;

/// What a name may hold if somebody means ill.
const HOSTILE: &str = r#"</a></td>"'><script>alert(1)</script><img src=//evil.example/x.png onerror=x>{{ 7*7 }}{% endblock %}&amp; https://evil.example www.evil.example"#;

fn parsed() -> Vec<(String, Html)> {
    let templates = templates();
    let named = templates.names().into_iter().map(|name| {
        let html = parse(&preview(&templates, &name));
        (name, html)
    });
    named.collect()
}

/// Fails on whatever a mail program would have to guess at, or would fetch without being asked.
fn parse(mail: &RenderedMail) -> Html {
    let html = Html::parse_document(&mail.html);
    assert_eq!(html.errors, Vec::<String>::new());
    let forbidden = "img, link, script, iframe, object, embed, svg, video, audio, base, form, \
                     [src], [srcset], [background], [poster], [data], [action], [formaction], [cite], \
                     [manifest], [ping]";
    assert_eq!(elements(&html, forbidden), []);
    for element in elements(&html, "*") {
        let mut attributes = element.value().attrs();
        assert!(
            attributes.all(|(name, _)| !name.starts_with("on")),
            "{}",
            element.html()
        );
        let is_style = element.value().name() == "style";
        let rules = if is_style {
            element.inner_html()
        } else {
            String::new()
        };
        let css = element.attr("style").unwrap_or_default().to_owned() + &rules;
        let css = css.to_lowercase();
        assert!(
            !["url(", "@import", "@font-face"]
                .iter()
                .any(|it| css.contains(it)),
            "{css}"
        );
    }
    html
}

fn elements<'a>(html: &'a Html, selector: &str) -> Vec<ElementRef<'a>> {
    let selector = Selector::parse(selector).expect("a selector");
    html.select(&selector).collect()
}

#[test]
fn is_well_made() {
    for (name, html) in parsed() {
        let one = |selector| {
            let found = elements(&html, selector);
            assert_eq!(found.len(), 1, "{name}: {selector}");
            found[0]
        };
        one("html[lang=en]");
        one("h1");
        one("[role=article][aria-label][lang]");
        one("meta[name=color-scheme][content='light dark']");
        assert!(!one("title").inner_html().trim().is_empty());
        assert_eq!(elements(&html, "table:not([role=presentation])"), []);
        for link in elements(&html, "a") {
            let href = link.attr("href").unwrap_or_default();
            assert!(
                href.starts_with("https://app.example.com"),
                "{name}: {href}"
            );
            let words: String = link.text().collect();
            assert!(!words.trim().is_empty(), "{name}: {href}");
        }
        assert!(html.html().len() < 60_000, "Gmail cuts mails at 102 kB");
    }
}

/// The value of a property among declarations.
fn declared<'a>(css: &'a str, property: &str) -> Option<&'a str> {
    let mut pairs = css.split(';').filter_map(|pair| pair.split_once(':'));
    let (_, value) = pairs.find(|(name, _)| name.trim() == property)?;
    Some(value.trim().trim_end_matches(" !important"))
}

/// What a property is for an element, by its own style or, in the dark scheme, its class, else by
/// that of what it stands in.
fn effective(element: ElementRef<'_>, property: &str, dark: &str) -> String {
    let around = element.ancestors().filter_map(ElementRef::wrap);
    let mut all = std::iter::once(element).chain(around);
    let found = all.find_map(|element| {
        let by_class = element.value().classes().find_map(|class| {
            let (_, rule) = dark.split_once(&format!("\n.{class} {{"))?;
            declared(rule.split('}').next()?, property)
        });
        by_class
            .or_else(|| declared(element.attr("style")?, property))
            .map(str::to_owned)
    });
    found.unwrap_or_else(|| panic!("no {property} for {}", element.html()))
}

/// The ratio that WCAG 2.2 asks for.
fn contrast(one: &str, other: &str) -> f64 {
    let luminance = |colour: &str| {
        let [_, red, green, blue] = hex::decode(colour.replace('#', "00"))
            .ok()
            .and_then(|bytes| bytes.try_into().ok())
            .expect("#rrggbb");
        let channel = |value: u8| match f64::from(value) / 255.0 {
            share if share <= 0.04045 => share / 12.92,
            share => ((share + 0.055) / 1.055).powf(2.4),
        };
        0.2126 * channel(red) + 0.7152 * channel(green) + 0.0722 * channel(blue)
    };
    let (one, other) = (luminance(one), luminance(other));
    (one.max(other) + 0.05) / (one.min(other) + 0.05)
}

#[test]
fn can_be_read_in_the_light_and_in_the_dark() {
    let mut pairs = BTreeSet::new();
    for (name, html) in parsed() {
        let style = elements(&html, "style")[0].inner_html();
        let (_, dark) = style
            .split_once("(prefers-color-scheme: dark)")
            .expect("a dark scheme");
        for element in elements(&html, "body *") {
            let mut texts = element.children().filter_map(|node| node.value().as_text());
            let has_words = texts.any(|text| !text.trim().is_empty());
            let css = element.attr("style").unwrap_or_default();
            if !has_words || declared(css, "display") == Some("none") {
                continue;
            }
            for dark in ["", dark] {
                let colour = effective(element, "color", dark);
                let ground = effective(element, "background-color", dark);
                let ratio = contrast(&colour, &ground);
                assert!(ratio >= 4.5, "{name}: {colour} on {ground} is {ratio:.2}");
                pairs.insert((dark.is_empty(), colour, ground));
            }
        }
    }
    // Text, what is muted and links on the card and the page, and the button, twice.
    assert_eq!(pairs.len(), 12, "{pairs:?}");
}

/// The elements of a document and their attributes, without the words.
fn skeleton(html: &Html) -> Vec<String> {
    let elements = elements(html, "*").into_iter().map(|element| {
        let attributes = element.value().attrs();
        let attributes = attributes.filter(|(name, _)| *name != "aria-label");
        let attributes: Vec<_> = attributes.collect();
        format!("{} {attributes:?}", element.value().name())
    });
    elements.collect()
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
            prop_assert_eq!(skeleton(&parse(&rendered)), skeleton(&parse(&expected)));
            prop_assert!(!rendered.subject.contains(char::is_control));
            prop_assert!(rendered.subject.chars().count() <= crate::domain::text::TITLE_MAX);
            // The only addresses are ours.
            for text in [&rendered.text, &rendered.html] {
                let foreign = text.match_indices("://").any(|(at, _)| !text[at..].starts_with("://app.example.com"));
                prop_assert!(!foreign, "{}", text);
            }
            let [own, got] = [&expected, &rendered].map(|mail| {
                let addresses = mail.text.lines().filter(|line| line.starts_with("https://"));
                addresses.collect::<Vec<_>>()
            });
            prop_assert_eq!(own, got);
        }
        let mails: Vec<_> = pairs.into_iter().map(|(_, wild)| wild).collect();
        let digest = Digest::new(&mails).expect("a digest");
        let rendered = templates.digest(&digest, &recipient()).expect("rendered");
        prop_assert_eq!(elements(&parse(&rendered), "li").len(), 2);
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
        parse(&rendered);
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
