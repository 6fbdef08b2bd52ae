//! Which channels a message goes to, where the payload may choose.

use serde_json::Value;

use crate::channels::Channel;
use crate::domain::event::InvalidEvent;
use crate::domain::payload::Fields;

/// What completes "must be …" for `channels`.
const CHOICES: &str = "an object of true and false";

/// The channels of a message. Without a choice: all but text messages, which cost money.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct ChannelChoice {
    /// To people in the application.
    pub(super) in_app: bool,
    /// To people by mail.
    pub(super) email: bool,
    /// To the phone of the person whom it is about.
    pub(super) text: bool,
    /// To endpoints of these channels; `None`: of any.
    pub(super) channels: Option<Vec<&'static str>>,
}

impl Default for ChannelChoice {
    fn default() -> Self {
        Self {
            in_app: true,
            email: true,
            text: false,
            channels: None,
        }
    }
}

impl ChannelChoice {
    /// Reads both forms. `channels`, `{"inapp": bool, "email": bool, "sms": bool, "slack": bool,
    /// "discord": bool, "webhook": bool}`, wins: what it does not name is off, people and endpoints
    /// alike. The older `notify_inapp` and `notify_email` are about people only; what is absent is
    /// on. A choice that can't be read fails the event: to guess would be to tell, or not to tell,
    /// against somebody's will.
    pub(super) fn chosen(fields: Fields<'_>) -> Result<Self, InvalidEvent> {
        if let Some(choice) = fields.strict("channels", CHOICES, of_channels)? {
            return Ok(choice);
        }
        let is_on = |key| {
            let given = fields.strict(key, "true or false", Value::as_bool)?;
            Ok(given.unwrap_or(true))
        };
        Ok(Self {
            in_app: is_on("notify_inapp")?,
            email: is_on("notify_email")?,
            ..Self::default()
        })
    }
}

/// Channels that nobody knows are passed over, whatever they say.
fn of_channels(value: &Value) -> Option<ChannelChoice> {
    let chosen = value.as_object()?;
    let is_on = |name: &str| match chosen.get(name) {
        None | Some(Value::Null) => Some(false),
        Some(choice) => choice.as_bool(),
    };
    let mut channels = Vec::new();
    for name in Channel::ALL.map(Channel::name) {
        if is_on(name)? {
            channels.push(name);
        }
    }
    Some(ChannelChoice {
        in_app: is_on("inapp")? || is_on("in_app")?,
        email: is_on("email")?,
        text: is_on("sms")?,
        channels: Some(channels),
    })
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
        match ChannelChoice::chosen(Fields::new(&row, "alert_triggered")) {
            Ok(ChannelChoice {
                in_app,
                email,
                text,
                channels,
            }) => {
                format!("app {in_app}, mail {email}, text {text}, endpoints {channels:?}")
            }
            Err(error) => error.to_string(),
        }
    }

    #[test]
    fn in_both_forms() {
        let choices = [
            json!({}),
            json!({"notify_email": false}),
            json!({"notify_email": true, "notify_inapp": false}),
            json!({"channels": null, "notify_inapp": false}),
            json!({"channels": {}}),
            json!({"channels": {"inapp": true, "slack": true, "telegram": "yes"}, "notify_email": true}),
            json!({"channels": {"in_app": true, "email": true, "sms": true, "slack": null, "discord": true, "webhook": true}}),
        ];
        insta::assert_snapshot!(choices.map(chosen).join("\n"), @r#"
        app true, mail true, text false, endpoints None
        app true, mail false, text false, endpoints None
        app false, mail true, text false, endpoints None
        app false, mail true, text false, endpoints None
        app false, mail false, text false, endpoints Some([])
        app true, mail false, text false, endpoints Some(["slack"])
        app true, mail true, text true, endpoints Some(["email", "sms", "discord", "webhook"])
        "#);
    }

    #[test]
    fn that_can_not_be_read() {
        let choices = [
            json!({"channels": ["email"]}),
            json!({"channels": "email"}),
            json!({"channels": {"email": "yes"}}),
            json!({"channels": {"slack": 1}}),
            json!({"notify_email": "yes"}),
            json!({"notify_inapp": 0}),
        ];
        insta::assert_snapshot!(choices.map(chosen).join("\n"), @"
        invalid alert_triggered event: payload.channels must be an object of true and false
        invalid alert_triggered event: payload.channels must be an object of true and false
        invalid alert_triggered event: payload.channels must be an object of true and false
        invalid alert_triggered event: payload.channels must be an object of true and false
        invalid alert_triggered event: payload.notify_email must be true or false
        invalid alert_triggered event: payload.notify_inapp must be true or false
        ");
    }
}
