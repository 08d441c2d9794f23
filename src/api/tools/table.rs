//! The table of tools: their scopes, schemas and functions.

use serde_json::{Value, json};

use super::look::{CURSORS, EVENTS, RESULTS, WORKERS};
use super::schema::{
    any_object, cursor, event, flag, input, list, number, object, one_of, or_null, prompt, text, worker,
};
use super::session::{SessionCall, ToolResult};
use super::wait::SECONDS;
use super::{act, look, wait};
use crate::access::{Identity, Scope};
use crate::api::route::Narrowing;

/// A tool.
pub(super) struct Tool {
    pub(super) name: &'static str,
    /// For people.
    title: &'static str,
    /// For the model.
    about: &'static str,
    /// The scope that it requires.
    pub(super) scope: Scope,
    /// The effect of a token's narrowing.
    pub(super) narrowing: Narrowing,
    /// Its use by the agent of a worker, whose token is narrowed and has the scope `send`.
    agents: AgentUse,
    effect: ToolEffect,
    /// The arguments, of which there are fewer for an agent.
    pub(super) input: fn(for_agent: bool) -> Value,
    output: fn() -> Value,
    pub(super) run: fn(&mut SessionCall<'_, '_>) -> ToolResult,
}

/// The use of a tool by the agent of a worker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum AgentUse {
    /// As its token's scope and narrowing say.
    ByToken,
    /// Always: the tool restricts it.
    Restricted,
    /// Never: people decide what agents may do.
    Refused,
}

/// The effect of a tool, for clients that ask before they call one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum ToolEffect {
    /// Changes nothing.
    Reads,
    /// Adds something.
    Adds,
    /// May end or change something.
    Changes,
}

impl Tool {
    /// Returns whether a client may use it.
    pub(super) fn is_for(&self, identity: &Identity) -> bool {
        self.refusal(identity).is_none()
    }

    /// Returns why a client may not use it.
    pub(super) fn refusal(&self, identity: &Identity) -> Option<String> {
        match self.agents {
            AgentUse::Restricted if identity.agent_of().is_some() => return None,
            AgentUse::Refused if identity.agent_of().is_some() => {
                return Some("the agent of a worker may not do this: people do".to_owned());
            }
            _ => {}
        }
        if identity.scope() < self.scope {
            let (has, needed) = (identity.scope(), self.scope);
            return Some(format!("this token has the scope {has}, and the scope {needed} is needed"));
        }
        let is_whole = self.narrowing == Narrowing::Whole;
        (is_whole && !identity.reach().is_everything()).then(|| {
            "this token is narrowed to some workers or projects, and this is about the whole server".to_owned()
        })
    }

    /// Describes it to a client.
    pub(super) fn described(&self, for_agent: bool) -> Value {
        let (reads, changes) = (self.effect == ToolEffect::Reads, self.effect == ToolEffect::Changes);
        json!({
            "name": self.name,
            "title": self.title,
            "description": self.about,
            "inputSchema": (self.input)(for_agent),
            "outputSchema": (self.output)(),
            "annotations": {
                "title": self.title,
                "readOnlyHint": reads,
                "destructiveHint": changes,
                "idempotentHint": reads,
                "openWorldHint": !reads,
            },
        })
    }
}

/// All tools.
pub(super) static TOOLS: &[Tool] = &[
    Tool {
        name: "list_workers",
        title: "List workers",
        about: "Lists workers (AI coding agents that run in the background), oldest first, with status and last words.",
        scope: Scope::Read,
        narrowing: Narrowing::Filtered,
        agents: AgentUse::ByToken,
        effect: ToolEffect::Reads,
        input: list_input,
        output: || {
            object(vec![
                ("workers", list(&worker(), "the workers"), true),
                ("next", or_null(text("the cursor of the next page")), true),
            ])
        },
        run: look::list_workers,
    },
    Tool {
        name: "create_worker",
        title: "Create a worker",
        about: "Starts another AI coding agent in a project and returns at once. Call wait with its id for its answer. \
                With worktree it works on a git branch of its own, so that its changes do not mix with others.",
        scope: Scope::Admin,
        narrowing: Narrowing::Whole,
        agents: AgentUse::Restricted,
        effect: ToolEffect::Adds,
        input: create_input,
        output: || object(vec![("worker", worker(), true)]),
        run: act::create_worker,
    },
    Tool {
        name: "send_message",
        title: "Send a message",
        about: "Sends a message to a worker; a stopped one starts again. Returns at once: call wait with the cursor for the answer.",
        scope: Scope::Send,
        narrowing: Narrowing::Worker,
        agents: AgentUse::ByToken,
        effect: ToolEffect::Adds,
        input: send_input,
        output: || {
            object(vec![
                ("message_id", text("the message's id"), true),
                ("state", text("queued or delivered"), true),
                ("cursor", or_null(cursor("for wait and read: all after it is new")), true),
            ])
        },
        run: act::send_message,
    },
    Tool {
        name: "wait",
        title: "Wait for a worker",
        about: "Waits until a worker has ended its turn, needs a person, has stopped or failed, or the time is over. Returns \
                its status, last answer and open prompts, and with a cursor what was said since. If timed_out, call it again.",
        scope: Scope::Read,
        narrowing: Narrowing::Worker,
        agents: AgentUse::ByToken,
        effect: ToolEffect::Reads,
        input: |_| {
            input(vec![
                ("worker_id", text("the worker"), true),
                ("cursor", number(CURSORS, "return what was said after this cursor too"), false),
                ("timeout_seconds", number(SECONDS, "longest wait; 30 by default, 0 returns at once"), false),
            ])
        },
        output: wait_output,
        run: wait::wait,
    },
    Tool {
        name: "read",
        title: "Read a conversation",
        about: "Reads a page of a worker's conversation, oldest first: the newest events, those before a cursor, or the first \
                ones since a cursor. Long texts are cut.",
        scope: Scope::Read,
        narrowing: Narrowing::Worker,
        agents: AgentUse::ByToken,
        effect: ToolEffect::Reads,
        input: |_| {
            input(vec![
                ("worker_id", text("the worker"), true),
                ("since", number(CURSORS, "only events after this cursor"), false),
                ("before", number(CURSORS, "only events before this cursor, such as first_seq of a page"), false),
                ("limit", number(EVENTS, "events of the page; 20 by default"), false),
            ])
        },
        output: || object(page_properties(true)),
        run: look::read,
    },
    Tool {
        name: "search",
        title: "Search conversations",
        about: "Searches the conversations of all workers for a text, newest first, ignoring case.",
        scope: Scope::Read,
        narrowing: Narrowing::Filtered,
        agents: AgentUse::ByToken,
        effect: ToolEffect::Reads,
        input: |_| {
            input(vec![
                ("query", text("the text to find, of 1 to 500 characters"), true),
                ("worker_id", text("only in the conversation of this worker"), false),
                ("limit", number(RESULTS, "results of a page; 20 by default"), false),
                ("cursor", text("next of the page before"), false),
            ])
        },
        output: search_output,
        run: look::search,
    },
    Tool {
        name: "diff",
        title: "Read a worker's changes",
        about: "Shows what a worker has changed in its project, by git: files with counts, commits, and a unified diff. \
                A long diff is cut: use stat for the files alone, and path for the diff of one of them.",
        scope: Scope::Read,
        narrowing: Narrowing::Worker,
        agents: AgentUse::ByToken,
        effect: ToolEffect::Reads,
        input: |_| {
            input(vec![
                ("worker_id", text("the worker"), true),
                (
                    "scope",
                    one_of(
                        &["base", "head", "uncommitted"],
                        "base (the default): since its worktree began; head and uncommitted: since the last commit",
                    ),
                    false,
                ),
                ("stat", flag("true for files and commits without the diff"), false),
                ("path", text("only the diff of this file"), false),
            ])
        },
        output: diff_output,
        run: look::diff,
    },
    Tool {
        name: "stop_worker",
        title: "Stop a worker",
        about: "Ends a worker's processes and returns when none is left. Its conversation and files stay; a message starts it again.",
        scope: Scope::Send,
        narrowing: Narrowing::Worker,
        agents: AgentUse::ByToken,
        effect: ToolEffect::Changes,
        input: |_| input(vec![("worker_id", text("the worker"), true)]),
        output: || object(vec![("worker", worker(), true)]),
        run: act::stop_worker,
    },
    Tool {
        name: "list_prompts",
        title: "List open prompts",
        about: "Lists permission requests and questions of workers that wait for an answer.",
        scope: Scope::Read,
        narrowing: Narrowing::Filtered,
        agents: AgentUse::ByToken,
        effect: ToolEffect::Reads,
        input: |_| input(vec![]),
        output: || {
            object(vec![
                ("prompts", list(&prompt(), "oldest first"), true),
                ("has_more", flag("true if there are more"), true),
            ])
        },
        run: look::list_prompts,
    },
    Tool {
        name: "answer_prompt",
        title: "Answer a prompt",
        about: "Answers a permission request with one of its options, or a question with answers.",
        scope: Scope::Answer,
        narrowing: Narrowing::Worker,
        agents: AgentUse::Refused,
        effect: ToolEffect::Changes,
        input: |_| {
            input(vec![
                ("worker_id", text("who asks"), true),
                ("request_id", text("the prompt"), true),
                ("option_id", text("one of the prompt's options, for a permission request"), false),
                ("answers", any_object("answers by question, for a question"), false),
                ("message", text("a reason that the agent reads"), false),
            ])
        },
        output: || {
            object(vec![("request_id", text("the prompt"), true), ("decision", or_null(text("the decision")), true)])
        },
        run: act::answer_prompt,
    },
];

fn list_input(_: bool) -> Value {
    input(vec![
        ("status", text("only workers with one of these, separated by commas: idle,busy,waiting,..."), false),
        ("project", text("only workers in this folder"), false),
        ("limit", number(WORKERS, "workers of a page; 50 by default"), false),
        ("cursor", text("next of the page before"), false),
    ])
}

fn create_input(for_agent: bool) -> Value {
    let mut properties = vec![
        ("name", text("what people call it, at most 200 characters"), true),
        ("message", text("its first message: the task, complete, since it knows nothing else"), false),
        ("model", text("the model"), false),
        ("permission_mode", text("the permission mode of its CLI"), false),
        ("worktree", flag("true for a git worktree and branch of its own"), false),
        ("mcp", flag("true to let its agent make workers too"), false),
    ];
    if for_agent {
        properties.push(("project_path", text("your project's folder (the default), or a folder in it"), false));
    } else {
        properties.extend([
            ("project_path", text("the folder of the project, absolute"), true),
            ("ai_cli_type", text("the CLI, such as claude, codex, opencode or gemini"), false),
            ("preset", text("the preset that gives what is left out"), false),
            ("placeholders", any_object("values for the placeholders of the preset, as texts"), false),
            ("idempotency_key", text("the same call again with the same key gives the same worker"), false),
        ]);
    }
    input(properties)
}

fn send_input(_: bool) -> Value {
    input(vec![
        ("worker_id", text("the worker"), true),
        ("message", text("the message"), true),
        ("steer", flag("true to reach the running turn instead of waiting for its end, where the CLI can"), false),
        ("client_message_id", text("the same message with the same id again is one message"), false),
    ])
}

fn page_properties(required: bool) -> Vec<super::schema::Property> {
    let mut properties = vec![
        ("messages", list(&event(), "oldest first"), required),
        ("has_more", flag("true if there are more"), required),
        ("resync_required", flag("true if the cursor was of another history, and the page begins anew"), required),
        ("cursor", or_null(cursor("pass it as the next cursor or since")), true),
    ];
    if required {
        properties.push(("first_seq", or_null(cursor("pass it as before for older ones")), true));
    }
    properties
}

fn wait_output() -> Value {
    let mut properties = vec![
        ("worker", worker(), true),
        ("settled", flag("true if nothing more happens without a message or a person"), true),
        ("timed_out", flag("true if the worker still works: wait again"), true),
        ("answer", or_null(text("the agent's last words")), true),
        ("answer_truncated", flag("true if they were cut: read has more"), true),
        ("prompts", list(&prompt(), "prompts that wait for a person"), true),
    ];
    properties.extend(page_properties(false));
    object(properties)
}

fn search_output() -> Value {
    let result = object(vec![
        ("worker_id", text("whose it is"), true),
        ("worker_name", text("its name"), true),
        ("seq", cursor("the event's cursor"), true),
        ("type", text("the event's type"), true),
        ("time", text("when it was"), true),
        ("snippet", text("the match with some text around it"), true),
    ]);
    object(vec![
        ("results", list(&result, "newest first"), true),
        ("next", or_null(text("the cursor of the next page")), true),
    ])
}

fn diff_output() -> Value {
    let file = object(vec![
        ("path", text("its path"), true),
        ("status", text("added, deleted, modified, renamed or mode"), true),
        ("added", cursor("lines that were added"), true),
        ("removed", cursor("lines that were removed"), true),
    ]);
    let commit = object(vec![("id", text("its id"), true), ("subject", text("its first line"), true)]);
    object(vec![
        ("git", flag("false if the project is not under git"), true),
        ("scope", text("what is compared"), true),
        ("files", list(&file, "the files that differ"), true),
        ("commits", list(&commit, "the commits since the worker began, newest first"), true),
        ("diff", text("the unified diff"), true),
        ("truncated", flag("true if the diff was cut"), true),
    ])
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn tools_have_distinct_names_and_described_arguments() {
        let names: BTreeSet<&str> = TOOLS.iter().map(|tool| tool.name).collect();
        assert_eq!(names.len(), TOOLS.len());
        for tool in TOOLS {
            for for_agent in [false, true] {
                let described = tool.described(for_agent);
                for (name, schema) in described["inputSchema"]["properties"].as_object().unwrap() {
                    assert!(schema["description"].is_string(), "{}: {name}", tool.name);
                }
                assert_eq!(described["inputSchema"]["additionalProperties"], false, "{}", tool.name);
                assert_eq!(described["outputSchema"]["type"], "object", "{}", tool.name);
            }
        }
    }

    #[test]
    fn agents_are_refused_every_tool_that_answers_prompts() {
        for tool in TOOLS {
            assert_eq!(tool.agents == AgentUse::Refused, tool.scope == Scope::Answer, "{}", tool.name);
        }
    }

    #[test]
    fn agents_choose_neither_cli_nor_preset() {
        let schema = create_input(true);
        for name in ["ai_cli_type", "preset", "placeholders", "idempotency_key", "args", "env", "runner", "mcp_servers"]
        {
            assert!(schema["properties"].get(name).is_none(), "{name}");
        }
    }
}
