//! `system` lines and other reports of the CLI about itself: session, status, retries, tasks, hooks, limits.

use serde_json::{Value, json};

use super::Fold;
use crate::adapter::field;
use crate::clock::Micros;
use crate::event::{Body, Text};
use crate::fnv;

impl Fold<'_> {
    pub(super) fn system(&mut self, mut line: Value) {
        let subtype = field::text_or_empty(&line, "subtype").to_owned();
        match subtype.as_str() {
            "init" => self.init(line),
            "status" => self.status(line),
            "api_retry" => self.api_retry(&line),
            "compact_boundary" => self.compacted(&line),
            "task_started" | "task_progress" | "task_updated" | "task_notification" => self.task(&subtype, &mut line),
            "hook_response" => self.hook(&line),
            "commands_changed" => self.commands(field::take(&mut line, "commands")),
            "permission_denied" => {
                let tool = field::text(&line, "tool_name").unwrap_or("a tool");
                let text = format!("{tool} was denied: {}", field::text_or_empty(&line, "message"));
                self.notice("permission_denied", Some(text));
            }
            "api_error" => {
                let error = field::take(&mut line, "error");
                let text = field::text(&error, "formatted").or_else(|| field::text(&error, "message"));
                self.error("api_error", text.unwrap_or("the API failed"));
            }
            "mirror_error" => {
                let text = field::take_text(&mut line, "error");
                self.error("mirror_error", text.unwrap_or_default());
            }
            "local_command_output" => self.notice("command_output", field::take_text(&mut line, "content")),
            "informational"
            | "model_fallback"
            | "model_refusal_fallback"
            | "model_refusal_no_fallback"
            | "model_consent_fallback"
            | "permission_retry"
            | "scheduled_task_fire"
            | "away_summary" => {
                self.notice(&subtype, field::take_text(&mut line, "content"));
            }
            "notification" => self.notice(&subtype, field::take_text(&mut line, "text")),
            "task_summary" => self.notice(&subtype, field::take_text(&mut line, "detail")),
            "post_turn_summary" => self.notice(&subtype, field::take_text(&mut line, "status_detail")),
            "worker_shutting_down" => self.notice(&subtype, field::take_text(&mut line, "reason")),
            "agents_killed" => self.notice(&subtype, Some("Background agents were ended".to_owned())),
            "plugin_install" => self.plugin(&line),
            // Signs of life, and what other lines say as well.
            "thinking_tokens"
            | "session_state_changed"
            | "turn_starting"
            | "turn_duration"
            | "hook_started"
            | "hook_progress"
            | "stop_hook_summary"
            | "files_persisted"
            | "file_snapshot"
            | "memory_recall"
            | "memory_saved"
            | "elicitation_complete" => {}
            _ => self.unknown(line, Some("system")),
        }
    }

    /// The beginning of a turn, with all facts of the session. They are told when they have changed.
    fn init(&mut self, mut line: Value) {
        let text = |line: &mut Value, key| field::take_text(line, key).unwrap_or_default();
        let (session_id, model) = (text(&mut line, "session_id"), text(&mut line, "model"));
        let mode = text(&mut line, "permissionMode");
        let rest =
            fnv::hash_json(&[line.get("cwd"), line.get("tools"), line.get("slash_commands"), line.get("mcp_servers")]);
        let facts = &mut self.state.facts;
        if facts.session_id != session_id && !facts.session_id.is_empty() {
            self.state.tasks.clear();
        }
        let all = facts.rest != rest;
        if all || facts.session_id != session_id || facts.model != model || facts.permission_mode != mode {
            facts.session_id.clone_from(&session_id);
            facts.model.clone_from(&model);
            facts.permission_mode.clone_from(&mode);
            facts.rest = rest;
            let with_commands = all && !facts.commands_told;
            let mut list =
                |key: &str, wanted: bool| wanted.then(|| field::take(&mut line, key)).filter(Value::is_array);
            let (tools, mcp_servers) = (list("tools", all), list("mcp_servers", all));
            let commands = list("slash_commands", with_commands).map(named);
            let cwd = field::take_text(&mut line, "cwd").map(Text::from);
            self.tell(
                format!("Session {session_id} with {model}, permission mode {mode}"),
                Body::Session {
                    session_id: Some(session_id.into()),
                    model: Some(model.into()),
                    cwd,
                    permission_mode: Some(mode.into()),
                    tools,
                    commands,
                    mcp_servers,
                },
            );
        }
        self.start_turn();
    }

    /// Tells the slash commands, with their descriptions.
    pub(super) fn commands(&mut self, commands: Value) {
        let Value::Array(list) = commands else { return };
        self.state.facts.commands_told = true;
        let short = |command: &Value| json!({"name": field::text_or_empty(command, "name"), "description": field::text_or_empty(command, "description")});
        let body = Body::Session {
            session_id: None,
            model: None,
            cwd: None,
            permission_mode: None,
            tools: None,
            commands: Some(list.iter().map(short).collect()),
            mcp_servers: None,
        };
        self.tell(format!("Claude Code is ready; it knows {} slash commands", list.len()), body);
    }

    /// Tells the permission mode when it is a new one.
    pub(super) fn permission_mode(&mut self, mode: String) {
        if self.state.facts.permission_mode == mode {
            return;
        }
        self.state.facts.permission_mode.clone_from(&mode);
        let body = Body::Session {
            session_id: None,
            model: None,
            cwd: None,
            permission_mode: Some(mode.clone().into()),
            tools: None,
            commands: None,
            mcp_servers: None,
        };
        self.tell(format!("Permission mode {mode}"), body);
    }

    fn status(&mut self, mut line: Value) {
        if let Some(mode) = field::take_text(&mut line, "permissionMode") {
            self.permission_mode(mode);
        }
        match field::text(&line, "status") {
            None | Some("requesting") => {}
            Some("compacting") => self.notice("compacting", Some("Compacting the conversation".to_owned())),
            Some(other) => {
                let other = other.to_owned();
                self.notice("status", Some(other));
            }
        }
        // A compaction that went well has its own line.
        if field::text(&line, "compact_result") == Some("failed") {
            let why = field::text(&line, "compact_error").unwrap_or("no reason given");
            self.notice("compact_failed", Some(format!("The conversation was not compacted: {why}")));
        }
    }

    fn compacted(&mut self, line: &Value) {
        let data = line.get("compact_metadata").unwrap_or(&Value::Null);
        let trigger = field::text(data, "trigger").unwrap_or("auto");
        let before = field::number(data, "pre_tokens").unwrap_or(0);
        let after = field::number(data, "post_tokens").map(|after| format!(" to {after}")).unwrap_or_default();
        let text = format!("The conversation was compacted ({trigger}): from {before} tokens{after}");
        self.notice("compacted", Some(text));
    }

    fn api_retry(&mut self, line: &Value) {
        let cause = field::text(line, "error").unwrap_or("unknown");
        let status = field::number(line, "error_status");
        let answer = match status {
            Some(status) => format!("The API answered {status} ({cause})"),
            None => format!("The API could not be reached ({cause})"),
        };
        let delay_ms = field::number(line, "retry_delay_ms").unwrap_or(0);
        let attempt = field::number(line, "attempt").unwrap_or(0);
        let max = field::number(line, "max_retries").unwrap_or(0);
        let (seconds, tenths) = (delay_ms / 1_000, delay_ms % 1_000 / 100);
        self.error("api_retry", format!("{answer}; retry {attempt} of {max} in {seconds}.{tenths} s"));
        if status == Some(429) {
            let resets = Micros(self.record.time.0.saturating_add(delay_ms.saturating_mul(1_000)));
            self.tell_limit("retrying", Some(resets), "The API's rate limit was reached".to_owned());
        }
    }

    pub(super) fn rate_limit(&mut self, line: &Value) {
        let info = line.get("rate_limit_info").unwrap_or(&Value::Null);
        let status = match field::text(info, "status") {
            Some("allowed_warning") => "warning",
            Some(status) => status,
            None => "unknown",
        };
        let resets = field::number(info, "resetsAt").map(|seconds| Micros(seconds.saturating_mul(1_000_000)));
        let kind = field::text(info, "rateLimitType").unwrap_or("account");
        let used = info.get("utilization").and_then(Value::as_f64);
        let used = used.map(|share| format!(", {} % used", (share * 100.0).round())).unwrap_or_default();
        self.tell_limit(status, resets, format!("Usage limit ({kind}): {status}{used}"));
    }

    fn tell_limit(&mut self, status: &str, resets_at: Option<Micros>, text: String) {
        let text = match resets_at {
            Some(time) => format!("{text}; free again at {time}"),
            None => text,
        };
        self.tell(text, Body::RateLimit { status: status.to_owned().into(), resets_at });
    }

    /// Background commands and sub-agents.
    fn task(&mut self, subtype: &str, line: &mut Value) {
        let task_id = field::text_or_empty(line, "task_id");
        match subtype {
            "task_started" => self.state.background_task(task_id, true),
            "task_notification" => self.state.background_task(task_id, false),
            "task_updated" => {
                let status = line.get("patch").and_then(|patch| field::text(patch, "status"));
                if matches!(status, Some("completed" | "failed" | "killed" | "stopped" | "cancelled")) {
                    self.state.background_task(task_id, false);
                }
            }
            _ => {}
        }
        if field::is_true(line, "skip_transcript") {
            return;
        }
        let id = field::text_or_empty(line, "task_id");
        let what = field::text_or_empty(line, "description");
        let text = match subtype {
            "task_started" => format!("Task {id} started: {what}"),
            "task_progress" => format!("Task {id}: {}", field::text(line, "summary").unwrap_or(what)),
            "task_notification" => {
                let status = field::text(line, "status").unwrap_or("ended");
                format!("Task {id} {status}: {}", field::text_or_empty(line, "summary"))
            }
            _ => {
                let patch = line.get("patch").unwrap_or(&Value::Null);
                let status = field::text(patch, "status").unwrap_or_default();
                let error = field::text(patch, "error").unwrap_or_default();
                if status.is_empty() && error.is_empty() {
                    return;
                }
                format!("Task {id} {status} {error}").trim_end().to_owned()
            }
        };
        self.notice(subtype, Some(text));
    }

    fn hook(&mut self, line: &Value) {
        let name = field::text(line, "hook_name").unwrap_or("a hook");
        let outcome = field::text(line, "outcome").unwrap_or("ended");
        let output = field::text(line, "output").unwrap_or_default().trim();
        let code = if outcome == "error" { "hook_failed" } else { "hook" };
        let text = if output.is_empty() {
            format!("Hook {name}: {outcome}")
        } else {
            format!("Hook {name}: {outcome}: {output}")
        };
        self.notice(code, Some(text));
    }

    fn plugin(&mut self, line: &Value) {
        let name = field::text(line, "name").unwrap_or("plugins");
        let status = field::text(line, "status").unwrap_or_default();
        let error = field::text(line, "error").map(|error| format!(": {error}")).unwrap_or_default();
        self.notice("plugin_install", Some(format!("Installing {name}: {status}{error}")));
    }

    pub(super) fn auth_status(&mut self, line: &Value) {
        if let Some(error) = field::text(line, "error") {
            let error = error.to_owned();
            return self.error("authentication_failed", error);
        }
        let lines = line.get("output").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
        let text = lines.iter().filter_map(Value::as_str).collect::<Vec<_>>().join("\n");
        self.notice("auth_status", Some(text));
    }
}

/// A list of names as `[{"name"}]`.
fn named(names: Value) -> Value {
    let Value::Array(names) = names else { return names };
    names.into_iter().map(|name| json!({ "name": name })).collect()
}
