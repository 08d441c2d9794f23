//! `completions`, read by the shells themselves.

use std::process::Command;

use serde_json::json;

use super::{printed, refused, start};
use crate::support::server::TestServer;
use crate::support::workers::TestWorker;

/// Returns bash's completions of these words, of which the last is being typed.
#[track_caller]
fn completed(server: &TestServer, words: &[&str]) -> Vec<String> {
    let script = server.dir().join("completions.bash");
    std::fs::write(&script, printed(server, &["completions", "bash"])).unwrap();
    let program = server.command([]).get_program().to_owned();
    let quoted: Vec<String> = words.iter().map(|word| format!("'{word}'")).collect();
    let (current, previous) = (&quoted[quoted.len() - 1], &quoted[quoted.len() - 2]);
    let text = format!(
        "set -u; source '{}'; COMP_WORDS=({}); COMP_CWORD={}; compopt() {{ :; }}; _rs_worker \"$0\" {current} {previous}; \
         printf '%s\\n' \"${{COMPREPLY[@]}}\"",
        script.display(),
        quoted.join(" "),
        words.len() - 1
    );
    let usual = server.command([]);
    let mut bash = Command::new("bash");
    bash.arg("-c").arg(text).arg(program).current_dir(server.dir()).env_clear();
    let output = bash.envs(usual.get_envs().filter_map(|(name, value)| Some((name, value?)))).output().unwrap();
    assert!(output.status.success() && output.stderr.is_empty(), "{output:?}");
    String::from_utf8(output.stdout).unwrap().lines().filter(|line| !line.is_empty()).map(str::to_owned).collect()
}

#[test]
fn bash_completes_commands_options_and_the_names_of_workers() {
    let server = start("completions", &[]);
    for name in ["alpha", "alps and hills", "beta", "$(touch pwned)`touch pwned`"] {
        TestWorker::create(&server, "claude", &json!({ "name": name }));
    }
    assert_eq!(completed(&server, &["rs-worker", "se"]), ["serve", "send", "search"]);
    assert_eq!(completed(&server, &["rs-worker", "send", "al"]), ["alpha", "alps\\ and\\ hills"]);
    assert_eq!(completed(&server, &["rs-worker", "permissions", "allow", "b"]), ["beta"]);
    assert_eq!(completed(&server, &["rs-worker", "search", "--worker", "be"]), ["beta"]);
    assert_eq!(completed(&server, &["rs-worker", "search", "--ki"]), ["--kind"]);
    assert_eq!(completed(&server, &["rs-worker", "export", "beta", "j"]), ["json", "jsonl"]);
    assert_eq!(completed(&server, &["rs-worker", "logs", ""]).len(), 4);
    assert!(!server.dir().join("pwned").exists(), "a name is a word and no command");
}

#[test]
fn every_command_is_in_the_completions_of_every_shell() {
    let server = start("completions-all", &[]);
    for shell in ["bash", "zsh", "fish"] {
        let script = printed(&server, &["completions", shell]);
        for command in ["attach", "search", "import", "doctor", "completions", "permissions"] {
            assert!(script.contains(command), "{shell}: {script}");
        }
        assert!(script.contains("ls --names"), "{shell}");
    }
    assert_eq!(refused(&server, &["completions", "tcsh"]).0, 2);
}
