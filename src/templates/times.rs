//! Times as a reader's clock shows them.

use chrono::{DateTime, Utc};
use chrono_tz::Tz;

/// The reader's time zone.
#[derive(Debug, Clone, Copy)]
pub(super) struct Zone(Tz);

impl Zone {
    /// The zone of an IANA name such as `Europe/Berlin`; UTC where there is none of that name.
    pub(super) fn named(name: Option<&str>) -> Self {
        let zone = name.and_then(|name| name.trim().parse().ok());
        Self(zone.unwrap_or(Tz::UTC))
    }

    pub(super) fn name(self) -> &'static str {
        self.0.name()
    }

    /// For a time that stands alone: with its weekday, year and zone.
    pub(super) fn full(self, at: DateTime<Utc>) -> String {
        let local = at.with_timezone(&self.0);
        format!("{} ({})", local.format("%A, %-d %B %Y, %H:%M"), self.name())
    }

    /// For a time among others.
    pub(super) fn short(self, at: DateTime<Utc>) -> String {
        let local = at.with_timezone(&self.0);
        local.format("%a %-d %b, %H:%M").to_string()
    }
}

/// The instant that a text tells, in the form of RFC 3339 or as PostgreSQL writes it. A time
/// without an offset tells none.
pub(super) fn instant(text: &str) -> Option<DateTime<Utc>> {
    let text = text.trim();
    DateTime::parse_from_rfc3339(text)
        .or_else(|_| DateTime::parse_from_str(text, "%Y-%m-%d %H:%M:%S%.f%#z"))
        .ok()
        .map(|at| at.to_utc())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_zone_is_named() {
        let at = instant("2030-07-02T22:30:00Z").expect("an instant");
        let full = |zone| Zone::named(zone).full(at);
        insta::assert_snapshot!(full(Some("Europe/Berlin")), @"Wednesday, 3 July 2030, 00:30 (Europe/Berlin)");
        insta::assert_snapshot!(full(Some(" Asia/Kolkata ")), @"Wednesday, 3 July 2030, 04:00 (Asia/Kolkata)");
        insta::assert_snapshot!(full(None), @"Tuesday, 2 July 2030, 22:30 (UTC)");
        for unknown in ["", "Mars/Olympus", "+02:00", "europe berlin"] {
            assert_eq!(full(Some(unknown)), full(None), "{unknown}");
        }
        insta::assert_snapshot!(Zone::named(Some("America/New_York")).short(at), @"Tue 2 Jul, 18:30");
        let winter = instant("2030-01-02T09:30:00Z").expect("an instant");
        insta::assert_snapshot!(Zone::named(Some("Europe/Berlin")).short(winter), @"Wed 2 Jan, 10:30");
    }

    #[test]
    fn forms_of_an_instant() {
        for text in [
            "2030-01-02T10:30:00+01:00",
            "2030-01-02T09:30:00.000Z",
            " 2030-01-02 09:30:00+00 ",
            "2030-01-02 11:30:00.5+02:00",
        ] {
            let at = instant(text).map(|at| at.timestamp());
            assert_eq!(at, Some(1_893_576_600), "{text}");
        }
        for text in ["", "tomorrow", "2030-01-02T09:30:00", "1893576600"] {
            assert_eq!(instant(text), None, "{text}");
        }
    }
}
