//! `schedules`: messages at an instant or by a cron expression.

use serde_json::{Value, json};

use super::args::Args;
use super::expiry::expiry;
use super::http::ApiServer;
use super::output::{field, print, print_json};
use super::terminal::plain;
use super::workers;
use crate::clock::Micros;
use crate::percent;
use crate::schedules::system_zone;

/// Prints all schedules.
pub(super) fn list(server: &ApiServer, args: &Args) -> Result<(), String> {
    let answer = server.json("GET", "/api/schedules", None)?;
    if args.json {
        return print_json(&answer);
    }
    for schedule in schedules(&answer) {
        print(&line(schedule))?;
    }
    Ok(())
}

fn schedules(answer: &Value) -> impl Iterator<Item = &Value> {
    answer["schedules"].as_array().into_iter().flatten()
}

fn line(schedule: &Value) -> String {
    let (when, target) = (&schedule["when"], &schedule["target"]);
    let mut parts = vec![field(schedule, "id").to_owned(), field(schedule, "name").to_owned()];
    parts.push(match when["cron"].as_str() {
        Some(cron) => format!("cron={cron} ({})", field(when, "time_zone")),
        None => format!("at={}", field(when, "at")),
    });
    for name in ["worker", "preset"] {
        parts.extend(target[name].as_str().map(|target| format!("{name}={target}")));
    }
    let next = schedule["next"][0].as_str();
    parts.push(match (schedule["paused"] == true, next) {
        (true, _) => "paused".to_owned(),
        (false, Some(next)) => format!("next={next}"),
        (false, None) => "done".to_owned(),
    });
    parts.extend(schedule["last_run"]["state"].as_str().map(|state| format!("last={state}")));
    parts.extend(schedule["error"].as_str().map(|error| format!("error={error}")));
    plain(&parts.join("  ")).replace('\n', " ")
}

/// Adds a schedule and prints its id.
pub(super) fn add(server: &ApiServer, text: &[&str], args: &Args) -> Result<(), String> {
    let name = args.name.as_deref().ok_or("--name is missing")?;
    let mut body = json!({"name": name, "when": when(args)?, "target": target(server, args)?, "text": text.join(" ")});
    for (field, value) in [("missed", &args.missed), ("busy", &args.busy), ("note", &args.message)] {
        if let Some(value) = value {
            body[field] = json!(value);
        }
    }
    let made = server.json("POST", "/api/schedules", Some(&body))?;
    if args.json {
        return print_json(&made);
    }
    print(field(&made, "id"))?;
    made["next"].as_array().into_iter().flatten().filter_map(Value::as_str).try_for_each(print)
}

fn when(args: &Args) -> Result<Value, String> {
    match (&args.at, &args.cron) {
        (Some(at), None) => {
            let wrong =
                |_| format!("--at {at}: give a time as in 2026-11-30T09:00:00Z, or one from now as in 90m or 2d");
            let time = Micros::parse_iso(at).map_or_else(|| expiry(at, Micros::now()).map_err(wrong), Ok)?;
            Ok(json!({"at": time}))
        }
        (None, Some(cron)) => {
            Ok(json!({"cron": cron, "time_zone": args.time_zone.clone().unwrap_or_else(system_zone)}))
        }
        _ => Err("one of --at and --cron is needed".to_owned()),
    }
}

fn target(server: &ApiServer, args: &Args) -> Result<Value, String> {
    match (&args.worker, &args.preset) {
        (Some(worker), None) => {
            Ok(json!({"worker": workers::path(server, worker)?.trim_start_matches("/api/workers/")}))
        }
        (None, Some(preset)) => {
            let project = workers::folder(args.project.as_deref().unwrap_or("."))?;
            Ok(json!({"preset": preset, "values": workers::values(args)?, "project_path": project}))
        }
        _ => Err("one of --worker and --preset is needed".to_owned()),
    }
}

/// The path of a schedule that is named by its id, the beginning of it, or its name.
fn path(server: &ApiServer, named: &str) -> Result<String, String> {
    let answer = server.json("GET", "/api/schedules", None)?;
    let exact = |schedule: &&Value| field(schedule, "id") == named || field(schedule, "name") == named;
    let mut found: Vec<&Value> = schedules(&answer).filter(exact).collect();
    if found.is_empty() {
        found = schedules(&answer).filter(|schedule| field(schedule, "id").starts_with(named)).collect();
    }
    let [schedule] = found[..] else {
        return Err(format!("{} schedules are named {named}: use an id of `rs-worker schedules`", found.len()));
    };
    Ok(format!("/api/schedules/{}", percent::encode(field(schedule, "id"))))
}

/// Removes, runs, pauses or resumes a schedule.
pub(super) fn change(server: &ApiServer, what: &str, named: &str, args: &Args) -> Result<(), String> {
    let path = path(server, named)?;
    let answer = match what {
        "rm" => server.json("DELETE", &path, None)?,
        "run" => server.json("POST", &format!("{path}/run"), Some(&json!({})))?,
        _ => server.json("PATCH", &path, Some(&json!({"paused": what == "pause"})))?,
    };
    if args.json { print_json(&answer) } else { Ok(()) }
}

/// Prints the last runs of a schedule, newest first.
pub(super) fn runs(server: &ApiServer, named: &str, args: &Args) -> Result<(), String> {
    let answer = server.json("GET", &format!("{}/runs", path(server, named)?), None)?;
    if args.json {
        return print_json(&answer);
    }
    for run in answer["runs"].as_array().into_iter().flatten() {
        let text = [field(run, "reason"), field(run, "result")].into_iter().find(|text| !text.is_empty());
        let parts =
            [field(run, "slot"), field(run, "state"), field(run, "cause"), field(run, "worker_id"), text.unwrap_or("")];
        print(&plain(parts.join("  ").trim_end()).replace('\n', " "))?;
    }
    Ok(())
}
