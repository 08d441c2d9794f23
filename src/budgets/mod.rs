//! Budgets: limits of cost, tokens, turns and running time for a day or in total, and what has been used of them.
//!
//! The used amounts are sums over the folds of the workers, so they survive whatever the journals survive. Nothing here has
//! I/O but the [file of the budgets](BudgetBook).

mod limits;
mod store;

use serde::{Deserialize, Serialize};

pub(crate) use limits::BudgetLimits;
pub(crate) use limits::{BudgetUsage, Sums, WARN_PERCENT};
pub(crate) use store::BudgetBook;

use crate::clock::Micros;
use crate::private_list::{EntryMistake, ListEntry};

/// Most budgets.
pub(crate) const BUDGETS_MAX: usize = 100;
/// Longest name, in characters.
pub(crate) const NAME_CHARS_MAX: usize = 80;
/// Longest note, in characters.
pub(crate) const NOTE_CHARS_MAX: usize = 1_000;
/// Longest project, preset or worker of a budget, in bytes.
const TEXT_BYTES_MAX: usize = 4 * 1024;
/// Microseconds of a day.
pub(crate) const DAY_MICROS: u64 = 86_400_000_000;

/// The time that a budget is for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Period {
    /// Each day, in UTC.
    #[default]
    Day,
    /// All time.
    Total,
}

impl Period {
    /// Returns its name on the wire.
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Day => "day",
            Self::Total => "total",
        }
    }
}

/// The workers that a budget is for.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum BudgetScope {
    /// All workers.
    #[default]
    All,
    /// Those of a project, absolute, with the folders in it and worktrees of it.
    Project(String),
    /// Those that were made from a preset, by name.
    Preset(String),
    /// One worker, by id, with the workers that its agent makes.
    Worker(String),
}

/// The properties of a worker by which budgets find it.
#[derive(Clone, Debug)]
pub(crate) struct Spender<'s> {
    /// Its id; empty for deleted workers.
    pub worker: &'s str,
    /// The ids of the workers above it: an agent that makes workers spends by them.
    pub above: Vec<&'s str>,
    /// Its project.
    pub project: &'s str,
    /// The preset that it was made from.
    pub preset: Option<&'s str>,
}

/// A budget.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Budget {
    /// Its id, a UUID.
    pub id: String,
    /// Its name, for people.
    pub name: String,
    /// The workers that it is for.
    pub scope: BudgetScope,
    /// The time that it is for.
    pub period: Period,
    /// Its limits.
    pub limits: BudgetLimits,
    /// A note, for people.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub note: String,
    /// Grows with each change of limits, scope or period: warnings and prompts are once for each.
    #[serde(default)]
    pub revision: u64,
    /// The time when it was made, in microseconds since the Unix epoch.
    #[serde(default)]
    pub created: u64,
}

impl ListEntry for Budget {
    const FILE: &'static str = ".budgets";
    const WORD: &'static str = "budget";
    const WORDS: &'static str = "budgets";
    const COUNT_MAX: usize = BUDGETS_MAX;
    const BYTES_MAX: usize = 2 * 1024 * 1024;
    const WITHOUT: &'static str = "and without their limits no worker may run";

    fn id(&self) -> &str {
        &self.id
    }

    fn check(&self) -> Result<(), EntryMistake> {
        let wrong = |field, text: String| Err(EntryMistake { field, text });
        EntryMistake::check_label((&self.name, NAME_CHARS_MAX), (&self.note, NOTE_CHARS_MAX))?;
        if let Some((field, text)) = self.scope.named()
            && (text.is_empty() || text.len() > TEXT_BYTES_MAX)
        {
            return wrong(field, format!("{field} must have 1 to {TEXT_BYTES_MAX} bytes"));
        }
        if matches!(&self.scope, BudgetScope::Project(project) if !project.starts_with('/')) {
            return wrong("project", "project must be an absolute path".to_owned());
        }
        if self.limits.is_empty() {
            return wrong("limits", "a budget needs a limit: cost_usd, tokens, turns or running_secs".to_owned());
        }
        Ok(())
    }
}

impl Budget {
    /// Returns whether a worker counts.
    pub(crate) fn covers(&self, spender: &Spender<'_>) -> bool {
        match &self.scope {
            BudgetScope::All => true,
            BudgetScope::Project(project) => {
                let rest = spender.project.strip_prefix(project.trim_end_matches('/'));
                rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
            }
            BudgetScope::Preset(preset) => spender.preset == Some(preset),
            BudgetScope::Worker(worker) => spender.worker == worker || spender.above.contains(&&**worker),
        }
    }

    /// Returns the key of the present period and limits, which distinguishes warnings and prompts.
    pub(crate) fn key(&self, now: Micros) -> String {
        match self.period {
            Period::Day => format!("{}/{}/{}", self.id, now.0 / DAY_MICROS, self.revision),
            Period::Total => format!("{}/total/{}", self.id, self.revision),
        }
    }

    /// Returns the first day that counts, as days since the Unix epoch.
    pub(crate) const fn first_day(&self, now: Micros) -> u64 {
        match self.period {
            Period::Day => now.0 / DAY_MICROS,
            Period::Total => 0,
        }
    }
}

impl BudgetScope {
    /// Returns its name on the wire.
    pub(crate) const fn as_str(&self) -> &'static str {
        match self {
            Self::All => "all",
            Self::Project(_) => "project",
            Self::Preset(_) => "preset",
            Self::Worker(_) => "worker",
        }
    }

    /// Returns the field that names its subject, and the subject.
    pub(crate) fn named(&self) -> Option<(&'static str, &str)> {
        match self {
            Self::All => None,
            Self::Project(text) | Self::Preset(text) | Self::Worker(text) => Some((self.as_str(), text)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    pub(super) fn budget(scope: BudgetScope) -> Budget {
        let limits = BudgetLimits { turns: Some(3), ..BudgetLimits::default() };
        Budget { id: "b".to_owned(), name: "n".to_owned(), scope, limits, ..Budget::default() }
    }

    #[test]
    fn budgets_cover_workers_by_scope() {
        let spender = |worker, project, preset| Spender { worker, above: vec!["boss", "top"], project, preset };
        let here = spender("w", "/src/app", Some("fix"));
        for (scope, covers) in [
            (BudgetScope::All, true),
            (BudgetScope::Project("/src/app".to_owned()), true),
            (BudgetScope::Project("/src".to_owned()), true),
            (BudgetScope::Project("/".to_owned()), true),
            (BudgetScope::Project("/src/ap".to_owned()), false),
            (BudgetScope::Project("/src/app/in".to_owned()), false),
            (BudgetScope::Preset("fix".to_owned()), true),
            (BudgetScope::Preset("fi".to_owned()), false),
            (BudgetScope::Worker("w".to_owned()), true),
            (BudgetScope::Worker("boss".to_owned()), true),
            (BudgetScope::Worker("top".to_owned()), true),
            (BudgetScope::Worker("x".to_owned()), false),
            (BudgetScope::Worker(String::new()), false),
        ] {
            assert_eq!(budget(scope.clone()).covers(&here), covers, "{scope:?}");
        }
        assert!(!budget(BudgetScope::Preset("fix".to_owned())).covers(&spender("w", "/src/app", None)));
    }

    #[test]
    fn keys_change_with_the_day_and_each_raise() {
        let mut daily = budget(BudgetScope::All);
        let first = daily.key(Micros(DAY_MICROS - 1));
        assert_ne!(first, daily.key(Micros(DAY_MICROS)));
        assert_eq!(first, daily.key(Micros(0)));
        daily.revision += 1;
        assert_ne!(first, daily.key(Micros(0)));
        let total = Budget { period: Period::Total, ..daily };
        assert_eq!(total.key(Micros(0)), total.key(Micros(9 * DAY_MICROS)));
    }

    #[test]
    fn budgets_with_mistakes_are_refused_by_field() {
        let field = |budget: Budget| budget.check().unwrap_err().field;
        assert!(budget(BudgetScope::All).check().is_ok());
        assert_eq!(field(Budget { name: " ".to_owned(), ..budget(BudgetScope::All) }), "name");
        assert_eq!(field(Budget { note: "n".repeat(1_001), ..budget(BudgetScope::All) }), "note");
        assert_eq!(field(Budget { limits: BudgetLimits::default(), ..budget(BudgetScope::All) }), "limits");
        assert_eq!(field(budget(BudgetScope::Project("app".to_owned()))), "project");
        assert_eq!(field(budget(BudgetScope::Worker(String::new()))), "worker");
    }
}
