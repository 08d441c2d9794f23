//! Open prompts, and decisions that do not fit them.

use crate::adapter::Refusal;

/// The refusal of a decision for a prompt that is not open.
pub(in crate::adapter) fn not_open(request_id: &str) -> Refusal {
    Refusal::NotOpen(format!("no prompt {request_id} is open"))
}

/// The refusal of a decision that a permission prompt does not offer.
pub(in crate::adapter) fn unknown_answer<'o>(answer: &str, known: impl IntoIterator<Item = &'o str>) -> Refusal {
    let known: Vec<&str> = known.into_iter().collect();
    Refusal::Invalid(format!("unknown answer {answer:?}; one of {}", known.join(", ")))
}

/// The refusal of answers for a permission prompt.
pub(in crate::adapter) fn takes_a_decision() -> Refusal {
    Refusal::Invalid("this is a permission prompt: it takes a decision, not answers".to_owned())
}

/// The refusal of answers to other questions than those that were asked.
pub(in crate::adapter) fn no_answer<'q>(questions: impl IntoIterator<Item = &'q str>) -> Refusal {
    let questions: Vec<&str> = questions.into_iter().collect();
    Refusal::Invalid(format!("no answer to any of the questions: {}", questions.join(" / ")))
}
