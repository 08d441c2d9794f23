//! `permissions`: lists open prompts, and answers one.

use serde_json::{Value, json};

use super::http::ApiServer;
use super::output::{field, print, print_json};
use super::terminal::plain;
use super::workers;
use crate::percent;

pub(super) fn list(server: &ApiServer, as_json: bool) -> Result<(), String> {
    let answer = server.json("GET", "/api/permissions", None)?;
    if as_json {
        return print_json(&answer);
    }
    for prompt in answer["permissions"].as_array().into_iter().flatten() {
        let what = plain(&format!("{} {}", field(prompt, "tool_name"), prompt["input"])).replace('\n', " ");
        print(&format!("{}  {}  {what}", field(prompt, "worker_id"), plain(field(prompt, "request_id"))))?;
    }
    Ok(())
}

pub(super) fn answer(
    server: &ApiServer,
    decision: &str,
    worker: &str,
    request: &str,
    as_json: bool,
) -> Result<(), String> {
    let path = format!("{}/permissions/{}", workers::path(server, worker)?, percent::encode(request));
    let answer: Value = server.json("POST", &path, Some(&json!({"decision": decision}))).map_err(|error| {
        let hint = if error.is_not_found() { "; `rs-worker permissions` lists the open ones" } else { "" };
        format!("{error}{hint}")
    })?;
    if as_json { print_json(&answer) } else { Ok(()) }
}
