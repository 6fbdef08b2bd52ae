//! What mails are made from and link to, and how people get out of them.

use std::path::PathBuf;

use super::{InvalidConfig, Source};
use crate::domain::base_url::{BaseUrl, web};
use crate::templates::Templates;
use crate::unsubscribe::{Keys, Unsubscribe};

const URL: &str = "NOTIFY_UNSUBSCRIBE_URL";
const KEY: &str = "NOTIFY_UNSUBSCRIBE_KEY";

impl Source<'_> {
    /// The templates of mails. `otherwise` stands for the application where `APP_BASE_URL` does not
    /// say where it is; mails that are sent can't do without.
    pub fn templates(&self, otherwise: Option<BaseUrl>) -> Result<Templates, InvalidConfig> {
        let app_url = self.app_url()?.or(otherwise).ok_or_else(|| InvalidConfig {
            variable: "APP_BASE_URL",
            problem: "not set. Mails link to the application: set it to its address, such as \
                      https://app.example.com"
                .to_owned(),
        })?;
        let preferences_url = self.preferences_url(&app_url)?;
        let folder = self.get("NOTIFY_TEMPLATES_DIR").map(PathBuf::from);
        Templates::load(folder.as_deref(), app_url, preferences_url).map_err(|error| {
            InvalidConfig {
                variable: "NOTIFY_TEMPLATES_DIR",
                problem: error.to_string(),
            }
        })
    }

    /// Where the application is.
    pub fn app_url(&self) -> Result<Option<BaseUrl>, InvalidConfig> {
        self.base_url("APP_BASE_URL")
    }

    /// Where people choose what they are told: a path of the application, or an address.
    fn preferences_url(&self, app_url: &BaseUrl) -> Result<Option<String>, InvalidConfig> {
        const VARIABLE: &str = "NOTIFY_PREFERENCES_URL";
        let Some(text) = self.get(VARIABLE) else {
            return Ok(None);
        };
        let text = text.trim();
        let url = if text.starts_with('/') {
            Some(app_url.link(text))
        } else {
            web(text).map(String::from)
        };
        url.map(Some).ok_or_else(|| InvalidConfig {
            variable: VARIABLE,
            problem: "must be a path such as /settings/notifications, or an address such as \
                      https://app.example.com/settings"
                .to_owned(),
        })
    }

    /// How people unsubscribe; `None` where it is not configured.
    pub fn unsubscribe(&self) -> Result<Option<Unsubscribe>, InvalidConfig> {
        let base = self.base_url(URL)?;
        let keys = self.get(KEY).map(|text| Keys::parse(&text)).transpose();
        let keys = keys.map_err(|error| InvalidConfig {
            variable: KEY,
            problem: error.to_string(),
        })?;
        let lacking = |variable, other: &str| InvalidConfig {
            variable,
            problem: format!("not set, and {other} is; unsubscribing takes both"),
        };
        match (base, keys) {
            (None, None) => Ok(None),
            (None, Some(_)) => Err(lacking(URL, KEY)),
            (Some(_), None) => Err(lacking(KEY, URL)),
            (Some(base), Some(_)) if !base.is_private() => Err(InvalidConfig {
                variable: URL,
                problem: "must begin with https: RFC 8058 takes no other".to_owned(),
            }),
            (Some(base), Some(keys)) => Ok(Some(Unsubscribe::new(base, keys))),
        }
    }

    /// How people unsubscribe, for who can't do without.
    pub fn required_unsubscribe(&self) -> Result<Unsubscribe, InvalidConfig> {
        self.unsubscribe()?.ok_or_else(|| InvalidConfig {
            variable: KEY,
            problem: "not set. It takes the key that the mails' addresses were signed with, and \
                      NOTIFY_UNSUBSCRIBE_URL"
                .to_owned(),
        })
    }

    fn base_url(&self, variable: &'static str) -> Result<Option<BaseUrl>, InvalidConfig> {
        let text = self.get(variable);
        let url = text.map(|text| BaseUrl::parse(&text)).transpose();
        url.map_err(|error| InvalidConfig {
            variable,
            problem: error.to_string(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const APP: (&str, &str) = ("APP_BASE_URL", "https://app.example.com/");

    fn problem(
        variables: &[(&str, &str)],
        read: impl Fn(&Source<'_>) -> Result<(), InvalidConfig>,
    ) -> String {
        let get = |name: &str| {
            let found = variables.iter().find(|(variable, _)| *variable == name);
            found.map(|(_, value)| (*value).to_owned())
        };
        let read = read(&Source(&get));
        read.map_or_else(|error| error.to_string(), |()| "accepted".to_owned())
    }

    #[test]
    fn templates_that_are_wrong_are_refused_by_name() {
        let problem =
            |variables: &[_]| problem(variables, |source| source.templates(None).map(drop));
        insta::assert_snapshot!(problem(&[]), @"APP_BASE_URL: not set. Mails link to the application: set it to its address, such as https://app.example.com");
        insta::assert_snapshot!(problem(&[("APP_BASE_URL", "app.example.com")]), @"APP_BASE_URL: must be an address such as https://app.example.com or https://example.com/app, without user, password, ? and #");
        insta::assert_snapshot!(problem(&[APP, ("NOTIFY_PREFERENCES_URL", "settings")]), @"NOTIFY_PREFERENCES_URL: must be a path such as /settings/notifications, or an address such as https://app.example.com/settings");
        insta::assert_snapshot!(problem(&[APP, ("NOTIFY_TEMPLATES_DIR", "/nowhere")]), @"NOTIFY_TEMPLATES_DIR: /nowhere: can't be read: No such file or directory (os error 2)");
        assert_eq!(problem(&[APP]), "accepted");
        let preferences = ("NOTIFY_PREFERENCES_URL", "/settings");
        assert_eq!(problem(&[APP, preferences]), "accepted");
    }

    #[test]
    fn unsubscribing_takes_an_address_and_a_key() {
        let problem = |variables: &[_]| problem(variables, |source| source.unsubscribe().map(drop));
        let key = "fb".repeat(32);
        let key = (KEY, key.as_str());
        insta::assert_snapshot!(problem(&[key]), @"NOTIFY_UNSUBSCRIBE_URL: not set, and NOTIFY_UNSUBSCRIBE_KEY is; unsubscribing takes both");
        insta::assert_snapshot!(problem(&[(URL, "https://app.example.com/out")]), @"NOTIFY_UNSUBSCRIBE_KEY: not set, and NOTIFY_UNSUBSCRIBE_URL is; unsubscribing takes both");
        insta::assert_snapshot!(problem(&[(URL, "http://app.example.com/out"), key]), @"NOTIFY_UNSUBSCRIBE_URL: must begin with https: RFC 8058 takes no other");
        insta::assert_snapshot!(problem(&[(URL, "https://app.example.com/?out"), key]), @"NOTIFY_UNSUBSCRIBE_URL: must be an address such as https://app.example.com or https://example.com/app, without user, password, ? and #");
        assert_eq!(problem(&[]), "accepted");
        assert_eq!(
            problem(&[(URL, "https://app.example.com/out"), key]),
            "accepted"
        );
        assert_eq!(
            problem(&[(URL, "http://localhost:3000/out"), key]),
            "accepted"
        );
        insta::assert_snapshot!(super::tests::problem(&[], |source| source.required_unsubscribe().map(drop)), @"NOTIFY_UNSUBSCRIBE_KEY: not set. It takes the key that the mails' addresses were signed with, and NOTIFY_UNSUBSCRIBE_URL");
    }

    #[test]
    fn an_error_repeats_no_secret() {
        let url = problem(
            &[("APP_BASE_URL", "https://me:hunter2@example.com")],
            |source| source.app_url().map(drop),
        );
        let key = problem(&[(KEY, "hunter2")], |source| source.unsubscribe().map(drop));
        assert!(
            url.starts_with("APP_BASE_URL: ") && !url.contains("hunter2"),
            "{url}"
        );
        assert!(
            key.starts_with("NOTIFY_UNSUBSCRIBE_KEY: ") && !key.contains("hunter2"),
            "{key}"
        );
    }
}
