//! Schedules, and the history of their runs.

use serde_json::{Value, json};
use uuid::Uuid;

use super::error::ApiError;
use super::input::JsonBody;
use super::{ApiCall, RouteResult};
use crate::clock::Micros;
use crate::http::Response;
use crate::private_list::ListError;
use crate::schedules::{
    Busy, Cause, MissedPolicy, Schedule, ScheduleEntry, ScheduleRun, ScheduleTarget, TextValues, Timetable, When, fill,
};

/// Instants that a schedule shows.
const NEXT_COUNT: usize = 5;
/// Microseconds of a second.
const SECOND: u64 = 1_000_000;

/// The fields of a schedule that a client sets; absent ones stay as they are.
#[derive(Default)]
struct ScheduleFields {
    name: Option<String>,
    when: Option<When>,
    target: Option<ScheduleTarget>,
    text: Option<String>,
    missed: Option<MissedPolicy>,
    busy: Option<Busy>,
    paused: Option<bool>,
    note: Option<String>,
}

/// `GET /api/schedules`
pub(super) fn list(call: &ApiCall<'_>) -> RouteResult {
    let all = call.api.schedules.all();
    let schedules: Vec<Value> =
        all.iter().filter(|entry| is_visible(call, entry)).map(|entry| shown(call, entry)).collect();
    Ok(Response::json(200, &json!({ "schedules": schedules })).into())
}

/// `GET /api/schedules/{id}`
pub(super) fn show(call: &ApiCall<'_>) -> RouteResult {
    Ok(Response::json(200, &shown(call, &find(call)?)).into())
}

/// `GET /api/schedules/{id}/runs`: newest first.
pub(super) fn runs(call: &ApiCall<'_>) -> RouteResult {
    let entry = find(call)?;
    let log = entry.log();
    let runs: Vec<Value> = log.runs().rev().filter(|run| is_run_visible(call, run)).map(shown_run).collect();
    Ok(Response::json(200, &json!({ "runs": runs })).into())
}

/// `POST /api/schedules`
pub(super) fn create(call: &ApiCall<'_>) -> RouteResult {
    let mut body = JsonBody::parse(&call.request.body)?;
    for name in ["name", "when", "target"] {
        if !body.has_value(name) {
            body.mistake(name, "Field required", "missing");
        }
    }
    let changes = changes(&mut body);
    body.finish()?;
    check(call, &changes)?;
    let now = Micros::now().0;
    let ScheduleFields { name: Some(name), when: Some(when), target: Some(target), .. } = changes else {
        return Err(ApiError::bad_request("name, when and target are required"));
    };
    let schedule = Schedule {
        id: Uuid::new_v4().to_string(),
        name,
        when,
        target,
        text: changes.text.unwrap_or_default(),
        missed: changes.missed.unwrap_or_default(),
        busy: changes.busy.unwrap_or_default(),
        paused: changes.paused.unwrap_or_default(),
        note: changes.note.unwrap_or_default(),
        created: now,
        since: now,
    };
    let entry = call.api.schedules.add(schedule)?;
    Ok(Response::json(201, &shown(call, &entry)).into())
}

/// `PATCH /api/schedules/{id}`: fields that are left out stay as they are.
pub(super) fn change(call: &ApiCall<'_>) -> RouteResult {
    let mut body = JsonBody::parse(&call.request.body)?;
    let changes = changes(&mut body);
    body.finish()?;
    find(call)?;
    check(call, &changes)?;
    let changed = call.api.schedules.update(id(call), |schedule| {
        let ScheduleFields { name, when, target, text, missed, busy, paused, note } = changes;
        put(&mut schedule.name, name);
        put(&mut schedule.when, when);
        put(&mut schedule.target, target);
        put(&mut schedule.text, text);
        put(&mut schedule.missed, missed);
        put(&mut schedule.busy, busy);
        put(&mut schedule.paused, paused);
        put(&mut schedule.note, note);
    });
    Ok(Response::json(200, &shown(call, &changed?)).into())
}

/// `DELETE /api/schedules/{id}`
pub(super) fn remove(call: &ApiCall<'_>) -> RouteResult {
    call.api.schedules.remove(id(call)).map_err(|error| match error {
        ListError::File(text) => {
            ApiError::Detail(503, format!("the schedule has ended, but only until the server starts again: {text}"))
        }
        other => other.into(),
    })?;
    Ok(Response::json(200, &json!({"status": "removed"})).into())
}

/// `POST /api/schedules/preview`: the next instants of a schedule that does not exist yet.
pub(super) fn preview(call: &ApiCall<'_>) -> RouteResult {
    let mut body = JsonBody::parse(&call.request.body)?;
    if !body.has_value("when") {
        body.mistake("when", "Field required", "missing");
    }
    let when = when(&mut body);
    body.finish()?;
    let Some(when) = when else { return Err(ApiError::in_field("when", "when is required")) };
    let timetable = Timetable::new(&when).map_err(|text| ApiError::in_field("when", text))?;
    Ok(Response::json(200, &json!({"next": timetable.upcoming(Micros::now(), NEXT_COUNT)})).into())
}

/// `POST /api/schedules/{id}/run`: a run at once, whatever the schedule says.
pub(super) fn run(call: &ApiCall<'_>) -> RouteResult {
    JsonBody::parse_optional(&call.request.body)?.finish()?;
    let entry = find(call)?;
    let timetable = entry.timetable.as_ref().map_err(|why| ApiError::Detail(409, why.clone()))?;
    let run = {
        let mut log = entry.log();
        let mut slot = Micros::now();
        // No slot of a clock is within a second, and two requests are two runs.
        while slot.0.is_multiple_of(SECOND) || log.run(slot.0).is_some() {
            slot.0 += 1;
        }
        let text = fill(&entry.schedule.text, timetable, &TextValues { slot, last_result: log.last_result() });
        let mut run = ScheduleRun::begun(slot, Cause::Person, text);
        run.worker_id = entry.schedule.worker().map(str::to_owned);
        let failed = |error: std::io::Error| ApiError::Detail(503, format!("the run can't be recorded: {error}"));
        log.begin(run.clone()).map_err(failed)?;
        run
    };
    call.api.schedules.wake();
    Ok(Response::json(202, &shown_run(&run)).into())
}

fn id<'c>(call: &ApiCall<'c>) -> &'c str {
    call.params.first().copied().unwrap_or_default()
}

/// The schedule that the path names. One out of reach is answered as one that is not there.
fn find(call: &ApiCall<'_>) -> Result<ScheduleEntry, ApiError> {
    let found = call.api.schedules.get(id(call)).filter(|entry| is_visible(call, entry));
    found.ok_or_else(|| ApiError::Detail(404, format!("Schedule not found: {}", id(call))))
}

/// Returns whether the client may see a schedule: that of a worker in reach, or any.
fn is_visible(call: &ApiCall<'_>, entry: &ScheduleEntry) -> bool {
    call.sees_everything() || entry.schedule.worker().is_some_and(|worker| call.visible(worker).is_ok())
}

/// Returns whether the client may see a run: the schedule may have had another worker then.
fn is_run_visible(call: &ApiCall<'_>, run: &ScheduleRun) -> bool {
    call.sees_everything() || run.worker_id.as_deref().is_some_and(|worker| call.visible(worker).is_ok())
}

fn put<T>(field: &mut T, value: Option<T>) {
    if let Some(value) = value {
        *field = value;
    }
}

fn changes(body: &mut JsonBody) -> ScheduleFields {
    let mut text = |name: &str| body.has_value(name).then(|| body.text(name));
    let (name, message, note) = (text("name"), text("text"), text("note"));
    ScheduleFields {
        name,
        when: when(body),
        target: target(body),
        text: message,
        missed: word(body, "missed", &[("run_once", MissedPolicy::RunOnce), ("skip", MissedPolicy::Skip)]),
        busy: word(body, "busy", &[("queue", Busy::Queue), ("skip", Busy::Skip)]),
        paused: body.optional_flag("paused"),
        note,
    }
}

/// Takes one of some words.
fn word<T: Copy>(body: &mut JsonBody, name: &str, words: &[(&str, T)]) -> Option<T> {
    let given = body.optional_text(name)?;
    let found = words.iter().find(|(word, _)| *word == given);
    if found.is_none() {
        let words = words.iter().map(|(word, _)| *word).collect::<Vec<_>>().join(" or ");
        body.mistake(name, &format!("Input should be {words}"), "enum");
    }
    found.map(|(_, value)| *value)
}

/// Takes an object and reads its fields.
fn object<T>(body: &mut JsonBody, name: &str, read: impl FnOnce(&mut JsonBody) -> Option<T>) -> Option<T> {
    match body.value(name)? {
        Value::Null => None,
        Value::Object(fields) => {
            let mut inner = JsonBody::of(fields);
            let value = read(&mut inner);
            body.take_mistakes(name, inner);
            value
        }
        _ => {
            body.mistake(name, "Input should be an object", "model_attributes_type");
            None
        }
    }
}

fn when(body: &mut JsonBody) -> Option<When> {
    object(body, "when", |fields| match (fields.has_value("at"), fields.has_value("cron")) {
        (true, false) => {
            // An instant has no zone, but one that is given must be a text.
            fields.optional_text("time_zone");
            fields.optional_time("at").map(|at| When::At { at })
        }
        (false, true) => {
            let time_zone = fields.optional_text("time_zone").unwrap_or_else(|| "UTC".to_owned());
            Some(When::Cron { cron: fields.text("cron"), time_zone })
        }
        _ => {
            fields.mistake("at", "Input should have either at, or cron and time_zone", "value_error");
            None
        }
    })
}

fn target(body: &mut JsonBody) -> Option<ScheduleTarget> {
    object(body, "target", |fields| match (fields.has_value("worker"), fields.has_value("preset")) {
        (true, false) => {
            // A worker needs none of the others, but those that are given must have their types.
            fields.optional_text("project_path");
            fields.text_map("values");
            Some(ScheduleTarget::Worker { worker: fields.text("worker") })
        }
        (false, true) => Some(ScheduleTarget::Preset {
            preset: fields.text("preset"),
            values: fields.text_map("values").into_iter().collect(),
            project_path: fields.text("project_path"),
        }),
        _ => {
            fields.mistake("worker", "Input should have either worker or preset", "value_error");
            None
        }
    })
}

/// Refuses what could never run: an instant of the past, a worker or a preset that is not there.
fn check(call: &ApiCall<'_>, changes: &ScheduleFields) -> Result<(), ApiError> {
    if let Some(When::At { at }) = &changes.when
        && *at <= Micros::now().0
    {
        return Err(ApiError::in_field("when", format!("at is in the past: {}", Micros(*at))));
    }
    let in_target = |text: String| ApiError::in_field("target", text);
    match &changes.target {
        Some(ScheduleTarget::Worker { worker }) => {
            let worker = call.api.registry.get(worker).map_err(|error| in_target(error.to_string()))?;
            if worker.state().follow.is_some() {
                return Err(in_target("the worker only follows a session, and takes no messages".to_owned()));
            }
        }
        Some(ScheduleTarget::Preset { preset, .. }) => {
            call.api.presets.get(preset).map_err(|error| in_target(error.to_string()))?;
        }
        None => {}
    }
    Ok(())
}

/// A schedule on the wire.
fn shown(call: &ApiCall<'_>, entry: &ScheduleEntry) -> Value {
    let schedule = &entry.schedule;
    let when = match &schedule.when {
        When::At { at } => json!({"at": Micros(*at)}),
        When::Cron { cron, time_zone } => json!({"cron": cron, "time_zone": time_zone}),
    };
    let target = match &schedule.target {
        ScheduleTarget::Worker { worker } => json!({"worker": worker}),
        ScheduleTarget::Preset { preset, values, project_path } => {
            json!({"preset": preset, "values": values, "project_path": project_path})
        }
    };
    let from = entry.mark().max(Micros::now());
    let next = match &entry.timetable {
        Ok(timetable) if !schedule.paused => timetable.upcoming(from, NEXT_COUNT),
        _ => Vec::new(),
    };
    let log = entry.log();
    let error = entry.timetable.as_ref().err().map(String::as_str).or_else(|| log.broken());
    json!({
        "id": schedule.id,
        "name": schedule.name,
        "when": when,
        "target": target,
        "text": schedule.text,
        "missed": schedule.missed,
        "busy": schedule.busy,
        "paused": schedule.paused,
        "note": schedule.note,
        "created_at": Micros(schedule.created),
        "next": next,
        "last_run": log.runs().rfind(|run| is_run_visible(call, run)).map(shown_run),
        "error": error,
    })
}

/// A run on the wire.
fn shown_run(run: &ScheduleRun) -> Value {
    json!({
        "slot": Micros(run.slot),
        "cause": run.cause,
        "state": run.state,
        "missed": run.missed,
        "begun_at": Micros(run.begun),
        "changed_at": Micros(run.changed),
        "queued": run.queued,
        "worker_id": run.worker_id,
        "message_id": run.message_id,
        "seq": run.seq,
        "reason": run.reason,
        "result": run.result,
    })
}
