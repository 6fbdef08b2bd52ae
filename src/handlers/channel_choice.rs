//! Which channels a message goes to, where the payload may choose.

use serde_json::Value;

use super::payload::Part;
use crate::channels::Channel;
use crate::domain::event::InvalidEvent;
use crate::domain::payload::{Fields, FromPayload};

/// The channels of a message. Without a choice: all but text messages, which cost money.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct ChannelChoice {
    /// Notifications for people.
    pub(super) in_app: bool,
    /// E-mails for people.
    pub(super) email: bool,
    /// A text message for the person whom it is about.
    pub(super) sms: bool,
    /// Endpoints of these channels; `None`: of any.
    pub(super) endpoints: Option<Vec<&'static str>>,
}

impl Default for ChannelChoice {
    fn default() -> Self {
        Self {
            in_app: true,
            email: true,
            sms: false,
            endpoints: None,
        }
    }
}

/// Reads both forms. `channels`, `{"inapp": bool, "email": bool, "sms": bool, "slack": bool,
/// "discord": bool, "webhook": bool}`, wins: what it does not name is off, for people and endpoints
/// alike. The older `notify_inapp` and `notify_email` are about people only; what is absent is on. A
/// choice that is invalid fails the event: to guess would be to notify, or not to, against
/// somebody's will.
impl Part for ChannelChoice {
    fn decode(fields: Fields<'_>, _: &'static str) -> Result<Self, InvalidEvent> {
        if let Some(Channels(choice)) = fields.strict("channels")? {
            return Ok(choice);
        }
        Ok(Self {
            in_app: fields.strict("notify_inapp")?.unwrap_or(true),
            email: fields.strict("notify_email")?.unwrap_or(true),
            ..Self::default()
        })
    }
}

/// The value of `channels`. Unknown channels are ignored, whatever their value.
struct Channels(ChannelChoice);

impl FromPayload for Channels {
    const TYPE: &'static str = "an object of true and false";

    fn read(value: &Value, _: Fields<'_>) -> Option<Self> {
        let chosen = value.as_object()?;
        let is_on = |name: &str| match chosen.get(name) {
            None | Some(Value::Null) => Some(false),
            Some(choice) => choice.as_bool(),
        };
        let mut endpoints = Vec::new();
        for name in Channel::ALL.map(Channel::name) {
            if is_on(name)? {
                endpoints.push(name);
            }
        }
        Some(Self(ChannelChoice {
            in_app: is_on("inapp")? || is_on("in_app")?,
            email: is_on("email")?,
            sms: is_on("sms")?,
            endpoints: Some(endpoints),
        }))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::domain::event::EventRow;

    fn chosen(payload: Value) -> String {
        let row = EventRow {
            payload: Some(payload),
            ..EventRow::default()
        };
        let event_type = "alert_triggered";
        let fields = Fields {
            row: &row,
            event_type,
        };
        match ChannelChoice::decode(fields, "") {
            Ok(it) => format!("{} {} {} {:?}", it.in_app, it.email, it.sms, it.endpoints),
            Err(error) => error.to_string(),
        }
    }

    #[test]
    fn both_forms_are_read_and_neither_is_guessed_at() {
        let choices = [
            json!({}),
            json!({"notify_email": false}),
            json!({"notify_email": true, "notify_inapp": false}),
            json!({"channels": null, "notify_inapp": false}),
            json!({"channels": {}}),
            json!({"channels": {"inapp": true, "slack": true, "telegram": "yes"}, "notify_email": true}),
            json!({"channels": {"in_app": true, "email": true, "sms": true, "slack": null, "discord": true, "webhook": true}}),
            json!({"channels": ["email"]}),
            json!({"channels": {"email": "yes"}}),
            json!({"channels": {"slack": 1}}),
            json!({"notify_email": "yes"}),
            json!({"notify_inapp": 0}),
        ];
        insta::assert_snapshot!(choices.map(chosen).join("\n"), @r#"
        true true false None
        true false false None
        false true false None
        false true false None
        false false false Some([])
        true false false Some(["slack"])
        true true true Some(["email", "sms", "discord", "webhook"])
        invalid alert_triggered event: payload.channels must be an object of true and false
        invalid alert_triggered event: payload.channels must be an object of true and false
        invalid alert_triggered event: payload.channels must be an object of true and false
        invalid alert_triggered event: payload.notify_email must be true or false
        invalid alert_triggered event: payload.notify_inapp must be true or false
        "#);
    }
}
