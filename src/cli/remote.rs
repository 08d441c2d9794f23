//! `push` and `pr`. Both name the address that somebody has seen: an agent can change the one of a remote.

use std::io::{self, BufRead as _, IsTerminal as _, Write as _};

use serde_json::{Value, json};

use super::args::Args;
use super::http::ApiServer;
use super::output::{field, print, print_json};
use super::terminal::plain;
use super::workers::path;

/// Characters of a commit's id that are printed.
const ID_CHARS: usize = 10;

pub(super) fn push(server: &ApiServer, worker: &str, args: &Args) -> Result<(), String> {
    let path = path(server, worker)?;
    let dry = server.json("GET", &format!("{path}/land"), None)?;
    if args.dry_run {
        return if args.json { print_json(&dry["remotes"]) } else { list(&dry) };
    }
    let remote = chosen(&dry, args)?;
    let branch = args.branch.clone().unwrap_or_else(|| field(remote, "branch").to_owned());
    let question = format!("{} to {branch} of {}", field(&dry, "branch"), field(remote, "name"));
    let mut body = json!({
        "remote": remote["name"],
        "expected_url": address(remote, args, &format!("push {question}"))?,
        "expected_head": dry["head"],
        "set_upstream": args.set_upstream,
    });
    if !branch.is_empty() {
        body["branch"] = json!(branch);
    }
    if let Some(lease) = &args.lease {
        body["force_with_lease"] = match (lease.as_str(), remote["head"].as_str()) {
            ("", None) => {
                return Err(
                    "the branch there has not been seen here: name its commit, --force-with-lease=ID".to_owned()
                );
            }
            ("", Some(seen)) => json!(seen),
            (id, _) => json!(id),
        };
    }
    let done = server.json("POST", &format!("{path}/push"), Some(&body))?;
    if args.json {
        return print_json(&done);
    }
    let id: String = field(&done, "commit").chars().take(ID_CHARS).collect();
    let result = field(&done, "result").replace('_', " ");
    let words = format!("pushed {} to {} ({result}, {id})", field(&done, "branch"), field(&done, "remote"));
    print(&plain(&words))?;
    for more in ["words", "note"].map(|name| field(&done, name)).into_iter().filter(|more| !more.is_empty()) {
        print(&plain(more))?;
    }
    Ok(())
}

pub(super) fn pull_request(server: &ApiServer, worker: &str, args: &Args) -> Result<(), String> {
    let path = path(server, worker)?;
    let dry = server.json("GET", &format!("{path}/land"), None)?;
    let remote = chosen(&dry, args)?;
    let question = format!("open a pull request at {}", field(remote, "name"));
    let mut body =
        json!({"remote": remote["name"], "expected_url": address(remote, args, &question)?, "draft": args.draft});
    let fields = [("branch", &args.branch), ("into", &args.into), ("title", &args.message), ("body", &args.body)];
    for (name, value) in fields {
        if let Some(value) = value {
            body[name] = json!(value);
        }
    }
    let opened = server.json("POST", &format!("{path}/pull-request"), Some(&body))?;
    if args.json {
        return print_json(&opened);
    }
    let words = match (&opened["created"], &opened["existing"]) {
        (Value::Bool(true), _) => "opened".to_owned(),
        (_, Value::Bool(true)) => "already open".to_owned(),
        _ => match opened["note"].as_str() {
            Some(note) => format!("open it on this page ({note})"),
            None => "open it on this page".to_owned(),
        },
    };
    print(&plain(&format!("{words}: {}", field(&opened, "url"))))
}

/// The remote that a command is for.
fn chosen<'d>(dry: &'d Value, args: &Args) -> Result<&'d Value, String> {
    let remotes = dry["remotes"].as_array().map(Vec::as_slice).unwrap_or_default();
    let named = |name: &str| remotes.iter().find(|remote| remote["name"] == name);
    if let Some(name) = &args.remote {
        return named(name).ok_or_else(|| format!("the repository has no remote {name}"));
    }
    let usual = dry["upstream"]["name"].as_str().and_then(named).or_else(|| named("origin"));
    match (usual, remotes) {
        (Some(usual), _) => Ok(usual),
        (None, [only]) => Ok(only),
        (None, []) => Err("the repository has no remote".to_owned()),
        _ => Err("name one of the remotes with --remote; --dry-run of push prints them".to_owned()),
    }
}

/// The address that somebody has seen: given, or confirmed now.
fn address(remote: &Value, args: &Args, question: &str) -> Result<String, String> {
    if let Some(problem) = remote["problem"].as_str() {
        return Err(format!("{}: {problem}", field(remote, "name")));
    }
    if let Some(to) = &args.to {
        return Ok(to.clone());
    }
    let url = field(remote, "url").to_owned();
    if !io::stdin().is_terminal() {
        return Err(format!("the address is not confirmed: add --to {url}"));
    }
    let failed = |error: io::Error| error.to_string();
    let mut out = io::stderr();
    write!(out, "{}", plain(&format!("{question}, at {url}? [y/N] "))).and_then(|()| out.flush()).map_err(failed)?;
    let mut line = String::new();
    io::stdin().lock().read_line(&mut line).map_err(failed)?;
    let is_confirmed = matches!(line.trim().to_lowercase().as_str(), "y" | "yes");
    if is_confirmed { Ok(url) } else { Err("not confirmed: nothing is done".to_owned()) }
}

fn list(dry: &Value) -> Result<(), String> {
    for remote in dry["remotes"].as_array().into_iter().flatten() {
        let name = field(remote, "name");
        let line = match (remote["problem"].as_str(), remote["ahead"].as_u64()) {
            (Some(problem), _) => format!("{name}: {problem}"),
            (None, None) => format!("{name}: {}", field(remote, "url")),
            (None, Some(ahead)) => format!(
                "{name}: {}; {}: {ahead} commits ahead, {} behind, as last seen",
                field(remote, "url"),
                field(remote, "branch"),
                remote["behind"]
            ),
        };
        print(&plain(&line))?;
    }
    Ok(())
}
