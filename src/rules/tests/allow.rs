//! Rules that allow: a corpus of commands, and a fuzzer that the shell itself checks.

use std::process::{Command, Stdio};

use serde_json::json;

use super::support::{Project, rule};
use crate::private_list::ListEntry as _;
use crate::rules::{Effect, Rule, shell};

const BENIGN: &str = include_str!("corpus/benign.txt");
const HOSTILE: &str = include_str!("corpus/hostile.txt");

/// Fewest commands that the corpus must have.
const CORPUS_MIN: usize = 300;
/// Commands that the fuzzer makes.
const FUZZED: u32 = 20_000;
/// Most of the allowed ones that the shell checks: each is a process.
const CHECKED_MAX: usize = 60;

/// Allows much more than anybody should.
const PATTERNS: [&str; 32] = [
    "git status",
    "git diff **",
    "git log **",
    "git log --oneline **",
    "git show *",
    "git add **",
    "git commit -m *",
    "git branch **",
    "git checkout *",
    "ls **",
    "ls -la **",
    "cat **",
    "head **",
    "head -n * *",
    "tail **",
    "grep **",
    "grep -rn * **",
    "rg **",
    "wc -l **",
    "find **",
    "find . -name *",
    "sort **",
    "diff * *",
    "cp * *",
    "mv * *",
    "rm *",
    "rm -r *",
    "mkdir -p *",
    "touch *",
    "chmod +x *",
    "echo **",
    "pwd",
];
const MORE: [&str; 13] = [
    "cargo test **",
    "cargo build",
    "cargo build --release",
    "cargo fmt --check",
    "npm test",
    "npm run *",
    "pytest **",
    "make test",
    "sed -n 1,10p src/main.rs",
    "python3 -m pytest",
    "sudo apt update",
    "test -f *",
    "true",
];

/// One rule holds for all parts of a command, so both lists are in one each with the usual programs.
fn rules() -> Vec<Rule> {
    let mixed: Vec<&str> = MORE.iter().chain(&PATTERNS[9..28]).copied().collect();
    let rules = vec![
        rule(Effect::Allow, &PATTERNS, &["out/**"]),
        rule(Effect::Allow, &mixed, &["out/**"]),
        rule(Effect::Allow, &["echo **", "cargo build", "tail **", "test -f *"], &[]),
    ];
    for rule in &rules {
        rule.check().unwrap();
    }
    rules
}

/// The commands of a list: one a line, with signs for characters that a line can't have.
fn commands(list: &str) -> Vec<String> {
    let signs = [('␤', "\n"), ('␉', "\t"), ('␋', "\u{b}"), ('␌', "\u{c}"), ('␍', "\r"), ('␀', "\0")];
    let char = |line: &str| signs.iter().fold(line.to_owned(), |line, (sign, char)| line.replace(*sign, char));
    list.lines().filter(|line| !line.is_empty()).map(char).collect()
}

#[test]
fn corpus_of_hostile_commands_is_never_allowed() {
    let (project, rules) = (Project::new("hostile"), rules());
    let hostile = commands(HOSTILE);
    assert!(hostile.len() + commands(BENIGN).len() >= CORPUS_MIN, "the corpus has {} hostile commands", hostile.len());
    let allowed: Vec<&String> =
        hostile.iter().filter(|command| project.command(&rules, command) == Some(Effect::Allow)).collect();
    assert!(allowed.is_empty(), "allowed: {allowed:#?}");
}

#[test]
fn corpus_of_benign_commands_is_allowed() {
    let (project, rules) = (Project::new("benign"), rules());
    let refused: Vec<String> = commands(BENIGN)
        .into_iter()
        .filter(|command| project.command(&rules, command) != Some(Effect::Allow))
        .collect();
    assert!(refused.is_empty(), "not allowed: {refused:#?}");
}

#[test]
fn rules_with_dangerous_wildcards_are_refused() {
    let patterns = [
        "*",
        "**",
        "* status",
        "git *",
        "git **",
        "git * x",
        "git -c *",
        "git push *",
        "git config **",
        "bash *",
        "bash -c *",
        "sh **",
        "sudo *",
        "sudo **",
        "env *",
        "xargs *",
        "xargs rm *",
        "python3 *",
        "python3.12 -m *",
        "perl **",
        "awk *",
        "sed *",
        "sed -n * src",
        "tar *",
        "tar **",
        "find* .",
        "cat*",
        "cat a*",
        "cat *.rs",
        "cat ** x",
        "cargo *",
        "cargo run **",
        "npm *",
        "npm install *",
        "npx *",
        "docker **",
        "ssh *",
        "uniq **",
        "tee *",
        "dd *",
        "make *",
        "cd *",
        "cd src",
        "eval x",
        "eval *",
        "exec x",
        "source x",
        ". x",
        "export A=1",
        "A=1 git",
        "git status; id",
        "git status && id",
        "git status | id",
        "git status > x",
        "git $X",
        "git `id`",
        "git {a,b}",
        "",
        " ",
        "'",
        "if x",
        "/usr/bin/env *",
        "/bin/sh *",
        "timeout 5 *",
        "ls ~",
        "ls \\a",
        "git status\nid",
        "gіt status",
    ];
    for pattern in patterns {
        assert!(rule(Effect::Allow, &[pattern], &[]).check().is_err(), "{pattern:?} is taken");
    }
    for pattern in
        ["eval_not x", "git status", "bash -c 'git status'", "env A=1 git status", "sudo apt update", "a 'b c' *"]
    {
        assert_eq!(rule(Effect::Allow, &[pattern], &[]).check(), Ok(()), "{pattern}");
    }
}

#[test]
fn calls_with_fields_of_unknown_meaning_are_asked() {
    let (project, rules) = (Project::new("fields"), rules());
    let decide = |input| project.decide(&rules, "Bash", &input).map(|(effect, _)| effect);
    assert_eq!(decide(json!({"command": "git status", "timeout": 5, "run_in_background": false})), Some(Effect::Allow));
    for (field, value) in [
        ("run_in_background", json!(true)),
        ("dangerouslyDisableSandbox", json!(true)),
        ("cwd", json!("/")),
        ("env", json!({"PATH": "/tmp"})),
    ] {
        assert_eq!(decide(json!({"command": "git status", field: value})), None, "{field}");
    }
    assert_eq!(project.decide(&rules, "PowerShell", &json!({"command": "git status"})), None);
    assert_eq!(decide(json!({"command": "git status < src/a"})), None);
    for (tool, input) in [
        ("shell", json!({"command": "git status"})),
        ("apply_patch", json!({"patch": "x"})),
        ("anything", json!({"command": "rm -rf /"})),
        ("anything", json!({"file_path": "/etc/passwd"})),
    ] {
        let by_name = [Rule { tool: Some(tool.to_owned()), ..rule(Effect::Allow, &[], &[]) }];
        assert_eq!(project.decide(&by_name, tool, &input).map(|(effect, _)| effect), None, "{tool} {input}");
    }
    assert_eq!(project.decide(&rules, "mcp__x__Bash", &json!({"command": "git status"})), None);
}

#[test]
fn files_are_allowed_inside_their_folders_after_links() {
    let project = Project::new("files");
    let rules = [rule(Effect::Allow, &[], &["src/**", ".env"])];
    let decide = |path: &str| {
        let path = path.replace("/PROJECT", project.folder.to_str().unwrap());
        let input = json!({"file_path": path, "old_string": "a", "new_string": "b"});
        project.decide(&rules, "Edit", &input).is_some()
    };
    for path in ["src/main.rs", "/PROJECT/src/new/x.rs", ".env", "/PROJECT/.env"] {
        assert!(decide(path), "{path}");
    }
    let outside = [
        "lib/a.txt",
        // CLIs read these in their own ways.
        "src/../src/a",
        "src/./a",
        "src/new/",
        " src/a",
        "src/a ",
        "~/src/a",
        "src/\u{e4}",
        "src/../lib/a.txt",
        "src/link/passwd",
        "src/.env",
        "src/.git/hooks/x",
        "../secret",
        "/etc/passwd",
        "",
        "src/\0",
        "dangling",
        "escape/passwd",
        "evil.txt",
        "srcx/a",
        "/PROJECT/../project2/src/a",
        "src/loop/../../../x",
    ];
    for path in outside {
        assert!(!decide(path), "{path}");
    }
    std::fs::remove_dir_all(project.folder.join("src")).unwrap();
    std::os::unix::fs::symlink("/etc", project.folder.join("src")).unwrap();
    assert!(!decide("src/passwd"), "the folder itself became a link");
    std::fs::remove_file(project.folder.join(".env")).unwrap();
    std::os::unix::fs::symlink("/etc/passwd", project.folder.join(".env")).unwrap();
    assert!(!decide(".env"), "the file itself became a link");
}

#[test]
fn rules_are_for_their_cli_project_worker_tool_and_time() {
    let project = Project::new("scope");
    let input = json!({"command": "git status"});
    let base = rule(Effect::Allow, &["git status"], &[]);
    let holds = |rule: Rule| project.decide(&[rule], "Bash", &input).is_some();
    let folder = project.folder.to_str().unwrap().to_owned();
    let text = |text: &str| Some(text.to_owned());
    assert!(holds(Rule { cli: text("claude"), worker: text("w"), project: Some(folder), ..base.clone() }));
    assert!(holds(Rule { tool: text("Bash"), expires: Some(2), ..base.clone() }));
    assert!(holds(Rule { tool: text("execute"), ..base.clone() }));
    for other in [
        Rule { cli: text("codex"), ..base.clone() },
        Rule { worker: text("v"), ..base.clone() },
        Rule { project: text("/elsewhere"), ..base.clone() },
        Rule { tool: text("Edit"), ..base.clone() },
        Rule { tool: text("edit"), ..base.clone() },
        Rule { expires: Some(1), ..base },
    ] {
        assert!(!holds(other.clone()), "{other:?}");
    }
}

/// Makes a command out of pieces that shells give a meaning to.
fn fuzzed(random: &mut u64) -> String {
    const PIECES: [&str; 44] = [
        "git",
        "status",
        "cat",
        "ls",
        "echo",
        "src",
        "src/main.rs",
        "lib",
        " ",
        " ",
        " ",
        " ",
        "'",
        "\"",
        "\\",
        "$",
        "`",
        ";",
        "&",
        "|",
        ">",
        "<",
        "\n",
        "\t",
        "&&",
        "||",
        "2>&1",
        ">/dev/null",
        "a",
        "b c",
        "-x",
        "=",
        "*",
        "?",
        "{",
        "}",
        "(",
        ")",
        "#",
        "!",
        "~",
        "%",
        "é",
        "..",
    ];
    let mut next = |count: usize| {
        *random ^= *random << 13;
        *random ^= *random >> 7;
        *random ^= *random << 17;
        usize::try_from(*random % u64::try_from(count).unwrap()).unwrap()
    };
    let mut text = ["git status", "cat ", "ls ", "echo ", ""][next(5)].to_owned();
    for _ in 0..next(7) {
        text.push_str(PIECES[next(PIECES.len())]);
    }
    text
}

/// The words of a simple command by the shell itself, which is given functions for all programs and no others.
fn words_of_bash(command: &str) -> Option<Vec<Vec<String>>> {
    let script = format!(
        "git() {{ printf '%s\\0' git \"$@\" >&7; printf '\\1\\0' >&7; }}\n\
         for f in cat ls echo; do eval \"$f() {{ printf '%s\\\\0' $f \\\"\\$@\\\" >&7; printf '\\\\1\\\\0' >&7; }}\"; done\n\
         set -f\n{command}\n"
    );
    let bash = |flag: &[&str], text: &str| {
        Command::new("/bin/bash")
            .args(["--norc", "--noprofile"])
            .args(flag)
            .args(["-c", text])
            .env_clear()
            .env("PATH", "/nonexistent")
            .stdin(Stdio::null())
            .output()
            .unwrap()
    };
    if !bash(&["-n"], command).status.success() {
        return None;
    }
    let output = bash(&[], &format!("exec 7>&1 >/dev/null\n{script}"));
    let all = String::from_utf8(output.stdout).ok()?;
    let mut commands = vec![Vec::new()];
    for word in all.strip_suffix('\0').unwrap_or(&all).split('\0') {
        if word == "\u{1}" {
            commands.push(Vec::new());
        } else {
            commands.last_mut()?.push(word.to_owned());
        }
    }
    commands.pop();
    Some(commands)
}

#[test]
fn bash_agrees_on_the_words_of_allowed_commands() {
    let project = Project::new("fuzz");
    let rules = [rule(Effect::Allow, &["git status **", "cat **", "ls **", "echo **"], &[])];
    let mut random = 0x9e37_79b9_7f4a_7c15;
    let mut checked = std::collections::BTreeSet::new();
    for _ in 0..FUZZED {
        let command = fuzzed(&mut random);
        // The order in a pipe is open, `||` may leave some out, and a file to read may be missing.
        if project.command(&rules, &command) == Some(Effect::Allow)
            && checked.len() < CHECKED_MAX
            && !command.contains(['|', '<'])
        {
            checked.insert(command);
        }
    }
    assert_eq!(checked.len(), CHECKED_MAX, "too few commands are allowed for the check to mean something");
    for command in checked {
        let ours: Vec<Vec<String>> = shell::read(&command, false)
            .unwrap()
            .into_iter()
            .map(|simple| simple.words.into_iter().map(|word| word.text).collect())
            .collect();
        assert_eq!(words_of_bash(&command), Some(ours), "{command:?}");
    }
}

#[test]
fn path_that_an_earlier_command_could_change_asks() {
    let project = Project::new("earlier");
    let all = "mv **;cp **;cat **;grep **;git checkout *;git status;ls;ls -l;cargo test **;mkdir **";
    let all: Vec<&str> = all.split(';').collect();
    let rules = [rule(Effect::Allow, &all, &["out/**"])];
    let decided = |command: &str| project.command(&rules, command);
    for command in [
        "mv src other && cat other/link/passwd",
        "cp src/main.rs a; grep x a",
        "git checkout other && cat lib/a.txt",
        "git checkout other; cat lib/a.txt > out/a",
        "mv src other\ncat other/main.rs",
        // Both run at once.
        "cat lib/a.txt | mv src lib",
        "mv src other && grep -fx other",
        "mv src other && echo x > out/x",
    ] {
        assert_eq!(decided(command), None, "{command}");
    }
    for command in [
        "cat lib/a.txt && mv src other",
        "mv src other && git status",
        "mv src other && ls -l",
        "cat lib/a.txt | grep x && mv lib other",
        "mkdir out/new && cat lib/a.txt",
        "cargo test lib && cat lib/a.txt",
    ] {
        assert_eq!(decided(command), Some(Effect::Allow), "{command}");
    }
}
