//! The order of the rooms in the folders of `src/`, and their form.

use std::collections::{BTreeMap, BTreeSet};

use super::plan::{self, Plan};
use super::{assert_none, sources};

/// Folders of `src/` with their rooms in the order in which data goes down; a room imports only those before it. A face
/// that its rooms import is in the order as `mod`; any other face comes after all of them.
const ROOMS: &[(&str, &[&str])] = &[
    ("access", &["scope", "reach", "connections", "token", "agents", "identity", "store"]),
    (
        "api",
        &[
            "attachment",
            "error",
            "headers",
            "readiness",
            "recall",
            "settings",
            "traffic",
            "input",
            "limits",
            "searches",
            "waits",
            "call",
            "audited",
            "decision",
            "range",
            "blob",
            "mcp",
            "events",
            "export",
            "files",
            "health",
            "import",
            "remote",
            "land",
            "login",
            "logins",
            "messages",
            "metrics",
            "options",
            "page",
            "permissions",
            "projects",
            "presets",
            "answer",
            "push",
            "ready",
            "restore",
            "review",
            "rules",
            "budgets",
            "search",
            "sessions",
            "tree",
            "turns",
            "usage",
            "whole",
            "selection",
            "audit",
            "tokens",
            "workers",
            "creation",
            "scheduled",
            "schedules",
            "handover",
            "groups",
            "clis",
            "gate",
            "socket",
            "terminals",
            "acp",
            "route",
            "tools",
            "openapi",
            "routes",
        ],
    ),
    (
        "api/acp",
        &[
            "rpc",
            "content",
            "options",
            "form",
            "shared",
            "updates",
            "view",
            "stream",
            "creation_body",
            "connection",
            "methods",
            "serve",
        ],
    ),
    ("api/openapi", &["notation"]),
    ("api/socket", &["connection", "commands", "serve"]),
    ("api/terminals", &["serve"]),
    ("api/tools", &["arguments", "rpc", "schema", "shown", "session", "look", "wait", "act", "table"]),
    (
        "cli",
        &[
            "agent",
            "args",
            "expiry",
            "usage",
            "command",
            "commands",
            "help",
            "http",
            "progress",
            "serve",
            "terminal",
            "completions",
            "man",
            "output",
            "screen",
            "runner_checks",
            "doctor",
            "login",
            "prompt",
            "relay",
            "workers",
            "handover",
            "land",
            "remote",
            "attach",
            "shell",
            "acp",
            "diff",
            "groups",
            "permissions",
            "restore",
            "search",
            "review",
            "rules",
            "budgets",
            "schedules",
            "send",
            "tokens",
        ],
    ),
    ("audit", &["line", "reader"]),
    ("budgets", &["limits", "mod", "store"]),
    ("cli/acp", &["bridge"]),
    ("cli/commands", &["serve", "workers", "talk", "changes", "control", "program"]),
    ("cgroup", &["own", "memory", "limit"]),
    ("cli/review", &["text"]),
    (
        "config",
        &[
            "dotenv",
            "group",
            "network",
            "reserve",
            "secret",
            "mod",
            "value",
            "setting",
            "agents",
            "notices",
            "budgets",
            "connections",
            "memory",
            "settings",
            "load",
            "shipped",
        ],
    ),
    ("event", &["facts", "image", "prompt", "setting", "task", "mod", "buffer", "outcome"]),
    ("home", &["mod", "entry", "usual"]),
    (
        "http",
        &[
            "client",
            "limits",
            "method",
            "peer",
            "response",
            "uri",
            "connection",
            "head",
            "table",
            "body",
            "coding",
            "page",
            "request",
            "throttle",
            "guard",
            "mod",
            "serve",
            "listener",
        ],
    ),
    ("http/body", &["chunks", "mod", "streamed"]),
    ("http/guard", &["forwarded", "host", "cookie", "refusal", "local", "mod", "cors"]),
    ("hub", &["outbox", "unfinished", "feed", "topic"]),
    (
        "journal",
        &[
            "by",
            "budget",
            "mod",
            "record",
            "scan",
            "listing",
            "mcp",
            "opening",
            "parent",
            "options",
            "preparing",
            "review",
            "trees",
            "branch",
            "remote",
            "control",
            "error",
            "records",
            "header",
            "reader",
            "writer",
        ],
    ),
    ("json", &["fields", "parser", "token", "mod", "time"]),
    ("logging", &["rotating"]),
    ("logins", &["login", "codes", "store"]),
    ("markdown", &["address", "math", "delimiters", "tree", "mod", "growing"]),
    ("metrics", &["counts", "text"]),
    ("outbound", &["address", "target", "request", "plain", "tls"]),
    ("probe", &["login", "mod", "known"]),
    ("projects", &["file"]),
    ("push", &["encrypt", "vapid", "notice", "subscription", "sample", "book", "in_view", "lane", "send", "courier"]),
    (
        "rules",
        &["links", "glob", "place", "shell", "programs", "pattern", "loose", "subject", "mod", "decide", "propose"],
    ),
    ("runner", &["mounts", "file"]),
    ("schedules", &["timetable", "text", "plan", "run", "history", "schedule", "store"]),
    (
        "server",
        &["access", "agents", "error", "greeting", "notices", "process", "rule_answers", "schedule_runs", "workers"],
    ),
    ("sessions", &["fork", "found", "files", "opencode", "agent"]),
    ("shim", &["mod", "protocol", "socket", "spec", "tree", "ladder", "client", "process"]),
    ("shim/client", &["end", "incoming", "spawn", "greeting"]),
    (
        "shim/process",
        &["ring", "signals", "sync", "pump", "child", "kills", "link", "running", "store", "run", "commands"],
    ),
    ("socket_owner", &["ends", "netlink", "table"]),
    ("subprocess", &["mod", "dialog", "streamed"]),
    ("terminal", &["guard", "rows", "keys", "emulator", "ansi", "message", "spec", "host", "start"]),
    ("terminal/host", &["client", "pty", "run"]),
    ("transcript", &["holders", "line", "tail", "watch"]),
    ("webhook", &["failure", "links", "format", "sign"]),
    ("websocket", &["frame", "handshake", "reader"]),
    ("worker", &["state", "error", "history", "place", "publish", "run", "follow", "registry"]),
    ("worker/follow", &["append", "file", "holder", "base"]),
    (
        "worker/history",
        &["checkpoint", "cursor", "export", "walk", "blocks", "archive", "images", "whole", "page", "retold", "search"],
    ),
    ("worker/history/search", &["hit", "needle", "scan"]),
    (
        "worker/place",
        &["git", "project", "ignored", "look", "snapshot", "sandbox", "runner", "worktree", "land", "remote"],
    ),
    (
        "worker/place/git",
        &[
            "config",
            "error",
            "folder",
            "objects",
            "refs",
            "run",
            "person",
            "repository",
            "remotes",
            "mirror",
            "network",
            "publish",
        ],
    ),
    ("worker/place/look", &["anchor", "changed_files", "scopes", "changes", "files", "lines", "share", "tree"]),
    (
        "worker/place/snapshot",
        &["source", "copy", "stream", "record", "mod", "history", "keep", "plan", "apply", "hunk"],
    ),
    (
        "worker/place/land",
        &["mod", "blocked", "paths", "status", "targets", "combine", "commit", "content", "settle", "plan", "dry_run"],
    ),
    ("worker/place/remote", &["address", "forge", "forge_cli", "look", "push", "pull_request"]),
    ("worker/place/sandbox", &["entries", "guarded", "own_home"]),
    ("worker/place/worktree", &["inside", "mod", "keep", "make", "examine", "head", "carry", "include", "remove"]),
    ("worker/publish", &["life_log", "moments", "pieces", "tally", "summary", "view", "changes", "ingest"]),
    ("worker/registry/import", &["draft", "line"]),
    (
        "worker/run",
        &[
            "admission",
            "budget_gate",
            "files",
            "launch",
            "mailbox",
            "setup",
            "worker",
            "drive",
            "looks",
            "turns",
            "restore",
            "options",
            "prompts",
            "stop",
            "terminals",
            "queue",
            "review",
            "reader",
            "preparing",
            "checking",
            "commands",
            "landing",
            "remote",
        ],
    ),
    ("worker/run/review", &["places", "message"]),
    ("worker_env", &["pattern", "surroundings"]),
];

/// Folders that have no order yet.
const UNORDERED: &[&str] = &["adapter", "worker/registry", "worker/state"];

/// Imports between rooms that the order allows but that are forbidden: folder, importing room, imported room, reason.
const APART: &[(&str, &str, &str, &str)] =
    &[("shim", "process", "client", "the shim and the server's side of it are two programs")];

/// Returns whether the folder, or one that it is in, is in the list.
fn is_within(folder: &str, list: &[&str]) -> bool {
    list.iter().any(|known| folder == *known || folder.starts_with(&format!("{known}/")))
}

#[test]
fn rooms_import_only_rooms_before_them() {
    let plan = Plan::of(&sources("src/"));
    let mut offences = Vec::new();
    for folder in plan.folders() {
        let rooms = plan.rooms(&format!("src/{folder}/"));
        if rooms.keys().all(|room| room == "mod") || is_within(&folder, UNORDERED) {
            continue;
        }
        match ROOMS.iter().find(|(name, _)| *name == folder) {
            Some((_, order)) => offences.extend(out_of_order(&folder, &rooms, order)),
            None => offences.push(format!("src/{folder} has no order: add it to ROOMS")),
        }
        for (_, from, to, why) in APART.iter().filter(|(within, ..)| *within == folder) {
            if rooms.get(*from).is_some_and(|imported| imported.contains(*to)) {
                offences.push(format!("src/{folder}/{from} imports {to}, but {why}"));
            }
        }
        if std::env::var_os("RS_WORKER_HOUSE_FIGURES").is_some() {
            let arrows: usize = rooms.values().map(BTreeSet::len).sum();
            println!("src/{folder}: {} rooms, {arrows} arrows, {} storeys", rooms.len(), plan::storeys(&rooms));
        }
    }
    assert_none(&offences, "rooms import only those before them");
}

/// Returns the arrows that violate an order, and the names in an order that does not fit.
fn out_of_order(folder: &str, rooms: &plan::Arrows, order: &[&str]) -> Vec<String> {
    let rank = |room: &str| {
        let at = order.iter().position(|name| *name == room);
        at.or((room == "mod").then_some(order.len()))
    };
    let mut offences = Vec::new();
    for (room, imported) in rooms {
        let Some(own) = rank(room) else {
            offences.push(format!("src/{folder}/{room} has no place in the order"));
            continue;
        };
        let later = imported.iter().filter(|other| rank(other).is_none_or(|theirs| theirs > own));
        offences.extend(later.map(|other| format!("src/{folder}/{room} imports {other}, which is after it")));
    }
    let left = order.iter().filter(|name| !rooms.contains_key(**name));
    offences.extend(left.map(|name| format!("src/{folder}/{name} is in the order and does not exist")));
    offences
}

#[test]
fn orders_refuse_late_unknown_and_missing_rooms() {
    let arrow = |from: &str, to: &[&str]| (from.to_owned(), to.iter().map(|to| (*to).to_owned()).collect());
    let rooms: BTreeMap<_, _> = [arrow("a", &["b"]), arrow("b", &["mod"]), arrow("mod", &[]), arrow("x", &[])].into();
    let found = out_of_order("f", &rooms, &["a", "b", "c"]);
    assert_eq!(
        found,
        [
            "src/f/a imports b, which is after it",
            "src/f/b imports mod, which is after it",
            "src/f/x has no place in the order",
            "src/f/c is in the order and does not exist",
        ]
    );
    assert!(out_of_order("f", &rooms, &["x", "mod", "b", "a"]).is_empty());
}

#[test]
fn modules_and_unit_tests_have_one_form_each() {
    let files = sources("src/");
    let mut offences = Vec::new();
    for (name, text) in files.iter().filter(|(name, _)| !is_within(name.trim_start_matches("src/"), UNORDERED)) {
        let folder = format!("{}/", name.trim_end_matches(".rs"));
        if files.iter().any(|(other, _)| other.starts_with(&folder)) {
            offences.push(format!("{name} is beside its folder: make it {folder}mod.rs"));
        }
        let is_of_tests = name.ends_with("/tests.rs") || name.contains("/tests/");
        if !is_of_tests && has_tests_elsewhere(text) {
            offences.push(format!("{name} has unit tests outside of `mod tests {{ ... }}` at its end"));
        }
    }
    assert_none(&offences, "modules are folder/mod.rs; unit tests are mod tests at the end, tests.rs, or tests/");
}

/// Returns whether a file that is not one of tests has tests outside of an inline `mod tests` at its end.
fn has_tests_elsewhere(text: &str) -> bool {
    const OPENS: &str = "\n#[cfg(test)]\nmod tests {\n";
    match text.split_once(OPENS) {
        Some((code, tests)) => code.contains("#[test]") || !tests.ends_with("\n}\n") || tests.contains("\n}\n\n"),
        None => text.contains("#[test]"),
    }
}

#[test]
fn unit_tests_elsewhere_are_found() {
    assert!(!has_tests_elsewhere("fn a() {}\n\n#[cfg(test)]\nmod tests {\n    #[test]\n    fn b() {}\n}\n"));
    assert!(has_tests_elsewhere("#[test]\nfn a() {}\n"));
    assert!(has_tests_elsewhere("\n#[cfg(test)]\nmod tests {\n    #[test]\n    fn b() {}\n}\n\nfn a() {}\n"));
    assert!(has_tests_elsewhere("#[cfg(test)]\nmod more {\n    #[test]\n    fn b() {}\n}\n"));
}
