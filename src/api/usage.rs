//! `GET /api/usage`: tokens and cost, summed up.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use serde::Serialize;

use super::error::ApiError;
use super::{ApiCall, RouteResult};
use crate::clock::Micros;
use crate::event::Usage;
use crate::http::{Head, Response};
use crate::worker::registry::past_spending::EARLIER;
use crate::worker::state::{DaySpent, Spent};

/// Microseconds of a day.
const DAY_MICROS: u64 = 86_400_000_000;

/// The property that usage is grouped by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
enum UsageGrouping {
    Day,
    Project,
    Cli,
    Model,
}

/// The days that count, both included.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Span {
    from: Option<u64>,
    to: Option<u64>,
}

/// Totals on the wire.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
struct Totals {
    turns: u64,
    failed_turns: u64,
    usage: Usage,
    cost_usd: f64,
}

/// The totals of one group.
#[derive(Clone, Debug, PartialEq, Serialize)]
struct UsageRow {
    key: String,
    #[serde(flatten)]
    totals: Totals,
}

/// The response.
#[derive(Clone, Debug, PartialEq, Serialize)]
struct Report {
    by: UsageGrouping,
    from: Option<String>,
    to: Option<String>,
    rows: Vec<UsageRow>,
    total: Totals,
}

/// `GET /api/usage?by=day|project|cli|model&from=2026-11-01&to=2026-11-30&format=json|csv`
pub(super) fn report(call: &ApiCall<'_>) -> RouteResult {
    let by = group(call.head())?;
    let span = span(call.head())?;
    let is_csv = match call.head().query_value("format") {
        None | Some("json") => false,
        Some("csv") => true,
        Some(other) => return Err(mistake("format", format!("Input should be json or csv, not {other:?}"), "enum")),
    };
    let report = build(call, by, span);
    if !is_csv {
        return Ok(Response::json(200, &report).into());
    }
    let response = Response::with_content(200, "text/csv; charset=utf-8", csv(&report).into_bytes());
    Ok(response.with_header("Content-Disposition", "attachment; filename=\"usage.csv\"").into())
}

fn mistake(name: &'static str, msg: String, kind: &'static str) -> ApiError {
    ApiError::mistake("query", name, msg, kind)
}

fn group(head: &Head) -> Result<UsageGrouping, ApiError> {
    match head.query_value("by") {
        None | Some("day") => Ok(UsageGrouping::Day),
        Some("project") => Ok(UsageGrouping::Project),
        Some("cli") => Ok(UsageGrouping::Cli),
        Some("model") => Ok(UsageGrouping::Model),
        Some(other) => Err(mistake("by", format!("Input should be day, project, cli or model, not {other:?}"), "enum")),
    }
}

fn span(head: &Head) -> Result<Span, ApiError> {
    let (from, to) = (day(head, "from")?, day(head, "to")?);
    if let (Some(first), Some(last)) = (from, to)
        && first > last
    {
        let text = format!("Input should not be before from: {} is before {}", day_text(last), day_text(first));
        return Err(mistake("to", text, "value_error"));
    }
    Ok(Span { from, to })
}

/// Parses a day in the query, as days since the Unix epoch.
fn day(head: &Head, name: &'static str) -> Result<Option<u64>, ApiError> {
    let Some(text) = head.query_value(name) else { return Ok(None) };
    // A day that its month does not have would parse as a day of the next month.
    let day = Micros::parse_iso(&format!("{text}T00:00:00Z")).map(|time| time.0 / DAY_MICROS);
    let text = || format!("Input should be a day as in 2026-11-30, not {text:?}");
    day.map(Some).ok_or_else(|| mistake(name, text(), "date_parsing"))
}

/// Formats a day, as in `2026-11-30`.
fn day_text(day: u64) -> String {
    let iso = Micros(day.saturating_mul(DAY_MICROS)).iso();
    iso.as_str().split('T').next().unwrap_or_default().to_owned()
}

fn build(call: &ApiCall<'_>, by: UsageGrouping, span: Span) -> Report {
    let (mut groups, mut total) = (BTreeMap::<String, Spent>::new(), Spent::default());
    let mut add = |project: &str, cli: &str, entry: &DaySpent| {
        if span.from.is_some_and(|from| entry.day < from) || span.to.is_some_and(|to| entry.day > to) {
            return;
        }
        let key = match by {
            UsageGrouping::Day if entry.day == EARLIER => "earlier".to_owned(),
            UsageGrouping::Day => day_text(entry.day),
            UsageGrouping::Project => project.to_owned(),
            UsageGrouping::Cli => cli.to_owned(),
            UsageGrouping::Model => entry.model.clone(),
        };
        groups.entry(key).or_default().add(&entry.spent);
        total.add(&entry.spent);
    };
    for worker in call.workers() {
        let state = worker.state();
        state.spending.days().iter().for_each(|entry| add(state.project(), &state.ai_cli_type, entry));
    }
    let past = call.api.registry.past_spending();
    let seen = past.iter().filter(|past| call.reach().covers_project(&past.project));
    seen.for_each(|past| add(&past.project, &past.cli, &past.day));
    let mut rows: Vec<(String, Spent)> = groups.into_iter().collect();
    if by != UsageGrouping::Day {
        rows.sort_by_key(|(_, spent)| std::cmp::Reverse((spent.cost_nano_usd, spent.usage.output_tokens)));
    }
    Report {
        by,
        from: span.from.map(day_text),
        to: span.to.map(day_text),
        rows: rows.into_iter().map(|(key, spent)| UsageRow { key, totals: Totals::of(&spent) }).collect(),
        total: Totals::of(&total),
    }
}

impl Totals {
    fn of(spent: &Spent) -> Self {
        Self {
            turns: spent.turns,
            failed_turns: spent.failed,
            usage: spent.usage,
            cost_usd: spent.cost_nano_usd as f64 / 1e9,
        }
    }
}

fn csv(report: &Report) -> String {
    let mut text = String::from(
        "key,turns,failed_turns,input_tokens,output_tokens,cache_read_tokens,cache_write_tokens,cost_usd\r\n",
    );
    for UsageRow { key, totals } in &report.rows {
        let Totals { turns, failed_turns, usage, cost_usd } = totals;
        let Usage { input_tokens, output_tokens, cache_read_tokens, cache_write_tokens } = usage;
        // Writing into memory cannot fail.
        let _ = write!(
            text,
            "{},{turns},{failed_turns},{input_tokens},{output_tokens},{cache_read_tokens},{cache_write_tokens},{cost_usd}\r\n",
            csv_text(key)
        );
    }
    text
}

/// Formats a field of CSV. Names of models and folders are untrusted: a spreadsheet must not read one as a formula.
fn csv_text(text: &str) -> String {
    let guard = if text.starts_with(['=', '+', '-', '@', '\t', '\r']) { "'" } else { "" };
    format!("\"{guard}{}\"", text.replace('"', "\"\""))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_are_written_as_the_query_takes_them() {
        assert_eq!(day_text(0), "1970-01-01");
        assert_eq!(day_text(20_787), "2026-11-30");
    }

    #[test]
    fn csv_fields_are_quoted_and_cannot_be_formulas() {
        assert_eq!(csv_text("/home/a, \"b\""), "\"/home/a, \"\"b\"\"\"");
        assert_eq!(csv_text("=HYPERLINK(\"x\")"), "\"'=HYPERLINK(\"\"x\"\")\"");
    }
}
