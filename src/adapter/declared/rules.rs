//! The `fields` of a `jsonl` adapter: which lines give which events. Pure; [`super::jsonl`] applies them.

use serde_json::Value;

use super::decode::{Invalid, Object, list};
use super::path::{FieldSource, Flag, LineConditions, Path};

/// Most rules of one file.
const RULES_MAX: usize = 256;

/// One rule: lines that `when` holds for give an event.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct EventRule {
    /// The lines it is about.
    pub(super) when: LineConditions,
    /// Their event.
    pub(super) emits: Emits,
}

/// The event of a rule's lines.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Emits {
    /// Text of the agent, or its reasoning.
    Message { of: TextAuthor, content: FieldSource, message_id: Option<FieldSource>, parent: Option<FieldSource> },
    /// A piece of a message that no later line repeats: it is shown as it comes, and the message is put together.
    Part { of: TextAuthor, content: FieldSource, message_id: Option<FieldSource> },
    /// A piece of a message that a later line repeats.
    Delta { of: TextAuthor, content: FieldSource, message_id: Option<FieldSource> },
    /// A tool is called.
    ToolCall(Box<ToolCallFields>),
    /// A tool has answered.
    ToolResult(Box<ToolResultFields>),
    /// The to-do list.
    Plan { entries: FieldSource },
    /// Something went wrong.
    Error { code: Option<FieldSource>, content: FieldSource },
    /// Something worth reporting.
    Notice { code: Option<FieldSource>, content: FieldSource },
    /// Tokens and cost of a part of a turn; a turn's sum is reported at its end.
    Usage { usage: UsageFields, cost_usd: Option<Path> },
    /// A turn begins.
    TurnStarted,
    /// A turn ends.
    TurnCompleted(Box<TurnFields>),
    /// Facts of the session.
    Session(Box<SessionFields>),
    /// Nothing: the line is known and reports nothing new.
    Ignore,
}

/// The author of a text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum TextAuthor {
    Assistant,
    Thinking,
}

/// See [`crate::event::Body::ToolCall`].
#[derive(Clone, Debug, PartialEq)]
pub(super) struct ToolCallFields {
    pub(super) id: FieldSource,
    pub(super) name: FieldSource,
    pub(super) content: Option<FieldSource>,
    pub(super) input: Option<FieldSource>,
    pub(super) kind: Option<FieldSource>,
    pub(super) locations: Option<FieldSource>,
    pub(super) parent: Option<FieldSource>,
}

/// See [`crate::event::Body::ToolResult`].
#[derive(Clone, Debug, PartialEq)]
pub(super) struct ToolResultFields {
    pub(super) id: FieldSource,
    pub(super) content: Option<FieldSource>,
    pub(super) output: Option<FieldSource>,
    pub(super) diff: Option<FieldSource>,
    pub(super) is_error: Option<Flag>,
    pub(super) parent: Option<FieldSource>,
}

/// See [`crate::event::Body::TurnCompleted`].
#[derive(Clone, Debug, PartialEq)]
pub(super) struct TurnFields {
    pub(super) content: Option<FieldSource>,
    pub(super) stop_reason: Option<FieldSource>,
    pub(super) duration_ms: Option<Path>,
    pub(super) usage: Option<UsageFields>,
    pub(super) cost_usd: Option<Path>,
    pub(super) is_error: Option<Flag>,
    pub(super) result: Option<FieldSource>,
}

/// See [`crate::event::Body::Session`].
#[derive(Clone, Debug, PartialEq)]
pub(super) struct SessionFields {
    pub(super) session_id: Option<FieldSource>,
    pub(super) model: Option<FieldSource>,
    pub(super) cwd: Option<FieldSource>,
    pub(super) permission_mode: Option<FieldSource>,
    pub(super) tools: Option<FieldSource>,
}

/// The paths of token counts, and the CLI's way of counting.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct UsageFields {
    pub(super) input: Option<Path>,
    pub(super) output: Option<Path>,
    pub(super) cache_read: Option<Path>,
    pub(super) cache_write: Option<Path>,
    pub(super) context: Option<Path>,
    pub(super) window: Option<Path>,
    /// The counts are those of the whole session so far.
    pub(super) cumulative: bool,
    /// The input tokens include those read from the cache.
    pub(super) input_includes_cached: bool,
}

/// Reads the list of rules.
pub(super) fn decode(value: &Value, place: &str) -> Result<Vec<EventRule>, Invalid> {
    let rules = list(value, place)?;
    if rules.len() > RULES_MAX {
        let reason = format!("{} rules are more than {RULES_MAX}; join some with lists of values", rules.len());
        return Err(Invalid::new(place, reason));
    }
    rules.iter().enumerate().map(|(at, rule)| self::rule(rule, &format!("{place}[{at}]"))).collect()
}

/// The events that a rule can name.
const EVENTS: [(&str, &str); 13] = [
    ("assistant", "text of the agent"),
    ("thinking", "its reasoning"),
    ("part", "a piece of text that is not repeated"),
    ("delta", "a piece of text that is repeated"),
    ("tool_call", "a tool is called"),
    ("tool_result", "a tool has answered"),
    ("plan", "a to-do list"),
    ("error", "something went wrong"),
    ("notice", "something worth reporting"),
    ("usage", "tokens of a part of a turn"),
    ("turn_started", "a turn begins"),
    ("turn_completed", "a turn ends"),
    ("session", "facts of the session"),
];

fn rule(value: &Value, place: &str) -> Result<EventRule, Invalid> {
    let mut rule = Object::new(value, place)?;
    let when = LineConditions::decode(rule.need("when")?, &rule.place("when"))?;
    let event = rule.need("event")?;
    let event = super::decode::string(event, &rule.place("event"))?;
    let emits = emits(event, &mut rule)?;
    rule.end()?;
    Ok(EventRule { when, emits })
}

fn emits(event: &str, rule: &mut Object<'_>) -> Result<Emits, Invalid> {
    Ok(match event {
        "assistant" | "thinking" => Emits::Message {
            of: if event == "thinking" { TextAuthor::Thinking } else { TextAuthor::Assistant },
            content: need(rule, "content")?,
            message_id: source(rule, "message_id")?,
            parent: source(rule, "parent_tool_call_id")?,
        },
        "part" | "delta" => {
            let of = rule.choice("of", &[("assistant", TextAuthor::Assistant), ("thinking", TextAuthor::Thinking)])?;
            let (of, content) = (of.unwrap_or(TextAuthor::Assistant), need(rule, "content")?);
            let message_id = source(rule, "message_id")?;
            if event == "part" {
                Emits::Part { of, content, message_id }
            } else {
                Emits::Delta { of, content, message_id }
            }
        }
        "tool_call" => Emits::ToolCall(Box::new(ToolCallFields {
            id: need(rule, "tool_call_id")?,
            name: need(rule, "name")?,
            content: source(rule, "content")?,
            input: source(rule, "input")?,
            kind: source(rule, "kind")?,
            locations: source(rule, "locations")?,
            parent: source(rule, "parent_tool_call_id")?,
        })),
        "tool_result" => Emits::ToolResult(Box::new(ToolResultFields {
            id: need(rule, "tool_call_id")?,
            content: source(rule, "content")?,
            output: source(rule, "output")?,
            diff: source(rule, "diff")?,
            is_error: flag(rule, "is_error")?,
            parent: source(rule, "parent_tool_call_id")?,
        })),
        "plan" => Emits::Plan { entries: need(rule, "entries")? },
        "error" => Emits::Error { code: source(rule, "code")?, content: need(rule, "content")? },
        "notice" => Emits::Notice { code: source(rule, "code")?, content: need(rule, "content")? },
        "usage" => {
            let usage = rule.need("usage")?;
            Emits::Usage { usage: self::usage(usage, &rule.place("usage"))?, cost_usd: path(rule, "cost_usd")? }
        }
        "turn_started" => Emits::TurnStarted,
        "turn_completed" => Emits::TurnCompleted(Box::new(TurnFields {
            content: source(rule, "content")?,
            stop_reason: source(rule, "stop_reason")?,
            duration_ms: path(rule, "duration_ms")?,
            usage: rule.get("usage").map(|value| usage(value, &rule.place("usage"))).transpose()?,
            cost_usd: path(rule, "cost_usd")?,
            is_error: flag(rule, "is_error")?,
            result: source(rule, "result")?,
        })),
        "session" => Emits::Session(Box::new(SessionFields {
            session_id: source(rule, "session_id")?,
            model: source(rule, "model")?,
            cwd: source(rule, "cwd")?,
            permission_mode: source(rule, "permission_mode")?,
            tools: source(rule, "tools")?,
        })),
        "ignore" => Emits::Ignore,
        other => {
            let known: Vec<String> = EVENTS.iter().map(|(name, what)| format!("{name} ({what})")).collect();
            let reason = format!("unknown event `{other}`; write one of: {}, ignore", known.join(", "));
            return Err(rule.wrong("event", reason));
        }
    })
}

fn need(rule: &mut Object<'_>, key: &'static str) -> Result<FieldSource, Invalid> {
    let value = rule.need(key)?;
    FieldSource::decode(value, &rule.place(key))
}

fn source(rule: &mut Object<'_>, key: &'static str) -> Result<Option<FieldSource>, Invalid> {
    rule.get(key).map(|value| FieldSource::decode(value, &rule.place(key))).transpose()
}

fn path(rule: &mut Object<'_>, key: &'static str) -> Result<Option<Path>, Invalid> {
    rule.get(key).map(|value| Path::decode(value, &rule.place(key))).transpose()
}

fn flag(rule: &mut Object<'_>, key: &'static str) -> Result<Option<Flag>, Invalid> {
    rule.get(key).map(|value| Flag::decode(value, &rule.place(key))).transpose()
}

fn usage(value: &Value, place: &str) -> Result<UsageFields, Invalid> {
    let mut object = Object::new(value, place)?;
    let usage = UsageFields {
        input: path(&mut object, "input_tokens")?,
        output: path(&mut object, "output_tokens")?,
        cache_read: path(&mut object, "cache_read_tokens")?,
        cache_write: path(&mut object, "cache_write_tokens")?,
        context: path(&mut object, "context_tokens")?,
        window: path(&mut object, "context_window")?,
        cumulative: object.boolean("cumulative")?.unwrap_or(false),
        input_includes_cached: object.boolean("input_includes_cached")?.unwrap_or(false),
    };
    object.end()?;
    Ok(usage)
}
