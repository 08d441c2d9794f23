//! `rules`: standing rules for permission prompts.

use serde_json::{Value, json};

use super::args::Args;
use super::expiry::expiry;
use super::http::ApiServer;
use super::output::{field, print, print_json};
use super::terminal::plain;
use super::workers;
use crate::clock::Micros;
use crate::percent;

/// Prints all rules.
pub(super) fn list(server: &ApiServer, args: &Args) -> Result<(), String> {
    let answer = server.json("GET", "/api/rules", None)?;
    if args.json {
        return print_json(&answer);
    }
    for rule in rules(&answer) {
        print(&line(rule))?;
    }
    Ok(())
}

fn rules(answer: &Value) -> impl Iterator<Item = &Value> {
    answer["rules"].as_array().into_iter().flatten()
}

fn line(rule: &Value) -> String {
    let list = |name: &str| rule[name].as_array().into_iter().flatten().filter_map(Value::as_str).collect::<Vec<_>>();
    let mut parts =
        vec![field(rule, "id").to_owned(), field(rule, "effect").to_owned(), field(rule, "name").to_owned()];
    for (name, texts) in [("command", list("commands")), ("path", list("paths"))] {
        parts.extend(texts.iter().map(|text| format!("{name}={text}")));
    }
    for name in ["tool", "cli", "project", "worker", "expires_at", "note"] {
        let text = field(rule, name);
        if !text.is_empty() {
            parts.push(format!("{name}={text}"));
        }
    }
    plain(&parts.join("  ")).replace('\n', " ")
}

/// Adds a rule and prints its id.
pub(super) fn add(server: &ApiServer, effect: &str, args: &Args) -> Result<(), String> {
    let name = args.name.as_deref().ok_or("--name is missing")?;
    let made = server.json("POST", "/api/rules", Some(&body(server, effect, name, args)?))?;
    if args.json { print_json(&made) } else { print(field(&made, "id")) }
}

/// Prints the prompts that a rule would have answered.
pub(super) fn preview(server: &ApiServer, effect: &str, args: &Args) -> Result<(), String> {
    let mut body = body(server, effect, args.name.as_deref().unwrap_or("preview"), args)?;
    if let Some(days) = args.days {
        body["days"] = json!(days);
    }
    let answer = server.json("POST", "/api/rules/preview", Some(&body))?;
    if args.json {
        return print_json(&answer);
    }
    for prompt in answer["prompts"].as_array().into_iter().flatten() {
        let answered = prompt["decision"].as_str().unwrap_or("not answered");
        let by = prompt["by"].as_str().map_or_else(String::new, |by| format!(" ({by})"));
        let text = format!(
            "{}  {}  {answered}{by}  {}",
            field(prompt, "timestamp"),
            field(prompt, "worker_name"),
            field(prompt, "content")
        );
        print(&plain(&text).replace('\n', " "))?;
    }
    if answer["complete"] == false {
        eprintln!("there may be more: the search ended at its limit");
    }
    Ok(())
}

/// Removes a rule.
pub(super) fn remove(server: &ApiServer, named: &str, args: &Args) -> Result<(), String> {
    let answer = server.json("GET", "/api/rules", None)?;
    let exact: Vec<&Value> =
        rules(&answer).filter(|rule| field(rule, "id") == named || field(rule, "name") == named).collect();
    let found = if exact.is_empty() {
        rules(&answer).filter(|rule| field(rule, "id").starts_with(named)).collect()
    } else {
        exact
    };
    let rule = match found[..] {
        [rule] => rule,
        [] => return Err(format!("no such rule: {named}; `rs-worker rules` lists them")),
        _ => return Err(format!("{named} is ambiguous; give the id of one rule, from `rs-worker rules`")),
    };
    let path = format!("/api/rules/{}", percent::encode(field(rule, "id")));
    let answer = server.json("DELETE", &path, None)?;
    if args.json { print_json(&answer) } else { Ok(()) }
}

/// The body of a request with a rule.
fn body(server: &ApiServer, effect: &str, name: &str, args: &Args) -> Result<Value, String> {
    let mut body = json!({"effect": effect, "name": name, "commands": args.commands, "paths": args.paths});
    for (field, text) in [("tool", &args.tool), ("cli", &args.cli), ("note", &args.message)] {
        if let Some(text) = text {
            body[field] = json!(text);
        }
    }
    if let Some(project) = &args.project {
        body["project"] = json!(workers::folder(project)?);
    }
    if let Some(worker) = &args.worker {
        body["worker"] = json!(workers::path(server, worker)?.trim_start_matches("/api/workers/"));
    }
    if let Some(expires) = &args.expires {
        body["expires_at"] = json!(expiry(expires, Micros::now())?);
    }
    Ok(body)
}
