//! Composition root: builds TLS roots, HTTP clients, transports and templates from the configuration.

use secrecy::ExposeSecret as _;

use crate::channels::smtp::SmtpSettings;
use crate::channels::twilio::Credentials;
use crate::channels::{
    EmailTransport, Mailer, Outgoing, OutgoingSettings, Resend, SendGrid, Smtp, TlsRoots, Twilio,
};
use crate::config::{Config, InvalidConfig};
use crate::delivery::{EmailSender, Pace, Sender};
use crate::domain::base_url::BaseUrl;
use crate::domain::secret_keys::SecretKeys;
use crate::endpoints::Encryption;
use crate::templates::Templates;
use crate::unsubscribe::Unsubscribe;

const SMTP_URL: &str = "NOTIFY_SMTP_URL";
const RESEND_KEY: &str = "NOTIFICATIONS_RESEND_API_KEY";
const SENDGRID_KEY: &str = "NOTIFY_SENDGRID_API_KEY";
const TRANSPORT: &str = "NOTIFY_EMAIL_TRANSPORT";
const UNSUBSCRIBE_URL: &str = "NOTIFY_UNSUBSCRIBE_URL";
const UNSUBSCRIBE_KEY: &str = "NOTIFY_UNSUBSCRIBE_KEY";
const CA_FILE: &str = "NOTIFY_OUTGOING_CA_FILE";
const TWILIO_ACCOUNT: &str = "NOTIFY_TWILIO_ACCOUNT_SID";
const TWILIO_TOKEN: &str = "NOTIFY_TWILIO_AUTH_TOKEN";
const TWILIO_KEY: &str = "NOTIFY_TWILIO_API_KEY_SID";
const TWILIO_SECRET: &str = "NOTIFY_TWILIO_API_KEY_SECRET";
const TWILIO_FROM: &str = "NOTIFY_TWILIO_FROM";

fn missing<T>(variable: &'static str, why: impl std::fmt::Display) -> Result<T, InvalidConfig> {
    Err(InvalidConfig::missing(variable, why))
}

/// Everything that sends.
pub(super) fn sender(config: &Config) -> Result<Sender, InvalidConfig> {
    Ok(Sender {
        outgoing: outgoing(config)?,
        mail: mail(config)?,
        twilio: twilio(config)?,
        routes: config.routes()?,
        encryption: config.encryption()?,
        app_url: config.app_url.clone(),
        pace: Pace::default(),
    })
}

/// The HTTP client.
pub(super) fn outgoing(config: &Config) -> Result<Outgoing, InvalidConfig> {
    let settings = OutgoingSettings {
        policy: config.outgoing_policy(),
        ..OutgoingSettings::new(tls_roots(config)?)
    };
    Outgoing::new(settings).map_err(|error| InvalidConfig::new(CA_FILE, error.to_string()))
}

/// The authorities of the system, and those of the file if there is one.
fn tls_roots(config: &Config) -> Result<TlsRoots, InvalidConfig> {
    let invalid = |problem| InvalidConfig::new(CA_FILE, problem);
    let Some(path) = &config.outgoing_ca_file else {
        return TlsRoots::system()
            .map_err(|error| InvalidConfig::missing(CA_FILE, format!(", and {error}")));
    };
    let path_name = path.display();
    let pem = std::fs::read(path)
        .map_err(|error| invalid(format!("{path_name} can't be read: {error}")))?;
    let system = TlsRoots::system().unwrap_or_default();
    system
        .with_pem(&pem)
        .map_err(|error| invalid(format!("{path_name} is {error}")))
}

/// How e-mails are sent; `None` without a transport.
pub(super) fn mail(config: &Config) -> Result<Option<EmailSender>, InvalidConfig> {
    let mailer = match email_transport(config)? {
        None => return Ok(None),
        Some(EmailTransport::Resend) => Mailer::Resend(Resend {
            api_key: config.resend_api_key.clone().unwrap_or_default(),
            base: config.resend_url.clone(),
        }),
        Some(EmailTransport::SendGrid) => Mailer::SendGrid(SendGrid {
            api_key: config.sendgrid_api_key.clone().unwrap_or_default(),
            base: config.sendgrid_url.clone(),
        }),
        Some(_) => Mailer::Smtp(smtp(config)?),
    };
    let Some(from) = config.email_from.clone() else {
        let why = ". E-mails need a sender, such as Acme <notify@example.com>";
        return missing("NOTIFICATIONS_EMAIL_FROM", why);
    };
    Ok(Some(EmailSender {
        mailer,
        from,
        reply_to: config.email_reply_to.clone(),
        templates: templates(config, None)?,
        unsubscribe: unsubscribe(config)?,
    }))
}

/// The transport that is named, else the only one that is configured.
fn email_transport(config: &Config) -> Result<Option<EmailTransport>, InvalidConfig> {
    let (smtp, resend) = (&config.smtp_server, &config.resend_api_key);
    let configured = [
        (EmailTransport::Smtp, SMTP_URL, smtp.is_some()),
        (EmailTransport::Resend, RESEND_KEY, resend.is_some()),
        (
            EmailTransport::SendGrid,
            SENDGRID_KEY,
            config.sendgrid_api_key.is_some(),
        ),
    ];
    if let Some(named) = config.email_transport {
        let mut lacking = configured.iter().filter(|(.., is_given)| !is_given);
        return match lacking.find(|(transport, ..)| Some(*transport) == named) {
            Some((transport, variable, _)) => missing(
                variable,
                format!(". {TRANSPORT} is {}, which needs it", transport.name()),
            ),
            None => Ok(named),
        };
    }
    let given = configured.into_iter().filter(|(.., is_given)| *is_given);
    let given: Vec<_> = given.collect();
    match given[..] {
        [] => Ok(None),
        [(transport, ..)] => Ok(Some(transport)),
        _ => {
            let variables: Vec<_> = given.iter().map(|(_, variable, _)| *variable).collect();
            let variables = variables.join(" and ");
            let why = format!(
                ", and {variables} are: say which transport sends e-mails (smtp, resend, sendgrid, none)"
            );
            missing(TRANSPORT, why)
        }
    }
}

fn smtp(config: &Config) -> Result<Smtp, InvalidConfig> {
    let Some(server) = config.smtp_server.clone() else {
        return missing(SMTP_URL, "");
    };
    let settings = SmtpSettings {
        acceptance_timeout: config.smtp_acceptance_timeout,
        ..SmtpSettings::new(server, tls_roots(config)?)
    };
    Smtp::new(settings).map_err(|error| InvalidConfig::new(SMTP_URL, error.to_string()))
}

fn takes_both<T>(lacking: &'static str, given: &str) -> Result<T, InvalidConfig> {
    missing(lacking, format!(". {given} is, and Twilio takes both"))
}

/// How text messages are sent; `None` without an account.
pub(super) fn twilio(config: &Config) -> Result<Option<Twilio>, InvalidConfig> {
    let token = &config.twilio_auth_token;
    let (key, secret) = (&config.twilio_api_key_sid, &config.twilio_api_key_secret);
    let Some(account) = config.twilio_account.clone() else {
        let others = [
            (TWILIO_TOKEN, token.is_some()),
            (TWILIO_KEY, key.is_some()),
            (TWILIO_SECRET, secret.is_some()),
            (TWILIO_FROM, config.twilio_from.is_some()),
        ];
        return match others.iter().find(|(_, is_given)| *is_given) {
            Some((given, _)) => takes_both(TWILIO_ACCOUNT, given),
            None => Ok(None),
        };
    };
    let credentials = match (key, secret, token) {
        (Some(sid), Some(secret), _) => Credentials::ApiKey {
            sid: sid.clone(),
            secret: secret.clone(),
        },
        (Some(_), None, _) => return missing(TWILIO_SECRET, format!(". {TWILIO_KEY} is")),
        (None, Some(_), _) => return missing(TWILIO_KEY, format!(". {TWILIO_SECRET} is")),
        (None, None, Some(token)) => Credentials::AuthToken(token.clone()),
        (None, None, None) => return takes_both(TWILIO_TOKEN, TWILIO_ACCOUNT),
    };
    let Some(sender) = config.twilio_from.clone() else {
        return missing(
            TWILIO_FROM,
            ". Text messages need a sender, such as +15005550006",
        );
    };
    Ok(Some(Twilio {
        account,
        credentials,
        sender,
        base: config.twilio_url.clone(),
    }))
}

/// The templates of e-mails. `otherwise` stands for the application where `APP_BASE_URL` is not set;
/// e-mails that are sent need it.
pub(super) fn templates(
    config: &Config,
    otherwise: Option<BaseUrl>,
) -> Result<Templates, InvalidConfig> {
    let Some(app_url) = config.app_url.clone().or(otherwise) else {
        let why = ". E-mails link to the application: set it to its address, such as \
                   https://app.example.com";
        return missing("APP_BASE_URL", why);
    };
    let preferences_url = match config.preferences_url.clone() {
        Some(path) if path.starts_with('/') => Some(app_url.link(&path)),
        given => given,
    };
    Templates::load(config.templates_dir.as_deref(), app_url, preferences_url)
        .map_err(|error| InvalidConfig::new("NOTIFY_TEMPLATES_DIR", error.to_string()))
}

/// How people unsubscribe; `None` where it is not configured.
pub(super) fn unsubscribe(config: &Config) -> Result<Option<Unsubscribe>, InvalidConfig> {
    let lacking = |variable, other| {
        missing(
            variable,
            format!(", and {other} is; unsubscribing needs both"),
        )
    };
    match (&config.unsubscribe_url, &config.unsubscribe_key) {
        (None, None) => Ok(None),
        (None, Some(_)) => lacking(UNSUBSCRIBE_URL, UNSUBSCRIBE_KEY),
        (Some(_), None) => lacking(UNSUBSCRIBE_KEY, UNSUBSCRIBE_URL),
        (Some(base), Some(keys)) => {
            let keys = SecretKeys::parse(keys.expose_secret())
                .map_err(|error| InvalidConfig::new(UNSUBSCRIBE_KEY, error.to_string()))?;
            Ok(Some(Unsubscribe::new(base.clone(), keys)))
        }
    }
}

/// The same for a command that needs it.
pub(super) fn required_unsubscribe(config: &Config) -> Result<Unsubscribe, InvalidConfig> {
    let why = ". It is the key that signed the addresses in e-mails; NOTIFY_UNSUBSCRIBE_URL is needed too";
    unsubscribe(config)?.ok_or_else(|| InvalidConfig::missing(UNSUBSCRIBE_KEY, why))
}

/// What encrypts the settings of endpoints, for a command that needs it.
pub(super) fn required_encryption(config: &Config) -> Result<Encryption, InvalidConfig> {
    let why = ". It is the key to encrypt with, 32 bytes; make one with: openssl rand -base64 32";
    let encryption = Some(config.encryption()?).filter(Encryption::encrypts);
    encryption.ok_or_else(|| InvalidConfig::missing("NOTIFY_SECRET_KEY", why))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::channels::Transport as _;
    use crate::config::{Given, Origin};

    fn config(variables: &[(&'static str, &str)]) -> Config {
        let mut given = Given::default();
        for (variable, text) in variables {
            given.set(variable, (*text).to_owned(), Origin::Environment);
        }
        let (config, wrong) = Config::read(&given);
        assert_eq!(wrong, []);
        config
    }

    fn built(variables: &[(&'static str, &str)]) -> String {
        let config = config(variables);
        let built = || -> Result<String, InvalidConfig> {
            outgoing(&config)?;
            let (mail, twilio) = (mail(&config)?, twilio(&config)?);
            Ok(format!(
                "{}, {}, {}",
                mail.map_or("no e-mails", |mail| mail.mailer.name()),
                twilio.map_or("no text messages", |_| Twilio::NAME),
                unsubscribe(&config)?.map_or("no unsubscribing", |_| "unsubscribing")
            ))
        };
        built().unwrap_or_else(|error| error.to_string())
    }

    const FROM: (&str, &str) = ("NOTIFICATIONS_EMAIL_FROM", "Acme <notify@example.com>");
    const APP: (&str, &str) = ("APP_BASE_URL", "https://app.example.com");
    const SMTP: (&str, &str) = (SMTP_URL, "smtp://user:Hidden@mail.example.com");
    const RESEND: (&str, &str) = (RESEND_KEY, "re_Hidden");
    const ACCOUNT: (&str, &str) = (TWILIO_ACCOUNT, "AC0123456789abcdef0123456789abcdef");
    const TOKEN: (&str, &str) = (TWILIO_TOKEN, "Hidden");
    const OUT: (&str, &str) = (UNSUBSCRIBE_URL, "https://app.example.com/out");
    const KEY: (&str, &str) = (
        UNSUBSCRIBE_KEY,
        "fbfbfbfbfbfbfbfbfbfbfbfbfbfbfbfbfbfbfbfbfbfbfbfbfbfbfbfbfbfbfbfb",
    );

    #[test]
    fn what_is_configured_is_used() {
        insta::assert_snapshot!(built(&[]), @"no e-mails, no text messages, no unsubscribing");
        insta::assert_snapshot!(built(&[SMTP, FROM, APP]), @"smtp, no text messages, no unsubscribing");
        insta::assert_snapshot!(built(&[RESEND, FROM, APP, OUT, KEY]), @"resend, no text messages, unsubscribing");
        insta::assert_snapshot!(built(&[(SENDGRID_KEY, "SG.Hidden"), FROM, APP]), @"sendgrid, no text messages, no unsubscribing");
        insta::assert_snapshot!(built(&[RESEND, SMTP, FROM, APP, (TRANSPORT, "smtp")]), @"smtp, no text messages, no unsubscribing");
        insta::assert_snapshot!(built(&[RESEND, (TRANSPORT, "none")]), @"no e-mails, no text messages, no unsubscribing");
        insta::assert_snapshot!(built(&[ACCOUNT, TOKEN, (TWILIO_FROM, "+15005550006")]), @"no e-mails, twilio, no unsubscribing");
    }

    #[test]
    fn a_missing_value_is_named() {
        insta::assert_snapshot!(built(&[RESEND, SMTP, FROM, APP]), @"NOTIFY_EMAIL_TRANSPORT: not set, and NOTIFY_SMTP_URL and NOTIFICATIONS_RESEND_API_KEY are: say which transport sends e-mails (smtp, resend, sendgrid, none)");
        insta::assert_snapshot!(built(&[(TRANSPORT, "smtp")]), @"NOTIFY_SMTP_URL: not set. NOTIFY_EMAIL_TRANSPORT is smtp, which needs it");
        insta::assert_snapshot!(built(&[SMTP, APP]), @"NOTIFICATIONS_EMAIL_FROM: not set. E-mails need a sender, such as Acme <notify@example.com>");
        insta::assert_snapshot!(built(&[SMTP, FROM]), @"APP_BASE_URL: not set. E-mails link to the application: set it to its address, such as https://app.example.com");
        insta::assert_snapshot!(built(&[TOKEN]), @"NOTIFY_TWILIO_ACCOUNT_SID: not set. NOTIFY_TWILIO_AUTH_TOKEN is, and Twilio takes both");
        insta::assert_snapshot!(built(&[ACCOUNT]), @"NOTIFY_TWILIO_AUTH_TOKEN: not set. NOTIFY_TWILIO_ACCOUNT_SID is, and Twilio takes both");
        insta::assert_snapshot!(built(&[ACCOUNT, (TWILIO_KEY, "SK1")]), @"NOTIFY_TWILIO_API_KEY_SECRET: not set. NOTIFY_TWILIO_API_KEY_SID is");
        insta::assert_snapshot!(built(&[ACCOUNT, TOKEN]), @"NOTIFY_TWILIO_FROM: not set. Text messages need a sender, such as +15005550006");
        insta::assert_snapshot!(built(&[SMTP, FROM, APP, ("NOTIFY_TEMPLATES_DIR", "/nowhere")]), @"NOTIFY_TEMPLATES_DIR: /nowhere: can't be read: No such file or directory (os error 2)");
        insta::assert_snapshot!(built(&[(CA_FILE, "/nowhere.pem")]), @"NOTIFY_OUTGOING_CA_FILE: /nowhere.pem can't be read: No such file or directory (os error 2)");
        insta::assert_snapshot!(built(&[(CA_FILE, "/dev/null")]), @"NOTIFY_OUTGOING_CA_FILE: /dev/null is not a list of PEM certificates");
        insta::assert_snapshot!(built(&[KEY]), @"NOTIFY_UNSUBSCRIBE_URL: not set, and NOTIFY_UNSUBSCRIBE_KEY is; unsubscribing needs both");
        insta::assert_snapshot!(built(&[OUT]), @"NOTIFY_UNSUBSCRIBE_KEY: not set, and NOTIFY_UNSUBSCRIBE_URL is; unsubscribing needs both");
        insta::assert_snapshot!(required_encryption(&config(&[])).expect_err("no key"), @"NOTIFY_SECRET_KEY: not set. It is the key to encrypt with, 32 bytes; make one with: openssl rand -base64 32");
        insta::assert_snapshot!(required_unsubscribe(&config(&[])).map(drop).expect_err("no key"), @"NOTIFY_UNSUBSCRIBE_KEY: not set. It is the key that signed the addresses in e-mails; NOTIFY_UNSUBSCRIBE_URL is needed too");
    }
}
