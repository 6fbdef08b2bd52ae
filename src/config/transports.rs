//! What carries mails and text messages.

use std::time::Duration;

use secrecy::SecretString;
use url::Url;

use super::{InvalidConfig, Source, parse_time};
use crate::channels::smtp::{SmtpServer, SmtpSettings};
use crate::channels::twilio::{Credentials, Sender};
use crate::channels::{Mailbox, Mailer, Outgoing, Resend, SendGrid, Smtp, Transport, Twilio};
use crate::delivery::Mail;

const TRANSPORT: &str = "NOTIFY_EMAIL_TRANSPORT";
const SMTP: &str = "NOTIFY_SMTP_URL";
const RESEND: &str = "NOTIFICATIONS_RESEND_API_KEY";
const SENDGRID: &str = "NOTIFY_SENDGRID_API_KEY";
const FROM: &str = "NOTIFICATIONS_EMAIL_FROM";
const ACCOUNT: &str = "NOTIFY_TWILIO_ACCOUNT_SID";
const TOKEN: &str = "NOTIFY_TWILIO_AUTH_TOKEN";
const KEY_SID: &str = "NOTIFY_TWILIO_API_KEY_SID";
const KEY_SECRET: &str = "NOTIFY_TWILIO_API_KEY_SECRET";
const TWILIO_FROM: &str = "NOTIFY_TWILIO_FROM";

fn missing(variable: &'static str, why: impl Into<String>) -> InvalidConfig {
    InvalidConfig {
        variable,
        problem: format!("not set. {}", why.into()),
    }
}

/// Transports that carry mails, each with the variable that configures it.
const MAIL: [(Transport, &str); 3] = [
    (Transport::Smtp, SMTP),
    (Transport::Resend, RESEND),
    (Transport::SendGrid, SENDGRID),
];

fn parse_acceptance(text: &str) -> Result<Duration, String> {
    let time = parse_time(text)?;
    if time > Duration::from_hours(1) {
        return Err("must be 1h at most".to_owned());
    }
    Ok(time)
}

impl Source<'_> {
    /// How mails are sent; `None` where nothing that carries them is configured, or it is switched
    /// off.
    pub fn mail(&self, outgoing: &Outgoing) -> Result<Option<Mail>, InvalidConfig> {
        let Some(transport) = self.mail_transport()? else {
            return Ok(None);
        };
        let secret = |name: &str| SecretString::from(self.get(name).unwrap_or_default().trim());
        let outgoing = outgoing.clone();
        let mailer = match transport {
            Transport::Resend => Mailer::Resend(Resend {
                outgoing,
                api_key: secret(RESEND),
                base: self.base("NOTIFY_RESEND_BASE_URL", Resend::BASE)?,
            }),
            Transport::SendGrid => Mailer::SendGrid(SendGrid {
                outgoing,
                api_key: secret(SENDGRID),
                base: self.base("NOTIFY_SENDGRID_BASE_URL", SendGrid::BASE)?,
            }),
            _ => Mailer::Smtp(self.smtp()?),
        };
        let from = self.mailbox(FROM)?.ok_or_else(|| {
            missing(
                FROM,
                "Mails need a sender, such as Acme <notify@example.com>",
            )
        })?;
        Ok(Some(Mail {
            mailer,
            from,
            reply_to: self.mailbox("NOTIFY_EMAIL_REPLY_TO")?,
            templates: self.templates(None)?,
            unsubscribe: self.unsubscribe()?,
        }))
    }

    /// What carries mails: what is named, else the only one that is configured.
    fn mail_transport(&self) -> Result<Option<Transport>, InvalidConfig> {
        let invalid = |problem: String| InvalidConfig {
            variable: TRANSPORT,
            problem,
        };
        if let Some(name) = self.get(TRANSPORT) {
            let name = name.trim();
            if name == "none" {
                return Ok(None);
            }
            let known = MAIL.into_iter().find(|(one, _)| one.name() == name);
            let (transport, variable) = known.ok_or_else(|| {
                invalid(format!(
                    "must be smtp, resend, sendgrid or none; it is {name:?}"
                ))
            })?;
            return match self.get(variable) {
                Some(_) => Ok(Some(transport)),
                None => Err(missing(
                    variable,
                    format!("{TRANSPORT} is {name}, which takes it"),
                )),
            };
        }
        let configured: Vec<_> = MAIL
            .into_iter()
            .filter(|(_, variable)| self.get(variable).is_some())
            .collect();
        match configured[..] {
            [] => Ok(None),
            [(transport, _)] => Ok(Some(transport)),
            _ => {
                let variables: Vec<_> = configured.iter().map(|(_, variable)| *variable).collect();
                Err(invalid(format!(
                    "not set, and {} are: say which is to carry mails (smtp, resend, sendgrid, none)",
                    variables.join(" and ")
                )))
            }
        }
    }

    fn smtp(&self) -> Result<Smtp, InvalidConfig> {
        let invalid = |problem: String| InvalidConfig {
            variable: SMTP,
            problem,
        };
        let url = self.get(SMTP).unwrap_or_default();
        let server: SmtpServer = url.parse().map_err(|error| invalid(format!("{error}")))?;
        let settings = SmtpSettings {
            acceptance_timeout: self.parsed(
                "NOTIFY_SMTP_ACCEPTANCE_TIMEOUT",
                None,
                SmtpSettings::ACCEPTANCE_TIMEOUT,
                parse_acceptance,
            )?,
            ..SmtpSettings::new(server, self.tls_roots()?)
        };
        Smtp::new(settings).map_err(|error| invalid(error.to_string()))
    }

    /// How text messages are sent; `None` where that is not configured.
    pub fn twilio(&self, outgoing: &Outgoing) -> Result<Option<Twilio>, InvalidConfig> {
        let token = self.get(TOKEN);
        let key = (self.get(KEY_SID), self.get(KEY_SECRET));
        let Some(account) = self.get(ACCOUNT) else {
            let given = [TOKEN, KEY_SID, KEY_SECRET, TWILIO_FROM]
                .into_iter()
                .find(|name| self.get(name).is_some());
            return match given {
                Some(given) => Err(missing(
                    ACCOUNT,
                    format!("{given} is, and Twilio takes both"),
                )),
                None => Ok(None),
            };
        };
        let account = account.trim().to_owned();
        let is_id = |id: &str, prefix: &str| {
            id.strip_prefix(prefix).is_some_and(|rest| {
                rest.len() == 32 && rest.bytes().all(|b| b.is_ascii_alphanumeric())
            })
        };
        if !is_id(&account, "AC") {
            return Err(InvalidConfig {
                variable: ACCOUNT,
                problem: "must be AC and 32 letters or digits".to_owned(),
            });
        }
        let trimmed = |text: String| text.trim().to_owned();
        let credentials = match (token, key) {
            (_, (Some(sid), Some(secret))) => Credentials::ApiKey {
                sid: trimmed(sid),
                secret: trimmed(secret).into(),
            },
            (_, (Some(_), None)) => return Err(missing(KEY_SECRET, format!("{KEY_SID} is"))),
            (_, (None, Some(_))) => return Err(missing(KEY_SID, format!("{KEY_SECRET} is"))),
            (Some(token), (None, None)) => Credentials::AuthToken(trimmed(token).into()),
            (None, (None, None)) => {
                return Err(missing(
                    TOKEN,
                    format!("{ACCOUNT} is, and Twilio takes both"),
                ));
            }
        };
        let from = self.get(TWILIO_FROM).map(trimmed).ok_or_else(|| {
            missing(
                TWILIO_FROM,
                "Text messages need a sender, such as +15005550006",
            )
        })?;
        let sender = if is_id(&from, "MG") {
            Sender::Service(from)
        } else {
            Sender::Number(from.parse().map_err(|error| InvalidConfig {
                variable: TWILIO_FROM,
                problem: format!("{error}; or a messaging service, MG and 32 letters or digits"),
            })?)
        };
        Ok(Some(Twilio {
            outgoing: outgoing.clone(),
            account,
            credentials,
            sender,
            base: self.base("NOTIFY_TWILIO_BASE_URL", Twilio::BASE)?,
        }))
    }

    fn mailbox(&self, variable: &'static str) -> Result<Option<Mailbox>, InvalidConfig> {
        let text = self.get(variable);
        text.map(|text| text.parse()).transpose().map_err(
            |error: crate::channels::email::InvalidMailbox| InvalidConfig {
                variable,
                problem: error.to_string(),
            },
        )
    }

    /// Where a provider's API is.
    fn base(&self, variable: &'static str, otherwise: &str) -> Result<Url, InvalidConfig> {
        let text = self.get(variable).unwrap_or_else(|| otherwise.to_owned());
        let invalid = |problem: String| InvalidConfig { variable, problem };
        let url: Option<Url> = text.trim().parse().ok();
        let url = url
            .filter(|url| matches!(url.scheme(), "https" | "http") && url.has_host())
            .ok_or_else(|| {
                invalid("must be an address such as https://api.example.com".to_owned())
            })?;
        self.outgoing_policy()?
            .check(&url)
            .map_err(|refused| invalid(refused.to_string()))?;
        Ok(url)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::channels::Channel;

    fn told(variables: &[(&str, &str)]) -> String {
        let get = |name: &str| {
            let found = variables.iter().find(|(variable, _)| *variable == name);
            found.map(|(_, value)| (*value).to_owned())
        };
        let source = Source(&get);
        let read = || -> Result<String, InvalidConfig> {
            let outgoing = source.outgoing()?;
            let mail = source.mail(&outgoing)?;
            let twilio = source.twilio(&outgoing)?;
            Ok(format!(
                "mails by {:?}, texts by {:?}",
                mail.map(|mail| mail.mailer.transport()),
                twilio.map(|twilio| twilio.transport())
            ))
        };
        read().unwrap_or_else(|error| error.to_string())
    }

    const FROM: (&str, &str) = (super::FROM, "Acme <notify@example.com>");
    const APP: (&str, &str) = ("APP_BASE_URL", "https://app.example.com");
    const SMTP: (&str, &str) = (super::SMTP, "smtp://user:Hidden@mail.example.com");
    const KEY: (&str, &str) = (RESEND, "re_Hidden");
    const ACCOUNT: (&str, &str) = (super::ACCOUNT, "AC0123456789abcdef0123456789abcdef");
    const TOKEN: (&str, &str) = (super::TOKEN, "Hidden");

    #[test]
    fn what_is_configured_is_taken() {
        insta::assert_snapshot!(told(&[]), @"mails by None, texts by None");
        insta::assert_snapshot!(told(&[SMTP, FROM, APP]), @"mails by Some(Smtp), texts by None");
        insta::assert_snapshot!(told(&[KEY, FROM, APP]), @"mails by Some(Resend), texts by None");
        insta::assert_snapshot!(told(&[(SENDGRID, "SG.Hidden"), FROM, APP]), @"mails by Some(SendGrid), texts by None");
        insta::assert_snapshot!(told(&[KEY, SMTP, FROM, APP, (TRANSPORT, "smtp")]), @"mails by Some(Smtp), texts by None");
        insta::assert_snapshot!(told(&[KEY, (TRANSPORT, "none")]), @"mails by None, texts by None");
        insta::assert_snapshot!(told(&[ACCOUNT, TOKEN, (TWILIO_FROM, "+15005550006")]), @"mails by None, texts by Some(Twilio)");
    }

    #[test]
    fn what_is_wrong_or_lacking_is_named() {
        insta::assert_snapshot!(told(&[KEY, SMTP, FROM, APP]), @"NOTIFY_EMAIL_TRANSPORT: not set, and NOTIFY_SMTP_URL and NOTIFICATIONS_RESEND_API_KEY are: say which is to carry mails (smtp, resend, sendgrid, none)");
        insta::assert_snapshot!(told(&[SMTP, FROM, APP, ("NOTIFY_SMTP_ACCEPTANCE_TIMEOUT", "2h")]), @r#"NOTIFY_SMTP_ACCEPTANCE_TIMEOUT: must be 1h at most; it is "2h""#);
        insta::assert_snapshot!(told(&[(TRANSPORT, "fax")]), @r#"NOTIFY_EMAIL_TRANSPORT: must be smtp, resend, sendgrid or none; it is "fax""#);
        insta::assert_snapshot!(told(&[(TRANSPORT, "smtp")]), @"NOTIFY_SMTP_URL: not set. NOTIFY_EMAIL_TRANSPORT is smtp, which takes it");
        insta::assert_snapshot!(told(&[SMTP, APP]), @"NOTIFICATIONS_EMAIL_FROM: not set. Mails need a sender, such as Acme <notify@example.com>");
        insta::assert_snapshot!(told(&[SMTP, APP, (super::FROM, "Hidden")]), @"NOTIFICATIONS_EMAIL_FROM: not a mail address, such as ada@example.com or Ada <ada@example.com>");
        insta::assert_snapshot!(told(&[SMTP, FROM]), @"APP_BASE_URL: not set. Mails link to the application: set it to its address, such as https://app.example.com");
        insta::assert_snapshot!(told(&[(super::SMTP, "mail.example.com:25"), FROM, APP]), @"NOTIFY_SMTP_URL: must begin with smtp:// or smtps://");
        insta::assert_snapshot!(told(&[KEY, FROM, APP, ("NOTIFY_RESEND_BASE_URL", "http://127.0.0.1:1")]), @"NOTIFY_RESEND_BASE_URL: the address is not encrypted (http://), which is not allowed here");
        insta::assert_snapshot!(told(&[TOKEN]), @"NOTIFY_TWILIO_ACCOUNT_SID: not set. NOTIFY_TWILIO_AUTH_TOKEN is, and Twilio takes both");
        insta::assert_snapshot!(told(&[(super::ACCOUNT, "AC1")]), @"NOTIFY_TWILIO_ACCOUNT_SID: must be AC and 32 letters or digits");
        insta::assert_snapshot!(told(&[ACCOUNT]), @"NOTIFY_TWILIO_AUTH_TOKEN: not set. NOTIFY_TWILIO_ACCOUNT_SID is, and Twilio takes both");
        insta::assert_snapshot!(told(&[ACCOUNT, (KEY_SID, "SK1")]), @"NOTIFY_TWILIO_API_KEY_SECRET: not set. NOTIFY_TWILIO_API_KEY_SID is");
        insta::assert_snapshot!(told(&[ACCOUNT, TOKEN]), @"NOTIFY_TWILIO_FROM: not set. Text messages need a sender, such as +15005550006");
        insta::assert_snapshot!(told(&[ACCOUNT, TOKEN, (TWILIO_FROM, "Acme")]), @"NOTIFY_TWILIO_FROM: a phone number has to be in the international form, such as +4915112345678; or a messaging service, MG and 32 letters or digits");
    }
}
