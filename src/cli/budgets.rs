//! `budgets`: limits of cost, tokens, turns and running time.

use serde_json::{Value, json};

use super::args::Args;
use super::http::ApiServer;
use super::output::{field, print, print_json};
use super::terminal::plain;
use super::workers;
use crate::percent;

/// Prints all budgets and what is used of them.
pub(super) fn list(server: &ApiServer, args: &Args) -> Result<(), String> {
    let answer = server.json("GET", "/api/budgets", None)?;
    if args.json {
        return print_json(&answer);
    }
    for budget in budgets(&answer) {
        print(&line(budget))?;
    }
    Ok(())
}

fn budgets(answer: &Value) -> impl Iterator<Item = &Value> {
    answer["budgets"].as_array().into_iter().flatten()
}

fn line(budget: &Value) -> String {
    let scope = field(budget, "scope");
    let subject = field(budget, scope);
    let scope = if subject.is_empty() { scope.to_owned() } else { format!("{scope}={subject}") };
    let mut parts = vec![
        field(budget, "id").to_owned(),
        field(budget, "name").to_owned(),
        scope,
        field(budget, "period").to_owned(),
        format!("{} %", budget["percent"]),
    ];
    for (name, limit) in budget["limits"].as_object().into_iter().flatten() {
        parts.push(format!("{name}={}/{limit}", budget["used"][name]));
    }
    if field(budget, "counts") == "tokens" {
        parts.push(format!("estimated_cost_usd={}", budget["used"]["estimated_cost_usd"]));
    }
    let held = budget["held"].as_array().map_or(0, Vec::len);
    if held > 0 {
        parts.push(format!("held={held}"));
    }
    let note = field(budget, "note");
    if !note.is_empty() {
        parts.push(format!("note={note}"));
    }
    plain(&parts.join("  ")).replace('\n', " ")
}

/// Adds a budget and prints its id.
pub(super) fn add(server: &ApiServer, name: &str, args: &Args) -> Result<(), String> {
    let mut limits = json!({});
    if let Some(cost) = args.cost {
        limits["cost_usd"] = json!(cost);
    }
    for (name, limit) in [("tokens", args.tokens), ("turns", args.turns), ("running_secs", args.running_secs)] {
        if let Some(limit) = limit {
            limits[name] = json!(limit);
        }
    }
    let mut body = json!({"name": name, "limits": limits, "period": if args.total { "total" } else { "day" }});
    if let Some(project) = &args.project {
        body["project"] = json!(workers::folder(project)?);
    }
    if let Some(preset) = &args.preset {
        body["preset"] = json!(preset);
    }
    if let Some(worker) = &args.worker {
        body["worker"] = json!(workers::path(server, worker)?.trim_start_matches("/api/workers/"));
    }
    if let Some(note) = &args.message {
        body["note"] = json!(note);
    }
    let made = server.json("POST", "/api/budgets", Some(&body))?;
    if args.json { print_json(&made) } else { print(field(&made, "id")) }
}

/// Removes a budget.
pub(super) fn remove(server: &ApiServer, named: &str, args: &Args) -> Result<(), String> {
    let answer = server.json("GET", "/api/budgets", None)?;
    let exact: Vec<&Value> =
        budgets(&answer).filter(|it| field(it, "id") == named || field(it, "name") == named).collect();
    let found = if exact.is_empty() {
        budgets(&answer).filter(|it| field(it, "id").starts_with(named)).collect()
    } else {
        exact
    };
    let [budget] = found[..] else {
        return Err(format!("{} budgets are named {named}: use an id of `rs-worker budgets`", found.len()));
    };
    let path = format!("/api/budgets/{}", percent::encode(field(budget, "id")));
    let answer = server.json("DELETE", &path, None)?;
    if args.json { print_json(&answer) } else { Ok(()) }
}
