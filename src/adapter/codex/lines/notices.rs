//! Notifications about the session, the account and the machine: warnings, errors, limits, and many that people need
//! not see.

use serde_json::Value;

use super::CodexFold;
use crate::adapter::kit::{field, session, text, time};
use crate::event::Body;
use crate::fnv;
use crate::json;

/// Advice for a Codex that is not logged in.
const LOGIN: &str =
    "Run `codex login` in a terminal and start the worker again, or set CODEX_API_KEY and restart the server";
/// A usage limit is worth a warning from here on, in percent.
const WARNING_PERCENT: u64 = 80;

/// Notifications without information for people: signs of life, pieces of what follows whole, states of features that
/// rs-worker does not use, and what other notifications say better.
const PASSED_OVER: [&str; 28] = [
    "thread/started",
    "thread/status/changed",
    "thread/readState/changed",
    "thread/archived",
    "thread/unarchived",
    "thread/name/updated",
    "thread/goal/cleared",
    // The item `contextCompaction` says it too.
    "thread/compacted",
    "turn/diff/updated",
    "turn/moderationMetadata",
    "hook/started",
    "item/autoApprovalReview/started",
    "item/commandExecution/terminalInteraction",
    "rawResponse/completed",
    "rawResponseItem/completed",
    "model/safetyBuffering/updated",
    "skills/changed",
    "app/list/updated",
    "account/updated",
    "account/gatewayOAuth/changed",
    "project/changed",
    "command/exec/outputDelta",
    "process/outputDelta",
    "process/exited",
    "fs/changed",
    "mcpServer/event/stream/notification",
    // It is about how we ask, not about what people do.
    "deprecationNotice",
    "modelProvider/authRecoveryCompleted",
];

/// Beginnings of notifications of the same sort.
const PASSED_OVER_GROUPS: [&str; 18] = [
    "item/agentMessage/",
    "item/plan/",
    "item/reasoning/",
    "item/fileChange/",
    "item/mcpToolCall/",
    "remoteControl/",
    "externalAgentConfig/",
    "fuzzyFileSearch/",
    "thread/realtime/",
    "thread/environment/",
    "windowsSandbox/",
    "windows/",
    "thread/section/",
    "thread/attachment/",
    "thread/prediction/",
    "thread/queue/",
    "thread/project/",
    "item/commandExecution/outputDelta",
];

impl CodexFold<'_, '_> {
    /// Takes a notification; says whether it knew it.
    pub(super) fn notices(&mut self, method: &str, params: &Value) -> bool {
        let text = |key| field::text_or_empty(params, key).to_owned();
        match method {
            "error" => self.failure(params),
            "account/rateLimits/updated" => self.rate_limits(params.get("rateLimits").unwrap_or(&Value::Null)),
            "thread/settings/updated" => self.settings(params),
            "warning" | "guardianWarning" => self.warning(method, text("message")),
            "configWarning" => {
                let details = field::text(params, "details").map(|details| format!(": {details}")).unwrap_or_default();
                self.warning("config_warning", format!("{}{details}", text("summary")));
            }
            "model/rerouted" => {
                let (from, to) = (text("fromModel"), text("toModel"));
                self.out.notice("model_rerouted", format!("{to} answers instead of {from} ({})", text("reason")));
            }
            "model/verification" => {
                self.out.notice("model_verification", "The provider wants the account to be verified")
            }
            "modelProvider/authRecoveryStarted" => self.out.notice("auth_recovery", text("message")),
            "mcpServer/startupStatus/updated" => self.mcp_server(params),
            "mcpServer/oauthLogin/completed" | "account/login/completed" => {
                if let Some(error) = field::text(params, "error") {
                    self.out.error("login_failed", format!("Login failed: {error}"));
                }
            }
            "hook/completed" => self.hook(params.get("run").unwrap_or(&Value::Null)),
            "item/autoApprovalReview/completed" => {
                let review = params.get("review").unwrap_or(&Value::Null);
                let status = field::text(review, "status").unwrap_or("done");
                let why = field::text_or_empty(review, "rationale");
                self.out.notice("approval_review", format!("Automatic review of a permission: {status} {why}").trim());
            }
            "autoApprovalReview/strictReviewRequired" => {
                self.out.notice("strict_review", "Permissions are reviewed strictly from now on");
            }
            "thread/goal/updated" => {
                let goal = params.get("goal").unwrap_or(&Value::Null);
                let status = field::text_or_empty(goal, "status");
                self.out.notice("goal", format!("Goal ({status}): {}", field::text_or_empty(goal, "objective")));
            }
            "thread/closed" | "thread/deleted" | "thread/reverted" if self.is_own(params) => {
                let what = method.trim_start_matches("thread/");
                self.out.notice("session", format!("The session was {what} by Codex"));
            }
            "thread/closed" | "thread/deleted" | "thread/reverted" => {}
            _ => {
                let known = PASSED_OVER_GROUPS.iter().any(|group| method.starts_with(group));
                return known || PASSED_OVER.contains(&method);
            }
        }
        true
    }

    /// Emits a warning once a process: some are repeated with every turn.
    fn warning(&mut self, code: &str, text: String) {
        let code = if code == "guardianWarning" { "guardian_warning" } else { code }.to_owned();
        if self.state.warn(fnv::hash(text.as_bytes())) {
            self.out.notice(code, text);
        }
    }

    /// An error of the turn. The last one is repeated by the turn's end.
    fn failure(&mut self, params: &Value) {
        let error = params.get("error").unwrap_or(&Value::Null);
        let message = reason(error).unwrap_or_else(|| "Codex gave no reason".to_owned());
        let details = field::text(error, "additionalDetails").filter(|details| !details.is_empty());
        let details = details.map(|details| format!(": {details}")).unwrap_or_default();
        let info = error.get("codexErrorInfo").unwrap_or(&Value::Null);
        let kind = info.as_str().or_else(|| info.as_object()?.keys().next().map(String::as_str)).unwrap_or("other");
        if field::is_true(params, "willRetry") {
            return self.out.error("api_retry", format!("{message}{details}; Codex tries again"));
        }
        let code = match kind {
            "unauthorized" => "authentication_failed",
            "usageLimitExceeded" | "sessionBudgetExceeded" => "usage_limit",
            "rateLimitExceeded" => "rate_limit",
            "contextWindowExceeded" => "context_window_exceeded",
            "sandboxError" => "sandbox_error",
            _ => "api_error",
        };
        let text = format!("{message}{details}");
        let text =
            if code == "authentication_failed" { session::not_logged_in("Codex", &text, &[LOGIN]) } else { text };
        self.out.error(code, text);
        if code == "usage_limit" {
            self.report_limit("rejected", self.state.limit.resets_at);
        }
    }

    /// The account's limits: of two windows the one that is fuller counts. An update may leave out what has not changed.
    fn rate_limits(&mut self, limits: &Value) {
        let windows =
            ["primary", "secondary"].into_iter().filter_map(|key| limits.get(key)).filter(|it| it.is_object());
        let used = |window: &&Value| field::number(window, "usedPercent").unwrap_or(0);
        let fullest = windows.max_by_key(used);
        let reached = field::text(limits, "rateLimitReachedType").is_some();
        if fullest.is_none() && !reached {
            return;
        }
        let percent = fullest.as_ref().map_or(0, used);
        let status = match percent {
            _ if reached => "rejected",
            100.. => "rejected",
            WARNING_PERCENT.. => "warning",
            _ => "allowed",
        };
        let resets_at = fullest.and_then(|window| time::point(window, "resetsAt")).map(|time| time.0 / 1_000_000);
        self.report_limit(status, resets_at.or(self.state.limit.resets_at));
    }

    /// Reports the limit when it has changed. A first report without a limit is omitted.
    fn report_limit(&mut self, status: &str, resets_at: Option<u64>) {
        let limit = &mut self.state.limit;
        let news = limit.status != status && !(limit.status.is_empty() && status == "allowed");
        let news = news || (status != "allowed" && limit.resets_at != resets_at);
        status.clone_into(&mut limit.status);
        limit.resets_at = resets_at;
        if !news {
            return;
        }
        let resets_at = resets_at.and_then(time::of_number);
        let free = resets_at.map(|time| format!("; free again at {time}")).unwrap_or_default();
        let content = format!("Usage limit: {status}{free}");
        self.out.emit(
            content,
            Body::RateLimit { status: status.to_owned().into(), resets_at, window: None, used_percent: None },
        );
    }

    /// The session's settings, when somebody else has changed them.
    fn settings(&mut self, params: &Value) {
        if !self.is_own(params) {
            return;
        }
        let settings = params.get("threadSettings").unwrap_or(&Value::Null);
        if let Some(model) = field::text(settings, "model").filter(|model| *model != self.state.facts.model) {
            model.clone_into(&mut self.state.facts.model);
            self.report_session(None);
        }
    }

    fn mcp_server(&mut self, params: &Value) {
        let name = field::text(params, "name").unwrap_or("a server");
        if matches!(field::text(params, "status"), Some("failed" | "cancelled")) {
            let error = field::text(params, "error").unwrap_or("no reason given");
            self.out.notice("mcp_server_failed", format!("The MCP server {name} did not start: {error}"));
        }
    }

    fn hook(&mut self, run: &Value) {
        let name = field::text(run, "eventName").unwrap_or("a hook");
        let status = field::text(run, "status").unwrap_or("ended");
        let entries = field::list(run, "entries");
        let output = entries.iter().filter_map(|entry| field::text(entry, "text")).collect::<Vec<_>>().join("\n");
        let output = if output.is_empty() { output } else { format!(": {}", text::cut(output, text::STRING_MAX)) };
        let code = if status == "failed" { "hook_failed" } else { "hook" };
        self.out.notice(code, format!("Hook {name}: {status}{output}"));
    }
}

/// Returns the reason of a failure. For some errors the CLI passes on the body of the API's answer as it came.
pub(super) fn reason(error: &Value) -> Option<String> {
    let message = field::text(error, "message")?;
    let body = json::value(message.as_bytes());
    let inner = body.as_ref().and_then(|body| field::text(body.get("error")?, "message"));
    Some(inner.unwrap_or(message).to_owned())
}
