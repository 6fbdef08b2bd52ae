//! Renders queued e-mails, one by one or as a digest: subject, HTML and plain text.
//!
//! The templates (minijinja, the language of Jinja) are part of the binary; a folder may hold
//! others in their place. Which one is used follows from the e-mail's type and the shape of its
//! data: an e-mail of an unknown type, or one that an older job queued in another shape, has the
//! generic templates, with its subject and its link. What people wrote reaches the templates as lines
//! without links, and is escaped in HTML; nothing is loaded from outside.

mod catalogue;
mod digest;
mod plain;
pub mod samples;
mod sanitize;
mod shape;
mod times;

use std::collections::HashMap;
use std::path::Path;

use chrono::{DateTime, Utc};
use minijinja::context;
use minijinja::value::Serde;
use serde::Serialize;
use serde_json::Value;
use uuid::Uuid;

pub use catalogue::TemplateError;
pub use digest::Digest;

use crate::domain::base_url::BaseUrl;
use crate::domain::text::is_blank;
use crate::handlers::{EventType, Rendering};
use catalogue::{Catalogue, is_reserved};
use shape::Shape;
use times::{Zone, instant};

/// The name of the digest among the mails.
pub const DIGEST: &str = "digest";
/// The name of the mail that stands for all that have none.
pub const GENERIC: &str = "generic";

/// A part of a mail, made from a template of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// The line in its header.
    Subject,
    /// For programs that show HTML.
    Html,
    Text,
}

impl Part {
    pub const ALL: [Self; 3] = [Self::Subject, Self::Html, Self::Text];

    /// How its file's name ends.
    pub const fn extension(self) -> &'static str {
        match self {
            Self::Subject => "subject",
            Self::Html => "html",
            Self::Text => "txt",
        }
    }
}

/// What templates need of a row of `pending_emails`.
#[derive(Debug, Clone)]
pub struct QueuedMail {
    /// The event's type; perhaps one that this binary does not know.
    pub event_type: String,
    pub subject: String,
    /// What the handler gave with it; perhaps in the shape of an older job.
    pub body_data: Value,
    /// The project that a digest puts it under.
    pub project_id: Option<Uuid>,
    pub project_name: Option<String>,
    pub created_at: DateTime<Utc>,
}

impl QueuedMail {
    fn project(&self) -> Option<&str> {
        self.project_name
            .as_deref()
            .filter(|name| !is_blank(name))
            .map(str::trim)
    }

    /// The sentence; without one, its type.
    fn sentence(&self) -> String {
        if is_blank(&self.subject) {
            sanitize::of_type(&self.event_type)
        } else {
            sanitize::line(&self.subject)
        }
    }

    fn path(&self) -> &str {
        let path = self.body_data.get("link_url").and_then(Value::as_str);
        path.unwrap_or_default()
    }
}

/// Whom a mail is for.
#[derive(Debug, Clone, Copy, Default)]
pub struct Recipient<'a> {
    /// `profiles.full_name`.
    pub name: Option<&'a str>,
    /// `profiles.time_zone`, an IANA name; without one, or with another, times are in UTC.
    pub time_zone: Option<&'a str>,
    /// Where the recipient unsubscribes from e-mails like this one.
    pub unsubscribe_url: Option<&'a str>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct RenderedMail {
    /// One line without control characters.
    pub subject: String,
    /// A whole HTML document.
    pub html: String,
    /// Plain text, wrapped.
    pub text: String,
}

/// All templates, compiled and tried out, and the addresses that mails link to.
#[derive(Debug)]
pub struct Templates {
    catalogue: Catalogue,
    shapes: HashMap<EventType, Shape>,
    app_url: BaseUrl,
    preferences_url: Option<String>,
}

impl Templates {
    /// Compiles the templates, those in `folder` in the place of the binary's own, and renders a
    /// sample of each, so that what is wrong with one is known before there is a mail to send.
    pub fn load(
        folder: Option<&Path>,
        app_url: BaseUrl,
        preferences_url: Option<String>,
    ) -> Result<Self, TemplateError> {
        let shapes = EventType::ALL.iter().filter_map(|known| {
            let sample = samples::queued(*known, &Rendering::default())?;
            Some((*known, Shape::new(known.mail()?, &sample.body_data)))
        });
        let templates = Self {
            catalogue: Catalogue::load(folder)?,
            shapes: shapes.collect(),
            app_url,
            preferences_url,
        };
        for unsubscribe_url in [None, Some("https://app.example.com/unsubscribe/token")] {
            let recipient = samples::recipient(unsubscribe_url);
            for name in templates.names() {
                match templates.preview(&name, &recipient, &Rendering::default()) {
                    // What the data of a type of the folder's own is like, only the folder knows.
                    Err(error)
                        if error.lacks_data
                            && templates.catalogue.added_types().contains(&*name) => {}
                    tried => drop(tried?),
                }
            }
        }
        Ok(templates)
    }

    /// The names of the mails: the types that are mailed, those that the folder adds, and the two
    /// that are no types.
    pub fn names(&self) -> Vec<String> {
        let own = EventType::ALL.iter().filter(|known| known.mail().is_some());
        let own = own.map(|known| known.name());
        own.chain(self.catalogue.added_types())
            .chain([DIGEST, GENERIC])
            .map(str::to_owned)
            .collect()
    }

    pub fn overridden(&self, name: &str) -> Vec<Part> {
        self.catalogue.overridden(name)
    }

    /// A mail of the name given, made from sample data; `None` where there is no such mail.
    pub fn preview(
        &self,
        name: &str,
        recipient: &Recipient<'_>,
        rendering: &Rendering,
    ) -> Result<Option<RenderedMail>, TemplateError> {
        if !self.names().iter().any(|known| known == name) {
            return Ok(None);
        }
        let digest = samples::digest(rendering);
        if let (DIGEST, Some(digest)) = (name, Digest::new(&digest)) {
            return self.digest(&digest, recipient).map(Some);
        }
        let event_type = EventType::from_name(name);
        let mail = event_type.and_then(|known| samples::queued(known, rendering));
        let mail = mail.unwrap_or_else(|| QueuedMail {
            event_type: name.to_owned(),
            ..samples::generic()
        });
        self.mail(&mail, recipient).map(Some)
    }

    pub fn mail(
        &self,
        mail: &QueuedMail,
        recipient: &Recipient<'_>,
    ) -> Result<RenderedMail, TemplateError> {
        let mut data = sanitize::data(&mail.body_data);
        shape::fit_announcement(&mut data);
        let zone = Zone::named(recipient.time_zone);
        let event_type = EventType::from_name(&mail.event_type);
        let name = mail.event_type.as_str();
        let (name, data) = match event_type.and_then(|known| self.shapes.get(&known)) {
            Some(shape) => match shape.fit(&data) {
                Some(data) => (name, data),
                None => (GENERIC, data),
            },
            None if is_reserved(name) => (GENERIC, data),
            None => (name, data),
        };
        let start = mail.body_data.get("start_time").and_then(Value::as_str);
        let own = context! {
            subject => mail.sentence(),
            type => sanitize::line(&mail.event_type),
            project => mail.project().map(sanitize::line),
            link => self.app_url.link(mail.path()),
            when => start.and_then(instant).map(|at| zone.full(at)),
            data => Serde(&data),
        };
        self.render(name, own, zone, recipient)
    }

    /// Several of one person's queued mails at once.
    pub fn digest(
        &self,
        digest: &Digest<'_>,
        recipient: &Recipient<'_>,
    ) -> Result<RenderedMail, TemplateError> {
        let zone = Zone::named(recipient.time_zone);
        let entry = |mail: &&QueuedMail| {
            context! {
                subject => mail.sentence(),
                link => self.app_url.link(mail.path()),
                at => zone.short(mail.created_at),
            }
        };
        let groups = digest.groups.iter().map(|group| {
            let entries: Vec<_> = group.mails.iter().map(entry).collect();
            context! { project => group.project.map(sanitize::line), entries }
        });
        let own = context! {
            groups => groups.collect::<Vec<_>>(),
            count => digest.count,
            projects => digest.projects,
            project => digest.project.map(sanitize::line),
            left_out => digest.left_out(),
        };
        self.render(DIGEST, own, zone, recipient)
    }

    /// The parts of a mail, from what all mails have and its own.
    fn render(
        &self,
        name: &str,
        own: minijinja::Value,
        zone: Zone,
        recipient: &Recipient<'_>,
    ) -> Result<RenderedMail, TemplateError> {
        let common = context! {
            reader => recipient.name.map(sanitize::line),
            zone => zone.name(),
            app_url => self.app_url.as_str(),
            host => self.app_url.host(),
            unsubscribe_url => recipient.unsubscribe_url,
            preferences_url => self.preferences_url.as_deref(),
        };
        let context = context! { ..own, ..common };
        let rendered = self.catalogue.render(name, Part::Subject, &context)?;
        let subject = sanitize::subject(&rendered);
        // A digest's own words; a mail's sentence is longer than what fits into its header.
        let context = match name {
            DIGEST => context! { subject => subject.as_str(), ..context },
            _ => context,
        };
        Ok(RenderedMail {
            html: self.catalogue.render(name, Part::Html, &context)?,
            text: plain::tidy(&self.catalogue.render(name, Part::Text, &context)?),
            subject,
        })
    }
}

#[cfg(test)]
mod tests;
