//! What waits for an answer of the person who is attached: permission prompts and questions, and a typed line as an
//! answer to them.

use serde_json::{Map, Value, json};

use super::{field, plain};

/// One prompt.
pub(super) struct Prompt {
    pub(super) request_id: String,
    event: Value,
    /// Answers to the questions so far.
    answers: Map<String, Value>,
}

/// What a line comes to.
#[derive(Debug, PartialEq)]
pub(super) enum Answered {
    /// This is to be posted.
    Post(Value),
    /// There is one more question.
    More,
    /// The line is no answer: this is.
    Again(&'static str),
}

/// What answers a permission prompt.
const KEYS: &str = "y: once, a: always, n: no (a reason may follow)";

impl Prompt {
    pub(super) fn new(event: &Value) -> Self {
        Self { request_id: field(event, "request_id").to_owned(), event: event.clone(), answers: Map::new() }
    }

    fn questions(&self) -> &[Value] {
        self.event["questions"].as_array().map(Vec::as_slice).unwrap_or_default()
    }

    /// What is asked now.
    pub(super) fn text(&self) -> String {
        let Some(question) = self.questions().get(self.answers.len()) else {
            return plain(&format!("? {} {}\n  {KEYS}", field(&self.event, "tool_name"), self.event["input"]));
        };
        let mut text = format!("? {}", field(question, "question"));
        for (at, option) in question["options"].as_array().into_iter().flatten().enumerate() {
            text += &format!("\n  {}: {}", at + 1, field(option, "label"));
        }
        plain(&text)
    }

    /// Takes a line.
    pub(super) fn answer(&mut self, line: &str) -> Answered {
        if self.questions().is_empty() { self.permission(line) } else { self.question(line) }
    }

    fn permission(&self, line: &str) -> Answered {
        let (key, reason) = line.trim().split_once(char::is_whitespace).unwrap_or((line.trim(), ""));
        let (kind, usual) = match key.to_lowercase().as_str() {
            "y" | "yes" => ("allow_once", "allow_once"),
            "a" | "always" => ("allow_always", "allow_always"),
            "n" | "no" => ("reject_once", "deny"),
            _ => return Answered::Again(KEYS),
        };
        let options = self.event["options"].as_array().map(Vec::as_slice).unwrap_or_default();
        let own = options.iter().find(|option| option["kind"] == kind).map_or(usual, |option| field(option, "id"));
        let mut answer = json!({"option_id": own});
        if !reason.trim().is_empty() {
            answer["message"] = json!(reason.trim());
        }
        Answered::Post(answer)
    }

    fn question(&mut self, line: &str) -> Answered {
        let at = self.answers.len();
        let Some(question) = self.questions().get(at) else { return Answered::Again(KEYS) };
        let options = question["options"].as_array().map(Vec::as_slice).unwrap_or_default();
        let chosen = line.trim().parse::<usize>().ok().and_then(|number| options.get(number.checked_sub(1)?));
        let answer = chosen.map_or(line.trim(), |option| field(option, "label"));
        if answer.is_empty() {
            return Answered::Again("the number of an option, or words");
        }
        let (asked, answer) = (field(question, "question").to_owned(), json!(answer));
        self.answers.insert(asked, answer);
        // Two questions of the same words are one.
        let all = self.questions().iter().all(|question| self.answers.contains_key(field(question, "question")));
        if all { Answered::Post(json!({"answers": self.answers})) } else { Answered::More }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_answers_a_permission_prompt_with_the_clis_own_options() {
        let mut prompt = Prompt::new(&json!({"request_id": "r", "tool_name": "Bash", "input": {"command": "ls"},
            "options": [{"id": "proceed", "kind": "allow_once"}, {"id": "cancel", "kind": "reject_once"}]}));
        assert!(prompt.text().contains("Bash {\"command\":\"ls\"}"));
        assert_eq!(prompt.answer("Y"), Answered::Post(json!({"option_id": "proceed"})));
        assert_eq!(prompt.answer("a"), Answered::Post(json!({"option_id": "allow_always"})));
        let refused = json!({"option_id": "cancel", "message": "not in this folder"});
        assert_eq!(prompt.answer("n  not in this folder\n"), Answered::Post(refused));
        assert!(matches!(prompt.answer("nothing"), Answered::Again(_)));
    }

    #[test]
    fn lines_answer_questions_one_by_one() {
        let questions =
            json!([{"question": "Which?", "options": [{"label": "red"}, {"label": "blue"}]}, {"question": "Why?"}]);
        let mut prompt = Prompt::new(&json!({"request_id": "r", "questions": questions}));
        assert!(prompt.text().contains("2: blue"));
        assert!(matches!(prompt.answer(" "), Answered::Again(_)));
        assert_eq!(prompt.answer("2"), Answered::More);
        assert_eq!(prompt.text(), "? Why?");
        let both = json!({"answers": {"Which?": "blue", "Why?": "because"}});
        assert_eq!(prompt.answer("because"), Answered::Post(both));
    }
}
