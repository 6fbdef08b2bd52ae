//! The templates themselves: those of the binary, and the files of a folder that take their place.

use std::collections::{BTreeMap, BTreeSet};
use std::error::Error as _;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use minijinja::syntax::SyntaxConfig;
use minijinja::{
    AutoEscape, Environment, Error, ErrorKind, Output, UndefinedBehavior, escape_formatter,
};

use super::{Part, sanitize, shape};
use crate::handlers::EventType;

/// What no event type has for itself.
const COMMON: [(&str, &str); 9] = [
    ("layout.html", include_str!("mails/layout.html")),
    ("layout.txt", include_str!("mails/layout.txt")),
    ("parts.html", include_str!("mails/parts.html")),
    ("generic.subject", include_str!("mails/generic.subject")),
    ("generic.html", include_str!("mails/generic.html")),
    ("generic.txt", include_str!("mails/generic.txt")),
    ("digest.subject", include_str!("mails/digest.subject")),
    ("digest.html", include_str!("mails/digest.html")),
    ("digest.txt", include_str!("mails/digest.txt")),
];

/// All templates of the binary, by file: the common ones and those of the event types.
fn embedded() -> BTreeMap<String, &'static str> {
    let own = EventType::ALL.iter().filter_map(|known| known.mail());
    let own = own.flat_map(|mail| {
        [("html", mail.html), ("txt", mail.text)]
            .map(|(end, source)| (format!("{}.{end}", mail.name), source))
    });
    let common = COMMON.map(|(file, source)| (file.to_owned(), source));
    common.into_iter().chain(own).collect()
}

/// Names that no type of e-mail can have, since templates of other e-mails have them.
const RESERVED: &[&str] = &["layout", "parts", "generic", "digest", "operator"];

/// A template that can't be used, and where it fails. It repeats nothing of a mail's data.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{file}{}: {problem}", .line.map(|line| format!(", line {line}")).unwrap_or_default())]
pub struct TemplateError {
    pub file: String,
    /// The line, counted from one, where it is known.
    pub line: Option<usize>,
    pub problem: String,
    /// Whether it asked for data that this mail does not have, and another may.
    pub lacks_data: bool,
}

#[derive(Debug)]
pub(super) struct Catalogue {
    environment: Environment<'static>,
    folder: Option<PathBuf>,
    embedded: BTreeMap<String, &'static str>,
    overridden: BTreeSet<String>,
}

impl Catalogue {
    /// Compiles the templates of the binary and, in their place or besides them, those of a folder.
    pub(super) fn load(folder: Option<&Path>) -> Result<Self, TemplateError> {
        let mut catalogue = Self {
            environment: environment(),
            folder: folder.map(Path::to_owned),
            embedded: embedded(),
            overridden: BTreeSet::new(),
        };
        for (name, source) in folder.map(files).transpose()?.unwrap_or_default() {
            catalogue.overridden.insert(name.clone());
            catalogue.add(&name, source)?;
        }
        for (name, source) in catalogue.embedded.clone() {
            if !catalogue.overridden.contains(&name) {
                catalogue.add(&name, source.to_owned())?;
            }
        }
        Ok(catalogue)
    }

    fn add(&mut self, name: &str, source: String) -> Result<(), TemplateError> {
        let added = self.environment.add_template_owned(name.to_owned(), source);
        added.map_err(|error| self.error(name, &error))
    }

    pub(super) fn render(
        &self,
        mail: &str,
        part: Part,
        context: &minijinja::Value,
    ) -> Result<String, TemplateError> {
        let name = self.file(mail, part);
        self.environment
            .get_template(&name)
            .and_then(|template| template.render(context.clone()))
            .map_err(|error| self.error(&name, &error))
    }

    /// The file that a part of a mail is made from. A part that a mail has not is that of the mails
    /// it shares its templates with, or else the generic one's.
    pub(super) fn file(&self, mail: &str, part: Part) -> String {
        let ending = part.extension();
        let own = [Some(mail), shape::shared(mail)].into_iter().flatten();
        own.map(|name| format!("{name}.{ending}"))
            .find(|file| self.overridden.contains(file) || self.embedded.contains_key(file))
            .unwrap_or_else(|| format!("generic.{ending}"))
    }

    /// Types of e-mails that only the folder has templates for.
    pub(super) fn added_types(&self) -> BTreeSet<&str> {
        self.overridden
            .iter()
            .filter_map(|file| file.rsplit_once('.'))
            .map(|(name, _)| name)
            .filter(|name| !is_reserved(name) && shape::shared(name).is_none())
            .filter(|name| !self.embedded.contains_key(&format!("{name}.html")))
            .collect()
    }

    /// The parts of a mail that come from the folder.
    pub(super) fn overridden(&self, mail: &str) -> Vec<Part> {
        let is_overridden = |part: &Part| self.overridden.contains(&self.file(mail, *part));
        Part::ALL.into_iter().filter(is_overridden).collect()
    }

    /// The innermost place of an error: where a template is wrong, not where it is used.
    fn error(&self, file: &str, error: &Error) -> TemplateError {
        let mut inner = error;
        while let Some(source) = inner.source().and_then(|source| source.downcast_ref()) {
            inner = source;
        }
        let (place, line) = match inner.name() {
            Some(name) => (name, inner.line()),
            None => (error.name().unwrap_or(file), error.line()),
        };
        let problem = inner.detail().map_or_else(
            || inner.kind().to_string(),
            |detail| format!("{}: {detail}", inner.kind()),
        );
        let file = match &self.folder {
            Some(folder) if self.overridden.contains(place) => {
                folder.join(place).display().to_string()
            }
            _ => place.to_owned(),
        };
        TemplateError {
            file,
            line,
            problem,
            lacks_data: inner.kind() == ErrorKind::UndefinedError,
        }
    }
}

/// Whether a name stands for something else than a type of mail.
pub(super) fn is_reserved(name: &str) -> bool {
    RESERVED.contains(&name)
}

fn environment() -> Environment<'static> {
    let mut environment = Environment::new();
    environment.set_undefined_behavior(UndefinedBehavior::Strict);
    environment.set_auto_escape_callback(|name| {
        if Path::new(name).extension().is_some_and(|end| end == "html") {
            AutoEscape::Html
        } else {
            AutoEscape::None
        }
    });
    if let Ok(syntax) = SyntaxConfig::builder()
        .trim_blocks(true)
        .lstrip_blocks(true)
        .keep_trailing_newline(true)
        .build()
    {
        environment.set_syntax(syntax);
    }
    // So that errors name what is undefined.
    environment.set_debug(true);
    environment.add_filter("name", sanitize::name);
    environment.add_filter("severity", sanitize::severity);
    environment.set_formatter(|output, state, value| match value.as_str() {
        Some(text) if *state.auto_escape() == AutoEscape::Html && !value.is_safe() => {
            write_escaped(text, output)
        }
        _ => escape_formatter(output, state, value),
    });
    environment
}

/// A text in HTML, within an element or a quoted attribute. Unlike minijinja's own way it leaves
/// slashes alone: filters of spam distrust an address that hides them.
fn write_escaped(text: &str, output: &mut Output<'_>) -> Result<(), Error> {
    for c in text.chars() {
        match c {
            '&' => output.write_str("&amp;")?,
            '<' => output.write_str("&lt;")?,
            '>' => output.write_str("&gt;")?,
            '"' => output.write_str("&quot;")?,
            '\'' => output.write_str("&#39;")?,
            _ => output.write_char(c)?,
        }
    }
    Ok(())
}

/// The templates in a folder: name and content. Files that have another ending are none.
fn files(folder: &Path) -> Result<Vec<(String, String)>, TemplateError> {
    let failed = |path: &Path, error: &std::io::Error| TemplateError {
        file: path.display().to_string(),
        line: None,
        problem: format!("can't be read: {error}"),
        lacks_data: false,
    };
    let entries = std::fs::read_dir(folder).map_err(|error| failed(folder, &error))?;
    let endings = Part::ALL.map(Part::extension);
    let mut files = Vec::new();
    for entry in entries {
        let path = entry.map_err(|error| failed(folder, &error))?.path();
        let ending = path.extension().and_then(|ending| ending.to_str());
        let Some(name) = path.file_name().and_then(|name| name.to_str()) else {
            continue;
        };
        if ending.is_some_and(|ending| endings.contains(&ending)) && !name.starts_with('.') {
            let content = std::fs::read_to_string(&path).map_err(|error| failed(&path, &error))?;
            files.push((name.to_owned(), content));
        }
    }
    // In an order of our own, so that of several errors the same one is reported each time.
    files.sort();
    Ok(files)
}
