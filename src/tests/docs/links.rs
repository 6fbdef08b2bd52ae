//! Links between the pages lead somewhere, and the README leads to every page.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use pulldown_cmark::{Event, Options, Parser, Tag, TagEnd};

#[derive(Default)]
struct Page {
    /// What `#…` may name, as GitHub derives it from the headings.
    anchors: BTreeSet<String>,
    links: Vec<String>,
}

pub(super) fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Every page of the documentation, by its path from the root.
pub(super) fn pages() -> BTreeMap<PathBuf, String> {
    let docs = std::fs::read_dir(root().join("docs")).expect("docs");
    let docs = docs.map(|entry| Path::new("docs").join(entry.expect("a file").file_name()));
    docs.chain(["README.md", "CONTRIBUTING.md"].map(PathBuf::from))
        .map(|path| {
            let text = std::fs::read_to_string(root().join(&path)).expect("a page");
            (path, text)
        })
        .collect()
}

fn slug(heading: &str) -> String {
    let kept = heading.to_lowercase();
    let kept = kept
        .chars()
        .filter(|c| c.is_alphanumeric() || " -_".contains(*c));
    kept.map(|c| if c == ' ' { '-' } else { c }).collect()
}

fn read(text: &str) -> Page {
    let mut page = Page::default();
    let mut heading = None;
    for event in Parser::new_ext(text, Options::ENABLE_TABLES) {
        match event {
            Event::Start(Tag::Heading { .. }) => heading = Some(String::new()),
            Event::Text(text) | Event::Code(text) => {
                if let Some(heading) = &mut heading {
                    heading.push_str(&text);
                }
            }
            Event::End(TagEnd::Heading(_)) => {
                page.anchors
                    .insert(slug(&heading.take().unwrap_or_default()));
            }
            Event::Start(Tag::Link { dest_url, .. }) => page.links.push(dest_url.into_string()),
            _ => {}
        }
    }
    page
}

#[test]
fn every_link_between_pages_leads_somewhere() {
    let pages: BTreeMap<_, _> = pages()
        .into_iter()
        .map(|(path, text)| (root().join(path), read(&text)))
        .collect();
    let mut dead = Vec::new();
    for (path, page) in &pages {
        for link in page.links.iter().filter(|link| !link.contains("://")) {
            let (file, anchor) = link.split_once('#').unwrap_or((link, ""));
            let target = match file {
                "" => path.clone(),
                file => path.with_file_name(file),
            };
            let target = target.canonicalize().unwrap_or(target);
            let leads = match pages.get(&target) {
                Some(page) => anchor.is_empty() || page.anchors.contains(anchor),
                None => anchor.is_empty() && target.exists(),
            };
            if !leads {
                dead.push(format!("{}: {link}", path.display()));
            }
        }
    }
    assert!(dead.is_empty(), "dead links: {dead:#?}");
}

#[test]
fn the_readme_is_short_and_leads_to_every_page() {
    let pages = pages();
    let readme = &pages[Path::new("README.md")];
    assert!(
        readme.len() <= 12_288,
        "README.md has {} bytes",
        readme.len()
    );
    let links = read(readme).links;
    let is_linked = |path: &Path| {
        let prefix = path.display().to_string();
        path == Path::new("README.md") || links.contains(&prefix)
    };
    let orphans: Vec<_> = pages.keys().filter(|path| !is_linked(path)).collect();
    assert!(orphans.is_empty(), "not linked from README.md: {orphans:?}");
}
