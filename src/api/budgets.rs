//! Budgets: limits of cost, tokens, turns and running time, and what is used of them.

use std::sync::Arc;

use serde_json::{Map, Value, json};
use uuid::Uuid;

use super::error::ApiError;
use super::input::{JsonBody, resolved_folder};
use super::{ApiCall, RouteResult};
use crate::budgets::{Budget, BudgetBook, BudgetLimits, BudgetScope, BudgetUsage, Period};
use crate::clock::Micros;
use crate::http::Response;
use crate::worker::Worker;

/// The fields that a client sets.
const FIELDS: [&str; 7] = ["name", "scope", "project", "preset", "worker", "period", "note"];
/// The largest cost of a limit, in US dollars.
const COST_USD_MAX: f64 = 1e9;

/// `GET /api/budgets`
pub(super) fn list(call: &ApiCall<'_>) -> RouteResult {
    let budgets: Vec<Value> = book(call).all().iter().map(|budget| shown(call, budget)).collect();
    Ok(Response::json(200, &json!({ "budgets": budgets })).into())
}

/// `GET /api/budgets/{id}`
pub(super) fn show(call: &ApiCall<'_>) -> RouteResult {
    let budgets = book(call).all();
    let found = budgets.iter().find(|budget| budget.id == id(call));
    let found = found.ok_or_else(|| ApiError::Detail(404, format!("Budget not found: {}", id(call))))?;
    Ok(Response::json(200, &shown(call, found)).into())
}

/// `POST /api/budgets`
pub(super) fn create(call: &ApiCall<'_>) -> RouteResult {
    let mut body = JsonBody::parse(&call.request.body)?;
    let mut budget = Budget { name: body.text("name"), ..Budget::default() };
    take(&mut body, &mut budget);
    body.finish()?;
    resolve_project(&mut budget)?;
    budget.id = Uuid::new_v4().to_string();
    budget.created = Micros::now().0;
    book(call).add(budget.clone())?;
    call.api.registry.launcher().budgets.wake();
    Ok(Response::json(201, &shown(call, &budget)).into())
}

/// `PATCH /api/budgets/{id}`: fields that are left out stay as they are; a limit that is null is removed.
pub(super) fn change(call: &ApiCall<'_>) -> RouteResult {
    let mut body = JsonBody::parse(&call.request.body)?;
    let named: Vec<&str> = FIELDS.into_iter().filter(|name| body.has(name)).collect();
    let mut values = Budget::default();
    if body.has("name") {
        values.name = body.text("name");
    }
    let limits = take(&mut body, &mut values);
    body.finish()?;
    resolve_project(&mut values)?;
    let changed = book(call).update(id(call), |budget| {
        for name in named {
            match name {
                "name" => budget.name.clone_from(&values.name),
                "period" => budget.period = values.period,
                "note" => budget.note.clone_from(&values.note),
                _ => budget.scope.clone_from(&values.scope),
            }
        }
        for (name, limit) in limits {
            put(&mut budget.limits, name, limit);
        }
    });
    let changed = changed?;
    call.api.registry.launcher().budgets.wake();
    Ok(Response::json(200, &shown(call, &changed)).into())
}

/// `DELETE /api/budgets/{id}`
pub(super) fn remove(call: &ApiCall<'_>) -> RouteResult {
    book(call).remove(id(call))?;
    Ok(Response::json(200, &json!({"status": "removed"})).into())
}

fn book<'c>(call: &'c ApiCall<'_>) -> &'c BudgetBook {
    call.api.registry.launcher().budgets.book()
}

fn id<'c>(call: &ApiCall<'c>) -> &'c str {
    call.params.first().copied().unwrap_or_default()
}

/// Takes the fields that are there. Returns the limits that are named.
fn take(body: &mut JsonBody, budget: &mut Budget) -> Vec<(&'static str, Option<u64>)> {
    budget.scope = scope(body);
    match body.optional_text("period").as_deref() {
        None | Some("day") => {}
        Some("total") => budget.period = Period::Total,
        Some(_) => body.mistake("period", "Input should be day or total", "enum"),
    }
    budget.note = body.optional_text("note").unwrap_or_default();
    let limits = limits(body);
    for (name, limit) in &limits {
        put(&mut budget.limits, name, *limit);
    }
    limits
}

/// Takes the scope: the subject is named by the field of the scope's name.
fn scope(body: &mut JsonBody) -> BudgetScope {
    let word = body.optional_text("scope");
    let project = body.optional_text("project").map(BudgetScope::Project);
    let preset = body.optional_text("preset").map(BudgetScope::Preset);
    let worker = body.optional_text("worker").map(BudgetScope::Worker);
    let mut named: Vec<BudgetScope> = [project, preset, worker].into_iter().flatten().collect();
    let scope = named.pop().unwrap_or_default();
    if !named.is_empty() || word.is_some_and(|word| word != scope.as_str()) {
        let text = "Input should be all, or project, preset or worker with the one field of that name";
        body.mistake("scope", text, "enum");
    }
    scope
}

/// Takes the limits that are there; a null removes one.
fn limits(body: &mut JsonBody) -> Vec<(&'static str, Option<u64>)> {
    let fields = match body.value("limits") {
        None | Some(Value::Null) => return Vec::new(),
        Some(Value::Object(fields)) => fields,
        Some(_) => {
            body.mistake("limits", "Input should be an object", "model_attributes_type");
            return Vec::new();
        }
    };
    let mut limits = Vec::new();
    for (name, value) in fields {
        let known = ["cost_usd", "tokens", "turns", "running_secs"].into_iter().find(|known| *known == name);
        let limit = match (known, &value) {
            (Some(_), Value::Null) => Some(None),
            (Some("cost_usd"), value) => value
                .as_f64()
                .filter(|cost| (0.0..=COST_USD_MAX).contains(cost))
                .map(|cost| Some((cost * 1e9).round() as u64)),
            (Some(_), value) => value.as_u64().map(Some),
            (None, _) => None,
        };
        match (known, limit) {
            (Some(known), Some(limit)) => limits.push((known, limit)),
            _ => {
                let text = "Input should have cost_usd (a number), tokens, turns and running_secs (whole numbers) only";
                body.mistake("limits", text, "value_error");
            }
        }
    }
    limits
}

fn put(limits: &mut BudgetLimits, name: &str, limit: Option<u64>) {
    match name {
        "cost_usd" => limits.cost_nano_usd = limit,
        "tokens" => limits.tokens = limit,
        "turns" => limits.turns = limit,
        _ => limits.running_secs = limit,
    }
}

/// Follows the links of the project's folder, as a worker's are when it is made: they are compared.
fn resolve_project(budget: &mut Budget) -> Result<(), ApiError> {
    if let BudgetScope::Project(project) = &budget.scope {
        let resolved = resolved_folder("project", project)?;
        budget.scope = BudgetScope::Project(resolved.to_string_lossy().into_owned());
    }
    Ok(())
}

/// A budget on the wire.
fn shown(call: &ApiCall<'_>, budget: &Budget) -> Value {
    let registry = &call.api.registry;
    let workers = registry.workers_under(budget);
    let usage = registry.launcher().budgets.usage(budget, Micros::now()).unwrap_or_default();
    let is_held = |it: &&Arc<Worker>| {
        let state = it.state();
        usage.is_over() && !state.queue.is_empty() && it.held_by_budget().is_some()
    };
    let held: Vec<Value> = workers
        .iter()
        .filter(is_held)
        .map(|it| json!({"worker_id": it.id(), "name": it.state().name, "queued_messages": it.state().queue.len()}))
        .collect();
    let counted_in_tokens: Vec<&str> =
        workers.iter().filter(|it| it.state().budget.is_unpriced).map(|it| it.id()).collect();
    let subject = |field: &str| budget.scope.named().filter(|(name, _)| *name == field).map(|(_, text)| text);
    let BudgetLimits { cost_nano_usd, tokens, turns, running_secs } = budget.limits;
    let mut limits = Map::new();
    limits.extend(cost_nano_usd.map(|nano| ("cost_usd".to_owned(), json!(nano as f64 / 1e9))));
    for (name, limit) in [("tokens", tokens), ("turns", turns), ("running_secs", running_secs)] {
        limits.extend(limit.map(|limit| (name.to_owned(), json!(limit))));
    }
    json!({
        "id": budget.id,
        "name": budget.name,
        "scope": budget.scope.as_str(),
        "project": subject("project"),
        "preset": subject("preset"),
        "worker": subject("worker"),
        "period": budget.period.as_str(),
        "limits": limits,
        "used": used(&usage),
        "percent": usage.percent(),
        "state": if usage.is_over() { "over" } else if usage.is_near() { "near" } else { "under" },
        "workers": workers.len(),
        "held": held,
        "counts": if counted_in_tokens.is_empty() { "reported" } else { "tokens" },
        "counted_in_tokens": counted_in_tokens,
        "note": budget.note,
        "created_at": Micros(budget.created),
    })
}

fn used(usage: &BudgetUsage) -> Value {
    json!({
        "cost_usd": usage.cost_nano_usd as f64 / 1e9,
        "estimated_cost_usd": usage.estimated_nano_usd as f64 / 1e9,
        "tokens": usage.tokens,
        "turns": usage.turns,
        "running_secs": usage.running_secs,
    })
}
