//! `system` lines and other reports of the CLI about itself: session, status, retries, hooks, limits.

use serde_json::{Value, json};

use super::ClaudeFold;
use crate::adapter::claude::LOGIN;
use crate::adapter::kit::{field, session, time};
use crate::clock::Micros;
use crate::event::{Body, SessionFacts, Text};
use crate::fnv;

impl ClaudeFold<'_, '_> {
    pub(super) fn system(&mut self, mut line: Value) {
        let subtype = field::text_or_empty(&line, "subtype").to_owned();
        match subtype.as_str() {
            "init" => self.init(line),
            "status" => self.status(line),
            "api_retry" => self.api_retry(&line),
            "compact_boundary" => self.compacted(&line),
            "task_started" | "task_progress" | "task_updated" | "task_notification" => self.task(&subtype, &mut line),
            "background_tasks_changed" => self.background_tasks_changed(&line),
            "session_writes_lost" => self.session_writes_lost(&line),
            "code_change_published" => self.code_change_published(&line),
            "turn_preempted" => self.notice(&subtype, Some("The turn gave way to a new message".to_owned())),
            "peer_message_hold" => {
                let state = field::text(&line, "state").unwrap_or("held");
                self.notice(&subtype, Some(format!("A message of another session: {state}")));
            }
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
                self.out.error("api_error", text.unwrap_or("the API failed"));
            }
            "mirror_error" => {
                let text = field::take_text(&mut line, "error");
                self.out.error("mirror_error", text.unwrap_or_default());
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
            // Signs of life, what other lines say as well, and hints for the CLI's own interfaces.
            "bridge_state"
            | "bridge_status"
            | "control_request_progress"
            | "dev_intent"
            | "init_milestone"
            | "late_allow_not_run"
            | "per_turn_effort_changed"
            | "prompt_draft_activity"
            | "session_metadata"
            | "session_title_changed"
            | "shell_cwd"
            | "turn_began_before_init"
            | "turn_handoff_available"
            | "vcs_state_changed"
            | "thinking_tokens"
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

    /// The beginning of a turn, with all facts of the session. They are emitted when they have changed.
    fn init(&mut self, mut line: Value) {
        let session_id = field::take_text(&mut line, "session_id").filter(|id| session::is_session_argument(id));
        let fact = |line: &mut Value, key, known: &str| {
            field::take_text(line, key).filter(|fact| !fact.is_empty()).unwrap_or_else(|| known.to_owned())
        };
        let facts = &self.state.facts;
        let session_id = session_id.unwrap_or_else(|| facts.session_id.clone());
        let model = fact(&mut line, "model", &facts.model);
        let mode = fact(&mut line, "permissionMode", &facts.permission_mode);
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
            self.out.emit(
                format!("Session {session_id} with {model}, permission mode {mode}"),
                Body::Session(SessionFacts {
                    session_id: given(session_id),
                    model: given(model),
                    cwd,
                    permission_mode: given(mode),
                    tools,
                    commands,
                    mcp_servers,
                }),
            );
        }
        self.start_turn();
    }

    /// Emits the slash commands, with their descriptions.
    pub(super) fn commands(&mut self, commands: Value) {
        let Value::Array(list) = commands else { return };
        self.state.facts.commands_told = true;
        let short = |command: &Value| json!({"name": field::text_or_empty(command, "name"), "description": field::text_or_empty(command, "description")});
        let body =
            Body::Session(SessionFacts { commands: Some(list.iter().map(short).collect()), ..SessionFacts::default() });
        self.out.emit(format!("Claude Code is ready; it knows {} slash commands", list.len()), body);
    }

    /// Emits the permission mode when it has changed.
    pub(super) fn permission_mode(&mut self, mode: String) {
        if self.state.facts.permission_mode == mode {
            return;
        }
        self.state.facts.permission_mode.clone_from(&mode);
        let body =
            Body::Session(SessionFacts { permission_mode: Some(mode.clone().into()), ..SessionFacts::default() });
        self.out.emit(format!("Permission mode {mode}"), body);
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
        let preserved = data.get("preserved_messages").and_then(|kept| kept.get("uuids")).and_then(Value::as_array);
        self.state.preserve(preserved.into_iter().flatten().filter_map(Value::as_str));
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
        let delay_ms = time::delay_ms(line, "retry_delay_ms");
        let attempt = field::number(line, "attempt").unwrap_or(0);
        let max = field::number(line, "max_retries").unwrap_or(0);
        let wait = delay_ms.map(|ms| format!(" in {}.{} s", ms / 1_000, ms % 1_000 / 100)).unwrap_or_default();
        self.out.error("api_retry", format!("{answer}; retry {attempt} of {max}{wait}"));
        if status == Some(429) {
            let resets = delay_ms.map(|ms| Micros(self.record.time.0.saturating_add(ms * 1_000)));
            let text = "The API's rate limit was reached".to_owned();
            self.report_limit(text, ("retrying", resets), (None, None));
        }
    }

    pub(super) fn rate_limit(&mut self, line: &Value) {
        let info = line.get("rate_limit_info").unwrap_or(&Value::Null);
        let status = match field::text(info, "status") {
            Some("allowed_warning") => "warning",
            Some(status) => status,
            None => "unknown",
        };
        let resets = time::point(info, "resetsAt");
        let kind = field::text(info, "rateLimitType").unwrap_or("account");
        // Negative and excessive values saturate.
        let used = info.get("utilization").and_then(Value::as_f64).map(|share| (share * 100.0).round() as u64);
        let part = used.map(|percent| format!(", {percent} % used")).unwrap_or_default();
        let window = field::text(info, "rateLimitType");
        self.report_limit(format!("Usage limit ({kind}): {status}{part}"), (status, resets), (window, used));
    }

    fn report_limit(
        &mut self,
        text: String,
        (status, resets_at): (&str, Option<Micros>),
        (window, used_percent): (Option<&str>, Option<u64>),
    ) {
        let text = match resets_at {
            Some(time) => format!("{text}; free again at {time}"),
            None => text,
        };
        let (status, window) = (status.to_owned().into(), window.map(|window| window.to_owned().into()));
        self.out.emit(text, Body::RateLimit { status, resets_at, window, used_percent });
    }

    /// The whole list of tasks in the background, at each change of it. Tasks that are not activity delay nobody.
    fn background_tasks_changed(&mut self, line: &Value) {
        let Some(tasks) = line.get("tasks").and_then(Value::as_array) else { return };
        let active = tasks.iter().filter(|task| !field::is_true(task, "ambient"));
        self.state.background_tasks(active.map(|task| field::text_or_empty(task, "task_id").to_owned()));
    }

    fn session_writes_lost(&mut self, line: &Value) {
        let code = field::text(line, "error_code").unwrap_or("no reason given");
        let text = format!("Claude Code could not write its session file ({code}): it may not be resumed whole");
        self.out.error("session_writes_lost", text);
    }

    fn code_change_published(&mut self, line: &Value) {
        let action = field::text(line, "action").unwrap_or("published");
        let url = field::text_or_empty(line, "url");
        self.notice("code_change_published", Some(format!("Code change {action}: {url}")));
    }

    /// The conversation begins anew: `/clear`, or a plan that is carried out in a fresh one.
    pub(super) fn conversation_reset(&mut self, line: &Value) {
        let text = match field::text(line, "trigger") {
            None | Some("clear") => "The conversation was cleared".to_owned(),
            Some(other) => format!("A new conversation was started ({})", other.replace('_', " ")),
        };
        self.notice("conversation_reset", Some(text));
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
            let text = session::not_logged_in("Claude Code", error, &[LOGIN]);
            return self.out.error("authentication_failed", text);
        }
        let lines = field::list(line, "output");
        let text = lines.iter().filter_map(Value::as_str).collect::<Vec<_>>().join("\n");
        self.notice("auth_status", Some(text));
    }
}

/// A fact that is known.
fn given(fact: String) -> Option<Text<'static>> {
    (!fact.is_empty()).then(|| fact.into())
}

/// A list of names as `[{"name"}]`.
fn named(names: Value) -> Value {
    let Value::Array(names) = names else { return names };
    names.into_iter().map(|name| json!({ "name": name })).collect()
}
