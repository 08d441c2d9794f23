//! Limits, used amounts, and the verdict on them.

use std::fmt::Write as _;

use serde::{Deserialize, Serialize};

/// The used part, in percent, at which people are warned.
pub(crate) const WARN_PERCENT: u64 = 80;
/// Microseconds of a second.
const SECOND_MICROS: u64 = 1_000_000;
/// Billionths of a US dollar in a cent.
const CENT_NANO_USD: u64 = 10_000_000;

/// The limits of a budget. Those that are absent don't count.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct BudgetLimits {
    /// Cost in billionths of a US dollar.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cost_nano_usd: Option<u64>,
    /// Tokens.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tokens: Option<u64>,
    /// Turns.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub turns: Option<u64>,
    /// Seconds in which turns run.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub running_secs: Option<u64>,
}

/// Sums over turns.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Sums {
    /// Reported cost in billionths of a US dollar.
    pub cost_nano_usd: u64,
    /// Tokens: input, output and cache writes. Reads from a cache are not counted.
    pub tokens: u64,
    /// Those of turns for which no cost was reported.
    pub unpriced_tokens: u64,
    /// Turns that have ended, and running ones.
    pub turns: u64,
    /// Microseconds in which turns ran.
    pub running_micros: u64,
}

/// The used amounts of a budget beside its limits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct BudgetUsage {
    /// Cost in billionths of a US dollar, with the estimated part.
    pub cost_nano_usd: u64,
    /// The part of the cost that is estimated from tokens.
    pub estimated_nano_usd: u64,
    /// Tokens.
    pub tokens: u64,
    /// Turns.
    pub turns: u64,
    /// Whole seconds.
    pub running_secs: u64,
    limits: BudgetLimits,
}

impl Sums {
    /// Adds other sums to these.
    pub(crate) fn add(&mut self, other: &Self) {
        self.cost_nano_usd = self.cost_nano_usd.saturating_add(other.cost_nano_usd);
        self.tokens = self.tokens.saturating_add(other.tokens);
        self.unpriced_tokens = self.unpriced_tokens.saturating_add(other.unpriced_tokens);
        self.turns = self.turns.saturating_add(other.turns);
        self.running_micros = self.running_micros.saturating_add(other.running_micros);
    }

    /// Compares the sums with limits. Tokens without a reported cost count `token_nano_usd` each.
    pub(crate) fn usage(&self, limits: BudgetLimits, token_nano_usd: u64) -> BudgetUsage {
        let estimated_nano_usd = self.unpriced_tokens.saturating_mul(token_nano_usd);
        BudgetUsage {
            cost_nano_usd: self.cost_nano_usd.saturating_add(estimated_nano_usd),
            estimated_nano_usd,
            tokens: self.tokens,
            turns: self.turns,
            running_secs: self.running_micros / SECOND_MICROS,
            limits,
        }
    }
}

impl BudgetLimits {
    /// Returns whether there is none.
    pub(crate) const fn is_empty(&self) -> bool {
        matches!(self, Self { cost_nano_usd: None, tokens: None, turns: None, running_secs: None })
    }
}

impl BudgetUsage {
    /// The limits with the used amounts, in the order of the fields.
    fn shares(&self) -> [(Option<u64>, u64); 4] {
        let BudgetLimits { cost_nano_usd, tokens, turns, running_secs } = self.limits;
        [
            (cost_nano_usd, self.cost_nano_usd),
            (tokens, self.tokens),
            (turns, self.turns),
            (running_secs, self.running_secs),
        ]
    }

    /// Returns the used part of the limit of which most is used, in percent.
    pub(crate) fn percent(&self) -> u64 {
        let of = |(limit, used): (Option<u64>, u64)| {
            let percent = match limit? {
                0 => 100,
                limit => u128::from(used) * 100 / u128::from(limit),
            };
            Some(u64::try_from(percent).unwrap_or(u64::MAX))
        };
        self.shares().into_iter().filter_map(of).max().unwrap_or(0)
    }

    /// Returns whether people are to be warned.
    pub(crate) fn is_near(&self) -> bool {
        self.percent() >= WARN_PERCENT || self.is_over()
    }

    /// Returns whether a limit is reached, so that no further turn may begin.
    pub(crate) fn is_over(&self) -> bool {
        self.shares().into_iter().any(|(limit, used)| limit.is_some_and(|limit| used >= limit))
    }

    /// Returns whether running turns must end too. A limit of turns lets those end that it has let begin.
    pub(crate) fn ends_turns(&self) -> bool {
        Self { limits: BudgetLimits { turns: None, ..self.limits }, ..*self }.is_over()
    }

    /// Returns limits in which each one that is reached lies `percent` of it above what is used.
    pub(crate) fn raised(&self, percent: u64) -> BudgetLimits {
        let raised = |limit: Option<u64>, used: u64| {
            let limit = limit?;
            if used < limit {
                return Some(limit);
            }
            let step = u64::try_from(u128::from(limit) * u128::from(percent) / 100).unwrap_or(u64::MAX).max(1);
            Some(used.saturating_add(step))
        };
        let [cost, tokens, turns, secs] = self.shares();
        // Whole cents, which is what people read.
        let cost_nano_usd =
            raised(cost.0, cost.1).map(|nano| nano.div_ceil(CENT_NANO_USD).saturating_mul(CENT_NANO_USD));
        BudgetLimits {
            cost_nano_usd,
            tokens: raised(tokens.0, tokens.1),
            turns: raised(turns.0, turns.1),
            running_secs: raised(secs.0, secs.1),
        }
    }

    /// Describes the limits and what is used of them, for people.
    pub(crate) fn text(&self) -> String {
        let BudgetLimits { cost_nano_usd, tokens, turns, running_secs } = self.limits;
        let mut parts = Vec::new();
        if let Some(limit) = cost_nano_usd {
            let mut part = format!("{} of {}", dollars(self.cost_nano_usd), dollars(limit));
            if self.estimated_nano_usd > 0 {
                // Writing into memory cannot fail.
                let _ = write!(part, " ({} estimated from tokens)", dollars(self.estimated_nano_usd));
            }
            parts.push(part);
        }
        for (limit, used, unit) in [
            (tokens, self.tokens, "tokens"),
            (turns, self.turns, "turns"),
            (running_secs, self.running_secs, "seconds"),
        ] {
            parts.extend(limit.map(|limit| format!("{used} of {limit} {unit}")));
        }
        parts.join(", ")
    }

    /// Describes what `limits` raise, for people.
    pub(crate) fn raise_text(&self, limits: &BudgetLimits) -> String {
        let mut parts = Vec::new();
        if let Some(limit) = limits.cost_nano_usd.filter(|_| limits.cost_nano_usd != self.limits.cost_nano_usd) {
            parts.push(dollars(limit));
        }
        for (new, old, unit) in [
            (limits.tokens, self.limits.tokens, "tokens"),
            (limits.turns, self.limits.turns, "turns"),
            (limits.running_secs, self.limits.running_secs, "seconds"),
        ] {
            parts.extend(new.filter(|_| new != old).map(|limit| format!("{limit} {unit}")));
        }
        parts.join(", ")
    }
}

/// Formats an amount in US dollars: with more digits the smaller it is.
fn dollars(nano_usd: u64) -> String {
    let usd = nano_usd as f64 / 1e9;
    if nano_usd > 0 && nano_usd < CENT_NANO_USD { format!("${usd:.4}") } else { format!("${usd:.2}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    const USD: u64 = 1_000_000_000;

    fn cost(limit: u64, used: u64) -> BudgetUsage {
        let sums = Sums { cost_nano_usd: used, ..Sums::default() };
        sums.usage(BudgetLimits { cost_nano_usd: Some(limit), ..BudgetLimits::default() }, 5_000)
    }

    #[test]
    fn most_used_limit_decides() {
        let limits =
            BudgetLimits { cost_nano_usd: Some(10 * USD), tokens: Some(1_000), turns: Some(4), running_secs: None };
        let sums = Sums { cost_nano_usd: USD, tokens: 500, turns: 3, running_micros: u64::MAX, ..Sums::default() };
        let usage = sums.usage(limits, 5_000);
        assert_eq!((usage.percent(), usage.is_near(), usage.is_over()), (75, false, false));
        let usage = Sums { tokens: 800, ..sums }.usage(limits, 5_000);
        assert_eq!((usage.percent(), usage.is_near(), usage.is_over()), (80, true, false));
        assert!(Sums { tokens: 1_000, ..sums }.usage(limits, 5_000).ends_turns());
        assert_eq!(BudgetLimits::default(), sums.usage(BudgetLimits::default(), 1).raised(50));
    }

    #[test]
    fn limit_of_turns_lets_running_turns_end() {
        let sums = Sums { turns: 4, ..Sums::default() };
        let usage = sums.usage(BudgetLimits { turns: Some(4), ..BudgetLimits::default() }, 5_000);
        assert!(usage.is_over() && !usage.ends_turns());
    }

    #[test]
    fn tokens_without_a_cost_are_estimated() {
        let sums = Sums { cost_nano_usd: USD, tokens: 3_000_000, unpriced_tokens: 2_000_000, ..Sums::default() };
        let usage = sums.usage(BudgetLimits { cost_nano_usd: Some(11 * USD), ..BudgetLimits::default() }, 5_000);
        assert_eq!((usage.cost_nano_usd, usage.estimated_nano_usd), (11 * USD, 10 * USD));
        assert!(usage.ends_turns());
        assert_eq!(usage.text(), "$11.00 of $11.00 ($10.00 estimated from tokens)");
    }

    #[test]
    fn raise_begins_at_what_is_used() {
        let raised = |limit, used, percent| cost(limit, used).raised(percent).cost_nano_usd;
        assert_eq!(raised(10 * USD, 10 * USD, 50), Some(15 * USD));
        assert_eq!(raised(10 * USD, 30 * USD, 100), Some(40 * USD));
        assert_eq!(raised(10 * USD, 9 * USD, 50), Some(10 * USD), "it is not reached");
        assert_eq!(raised(1, 1, 50), Some(CENT_NANO_USD));
        assert_eq!(raised(u64::MAX, u64::MAX, 50), Some(u64::MAX));
        let usage = cost(10 * USD, 10 * USD);
        assert_eq!(usage.raise_text(&usage.raised(50)), "$15.00");
    }

    #[test]
    fn sums_and_shares_saturate() {
        let most = Sums {
            cost_nano_usd: u64::MAX,
            tokens: u64::MAX,
            unpriced_tokens: u64::MAX,
            turns: u64::MAX,
            running_micros: u64::MAX,
        };
        let mut sums = most;
        sums.add(&most);
        assert_eq!(sums, most);
        let limits = BudgetLimits { cost_nano_usd: Some(1), tokens: Some(0), turns: Some(1), running_secs: Some(1) };
        assert_eq!(most.usage(limits, u64::MAX).percent(), u64::MAX);
    }
}
