//! The settings of notifications: Web Push and the webhook.

use std::time::Duration;

use super::Config;
use super::group::SettingGroup::{Push, Webhook};
use super::setting::Setting;
use super::value::Value;

const fn number(min: u64, max: u64, unit: &'static str, put: fn(&mut Config, u64)) -> Value {
    Value::Number { min, max, unit, put }
}

pub(super) const PUSH_CONTACT: Setting = Setting::new(
    Push,
    "PUSH_CONTACT",
    "Contact",
    "mailto:rs-worker@example.com",
    Value::Text(|c, it| c.push.contact = it),
)
.doc(
    "Your address for push services, which can write to you before they block a server that misbehaves: `mailto:` or \
     `https://`.",
);

pub(super) const PUSH_ALLOW_PRIVATE: Setting = Setting::new(
    Push,
    "PUSH_ALLOW_PRIVATE",
    "Allow Private Addresses",
    "false",
    Value::Flag(|c, it| c.push.allow_private = it),
)
.doc(
    "Allows push services on this machine (there without TLS too) or in a private network. Browsers use services on the \
     Internet.",
);

pub(super) const WEBHOOK_URL: Setting = Setting::new(
    Webhook,
    "WEBHOOK_URL",
    "URL",
    "",
    Value::SecretUrl(|c, it| c.webhook.url = Some(it)),
)
.doc(
    "Address that receives a POST when a worker waits for a person, has ended a turn, has failed or nears a budget. \
         Unset: none. An `https://` address needs the program curl.",
);

pub(super) const WEBHOOK_FORMAT: Setting = Setting::new(
    Webhook,
    "WEBHOOK_FORMAT",
    "Format",
    "generic",
    Value::Choice {
        of: &["generic", "ntfy", "slack", "discord", "telegram", "gotify"],
        put: |c, it| c.webhook.format = it.to_owned(),
    },
)
.doc("Format of the requests: signed events for programs of your own (`generic`), or messages for a service.");

pub(super) const WEBHOOK_SECRET: Setting =
    Setting::new(Webhook, "WEBHOOK_SECRET", "Secret", "", Value::Token(|c, it| c.webhook.secret = Some(it))).doc(
        "Secret that signs webhook requests (HMAC-SHA256), as text or as `whsec_` and base64. Required with \
         `WEBHOOK_URL` in the format `generic`.",
    );

pub(super) const WEBHOOK_TOKEN: Setting =
    Setting::new(Webhook, "WEBHOOK_TOKEN", "Token", "", Value::Key(|c, it| c.webhook.token = Some(it)))
        .doc("Access token of ntfy, or application token of Gotify. Sent to the service in a header.");

pub(super) const WEBHOOK_BUTTONS: Setting =
    Setting::new(Webhook, "WEBHOOK_BUTTONS", "Buttons", "false", Value::Flag(|c, it| c.webhook.buttons = it)).doc(
        "Adds the buttons Allow and Deny to messages of ntfy. Anyone who can read the topic can press them. Needs \
         `PUBLIC_URL`.",
    );

pub(super) const PUBLIC_URL: Setting =
    Setting::new(Webhook, "PUBLIC_URL", "Public URL", "", Value::Url(|c, it| c.webhook.page = Some(it))).doc(
        "Address at which phones reach the page. Links and buttons of messages lead there. Unset: they have none.",
    );

pub(super) const WEBHOOK_EVENTS: Setting = Setting::new(
    Webhook,
    "WEBHOOK_EVENTS",
    "Events",
    "waiting,turn_completed,failed,budget",
    Value::Words { of: &["waiting", "turn_completed", "failed", "budget"], put: |c, it| c.webhook.events = it },
)
.doc("Events that are sent to the webhook, and run `HOOK_COMMAND`.");

pub(super) const WEBHOOK_ALLOW_PRIVATE: Setting = Setting::new(
    Webhook,
    "WEBHOOK_ALLOW_PRIVATE",
    "Allow Private Addresses",
    "false",
    Value::Flag(|c, it| c.webhook.allow_private = it),
)
.doc("Allows a webhook address on this machine or in a private network, such as 10.0.0.1.");

pub(super) const WEBHOOK_ATTEMPTS: Setting = Setting::new(
    Webhook,
    "WEBHOOK_ATTEMPTS",
    "Attempts",
    "5",
    number(1, 10, "", |c, it| c.webhook.attempts = u32::try_from(it).unwrap_or(1)),
)
.doc("Number of attempts to deliver a message; the pauses between them grow.");

pub(super) const WEBHOOK_TIMEOUT_SECS: Setting = Setting::new(
    Webhook,
    "WEBHOOK_TIMEOUT_SECS",
    "Timeout",
    "10",
    number(1, 60, "seconds", |c, it| c.webhook.timeout = Duration::from_secs(it)),
)
.doc("Seconds that one attempt may take.");

pub(super) const HOOK_COMMAND: Setting =
    Setting::new(Webhook, "HOOK_COMMAND", "Hook Command", "", Value::Path(|c, it| c.hook.command = Some(it))).doc(
        "Program that runs on each of `WEBHOOK_EVENTS`, with the event as JSON on its standard input. It must belong to you or \
         root, be writable by nobody else, and lie outside of projects. Unset: none.",
    );

pub(super) const HOOK_TIMEOUT_SECS: Setting = Setting::new(
    Webhook,
    "HOOK_TIMEOUT_SECS",
    "Hook Timeout",
    "10",
    number(1, 600, "seconds", |c, it| c.hook.timeout = Duration::from_secs(it)),
)
.doc("Seconds that one run of `HOOK_COMMAND` may take; then it is killed with its children.");
