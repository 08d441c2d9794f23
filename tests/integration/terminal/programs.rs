//! Real programs in a terminal, cell by cell as in tmux.

use std::fs;
use std::path::Path;

use serde_json::json;

use super::client::{Cell, Terminal};
use super::tmux::Tmux;
use super::{BASH, open, server};
use crate::support::require::require_program;
use crate::support::server::TestServer;
use crate::support::temp::TempDir;
use crate::support::wait::{DEADLINE, within};
use crate::support::workers::TestWorker;

const SIZE: (u16, u16) = (80, 24);

/// A program in a terminal of a worker and in tmux.
pub(super) struct Both {
    pub(super) ours: Terminal,
    pub(super) tmux: Tmux,
    _folder: TempDir,
}

impl Both {
    fn start(server: &TestServer, worker: &TestWorker, program: &[&str]) -> Self {
        Self::start_each(server, worker, [program, program], SIZE)
    }

    /// The same with two command lines: for the worker's terminal, and for tmux.
    pub(super) fn start_each(
        server: &TestServer,
        worker: &TestWorker,
        [program, in_tmux]: [&[&str]; 2],
        size: (u16, u16),
    ) -> Self {
        let folder = TempDir::new("tmux");
        let cwd = worker.show(server)["project_path"].as_str().unwrap().to_owned();
        let ours = open(server, worker, program, size);
        let tmux = Tmux::start(folder.path(), in_tmux, size, Path::new(&cwd), &server.home());
        Self { ours, tmux, _folder: folder }
    }

    /// Types the same in both; keys have tmux's names, with those of the API beside them.
    pub(super) fn text(&mut self, text: &str) {
        self.ours.type_text(text);
        self.tmux.keys(&["-l", text]);
    }

    pub(super) fn key(&mut self, ours: &str, tmux: &str) {
        self.ours.key(ours);
        self.tmux.keys(&[tmux]);
    }

    /// Waits until both screens have the same cells.
    #[track_caller]
    pub(super) fn assert_same(&mut self, what: &str, ready: &str) {
        self.assert_same_without(what, ready, None);
    }

    /// Waits for the same without the rows that begin with `chance`, whose contents the program chooses at random.
    #[track_caller]
    pub(super) fn assert_same_without(&mut self, what: &str, ready: &str, chance: Option<&str>) {
        let shown = |rows: &[Vec<Cell>]| {
            let mut rows = shown(rows);
            let is_chance = |row: &[(usize, Cell)]| row.first().is_some_and(|(_, cell)| Some(&*cell.text) == chance);
            rows.iter_mut().filter(|row| is_chance(row)).for_each(Vec::clear);
            rows
        };
        self.ours.wait_text(ready);
        let ours = &mut self.ours;
        let tmux = &self.tmux;
        let same = within(DEADLINE / 4, || {
            while ours.step(std::time::Duration::from_millis(20)) {}
            (shown(&ours.rows) == shown(&tmux.screen())).then_some(())
        });
        if same.is_none() {
            let (left, right) = (shown(&self.ours.rows), shown(&self.tmux.screen()));
            for (at, (ours, theirs)) in left.iter().zip(&right).enumerate() {
                assert_eq!(ours, theirs, "{what}: row {at}");
            }
            assert_eq!(left.len(), right.len(), "{what}");
        }
    }
}

/// Returns the cells with text, with their columns; the style of blanks is ignored.
fn shown(rows: &[Vec<Cell>]) -> Vec<Vec<(usize, Cell)>> {
    let mut rows: Vec<Vec<(usize, Cell)>> = rows
        .iter()
        .map(|row| row.iter().cloned().enumerate().filter(|(_, cell)| !cell.text.trim().is_empty()).collect())
        .collect();
    while rows.last().is_some_and(Vec::is_empty) {
        rows.pop();
    }
    rows
}

/// A file with wide and combining characters, long lines and tabs.
fn sample(server: &TestServer) {
    let mut text = String::from("fn main() { // \u{6f22}\u{5b57} e\u{301} caf\u{e9}\n\tlet x = \"tab\";\n");
    text += &format!("{}\n", "0123456789".repeat(13));
    for number in 0..60 {
        text += &format!("    line {number} \u{2500}\u{2502}\u{250c} \u{ac00}\u{b098}\n");
    }
    text += "}\n";
    fs::write(server.project().join("sample.rs"), text).unwrap();
}

#[test]
fn bash_shows_the_same_cells_as_in_tmux() {
    let Some(_) = require_program("tmux") else { return };
    let (server, worker) = server("terminal-bash", &[]);
    sample(&server);
    let mut both = Both::start(&server, &worker, &["env", "PS1=$ ", "bash", "--norc", "--noprofile"]);
    both.assert_same("the prompt", "$");
    both.text("printf '\\033[1;31mred\\033[0m \\033[4;38;5;208mline\\033[0m \\033[48;2;1;2;3mrgb\\033[0m\\n'; cat sample.rs\r");
    both.assert_same("colors, wide and combining characters", "line 59");
    both.text("printf '\\033(0lqqk\\033(B \\033[5bx\\n\\033[10;5Hmoved\\033[2J\\033[Hcleared\\n'\r");
    both.assert_same("line drawing, repeated characters, cursor", "cleared");
}

#[test]
fn vim_shows_the_same_cells_as_in_tmux() {
    let (Some(_), Some(_)) = (require_program("tmux"), require_program("vim")) else { return };
    let (server, worker) = server("terminal-vim", &[]);
    sample(&server);
    let program = [
        "vim",
        "-u",
        "NONE",
        "-i",
        "NONE",
        "-n",
        "-c",
        "set nu hls ruler nocp bg=light",
        "-c",
        "syntax on",
        "sample.rs",
    ];
    let mut both = Both::start(&server, &worker, &program);
    both.assert_same("the file", "fn main");
    both.key("PageDown", "PageDown");
    both.key("ArrowDown", "Down");
    both.text("/line 3\r");
    both.assert_same("a search", "line 3");
    both.text("Onew \u{4e2d}\u{6587} text");
    both.key("Escape", "Escape");
    both.text(":vsplit\r");
    both.assert_same("a split", "|");
    for (cols, rows) in [(60, 20), (100, 30)] {
        both.ours.say(&json!({"type": "resize", "cols": cols, "rows": rows}));
        both.tmux.resize((cols, rows));
        both.ours.wait("the new size", |it| it.last["cols"] == cols && it.rows.len() == usize::from(rows));
        both.assert_same("another size", "line");
    }
    let before = both.ours.last["modes"]["alternate"].clone();
    assert_eq!(before, true);
    both.text(":qa!\r");
    assert_eq!(both.ours.wait_end()["code"], 0);
}

#[test]
fn less_shows_the_same_cells_as_in_tmux() {
    let (Some(_), Some(_)) = (require_program("tmux"), require_program("less")) else { return };
    let (server, worker) = server("terminal-less", &[]);
    sample(&server);
    let mut both = Both::start(&server, &worker, &["less", "-N", "sample.rs"]);
    both.assert_same("the first page", "fn main");
    both.text(" ");
    both.key("ArrowUp", "Up");
    both.text("/line 4\r");
    both.assert_same("a search", "line 4");
    both.text("G");
    both.assert_same("the end", "(END)");
}

#[test]
fn htop_draws_its_table_as_in_tmux() {
    let (Some(_), Some(_)) = (require_program("tmux"), require_program("htop")) else { return };
    let (server, worker) = server("terminal-htop", &[]);
    let both = Both::start(&server, &worker, &["htop", "-d", "100"]);
    let Both { _folder, tmux, mut ours } = both;
    ours.wait_text("F10");
    // Figures change; the head of the table and the keys do not.
    let fixed = |rows: &[Vec<Cell>]| -> Vec<Vec<(usize, Cell)>> {
        let is_fixed = |row: &Vec<(usize, Cell)>| {
            let text: String = row.iter().map(|(_, cell)| cell.text.as_str()).collect();
            text.contains("PIDUSER") || text.starts_with("F1Help")
        };
        shown(rows).into_iter().filter(is_fixed).collect()
    };
    let same = within(DEADLINE / 4, || {
        ours.step(std::time::Duration::from_millis(100));
        let found = fixed(&ours.rows);
        (found.len() == 2 && found == fixed(&tmux.screen())).then_some(())
    });
    assert!(same.is_some(), "{:?}\n{:?}", fixed(&ours.rows), fixed(&tmux.screen()));
    assert_eq!(ours.last["modes"]["mouse"], true);
    // A click on F10 ends it.
    let row = ours.rows.len() - 1;
    let col = ours.lines()[row].find("F10").unwrap();
    for action in ["press", "release"] {
        ours.say(&json!({"type": "mouse", "action": action, "button": 0, "row": row, "col": col + 4}));
    }
    assert_eq!(ours.wait_end()["code"], 0);
}

#[test]
fn pasted_text_and_application_keys_reach_the_program() {
    let (server, worker) = server("terminal-keys", &[]);
    let script = "stty raw -echo; printf '\\033[?1h\\033[?2004hready'; dd bs=1 count=19 2>/dev/null | od -An -c | tr -s ' '; stty sane; sleep 1000";
    let mut terminal = open(&server, &worker, &["sh", "-c", script], SIZE);
    terminal.wait_text("ready");
    assert_eq!(terminal.last["modes"]["bracketed_paste"], true);
    assert_eq!(terminal.last["modes"]["application_cursor"], true);
    terminal.key("ArrowUp");
    terminal.say(&json!({"type": "paste", "text": "a\nb\u{1b}c"}));
    terminal.wait_text("0 1 ~");
    let text = terminal.text().split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(text.contains("033 O A 033 [ 2 0 0 ~ a \\r b c 033 [ 2"), "{text}");
}

#[test]
fn scrollback_is_sent_when_it_is_asked_for() {
    let (server, worker) = server("terminal-scrollback", &[]);
    let mut terminal = open(&server, &worker, &["sh", "-c", "seq 1 12000; echo done; sleep 1000"], SIZE);
    terminal.wait_text("done");
    assert_eq!(terminal.last["history"], 10_000);
    for (above, first) in [(0, 11_879), (9_950, 1_979)] {
        terminal.say(&json!({"type": "history", "above": above, "count": 100}));
        terminal.wait("lines", |it| !it.last["answer"].is_null());
        let lines = terminal.last["answer"].take();
        assert_eq!(lines[0][0]["t"], first.to_string(), "{above}");
        assert_eq!(lines.as_array().unwrap().len(), if above == 0 { 100 } else { 50 });
    }
}

#[test]
fn shell_gets_the_environment_of_its_worker_without_keys() {
    let env = [("ANTHROPIC_API_KEY", "sk-server"), ("OPENAI_API_KEY", "sk-other"), ("KEPT", "kept")];
    let (server, _) = server("terminal-env", &env);
    let worker = TestWorker::create(&server, "claude", &json!({"env": {"OWN": "own"}}));
    let mut terminal = open(&server, &worker, &BASH, SIZE);
    terminal.type_text(
        "echo \"[$ANTHROPIC_API_KEY$OPENAI_API_KEY$AUTH_TOKEN|$KEPT|$OWN|$TERM|$(tty | cut -c1-8)]\"; pwd; set +m\r",
    );
    terminal.wait_text("[|kept|own|xterm-256color|/dev/pts]");
    let project = worker.show(&server)["project_path"].as_str().unwrap().to_owned();
    assert!(terminal.text().replace('\n', "").contains(&project));
}
