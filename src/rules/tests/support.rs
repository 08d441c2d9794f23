//! A project with links that lead out of it, and rules.

use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use crate::rules::{Effect, PromptProject, Rule, RulePrompt, decide, links};

/// A project in a temporary folder, removed when dropped.
pub(super) struct Project {
    base: PathBuf,
    pub(super) folder: PathBuf,
}

impl Project {
    pub(super) fn new(name: &str) -> Self {
        let base = std::env::temp_dir().join(format!("rules-{name}-{}", std::process::id()));
        let _ = std::fs::remove_dir_all(&base);
        let folder = base.join("project");
        for sub in ["src", "lib", "out", "nested", ".git/hooks"] {
            std::fs::create_dir_all(folder.join(sub)).unwrap();
        }
        let base = base.canonicalize().unwrap();
        let folder = base.join("project");
        std::fs::write(base.join("secret"), "s").unwrap();
        for file in ["src/main.rs", "lib/a.txt", ".env", "src/.env"] {
            std::fs::write(folder.join(file), "x").unwrap();
        }
        let link = |to: &str, at: &str| std::os::unix::fs::symlink(to, folder.join(at)).unwrap();
        link("/etc", "escape");
        link("/etc/passwd", "evil.txt");
        link("/etc", "src/link");
        link("/etc", "out/link");
        link("/nonexistent/x", "dangling");
        link("loop", "loop");
        // Behind it, `..` is the project for the system, and `nested` for the shell.
        link("../src", "nested/up");
        Self { base, folder }
    }

    /// Decides a call of a tool.
    pub(super) fn decide(&self, rules: &[Rule], tool: &str, input: &Value) -> Option<(Effect, String)> {
        self.decide_in(&self.folder, rules, tool, input)
    }

    pub(super) fn decide_in(
        &self,
        folder: &Path,
        rules: &[Rule],
        tool: &str,
        input: &Value,
    ) -> Option<(Effect, String)> {
        let place = PromptProject { project: folder, home: Some(&self.base), resolve: &links::resolve };
        let prompt = RulePrompt {
            cli: "claude",
            worker: "w",
            above: vec!["boss", "top"],
            place,
            repository: None,
            tool,
            input,
            needs_person: false,
            is_delicate: false,
        };
        decide(rules, &prompt, 1).map(|(effect, rule)| (effect, rule.name.clone()))
    }

    /// Decides a shell command, in which `/PROJECT` is the project.
    pub(super) fn command(&self, rules: &[Rule], command: &str) -> Option<Effect> {
        let command = command.replace("/PROJECT", self.folder.to_str().unwrap());
        self.decide(rules, "Bash", &json!({"command": command, "description": "x"})).map(|(effect, _)| effect)
    }
}

impl Drop for Project {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.base);
    }
}

pub(in crate::rules) fn rule(effect: Effect, commands: &[&str], paths: &[&str]) -> Rule {
    let list = |list: &[&str]| list.iter().map(|text| (*text).to_owned()).collect();
    Rule {
        id: "r".to_owned(),
        name: "r".to_owned(),
        effect,
        cli: None,
        project: None,
        worker: None,
        tool: None,
        commands: list(commands),
        paths: list(paths),
        expires: None,
        note: String::new(),
        created: 0,
    }
}
