//! The environment of workers, and the folders in which they may work.

use std::collections::BTreeMap;
use std::os::unix::fs::symlink;
use std::path::Path;

use serde_json::{Value, json};

use super::TOKEN;
use crate::support::server::{Builder, TestServer};
use crate::support::wait::{DEADLINE, eventually};
use crate::wire::{CAT, builder, declare, detail, events, say, start, wait_event};

/// A CLI type whose worker prints its environment and a last line.
const ENV: &str = "env";

fn started(builder: Builder) -> TestServer {
    let mut server = builder.prepare();
    declare(
        &server,
        ENV,
        &json!({"family": "text", "command": ["sh", "-c", "env; echo '<<END>>'; exec cat"], "secret_env": ["OWN_KEY"]}),
    );
    declare(&server, "other", &json!({"family": "text", "command": ["cat"], "secret_env": ["OTHER_KEY"]}));
    server.start();
    server
}

/// The environment of a new worker of the type [`ENV`].
fn environment(server: &TestServer, more: &Value) -> BTreeMap<String, String> {
    let id = server.create_worker(ENV, more);
    let lines = eventually(DEADLINE, "the environment", || {
        let all = events(server, &id);
        let lines: Vec<_> = all.iter().filter(|event| event["type"] == "assistant").cloned().collect();
        lines.iter().any(|event| event["content"] == "<<END>>").then_some(lines)
    });
    let pairs = lines.iter().filter_map(|event| event["content"].as_str()?.split_once('='));
    pairs.map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
}

fn with_everything() -> Builder {
    let names = ["ANTHROPIC_API_KEY", "OPENAI_API_KEY", "OPENCODE_API_KEY", "GEMINI_API_KEY", "OWN_KEY", "OTHER_KEY"];
    let keys = names.map(|name| (name.to_owned(), format!("key-of-{name}")));
    builder()
        .envs(keys)
        .env("AUTH_TOKEN", TOKEN)
        .env("CLAUDECODE", "1")
        .env("CLAUDE_CODE_SESSION_ID", "outer")
        .env("JAVA_HOME", "/opt/java")
        .env("MY_TOOL_SETTING", "on")
}

fn logged_in(mut server: TestServer) -> TestServer {
    server.client = server.client.with("authorization", &format!("Bearer {TOKEN}"));
    server
}

#[test]
fn workers_inherit_the_environment_without_settings_tokens_and_foreign_keys() {
    let server = logged_in(started(with_everything()));
    let env = environment(&server, &json!({"env": {"FROM_REQUEST": "yes", "JAVA_HOME": "/other/java"}}));
    for (name, value) in [
        ("MY_TOOL_SETTING", "on"),
        ("OWN_KEY", "key-of-OWN_KEY"),
        ("FROM_REQUEST", "yes"),
        ("JAVA_HOME", "/other/java"),
    ] {
        assert_eq!(env.get(name).map(String::as_str), Some(value), "{name}");
    }
    assert!(env.contains_key("PATH") && env.contains_key("HOME"));
    for name in [
        "AUTH_TOKEN",
        "CLAUDECODE",
        "CLAUDE_CODE_SESSION_ID",
        "ANTHROPIC_API_KEY",
        "OPENAI_API_KEY",
        "OPENCODE_API_KEY",
        "GEMINI_API_KEY",
        "OTHER_KEY",
        "PORT",
        "WORKERS_BASE_DIR",
        "CLAUDE_BINARY",
        "STOP_GRACE_SECS",
    ] {
        assert_eq!(env.get(name), None, "{name}");
    }
    assert!(env.values().all(|value| !value.contains(TOKEN)), "{env:?}");
}

#[test]
fn clean_environment_has_the_essentials_and_passed_variables() {
    let pass = "MY_TOOL_*,OPENAI_API_KEY,AUTH_TOKEN";
    let server = logged_in(started(with_everything().env("WORKER_ENV", "clean").env("WORKER_ENV_PASS", pass)));
    let env = environment(&server, &json!({"env": {"FROM_REQUEST": "yes"}}));
    for name in ["PATH", "HOME", "LANG", "MY_TOOL_SETTING", "OPENAI_API_KEY", "OWN_KEY", "FROM_REQUEST"] {
        assert!(env.contains_key(name), "{name} in {env:?}");
    }
    for name in ["AUTH_TOKEN", "JAVA_HOME", "CLAUDECODE", "ANTHROPIC_API_KEY", "OTHER_KEY", "HARNESS_TAG"] {
        assert_eq!(env.get(name), None, "{name}");
    }
}

#[test]
fn each_cli_gets_its_own_key_under_its_own_name() {
    let server = start(builder().env("CLAUDE_API_KEY", "sk-ant-of-the-file").env("OPENCODE_API_KEY", "sk-oc"));
    let id = server.create_worker("claude", &json!({}));
    for (name, value) in [
        ("ANTHROPIC_API_KEY", "sk-ant-of-the-file"),
        ("OPENCODE_API_KEY", "(not set)"),
        ("CLAUDE_API_KEY", "(not set)"),
    ] {
        say(&server, &id, &format!("env {name}"));
        let said = wait_event(&server, &id, "user", &format!("env {name}"));
        let answer = eventually(DEADLINE, "the answer", || {
            let all = events(&server, &id);
            all.into_iter().find(|event| event["type"] == "assistant" && event["seq"].as_u64() > said["seq"].as_u64())
        });
        assert_eq!(answer["content"], value, "{name}");
    }
}

/// Returns the response to a request for a worker in `path`: the resolved path, or the refusal.
#[track_caller]
fn create_in(server: &TestServer, path: &Path) -> Result<String, String> {
    let body = json!({"name": "test", "project_path": path, "ai_cli_type": CAT});
    let reply = server.post("/api/workers", &body);
    match reply.status {
        201 => Ok(reply.json()["project_path"].as_str().unwrap().to_owned()),
        _ => Err(detail(&reply.expect(400))),
    }
}

#[test]
fn projects_lie_in_the_roots_after_links_are_resolved() {
    let prepared = builder().prepare();
    let dir = prepared.dir().to_owned();
    for folder in ["roots/a/b", "other/project", "roots-evil", "second"] {
        std::fs::create_dir_all(dir.join(folder)).unwrap();
    }
    symlink(dir.join("other/project"), dir.join("roots/way-out")).unwrap();
    symlink(dir.join("roots/a"), dir.join("other/way-in")).unwrap();
    let mut server = prepared;
    declare(&server, CAT, &json!({"family": "text", "command": ["cat"]}));
    let roots = format!("{}:{}", dir.join("roots").display(), dir.join("second").display());
    server.set_env("PROJECT_ROOTS", &roots);
    server.start();
    for (given, resolved) in [
        ("roots", "roots"),
        ("roots/a/b", "roots/a/b"),
        ("roots/a/../a", "roots/a"),
        ("other/way-in/b", "roots/a/b"),
        ("second", "second"),
        ("other/../second/.", "second"),
    ] {
        assert_eq!(create_in(&server, &dir.join(given)), Ok(dir.join(resolved).display().to_string()), "{given}");
    }
    for given in [
        "other/project",
        "roots/way-out",
        "roots/../other/project",
        "roots-evil",
        "roots/..",
        "roots/a/../../roots-evil",
    ] {
        let path = dir.join(given);
        let expected = format!("the project folder is outside of PROJECT_ROOTS: {}", path.display());
        assert_eq!(create_in(&server, &path), Err(expected), "{given}");
    }
    let missing = dir.join("roots/missing");
    assert_eq!(create_in(&server, &missing), Err(format!("the project folder does not exist: {}", missing.display())));
    for (there, not_there) in [("other/project", "other/missing"), ("roots/../other", "roots/../missing")] {
        let reported =
            [there, not_there].map(|name| create_in(&server, &dir.join(name)).unwrap_err().replace(name, "X"));
        assert_eq!(reported[0], reported[1], "nobody can find out what is there");
    }
    assert!(create_in(&server, Path::new("/")).is_err());
}

#[test]
fn link_redirected_later_leads_no_worker_out_of_the_roots() {
    let mut server = builder().prepare();
    let dir = server.dir().to_owned();
    for folder in ["roots/real", "outside"] {
        std::fs::create_dir_all(dir.join(folder)).unwrap();
    }
    declare(&server, CAT, &json!({"family": "text", "command": ["cat"]}));
    server.set_env("PROJECT_ROOTS", dir.join("roots").to_str().unwrap());
    server.start();
    let project = dir.join("roots/real");
    let id = server.create_worker(CAT, &json!({"project_path": project}));
    server.post(&format!("/api/workers/{id}/stop"), &json!({})).expect(200);
    std::fs::remove_dir(&project).unwrap();
    symlink(dir.join("outside"), &project).unwrap();
    for path in ["start", "restart"] {
        let refused = server.post(&format!("/api/workers/{id}/{path}"), &json!({}));
        assert_eq!(
            (refused.status, refused.json()["detail"].as_str().map(|text| text.contains("PROJECT_ROOTS"))),
            (400, Some(true)),
            "{path}: {}",
            refused.text()
        );
    }
    let refused = server.post(&format!("/api/workers/{id}/messages"), &json!({"content": "start"}));
    assert_eq!(refused.status, 400, "{}", refused.text());
    server.get(&format!("/api/workers/{id}/files")).expect(400);
}

#[test]
fn paths_are_completed_within_the_roots() {
    let mut server = builder().prepare();
    let dir = server.dir().to_owned();
    for folder in ["roots/one", "outside/two"] {
        std::fs::create_dir_all(dir.join(folder)).unwrap();
    }
    server.set_env("PROJECT_ROOTS", dir.join("roots").to_str().unwrap());
    server.start();
    let complete = |prefix: &str| {
        let answer = server.get(&format!("/api/paths?prefix={}/{prefix}", dir.display())).expect(200).json();
        answer["paths"].as_array().unwrap().clone()
    };
    assert_eq!(complete("roots/"), [json!(dir.join("roots/one"))]);
    assert_eq!(complete("outside/"), Vec::<Value>::new());
    assert_eq!(complete("roots/../outside/"), Vec::<Value>::new());
}

#[test]
fn agents_get_nothing_of_the_servers_own_surroundings() {
    let surroundings = [
        "GIT_DIR",
        "GIT_INDEX_FILE",
        "GIT_WORK_TREE",
        "GIT_CONFIG_COUNT",
        "GIT_AUTHOR_DATE",
        "NOTIFY_SOCKET",
        "LISTEN_FDS",
        "INVOCATION_ID",
        "MAKEFLAGS",
        "CARGO_PKG_NAME",
        "TMUX",
        "OLDPWD",
        "CLAUDECODE",
        "CLAUDE_CODE_ENTRYPOINT",
        "GEMINI_CLI",
    ];
    let server = surroundings.iter().fold(builder(), |builder, name| builder.env(name, "0"));
    let server = started(server.env("PWD", "/nowhere").env("GIT_SSH_COMMAND", "ssh -v"));
    let env = environment(&server, &json!({}));
    let left: Vec<_> = surroundings.iter().filter(|name| env.contains_key(**name)).collect();
    assert!(left.is_empty(), "{left:?}");
    assert_eq!(env["GIT_SSH_COMMAND"], "ssh -v", "what people set for all their programs stays");
    assert_eq!(env["PWD"], server.project().to_str().unwrap(), "the folder is the worker's own");
}

#[test]
fn tilde_in_settings_and_declarations_is_the_home_directory() {
    let mut server =
        builder().dotenv("ADAPTERS_DIR=~/cli\nLOG_FILE=$HOME/log/app.log\nWORKTREE_DIR=${HOME}/trees\n").prepare();
    let bin = server.home().join("bin");
    std::fs::create_dir_all(&bin).unwrap();
    std::fs::create_dir_all(server.home().join("cli")).unwrap();
    symlink("/bin/sh", bin.join("mine")).unwrap();
    let script = "echo \"$1 $FOLDER $2\"; exec cat";
    let adapter = json!({"family": "text", "command": ["~/bin/mine", "-c", script, "sh", "$HOME/a", "~bob/b"],
                         "env": {"FOLDER": "~/folder"}});
    std::fs::write(server.home().join("cli/tilde.json"), adapter.to_string()).unwrap();
    server.start();
    let id = server.create_worker("tilde", &json!({}));
    let home = server.home();
    let home = home.display();
    wait_event(&server, &id, "assistant", &format!("{home}/a {home}/folder ~bob/b"));
    assert!(server.home().join("log/app.log").exists());
    assert!(!server.dir().join("~").exists() && !server.dir().join("$HOME").exists());
}
