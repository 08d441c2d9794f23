//! Tokens and cost of a worker by day and model.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::nano_usd;
use crate::clock::Micros;
use crate::event::{TurnEnd, Usage};

/// Pairs of a day and a model that one worker stores; beyond that, the oldest are dropped.
pub(crate) const DAYS_MAX: usize = 200;
/// Models that one worker stores for a day; turns of further ones are counted together. Far below [`DAYS_MAX`], so that no
/// number of names that a CLI reports has the present day dropped, which budgets of a day count.
const MODELS_PER_DAY_MAX: usize = 16;
/// The model in the totals of all further ones.
const OTHER_MODELS: &str = "other models";
/// Longest name of a model in characters: the CLI chooses it.
const MODEL_CHARS_MAX: usize = 100;
/// Largest cost of one turn that is counted, in billionths of a US dollar: a million dollars. Sums stay far from the largest
/// number, so that a budget can still be raised above a cost that a CLI has made up.
const TURN_NANO_USD_MAX: u64 = 1_000_000_000_000_000;
/// Largest number of tokens of each kind of one turn that is counted, likewise.
const TURN_TOKENS_MAX: u64 = 1_000_000_000_000;
/// Microseconds of a day.
const DAY_MICROS: u64 = 86_400_000_000;

/// Totals of turns.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Spent {
    /// Completed turns.
    pub turns: u64,
    /// Failed turns.
    pub failed: u64,
    /// Tokens.
    pub usage: Usage,
    /// Cost in billionths of a US dollar.
    pub cost_nano_usd: u64,
    /// Tokens, less reads from a cache, of turns for which no cost was reported.
    pub unpriced_tokens: u64,
    /// Microseconds in which the turns ran.
    pub running_micros: u64,
}

/// The totals of one day and model.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct DaySpent {
    /// Days since the Unix epoch, in UTC.
    pub day: u64,
    /// The model as reported by the CLI, else as requested; empty if neither is known.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub model: String,
    /// The totals.
    #[serde(flatten)]
    pub spent: Spent,
}

/// The totals of a worker by day and model, oldest day first. Copies of a state share them: they change once a turn.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "Vec<DaySpent>", into = "Vec<DaySpent>")]
pub(crate) struct Spending(Arc<Vec<DaySpent>>);

/// Counts the tokens that budgets count: all but reads from a cache.
pub(in crate::worker) fn tokens(usage: &Usage) -> u64 {
    usage.input_tokens.saturating_add(usage.output_tokens).saturating_add(usage.cache_write_tokens)
}

/// Returns the tokens of one turn that are counted.
pub(super) fn bounded(usage: &Usage) -> Usage {
    Usage {
        input_tokens: usage.input_tokens.min(TURN_TOKENS_MAX),
        output_tokens: usage.output_tokens.min(TURN_TOKENS_MAX),
        cache_read_tokens: usage.cache_read_tokens.min(TURN_TOKENS_MAX),
        cache_write_tokens: usage.cache_write_tokens.min(TURN_TOKENS_MAX),
    }
}

impl Spent {
    /// Adds other totals to these.
    pub(crate) fn add(&mut self, other: &Self) {
        self.turns = self.turns.saturating_add(other.turns);
        self.failed = self.failed.saturating_add(other.failed);
        self.usage.add(&other.usage);
        self.cost_nano_usd = self.cost_nano_usd.saturating_add(other.cost_nano_usd);
        self.unpriced_tokens = self.unpriced_tokens.saturating_add(other.unpriced_tokens);
        self.running_micros = self.running_micros.saturating_add(other.running_micros);
    }

    /// Returns the totals of one turn, in which `counted` were reported before its end. A turn that ends with its process
    /// reports no tokens at its end.
    fn of_turn(end: &TurnEnd<'_>, counted: &Usage, running_micros: u64) -> Self {
        let usage = bounded(&end.usage.unwrap_or(*counted));
        Self {
            turns: 1,
            failed: u64::from(end.is_error),
            usage,
            cost_nano_usd: nano_usd(end.cost_usd.unwrap_or_default()).min(TURN_NANO_USD_MAX),
            unpriced_tokens: if end.cost_usd.is_none() { tokens(&usage) } else { 0 },
            running_micros,
        }
    }
}

impl Spending {
    /// Adds a turn that ended at `time`, after so many microseconds, with the tokens that were counted before its end. Returns
    /// the totals that have no place any more.
    pub(super) fn add_turn(
        &mut self,
        time: Micros,
        model: Option<&str>,
        (end, counted): (&TurnEnd<'_>, &Usage),
        running_micros: u64,
    ) -> Option<DaySpent> {
        let model: String = model.unwrap_or_default().chars().take(MODEL_CHARS_MAX).collect();
        let spent = Spent::of_turn(end, counted, running_micros);
        let mut entry = DaySpent { day: time.0 / DAY_MICROS, model, spent };
        let days = Arc::make_mut(&mut self.0);
        let mut of_day = days.iter().filter(|known| known.day == entry.day).map(|known| &known.model);
        if of_day.clone().count() >= MODELS_PER_DAY_MAX && !of_day.any(|model| *model == entry.model) {
            OTHER_MODELS.clone_into(&mut entry.model);
        }
        // A clock that was set back adds to an earlier day.
        let at = days.partition_point(|known| (known.day, &known.model) < (entry.day, &entry.model));
        match days.get_mut(at).filter(|known| (known.day, &known.model) == (entry.day, &entry.model)) {
            Some(known) => known.spent.add(&entry.spent),
            None => days.insert(at, entry),
        }
        (days.len() > DAYS_MAX).then(|| days.remove(0))
    }

    /// Returns all totals, oldest day first.
    pub(crate) fn days(&self) -> &[DaySpent] {
        &self.0
    }
}

impl From<Vec<DaySpent>> for Spending {
    fn from(days: Vec<DaySpent>) -> Self {
        Self(Arc::new(days))
    }
}

impl From<Spending> for Vec<DaySpent> {
    fn from(spending: Spending) -> Self {
        spending.0.as_ref().clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn turn(cost_usd: f64, is_error: bool) -> TurnEnd<'static> {
        let usage = Usage { input_tokens: 10, output_tokens: 2, ..Usage::default() };
        TurnEnd { usage: Some(usage), cost_usd: Some(cost_usd), is_error, ..TurnEnd::default() }
    }

    #[test]
    fn turns_of_one_day_and_model_are_added_up() {
        let (mut spending, none) = (Spending::default(), Usage::default());
        let day = |number: u64| Micros(number * DAY_MICROS + 5);
        spending.add_turn(day(3), Some("large"), (&turn(0.5, false), &none), 2);
        spending.add_turn(day(3), Some("large"), (&turn(0.25, true), &none), 3);
        spending.add_turn(day(3), None, (&turn(0.0, false), &none), 0);
        spending.add_turn(day(2), Some("large"), (&turn(1.0, false), &none), 0);
        let found: Vec<_> = spending
            .days()
            .iter()
            .map(|day| (day.day, day.model.as_str(), day.spent.turns, day.spent.failed, day.spent.cost_nano_usd))
            .collect();
        let expected = [(2, "large", 1, 0, 1_000_000_000), (3, "", 1, 0, 0), (3, "large", 2, 1, 750_000_000)];
        assert_eq!(found, expected);
        let saved = serde_json::to_string(&spending).unwrap();
        assert_eq!(serde_json::from_str::<Spending>(&saved).unwrap(), spending);
    }

    #[test]
    fn oldest_days_are_forgotten_beyond_the_bound() {
        let (mut spending, none) = (Spending::default(), Usage::default());
        let mut dropped = Spent::default();
        for day in 0..(DAYS_MAX as u64 + 10) {
            let (time, end) = (Micros(day * DAY_MICROS), turn(0.1, false));
            let gone = spending.add_turn(time, Some(&"m".repeat(1_000)), (&end, &none), 1);
            gone.iter().for_each(|day| dropped.add(&day.spent));
        }
        assert_eq!((dropped.turns, dropped.running_micros), (10, 10), "their totals are not");
        assert_eq!(spending.days().len(), DAYS_MAX);
        assert_eq!(spending.days()[0].day, 10);
        assert_eq!(spending.days()[0].model.len(), MODEL_CHARS_MAX);
    }
}
