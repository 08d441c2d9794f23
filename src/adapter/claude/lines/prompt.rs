//! The words of a permission prompt or a question, and the answers that it offers: once, one for each of the CLI's
//! suggestions, and no.

use std::borrow::Cow;

use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Value, json};

use crate::adapter::claude::tools;
use crate::adapter::kit::{field, text};
use crate::event::{PermissionOption, PromptDetails};

/// The tool with which the agent asks whether its plan may be carried out.
const PLAN_TOOL: &str = "ExitPlanMode";
/// Most suggestions that a prompt offers; further ones are left out.
const SUGGESTIONS_MAX: usize = 16;

/// Reads the details that the CLI adds to a prompt.
pub(super) fn details(request: &mut Value) -> PromptDetails {
    let mut text = |key| {
        let text = field::take_text(request, key).filter(|text| !text.trim().is_empty());
        text.map(|text| text::cut(text, text::STRING_MAX))
    };
    PromptDetails {
        title: text("title"),
        display_name: text("display_name"),
        description: text("description"),
        decision_reason: text("decision_reason"),
        decision_reason_type: text("decision_reason_type"),
        agent_id: text("agent_id"),
        default_to_no: field::is_true(request, "default_to_no"),
        suppress_always_allow_rule: field::is_true(request, "suppress_always_allow_rule"),
        requires_user_interaction: field::is_true(request, "requires_user_interaction"),
        budget: None,
    }
}

/// The grants that a prompt offers beyond the one call.
pub(super) fn suggestions(request: &mut Value, tool: &str, details: &PromptDetails) -> Vec<Value> {
    if details.suppress_always_allow_rule {
        return Vec::new();
    }
    match field::take(request, "permission_suggestions") {
        Value::Array(mut suggestions) => {
            suggestions.truncate(SUGGESTIONS_MAX);
            suggestions
        }
        _ if tool == PLAN_TOOL => vec![json!({"type": "setMode", "mode": "acceptEdits", "destination": "session"})],
        _ => Vec::new(),
    }
}

/// The answers to a permission prompt.
pub(super) fn options(tool: &str, suggestions: &[Value]) -> Vec<PermissionOption> {
    let option = |id: String, label: String, kind: &str| PermissionOption { id, label, kind: kind.to_owned() };
    let plan = tool == PLAN_TOOL;
    let allow = if plan { "Approve the plan" } else { "Allow once" };
    let mut options = vec![option("allow_once".to_owned(), allow.to_owned(), "allow_once")];
    options.extend(suggestions.iter().zip(suggestion_ids(suggestions)).map(|(suggestion, id)| {
        let granted = tools::suggestion(suggestion);
        let label = match granted.strip_prefix("always ") {
            _ if plan => format!("Approve the plan, and {granted}"),
            Some(what) => format!("Always {what}"),
            None => format!("Allow, and {granted}"),
        };
        option(id, label, "allow_always")
    }));
    let deny = if plan { "Keep planning" } else { "Deny" };
    options.push(option("deny".to_owned(), deny.to_owned(), "reject_once"));
    options
}

/// The ids of the options that grant a suggestion each.
fn suggestion_ids(suggestions: &[Value]) -> Vec<String> {
    let mut ids = Vec::<String>::new();
    for suggestion in suggestions {
        let base = match field::text_or_empty(suggestion, "type") {
            "addRules" | "replaceRules" => "allow_always",
            "addDirectories" => "allow_directories",
            "setMode" => "allow_mode",
            _ => "allow_suggested",
        };
        let same = ids.iter().filter(|id| id.starts_with(base)).count();
        ids.push(if same == 0 { base.to_owned() } else { format!("{base}_{}", same + 1) });
    }
    ids
}

/// The suggestion that an option grants. `allow_always` is the first one where none has that id.
pub(in crate::adapter::claude) fn granted<'s>(suggestions: &'s [Value], option_id: &str) -> Option<&'s Value> {
    let at = suggestion_ids(suggestions).iter().position(|id| id == option_id);
    let first = || (option_id == "allow_always" && !suggestions.is_empty()).then_some(0);
    suggestions.get(at.or_else(first)?)
}

/// A request, of which only the input is looked at.
#[derive(Deserialize)]
struct RequestLine<'l> {
    #[serde(borrow, default)]
    request_id: Cow<'l, str>,
    #[serde(borrow, default)]
    request: Option<WrittenRequest<'l>>,
}

#[derive(Deserialize)]
struct WrittenRequest<'l> {
    #[serde(borrow, default)]
    input: Option<&'l RawValue>,
}

/// The input of the request `id`, as the JSON text of the line. An answer that repeats this text preserves half of a
/// surrogate pair, which a parsed value cannot hold.
pub(super) fn written_input(line: &[u8], id: &str) -> Option<String> {
    let line = str::from_utf8(line).ok()?.trim_start_matches(|c: char| c.is_control() || c == '\u{feff}');
    let requests = serde_json::Deserializer::from_str(line).into_iter::<RequestLine<'_>>();
    let mut requests = requests.map_while(Result::ok);
    let input = requests.find(|written| written.request_id == id)?.request?.input?.get();
    input.starts_with('{').then(|| input.to_owned())
}

/// The questions of an `AskUserQuestion` call, under the names of the wire.
pub(super) fn questions(input: &Value) -> Value {
    let list = field::list(input, "questions");
    let question = |question: &Value| {
        json!({
            "question": field::text_or_empty(question, "question"),
            "header": field::text_or_empty(question, "header"),
            "options": question.get("options").cloned().unwrap_or_else(|| json!([])),
            "multi_select": field::is_true(question, "multiSelect"),
        })
    };
    list.iter().map(question).collect()
}

/// The questions as text.
pub(super) fn asked(questions: &Value) -> String {
    let list = field::elements(questions);
    list.iter().map(|question| field::text_or_empty(question, "question")).collect::<Vec<_>>().join("\n")
}
