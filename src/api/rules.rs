//! Standing rules for permission prompts.

use std::time::{Duration, Instant};

use serde_json::{Value, json};
use uuid::Uuid;

use super::error::ApiError;
use super::input::{JsonBody, resolved_folder};
use super::{ApiCall, RouteResult};
use crate::clock::Micros;
use crate::http::Response;
use crate::private_list::{ListEntry as _, ListError};
use crate::rules::{self, Effect, Rule};

/// Days that a preview looks back unless it is asked for others.
const PREVIEW_DAYS: u64 = 7;
/// Most days that a preview looks back.
const PREVIEW_DAYS_MAX: u64 = 90;
/// Longest time of a preview.
const PREVIEW_TIME_MAX: Duration = Duration::from_secs(5);
/// The fields of a rule that a client sets.
const FIELDS: [&str; 10] =
    ["name", "effect", "cli", "project", "worker", "tool", "commands", "paths", "expires_at", "note"];
/// Microseconds of a day.
const DAY_MICROS: u64 = 86_400 * 1_000_000;

/// `GET /api/rules`
pub(super) fn list(call: &ApiCall<'_>) -> RouteResult {
    let rules: Vec<Value> = call.api.rules.all().iter().map(shown).collect();
    Ok(Response::json(200, &json!({ "rules": rules })).into())
}

/// `GET /api/rules/{id}`
pub(super) fn show(call: &ApiCall<'_>) -> RouteResult {
    Ok(Response::json(200, &shown(&find(call)?)).into())
}

/// `POST /api/rules`
pub(super) fn create(call: &ApiCall<'_>) -> RouteResult {
    let mut body = JsonBody::parse(&call.request.body)?;
    let mut rule = new_rule(&mut body);
    body.finish()?;
    resolve_project(&mut rule)?;
    rule.id = Uuid::new_v4().to_string();
    rule.created = Micros::now().0;
    call.api.rules.add(rule.clone())?;
    Ok(Response::json(201, &shown(&rule)).into())
}

/// `PATCH /api/rules/{id}`: fields that are left out stay as they are.
pub(super) fn change(call: &ApiCall<'_>) -> RouteResult {
    let mut body = JsonBody::parse(&call.request.body)?;
    let named: Vec<&str> = FIELDS.into_iter().filter(|name| body.has(name)).collect();
    let mut values = Rule::default();
    if body.has("name") {
        values.name = body.text("name");
    }
    if body.has("effect") {
        values.effect = effect(&mut body);
    }
    take(&mut body, &mut values);
    body.finish()?;
    resolve_project(&mut values)?;
    let changed = call.api.rules.update(id(call), |rule| {
        for name in named {
            match name {
                "name" => rule.name.clone_from(&values.name),
                "effect" => rule.effect = values.effect,
                "cli" => rule.cli.clone_from(&values.cli),
                "project" => rule.project.clone_from(&values.project),
                "worker" => rule.worker.clone_from(&values.worker),
                "tool" => rule.tool.clone_from(&values.tool),
                "commands" => rule.commands.clone_from(&values.commands),
                "paths" => rule.paths.clone_from(&values.paths),
                "expires_at" => rule.expires = values.expires,
                _ => rule.note.clone_from(&values.note),
            }
        }
    });
    Ok(Response::json(200, &shown(&changed?)).into())
}

/// `DELETE /api/rules/{id}`
pub(super) fn remove(call: &ApiCall<'_>) -> RouteResult {
    call.api.rules.revoke(id(call)).map_err(|error| match error {
        ListError::File(text) => {
            ApiError::Detail(503, format!("the rule has ended, but only until the server starts again: {text}"))
        }
        other => other.into(),
    })?;
    Ok(Response::json(200, &json!({"status": "removed"})).into())
}

/// `POST /api/rules/preview`
pub(super) fn preview(call: &ApiCall<'_>) -> RouteResult {
    let mut body = JsonBody::parse(&call.request.body)?;
    let days = body.optional_count("days").unwrap_or(PREVIEW_DAYS);
    if days > PREVIEW_DAYS_MAX {
        body.mistake("days", &format!("Input should be at most {PREVIEW_DAYS_MAX}"), "less_than_equal");
    }
    let mut rule = new_rule(&mut body);
    body.finish()?;
    resolve_project(&mut rule)?;
    rule.check().map_err(|mistake| ApiError::in_field(mistake.field, mistake.text))?;
    let since = Micros(Micros::now().0.saturating_sub(days * DAY_MICROS));
    let preview = call.api.registry.preview_rule(&rule, since, Instant::now() + PREVIEW_TIME_MAX)?;
    Ok(Response::json(200, &preview).into())
}

/// `GET /api/workers/{id}/permission-rule/{request}`: the narrowest rule that allows an open prompt.
pub(super) fn propose(call: &ApiCall<'_>) -> RouteResult {
    let request_id = call.params.get(1).copied().unwrap_or_default();
    let proposal = call.worker()?.look_at_prompt(request_id, |prompt| rules::propose(prompt, Micros::now().0))?;
    let proposal = proposal.map_err(|text| ApiError::Detail(409, text))?;
    let mut rule = shown(&proposal.rule);
    if let Some(fields) = rule.as_object_mut() {
        fields.retain(|name, _| !matches!(&**name, "id" | "created_at"));
    }
    Ok(Response::json(200, &json!({"rule": rule, "reach": proposal.reach})).into())
}

fn id<'c>(call: &ApiCall<'c>) -> &'c str {
    call.params.first().copied().unwrap_or_default()
}

fn find(call: &ApiCall<'_>) -> Result<Rule, ApiError> {
    let rules = call.api.rules.all();
    let found = rules.iter().find(|rule| rule.id == id(call)).cloned();
    found.ok_or_else(|| ApiError::Detail(404, format!("Rule not found: {}", id(call))))
}

/// Reads a rule without an id.
fn new_rule(body: &mut JsonBody) -> Rule {
    let mut rule = Rule { name: body.text("name"), effect: effect(body), ..Rule::default() };
    take(body, &mut rule);
    rule
}

fn effect(body: &mut JsonBody) -> Effect {
    match &*body.text("effect") {
        "allow" => Effect::Allow,
        "deny" => Effect::Deny,
        "ask" => Effect::Ask,
        _ => {
            if !body.has_mistakes() {
                body.mistake("effect", "Input should be allow, ask or deny", "enum");
            }
            Effect::Ask
        }
    }
}

/// Follows the links of the project's folder, as a worker's are when it is made: they are compared.
fn resolve_project(rule: &mut Rule) -> Result<(), ApiError> {
    if let Some(project) = &rule.project {
        rule.project = Some(resolved_folder("project", project)?.to_string_lossy().into_owned());
    }
    Ok(())
}

/// Takes the fields that are there.
fn take(body: &mut JsonBody, rule: &mut Rule) {
    let scope = [
        ("cli", &mut rule.cli),
        ("project", &mut rule.project),
        ("worker", &mut rule.worker),
        ("tool", &mut rule.tool),
    ];
    for (name, text) in scope {
        if body.has(name) {
            *text = body.optional_text(name);
        }
    }
    for (name, list) in [("commands", &mut rule.commands), ("paths", &mut rule.paths)] {
        if body.has(name) {
            *list = body.texts(name);
        }
    }
    if body.has("note") {
        rule.note = body.optional_text("note").unwrap_or_default();
    }
    if let Some(time) = body.optional_time("expires_at") {
        rule.expires = Some(time).filter(|time| *time > 0);
    }
}

/// A rule on the wire.
fn shown(rule: &Rule) -> Value {
    json!({
        "id": rule.id,
        "name": rule.name,
        "effect": rule.effect,
        "cli": rule.cli,
        "project": rule.project,
        "worker": rule.worker,
        "tool": rule.tool,
        "commands": rule.commands,
        "paths": rule.paths,
        "expires_at": rule.expires.map(Micros),
        "note": rule.note,
        "created_at": Micros(rule.created),
    })
}
