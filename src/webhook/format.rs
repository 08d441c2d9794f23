//! The forms of a message: our own, and those that services for notifications document.
//!
//! A service gets the worker's name, what happened, and the name of the tool that is asked for; no text of the
//! conversation. Names are other people's text, so each form takes away what its service would act on.

use std::time::Instant;

use serde_json::{Value, json};

use super::links::AnswerLinks;
use crate::outbound::OutboundTarget;
use crate::worker::publish::changes::{AskedPrompt, ChangeKind};

/// Longest name or sentence in a message of a service, in characters.
const TEXT_MAX: usize = 200;
/// Longest topic of ntfy, in characters.
const TOPIC_MAX: usize = 64;

/// A form of messages, with what it needs of the address.
#[derive(Debug)]
pub(super) enum Format {
    /// Our own: the worker and the event.
    Generic,
    /// ntfy: published as JSON to the server's root, for this topic.
    Ntfy { topic: String },
    /// An incoming webhook of Slack.
    Slack,
    /// A webhook of Discord.
    Discord,
    /// `sendMessage` of Telegram's Bot API, to this chat.
    Telegram { chat: String },
    /// A message of Gotify.
    Gotify,
}

/// The part of a change that a service gets.
pub(super) struct News<'a> {
    /// The kind of change.
    pub(super) kind: ChangeKind,
    /// The worker's id.
    pub(super) worker_id: &'a str,
    /// Its name.
    pub(super) name: &'a str,
    /// The prompt that it waits with.
    pub(super) prompt: Option<&'a AskedPrompt>,
}

/// Links and buttons of messages.
pub(super) struct Links<'a> {
    /// The address of the page, with a slash at its end.
    pub(super) page: Option<&'a str>,
    /// The links that buttons answer by, where there are buttons.
    pub(super) answers: Option<&'a AnswerLinks>,
}

impl Format {
    /// The form of this name for messages to `target`, whose path it changes where the service wants another one.
    ///
    /// # Errors
    /// The mistake in the address, for people.
    pub(super) fn new(name: &str, target: &mut OutboundTarget) -> Result<Self, String> {
        match name {
            "ntfy" => {
                let path = target.path.split('?').next().unwrap_or_default().trim_end_matches('/').to_owned();
                let (server, topic) = path.rsplit_once('/').unwrap_or_default();
                let is_word = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
                if topic.is_empty() || topic.len() > TOPIC_MAX || !topic.chars().all(is_word) {
                    return Err("has no topic of ntfy, as in https://ntfy.example/my-topic".to_owned());
                }
                target.path = format!("{server}/");
                Ok(Self::Ntfy { topic: topic.into() })
            }
            "telegram" => {
                let path = target.path.clone();
                let (path, query) = path.split_once('?').unwrap_or((&path, ""));
                let chat = query.split('&').find_map(|pair| pair.strip_prefix("chat_id="));
                let chat = chat.map(|chat| chat.replace("%40", "@")).filter(|chat| !chat.is_empty());
                let chat = chat.ok_or("has no chat of Telegram: .../botTOKEN/sendMessage?chat_id=CHAT")?;
                target.path = path.to_owned();
                Ok(Self::Telegram { chat })
            }
            "slack" => Ok(Self::Slack),
            "discord" => Ok(Self::Discord),
            "gotify" => Ok(Self::Gotify),
            _ => Ok(Self::Generic),
        }
    }

    /// The body of a service's message about a change; `None` for our own form.
    pub(super) fn body(&self, news: &News<'_>, links: &Links<'_>) -> Option<Value> {
        let title = shortened(news.name);
        let said = sentence(news);
        let page = links.page.map(|page| format!("{page}#/w/{}", news.worker_id));
        Some(match self {
            Self::Generic => return None,
            Self::Ntfy { topic } => ntfy(topic, (&title, &said), page.as_deref(), news, links),
            Self::Slack => {
                let link = page.map_or_else(String::new, |page| format!("\n<{page}|Open>"));
                json!({"text": format!("*{}* {}{link}", for_slack(&title), for_slack(&said))})
            }
            Self::Discord => {
                let mut embed = json!({"title": title, "description": said, "color": color(news.kind)});
                if let Some(page) = page {
                    embed["url"] = json!(page);
                }
                // Nobody is called by what a name holds.
                json!({"username": "rs-worker", "allowed_mentions": {"parse": []}, "embeds": [embed]})
            }
            Self::Telegram { chat } => {
                let mut body = json!({"chat_id": chat, "text": format!("{title} {said}")});
                if let Some(page) = page {
                    body["reply_markup"] = json!({"inline_keyboard": [[{"text": "Open", "url": page}]]});
                }
                body
            }
            Self::Gotify => {
                let mut body = json!({"title": title, "message": said, "priority": priority(news.kind) * 2});
                if let Some(page) = page {
                    body["extras"] = json!({"client::notification": {"click": {"url": page}}});
                }
                body
            }
        })
    }

    /// The header field that carries the service's own token.
    pub(super) fn authorization(&self, token: &str) -> Option<(&'static str, String)> {
        match self {
            Self::Ntfy { .. } => Some(("Authorization", format!("Bearer {token}"))),
            Self::Gotify => Some(("X-Gotify-Key", token.to_owned())),
            _ => None,
        }
    }

    /// Returns whether messages are signed as the Standard Webhooks say. Services would not look at it.
    pub(super) const fn is_signed(&self) -> bool {
        matches!(self, Self::Generic)
    }

    /// Returns whether messages can have buttons that send requests.
    pub(super) const fn has_buttons(&self) -> bool {
        matches!(self, Self::Ntfy { .. })
    }
}

fn ntfy(topic: &str, (title, said): (&str, &str), page: Option<&str>, news: &News<'_>, links: &Links<'_>) -> Value {
    let tag = match news.kind {
        ChangeKind::Waiting => "raising_hand",
        ChangeKind::TurnCompleted => "white_check_mark",
        ChangeKind::Failed => "x",
        ChangeKind::Budget => "moneybag",
    };
    let mut body =
        json!({"topic": topic, "title": title, "message": said, "priority": priority(news.kind), "tags": [tag]});
    let mut actions = buttons(news, links);
    if let Some(page) = page {
        body["click"] = json!(page);
        actions.push(json!({"action": "view", "label": "Open", "url": page}));
    }
    if !actions.is_empty() {
        body["actions"] = json!(actions);
    }
    body
}

/// Allow and Deny of a permission prompt.
fn buttons(news: &News<'_>, links: &Links<'_>) -> Vec<Value> {
    let (Some(page), Some(answers)) = (links.page, links.answers) else { return Vec::new() };
    let Some(AskedPrompt { request_id, tool_name: Some(_), is_of_budget }) = news.prompt else { return Vec::new() };
    let codes = match answers.make(news.worker_id, request_id, Instant::now()) {
        Ok(codes) => codes,
        Err(error) => {
            log::warn!("a notification has no buttons: {error}");
            return Vec::new();
        }
    };
    let button = |label: &str, code: &str| {
        let url = format!("{page}api/answer/{code}");
        json!({"action": "http", "label": label, "url": url, "method": "POST", "clear": true})
    };
    let [allow, deny] = if *is_of_budget { ["One more turn", "Stop"] } else { ["Allow", "Deny"] };
    vec![button(allow, &codes.allow), button(deny, &codes.deny)]
}

fn sentence(news: &News<'_>) -> String {
    match (news.kind, news.prompt) {
        (ChangeKind::Waiting, Some(AskedPrompt { is_of_budget: true, .. })) => "has used up a budget".to_owned(),
        (ChangeKind::Waiting, Some(AskedPrompt { tool_name: Some(tool), .. })) => {
            format!("wants to use {}", shortened(tool))
        }
        (ChangeKind::Waiting, _) => "asks you something".to_owned(),
        (ChangeKind::TurnCompleted, _) => "has ended its turn".to_owned(),
        (ChangeKind::Failed, _) => "has failed".to_owned(),
        (ChangeKind::Budget, _) => "has used most of a budget".to_owned(),
    }
}

/// The urgency from 1 to 5, as ntfy counts it.
const fn priority(kind: ChangeKind) -> u8 {
    match kind {
        ChangeKind::Waiting | ChangeKind::Failed => 4,
        ChangeKind::TurnCompleted | ChangeKind::Budget => 3,
    }
}

/// The colour of a message in Discord.
const fn color(kind: ChangeKind) -> u32 {
    match kind {
        ChangeKind::Waiting | ChangeKind::Budget => 0x00d2_9922,
        ChangeKind::TurnCompleted => 0x003f_b950,
        ChangeKind::Failed => 0x00f8_5149,
    }
}

/// A name as one line of bounded length, without what changes the direction of text.
fn shortened(text: &str) -> String {
    let hidden = |c: char| {
        c.is_control() || matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
    };
    let plain: String = text.chars().map(|c| if hidden(c) { ' ' } else { c }).take(TEXT_MAX).collect();
    plain.trim().to_owned()
}

/// Text in which Slack finds neither links nor names to call.
fn for_slack(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

#[cfg(test)]
mod tests {
    use super::*;

    const PAGE: &str = "https://agents.example/x/";

    fn prompt(tool: &str) -> AskedPrompt {
        AskedPrompt { request_id: "r-1".to_owned(), tool_name: Some(tool.to_owned()), is_of_budget: false }
    }

    /// The message about a permission prompt, and the target that it goes to.
    fn message(format: &str, url: &str, name: &str, links: &Links<'_>) -> (Value, OutboundTarget) {
        let mut target = OutboundTarget::parse(url).unwrap();
        let format = Format::new(format, &mut target).unwrap();
        let asked = prompt("Bash");
        let news = News { kind: ChangeKind::Waiting, worker_id: "w-1", name, prompt: Some(&asked) };
        (format.body(&news, links).unwrap(), target)
    }

    fn linked(format: &str, url: &str) -> Value {
        message(format, url, "api", &Links { page: Some(PAGE), answers: None }).0
    }

    #[test]
    fn each_service_gets_the_form_that_it_documents() {
        let page = "https://agents.example/x/#/w/w-1";
        for (format, url, expected) in [
            (
                "ntfy",
                "https://ntfy.example/my-topic",
                json!({"topic": "my-topic", "title": "api", "message": "wants to use Bash", "priority": 4,
                       "tags": ["raising_hand"], "click": page,
                       "actions": [{"action": "view", "label": "Open", "url": page}]}),
            ),
            (
                "slack",
                "https://slack.example/services/T/B/X",
                json!({"text": "*api* wants to use Bash\n<https://agents.example/x/#/w/w-1|Open>"}),
            ),
            (
                "discord",
                "https://discord.example/api/webhooks/1/x",
                json!({"username": "rs-worker", "allowed_mentions": {"parse": []},
                       "embeds": [{"title": "api", "description": "wants to use Bash", "color": 0x00d2_9922, "url": page}]}),
            ),
            (
                "telegram",
                "https://telegram.example/bot1:x/sendMessage?chat_id=%40me",
                json!({"chat_id": "@me", "text": "api wants to use Bash",
                       "reply_markup": {"inline_keyboard": [[{"text": "Open", "url": page}]]}}),
            ),
            (
                "gotify",
                "https://gotify.example/message",
                json!({"title": "api", "message": "wants to use Bash", "priority": 8,
                       "extras": {"client::notification": {"click": {"url": page}}}}),
            ),
        ] {
            assert_eq!(linked(format, url), expected, "{format}");
            let plain = message(format, url, "api", &Links { page: None, answers: None }).0;
            assert!(!plain.to_string().contains("http"), "{plain}");
        }
    }

    #[test]
    fn addresses_become_those_that_services_want() {
        let path = |format, url| message(format, url, "api", &Links { page: None, answers: None }).1.path;
        assert_eq!(path("ntfy", "https://ntfy.example/topic"), "/");
        assert_eq!(path("ntfy", "https://ntfy.example/behind/a/proxy/topic/?x=y"), "/behind/a/proxy/");
        assert_eq!(path("telegram", "https://t.example/bot1:x/sendMessage?chat_id=-1"), "/bot1:x/sendMessage");
        assert_eq!(path("slack", "https://s.example/a?b=c"), "/a?b=c");
        for (format, url) in [
            ("ntfy", "https://ntfy.example/"),
            ("ntfy", "https://ntfy.example/a%20b"),
            ("telegram", "https://t.example/bot1:x/sendMessage"),
            ("telegram", "https://t.example/bot1:x/sendMessage?chat_id="),
        ] {
            assert!(Format::new(format, &mut OutboundTarget::parse(url).unwrap()).is_err(), "{url}");
        }
    }

    #[test]
    fn names_call_nobody_and_break_no_line() {
        let hostile = "<!channel> <https://evil.example|x>\n\u{202e}@everyone & co";
        let of = |format, url| message(format, url, hostile, &Links { page: None, answers: None }).0;
        let slack = of("slack", "https://s.example/").to_string();
        assert!(slack.contains("&lt;!channel&gt; &lt;https://evil.example|x&gt;  @everyone &amp; co"), "{slack}");
        let discord = of("discord", "https://d.example/");
        assert_eq!(discord["allowed_mentions"], json!({"parse": []}));
        let title = discord["embeds"][0]["title"].as_str().unwrap();
        assert!(!title.contains(['\n', '\u{202e}']), "{title:?}");
        let long = message("gotify", "https://g.example/", &"x".repeat(5000), &Links { page: None, answers: None }).0;
        assert_eq!(long["title"].as_str().unwrap().len(), TEXT_MAX);
    }

    #[test]
    fn ntfy_buttons_answer_one_prompt_once_without_a_token() {
        let answers = AnswerLinks::default();
        let links = Links { page: Some(PAGE), answers: Some(&answers) };
        let actions = message("ntfy", "https://ntfy.example/t", "api", &links).0["actions"].clone();
        let labels: Vec<&str> = actions.as_array().unwrap().iter().map(|it| it["label"].as_str().unwrap()).collect();
        assert_eq!(labels, ["Allow", "Deny", "Open"], "ntfy takes three");
        let allow = &actions[0];
        assert_eq!(
            (&allow["action"], &allow["method"], &allow["clear"]),
            (&json!("http"), &json!("POST"), &json!(true))
        );
        assert_eq!((allow.get("headers"), allow.get("body")), (None, None));
        let code = allow["url"].as_str().unwrap().strip_prefix("https://agents.example/x/api/answer/").unwrap();
        assert_eq!(answers.redeem(code, Instant::now()).unwrap().option, "allow_once");
        // Questions and turns have none.
        let mut target = OutboundTarget::parse("https://ntfy.example/t").unwrap();
        let format = Format::new("ntfy", &mut target).unwrap();
        let question = AskedPrompt { request_id: "r".to_owned(), tool_name: None, is_of_budget: false };
        for (kind, prompt) in [(ChangeKind::Waiting, Some(&question)), (ChangeKind::TurnCompleted, None)] {
            let news = News { kind, worker_id: "w", name: "api", prompt };
            assert_eq!(format.body(&news, &links).unwrap()["actions"].as_array().unwrap().len(), 1);
        }
        let budget = AskedPrompt { is_of_budget: true, ..prompt("Budget") };
        let news = News { kind: ChangeKind::Waiting, worker_id: "w", name: "api", prompt: Some(&budget) };
        let body = format.body(&news, &links).unwrap();
        assert_eq!(
            (&body["message"], &body["actions"][0]["label"]),
            (&json!("has used up a budget"), &json!("One more turn"))
        );
    }
}
