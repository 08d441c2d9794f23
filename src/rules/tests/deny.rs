//! Rules that deny and ask, and their order.

use serde_json::json;

use super::support::{Project, rule};
use crate::private_list::ListEntry as _;
use crate::rules::{Effect, Rule};

#[test]
fn texts_that_take_long_to_examine_ask() {
    let project = Project::new("long");
    let rules = [rule(Effect::Deny, &["curl **"], &[])];
    let effect =
        |command: String| project.decide(&rules, "Bash", &json!({"command": command})).map(|(effect, _)| effect);
    assert_eq!(effect(format!("{}l", "*".repeat(4_000))), Some(Effect::Deny), "it could be curl");
    assert_eq!(effect(format!("{}x", "*".repeat(20_000))), Some(Effect::Ask));
    assert_eq!(effect(format!("/bin/{}y", "*r".repeat(2_000))), None);
    assert_eq!(effect("/bin/c?r*".to_owned()), Some(Effect::Deny));
}

#[test]
fn denied_programs_are_found_in_every_part() {
    let project = Project::new("deny");
    let rules = [rule(Effect::Deny, &["rm -rf **", "git push **", "curl **"], &[])];
    let denied = [
        "rm -rf /",
        "rm -fr x",
        "rm -r -f x",
        "rm x -rf",
        "/bin/rm -rf x",
        "\\rm -rf x",
        "r\\m -rf x",
        "r''m -rf x",
        "'rm' -rf x",
        "\"rm\" \"-rf\" x",
        "ls; rm -rf x",
        "ls && rm -rf x",
        "ls | rm -rf x",
        "ls\nrm -rf x",
        "(rm -rf x)",
        "{ rm -rf x; }",
        "$(rm -rf x)",
        "`rm -rf x`",
        "echo $(rm -rf x)",
        "sh -c 'rm -rf x'",
        "bash -c \"rm -rf x\"",
        "sudo rm -rf x",
        "env A=1 rm -rf x",
        "A=1 rm -rf x",
        "xargs rm -rf",
        "find . -exec rm -rf {} +",
        "nohup rm -rf x &",
        "if true; then rm -rf x; fi",
        "f() { rm -rf x; }; f",
        "eval 'rm -rf x'",
        "echo 'rm -rf x' | sh",
        "rm -rf 'x",
        "rm -rf $(",
        "$X -rf y",
        "r${X}m -rf y",
        "/bin/r? -rf y",
        "{rm,-rf,/}",
        "rm $FLAGS x",
        "rm -rf x > /dev/null",
        "git push",
        "git push origin main",
        "git -C x push",
        "git -c a=b push --force",
        "git pu''sh",
        "git $X",
        "git add . && git push",
        "git \\\n push",
        "curl http://x",
        "ls|curl x",
        "timeout 5 curl x",
        "command curl x",
        "\u{0}curl x",
        "! curl x",
        "time curl x",
        "<(curl x)",
        "ls > >(curl x)",
        "if curl x; then",
        "$'curl' x",
        // Operators that end nothing.
        "rm 2>&1 -rf x",
        "git 2>&1 push",
        "git &>/dev/null push",
        "git >|x push",
        "rm \\; -rf x",
        "rm \"\\\";\" -rf x",
        "rm \";\" -rf x",
        "rm `:;:` -rf x",
        "rm <(a;b) -rf x",
        // A redirection first.
        ">git rm -rf x",
        "</dev/git curl x",
        "2>/dev/null curl x",
        // Values with blanks.
        "git -c user.name='A B' push",
        "git -C 'my dir' push",
        "git --git-dir=\"a b\" -C x push",
        // Quotes within quotes, and variables that another shell reads.
        "bash -c 'bash -c \"rm -rf x\"'",
        "sh -c '\"rm\" -rf x'",
        "eval \"'curl' x\"",
        "find . -exec '\"rm\"' -rf {} +",
        "sh -c '$0 -rf x' rm",
        "sh -c 'X=rm; $X -rf y'",
        "sh -c 'rm${IFS}-rf${IFS}x'",
        // Behind wrappers and words of the grammar.
        "X=rm; sudo $X -rf y",
        "if true; then $X -rf y; fi",
        "env /bin/r? -rf x",
        "time /bin/r? -rf x",
        "timeout 5 $X",
        "/bin/r[]m] -rf x",
        "/bin/r[[:alpha:]] -rf x",
        "=rm -rf x",
        "rg --pre curl x .",
    ];
    let missed: Vec<&str> =
        denied.into_iter().filter(|command| project.command(&rules, command) != Some(Effect::Deny)).collect();
    assert!(missed.is_empty(), "not denied: {missed:#?}");
    let others = [
        "ls",
        "rm x",
        "rm -r x",
        "git status",
        "git add .",
        "git commit -m push",
        "git log",
        "farm -rf x",
        "rm-rf x",
        "grep curl src/main.rs",
        "echo rm -rf",
        "ls curly",
        "git stash pushed",
        "cat libcurl.so",
        "cargo test",
        "git rm x",
        "rm x; ls -rf",
        "rm x 2>&1; ls -rf",
        "{ ls; pwd; }",
        "[ -f x ] && ls",
        "awk '{print $1}' src/main.rs",
        "awk '$1 == 2' src/main.rs",
        "find . -name x -exec cat {} +",
        "for f in a b; do echo $f; done",
        "docker run $IMAGE ls",
        "rg curl src",
        "git log -1 pushed",
        "echo \"don't\"; ls",
    ];
    let too_many: Vec<&str> = others.into_iter().filter(|command| project.command(&rules, command).is_some()).collect();
    assert!(too_many.is_empty(), "denied: {too_many:#?}");
}

#[test]
fn denied_programs_are_found_in_lists_of_words() {
    let project = Project::new("deny-argv");
    let rules = [rule(Effect::Deny, &["rm -rf **", "git push **"], &[])];
    for (tool, input) in [
        ("Bash", json!({"command": ["git", "push"]})),
        ("mcp__x__run", json!({"command": "rm", "args": ["-rf", "/"]})),
        ("mcp__x__run", json!({"call": {"argv": ["sh", "-c", "rm -rf x"]}})),
    ] {
        assert_eq!(project.decide(&rules, tool, &input).map(|(effect, _)| effect), Some(Effect::Deny), "{input}");
    }
    assert!(project.decide(&rules, "mcp__x__run", &json!({"command": "rm", "args": ["x"]})).is_none());
}

#[test]
fn denied_paths_are_found_as_written_and_after_links() {
    let project = Project::new("deny-paths");
    std::os::unix::fs::symlink(".env", project.folder.join("plain")).unwrap();
    let home = format!("{}/secret", project.folder.parent().unwrap().display());
    let rules = [rule(Effect::Deny, &[], &[".env", "/etc/**", "my secret.txt", &home])];
    for command in [
        "cat .env",
        "cat ./.env",
        "cat src/../.env",
        "cat '.env'",
        "cat plain",
        "cat /etc/passwd",
        "cat evil.txt",
        "cat escape/x",
        "x --file=.env",
        "x @/etc/passwd",
        "x -f/etc/passwd",
        "echo x > .env",
        "cat <.env",
        "cat $(cat .env)",
        "cat .e*",
        "cat .en?",
        "cat .[e]nv",
        "cat \"$PWD\"/.env",
        "cat ${PWD}/.env",
        "cat $X/.env",
        "cat /e*/passwd",
        "cat /???/passwd",
        "cat ' .env'/../.env",
        "cat ~/secret",
        "cat $HOME/secret",
        "cat ${HOME}/secret",
        "cat 'my secret.txt'",
        "cat my\\ secret.txt",
        "cat \"my secret.txt\" x",
    ] {
        assert_eq!(project.command(&rules, command), Some(Effect::Deny), "{command}");
    }
    for command in ["cat src/main.rs", "cat .envrc", "ls src", "cat lib/*", "cat src/*.rs", "ls ~x"] {
        assert_eq!(project.command(&rules, command), None, "{command}");
    }
    for path in [".env", "plain", "/etc/passwd", "escape/passwd", ".env ", " .env", "~/secret"] {
        assert!(project.decide(&rules, "Read", &json!({"file_path": path})).is_some(), "{path}");
        assert!(project.decide(&rules, "mcp__fs__get", &json!({"args": [{"at": path}]})).is_some(), "{path}");
    }
    assert!(project.decide(&rules, "Read", &json!({"file_path": "src/main.rs"})).is_none());
}

#[test]
fn denials_come_before_questions_and_those_before_grants() {
    let project = Project::new("order");
    let named = |name: &str, rule: Rule| Rule { name: name.to_owned(), ..rule };
    let mut rules = vec![named("yes", rule(Effect::Allow, &["git status", "git diff **"], &[]))];
    let decide = |rules: &[Rule]| project.decide(rules, "Bash", &json!({"command": "git diff && git status"}));
    assert_eq!(decide(&rules), Some((Effect::Allow, "yes".to_owned())));
    rules.push(named("hm", rule(Effect::Ask, &["git diff **"], &[])));
    assert_eq!(decide(&rules), Some((Effect::Ask, "hm".to_owned())));
    rules.push(named("no", rule(Effect::Deny, &["git status"], &[])));
    assert_eq!(decide(&rules), Some((Effect::Deny, "no".to_owned())));
}

#[test]
fn prompts_for_people_are_never_answered() {
    let project = Project::new("people");
    let by_name = |tool: &str| Rule { tool: Some(tool.to_owned()), ..rule(Effect::Allow, &[], &[]) };
    for tool in ["ExitPlanMode", "AskUserQuestion", "mcp_elicitation", "request_permissions"] {
        assert_eq!(project.decide(&[by_name(tool)], tool, &json!({})), None, "{tool}");
        assert_eq!(project.decide(&[rule(Effect::Deny, &[], &[])], tool, &json!({})), None, "{tool}");
    }
    assert!(project.decide(&[by_name("WebSearch")], "WebSearch", &json!({"query": "x"})).is_some());
    assert!(by_name("Bash").check().is_err(), "a tool with commands needs patterns");
}
