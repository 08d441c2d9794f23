//! Open prompts of an attached terminal: permission prompts and questions, and a typed line as an answer to them.

use serde_json::{Map, Value, json};

use super::output::field;
use super::terminal::plain;

/// One prompt.
pub(super) struct TerminalPrompt {
    pub(super) request_id: String,
    event: Value,
    /// Answers to the questions so far.
    answers: Map<String, Value>,
}

/// The meaning of a typed line.
#[derive(Debug, PartialEq)]
pub(super) enum TypedAnswer {
    /// The decision to post.
    Post(Value),
    /// Another question follows.
    More,
    /// The line is not an answer; the text explains why.
    Again(&'static str),
}

/// The line that declines a question.
const DECLINE: &str = "/decline";
/// A decision on a permission prompt.
const KEYS: &str = "y: once, a: always, n: no (a reason may follow)";
/// The same for a prompt that a single key does not allow.
const WORDS: &str = "yes: once, always, n: no (a reason may follow)";

impl TerminalPrompt {
    pub(super) fn new(event: &Value) -> Self {
        Self { request_id: field(event, "request_id").to_owned(), event: event.clone(), answers: Map::new() }
    }

    fn questions(&self) -> &[Value] {
        self.event["questions"].as_array().map(Vec::as_slice).unwrap_or_default()
    }

    /// Returns the current question.
    pub(super) fn text(&self) -> String {
        let Some(question) = self.questions().get(self.answers.len()) else {
            if self.is_question() {
                return plain(&format!("? {}\n  yes, or {DECLINE}", field(&self.event, "content")));
            }
            if self.event["budget"].is_object() {
                return plain(&format!("? {}\n  {}", field(&self.event, "content"), self.budget_keys()));
            }
            let keys = if self.key_may_allow() { KEYS } else { WORDS };
            return plain(&format!("? {} {}\n  {keys}", field(&self.event, "tool_name"), self.event["input"]));
        };
        let mut text = String::new();
        if self.answers.is_empty() && question["field"].is_string() {
            text = format!("? {}\n", field(&self.event, "content"));
        }
        text += &format!("? {}{}", field(question, "question"), hints(question));
        for (at, option) in question["options"].as_array().into_iter().flatten().enumerate() {
            text += &format!("\n  {}: {}", at + 1, field(option, "label"));
        }
        plain(&text)
    }

    /// Describes the keys that answer a prompt about a budget.
    fn budget_keys(&self) -> String {
        let options = self.event["options"].as_array().map(Vec::as_slice).unwrap_or_default();
        let label = |kind: &str| options.iter().find(|option| option["kind"] == kind).map(|it| field(it, "label"));
        let keys = [("y", "allow_once"), ("a", "allow_always"), ("n", "reject_once")];
        let texts = keys.into_iter().filter_map(|(key, kind)| Some(format!("{key}: {}", label(kind)?)));
        texts.collect::<Vec<_>>().join(", ")
    }

    /// Interprets a line.
    pub(super) fn answer(&mut self, line: &str) -> TypedAnswer {
        if !self.is_question() {
            return self.permission(line);
        }
        if line.trim() == DECLINE {
            return TypedAnswer::Post(json!({"decision": "decline"}));
        }
        match self.questions().is_empty() {
            true if matches!(line.trim().to_lowercase().as_str(), "y" | "yes") => {
                TypedAnswer::Post(json!({"answers": {}}))
            }
            true => TypedAnswer::Again("yes, or /decline"),
            false => self.question(line),
        }
    }

    fn is_question(&self) -> bool {
        field(&self.event, "type") == "question" || !self.questions().is_empty()
    }

    /// Returns whether a single key may allow it; some prompts require a whole word.
    fn key_may_allow(&self) -> bool {
        ["default_to_no", "requires_user_interaction"].iter().all(|flag| self.event[*flag] != true)
    }

    fn permission(&self, line: &str) -> TypedAnswer {
        let (key, reason) = line.trim().split_once(char::is_whitespace).unwrap_or((line.trim(), ""));
        let (kind, usual) = match key.to_lowercase().as_str() {
            "y" | "a" if !self.key_may_allow() => return TypedAnswer::Again("yes or always in full, or no"),
            "y" | "yes" => ("allow_once", "allow_once"),
            "a" | "always" => ("allow_always", "allow_always"),
            "n" | "no" => ("reject_once", "deny"),
            _ => return TypedAnswer::Again(KEYS),
        };
        let options = self.event["options"].as_array().map(Vec::as_slice).unwrap_or_default();
        let fitting = || options.iter().filter(|option| option["kind"] == kind);
        // Of several permanent options, the rule.
        let own = fitting().find(|option| option["id"] == kind).or_else(|| fitting().next());
        let own = own.map_or(usual, |option| field(option, "id"));
        let mut answer = json!({"option_id": own});
        if !reason.trim().is_empty() {
            answer["message"] = json!(reason.trim());
        }
        TypedAnswer::Post(answer)
    }

    fn question(&mut self, line: &str) -> TypedAnswer {
        let at = self.answers.len();
        let Some(question) = self.questions().get(at) else { return TypedAnswer::Again(KEYS) };
        let options = question["options"].as_array().map(Vec::as_slice).unwrap_or_default();
        let chosen = line.trim().parse::<usize>().ok().and_then(|number| options.get(number.checked_sub(1)?));
        let answer = chosen.map_or(line.trim(), |option| field(option, "label"));
        // A field of a form may be left out, or have a default.
        let optional =
            question["field"].is_string() && (question["required"] != true || !question["default"].is_null());
        if answer.is_empty() && !optional {
            return TypedAnswer::Again("the number of an option, or words; /decline to give no answer");
        }
        let answer = if answer.is_empty() { Value::Null } else { json!(answer) };
        let asked = key(question).to_owned();
        self.answers.insert(asked, answer);
        // Two questions with the same words are one.
        let all = self.questions().iter().all(|question| self.answers.contains_key(key(question)));
        if all { TypedAnswer::Post(json!({"answers": self.answers})) } else { TypedAnswer::More }
    }
}

/// Returns the name under which a question is answered.
fn key(question: &Value) -> &str {
    question["field"].as_str().unwrap_or_else(|| field(question, "question"))
}

/// Returns the values that a form's field accepts, in brackets.
fn hints(question: &Value) -> String {
    let mut hints = Vec::new();
    match question["type"].as_str() {
        Some("boolean") => hints.push("yes or no".to_owned()),
        Some("number" | "integer") => hints.push("a number".to_owned()),
        Some("array") => hints.push("one or more, with commas".to_owned()),
        _ => {}
    }
    hints.extend(question["format"].as_str().map(str::to_owned));
    if !question["default"].is_null() {
        hints.push(format!(
            "empty: {}",
            question["default"].as_str().map_or_else(|| question["default"].to_string(), str::to_owned)
        ));
    } else if question["field"].is_string() && question["required"] != true {
        hints.push("may be empty".to_owned());
    }
    let about = question["description"].as_str().map(|text| format!(": {text}")).unwrap_or_default();
    if hints.is_empty() { about } else { format!("{about} ({})", hints.join("; ")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn line_answers_a_permission_prompt_with_the_clis_own_options() {
        let mut prompt =
            TerminalPrompt::new(&json!({"request_id": "r", "tool_name": "Bash", "input": {"command": "ls"},
            "options": [{"id": "proceed", "kind": "allow_once"}, {"id": "cancel", "kind": "reject_once"}]}));
        assert!(prompt.text().contains("Bash {\"command\":\"ls\"}"));
        assert_eq!(prompt.answer("Y"), TypedAnswer::Post(json!({"option_id": "proceed"})));
        assert_eq!(prompt.answer("a"), TypedAnswer::Post(json!({"option_id": "allow_always"})));
        let refused = json!({"option_id": "cancel", "message": "not in this folder"});
        assert_eq!(prompt.answer("n  not in this folder\n"), TypedAnswer::Post(refused));
        assert!(matches!(prompt.answer("nothing"), TypedAnswer::Again(_)));
    }

    #[test]
    fn single_key_does_not_allow_what_wants_a_person() {
        for flag in ["default_to_no", "requires_user_interaction"] {
            let mut event = json!({"request_id": "r",
                "options": [{"id": "allow_once", "kind": "allow_once"}, {"id": "deny", "kind": "reject_once"}]});
            assert_eq!(TerminalPrompt::new(&event).answer("y"), TypedAnswer::Post(json!({"option_id": "allow_once"})));
            event[flag] = json!(true);
            let mut prompt = TerminalPrompt::new(&event);
            for key in ["y", "A"] {
                assert!(matches!(prompt.answer(key), TypedAnswer::Again(_)), "{flag}");
            }
            assert!(!prompt.text().contains("y: once"), "{flag}: {}", prompt.text());
            assert_eq!(prompt.answer("yes"), TypedAnswer::Post(json!({"option_id": "allow_once"})));
            assert_eq!(prompt.answer("always"), TypedAnswer::Post(json!({"option_id": "allow_always"})));
            assert_eq!(prompt.answer("n"), TypedAnswer::Post(json!({"option_id": "deny"})));
        }
    }

    #[test]
    fn lines_answer_questions_one_by_one() {
        let questions =
            json!([{"question": "Which?", "options": [{"label": "red"}, {"label": "blue"}]}, {"question": "Why?"}]);
        let mut prompt = TerminalPrompt::new(&json!({"request_id": "r", "questions": questions}));
        assert!(prompt.text().contains("2: blue"));
        assert!(matches!(prompt.answer(" "), TypedAnswer::Again(_)));
        assert_eq!(prompt.answer("2"), TypedAnswer::More);
        assert_eq!(prompt.text(), "? Why?");
        let both = json!({"answers": {"Which?": "blue", "Why?": "because"}});
        assert_eq!(prompt.answer("because"), TypedAnswer::Post(both));
    }

    #[test]
    fn lines_fill_a_form_in_and_one_declines_it() {
        let questions = json!([{"field": "name", "question": "Name", "type": "string", "required": true},
            {"field": "count", "question": "Count", "type": "integer", "default": 3, "required": true},
            {"field": "note", "question": "Note", "type": "string"}]);
        let event = json!({"type": "question", "request_id": "r", "content": "Who?", "questions": questions});
        let mut prompt = TerminalPrompt::new(&event);
        assert_eq!(prompt.text(), "? Who?\n? Name");
        assert!(matches!(prompt.answer(""), TypedAnswer::Again(_)));
        assert_eq!(prompt.answer("Ann"), TypedAnswer::More);
        assert_eq!(prompt.text(), "? Count (a number; empty: 3)");
        assert_eq!(prompt.answer(""), TypedAnswer::More);
        assert_eq!(prompt.text(), "? Note (may be empty)");
        let answers = json!({"answers": {"name": "Ann", "count": null, "note": "x"}});
        assert_eq!(prompt.answer("x"), TypedAnswer::Post(answers));
        assert_eq!(TerminalPrompt::new(&event).answer("/decline"), TypedAnswer::Post(json!({"decision": "decline"})));
        let mut empty =
            TerminalPrompt::new(&json!({"type": "question", "request_id": "r", "content": "Go on?", "questions": []}));
        assert_eq!(empty.answer("yes"), TypedAnswer::Post(json!({"answers": {}})));
    }
}
