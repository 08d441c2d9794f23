//! The same program in tmux, whose screen is captured with its colors.

use std::path::Path;
use std::process::{Child, Command, Stdio};

use serde_json::{Map, Value, json};

use super::client::{Cell, is_combining};
use crate::support::wait::{DEADLINE, eventually};

/// A separate tmux server with one session. It ends with the thread that created it, however that ends.
pub(super) struct Tmux {
    socket: std::path::PathBuf,
    server: Child,
}

impl Tmux {
    pub(super) fn start(folder: &Path, program: &[&str], (cols, rows): (u16, u16), cwd: &Path, home: &Path) -> Self {
        let conf = folder.join("tmux.conf");
        let text = "set -g status off\nset -g default-terminal xterm-256color\nset -ga terminal-overrides ',*:Tc'\nset -g escape-time 0\n";
        std::fs::write(&conf, text).unwrap();
        let socket = folder.join("tmux.sock");
        let own = |program: &str| {
            let mut command = Command::new(program);
            command.env_clear().env("PATH", std::env::var_os("PATH").unwrap_or_default()).env("HOME", home);
            command.env("LANG", "C.UTF-8").env("TERM", "xterm-256color").current_dir(cwd);
            command
        };
        let mut server = own("setpriv");
        server.args(["--pdeathsig", "KILL", "tmux", "-D", "-u", "-S"]).arg(&socket).arg("-f").arg(conf);
        let server = server.stdin(Stdio::null()).spawn().unwrap();
        let tmux = Self { socket, server };
        let mut session = own("tmux");
        // With -N it never starts a server, which would keep running.
        session.args(["-N", "-u", "-S"]).arg(&tmux.socket).stderr(Stdio::null());
        session.args(["new-session", "-d", "-x", &cols.to_string(), "-y", &rows.to_string()]).args(program);
        eventually(DEADLINE, "a session of tmux", || session.status().unwrap().success().then_some(()));
        tmux
    }

    fn command(&self) -> Command {
        let mut command = Command::new("tmux");
        command.arg("-u").arg("-S").arg(&self.socket);
        command
    }

    /// Sends keys by tmux's names, or text.
    pub(super) fn keys(&self, keys: &[&str]) {
        assert!(self.command().arg("send-keys").args(keys).status().unwrap().success());
    }

    pub(super) fn resize(&self, (cols, rows): (u16, u16)) {
        let size = ["resize-window", "-x", &cols.to_string(), "-y", &rows.to_string()];
        assert!(self.command().args(size).status().unwrap().success());
    }

    /// Returns the screen as cells. Blanks at the ends of lines are left out.
    pub(super) fn screen(&self) -> Vec<Vec<Cell>> {
        let output = self.command().args(["capture-pane", "-p", "-e"]).output().unwrap();
        assert!(output.status.success());
        let text = String::from_utf8(output.stdout).unwrap();
        let mut style = Map::new();
        text.lines().map(|line| cells(line, &mut style)).collect()
    }
}

impl Drop for Tmux {
    fn drop(&mut self) {
        let _ = self.command().arg("kill-server").output();
        let _ = self.server.kill();
        let _ = self.server.wait();
    }
}

/// Parses one line of `capture-pane -e`, whose styles continue on the next.
fn cells(line: &str, style: &mut Map<String, Value>) -> Vec<Cell> {
    let mut cells: Vec<Cell> = Vec::new();
    let mut chars = line.chars();
    let mut drawing = false;
    while let Some(char) = chars.next() {
        match char {
            '\u{1b}' => {
                assert_eq!(chars.next(), Some('['));
                let numbers: String = chars.by_ref().take_while(|&char| char != 'm').collect();
                select(style, &numbers);
            }
            // Line drawing is switched with these if tmux was not started for UTF-8.
            '\u{e}' => drawing = true,
            '\u{f}' => drawing = false,
            char if is_combining(char) => cells.last_mut().unwrap().text.push(char),
            char => {
                assert!(!drawing);
                let shown = if style.is_empty() { String::new() } else { Value::Object(style.clone()).to_string() };
                let wide = matches!(char, '\u{1100}'..='\u{115f}' | '\u{2e80}'..='\u{a4cf}' | '\u{ac00}'..='\u{d7a3}' | '\u{ff00}'..='\u{ff60}' | '\u{1f300}'..='\u{1faff}');
                cells.push(Cell { text: char.to_string(), style: shown.clone() });
                if wide {
                    cells.push(Cell { text: String::new(), style: shown });
                }
            }
        }
    }
    cells
}

/// Applies the numbers of one sequence.
fn select(style: &mut Map<String, Value>, numbers: &str) {
    let mut numbers = numbers.split(';').map(|number| number.parse::<u16>().unwrap_or(0));
    let mut attributes = style.get("a").and_then(Value::as_str).unwrap_or_default().to_owned();
    while let Some(number) = numbers.next() {
        match number {
            0 => {
                style.clear();
                attributes.clear();
            }
            1 => attributes.push('b'),
            2 => attributes.push('d'),
            3 => attributes.push('i'),
            4 => attributes.push('u'),
            7 => attributes.push('r'),
            8 => attributes.push('h'),
            9 => attributes.push('s'),
            30..=37 => drop(style.insert("f".to_owned(), json!(number - 30))),
            40..=47 => drop(style.insert("b".to_owned(), json!(number - 40))),
            90..=97 => drop(style.insert("f".to_owned(), json!(number - 90 + 8))),
            100..=107 => drop(style.insert("b".to_owned(), json!(number - 100 + 8))),
            39 => drop(style.remove("f")),
            49 => drop(style.remove("b")),
            38 | 48 => {
                let name = if number == 38 { "f" } else { "b" };
                let tint = if numbers.next() == Some(5) {
                    json!(numbers.next().unwrap())
                } else {
                    let mut next = || numbers.next().unwrap();
                    json!(format!("#{:02x}{:02x}{:02x}", next(), next(), next()))
                };
                style.insert(name.to_owned(), tint);
            }
            other => panic!("unknown attribute {other}"),
        }
    }
    style.remove("a");
    if !attributes.is_empty() {
        let sorted: String = "bdiurhs".chars().filter(|letter| attributes.contains(*letter)).collect();
        style.insert("a".to_owned(), json!(sorted));
    }
}
