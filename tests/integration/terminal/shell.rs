//! `rs-worker shell` in a real terminal, provided by tmux.

use super::client::Cell;
use super::tmux::Tmux;
use super::{listed, server};
use crate::support::require::require_program;
use crate::support::temp::TempDir;
use crate::support::wait::{DEADLINE, eventually, within};

const SIZE: (u16, u16) = (80, 24);

fn lines(tmux: &Tmux) -> Vec<String> {
    let line = |row: &Vec<Cell>| row.iter().map(|cell| cell.text.as_str()).collect::<String>().trim_end().to_owned();
    tmux.screen().iter().map(line).collect()
}

#[track_caller]
fn wait(tmux: &Tmux, what: &str, wanted: impl Fn(&[String]) -> bool) {
    if within(DEADLINE, || wanted(&lines(tmux)).then_some(())).is_none() {
        panic!("waited for {what}; the terminal shows:\n{}", lines(tmux).join("\n"));
    }
}

#[test]
fn shell_command_runs_programs_detaches_and_comes_back() {
    let (Some(_), Some(_)) = (require_program("tmux"), require_program("vim")) else { return };
    let (server, worker) = server("terminal-shell", &[]);
    let folder = TempDir::new("shell");
    let shell = |more: &str| {
        let url = format!("http://{}", server.addr());
        let program = env!("CARGO_BIN_EXE_rs-worker");
        format!("{program} shell --url {url} {} {more}; echo code-$?\r", worker.id)
    };
    let outer = ["env", "PS1=outer$ ", "sh"];
    let tmux = Tmux::start(folder.path(), &outer, SIZE, folder.path(), &server.home());
    wait(&tmux, "the prompt", |it| it.iter().any(|line| line.starts_with("outer$")));
    tmux.keys(&["-l", &shell("-- env PS1=inner: bash --norc --noprofile")]);
    wait(&tmux, "the shell", |it| it.iter().any(|line| line == "inner:"));
    tmux.keys(&["-l", "stty size; pwd | wc -l\r"]);
    wait(&tmux, "its size", |it| it.iter().any(|line| line == "24 80"));
    tmux.resize((70, 20));
    tmux.keys(&["-l", "clear; stty size\r"]);
    wait(&tmux, "its new size", |it| it.iter().any(|line| line == "20 70"));
    tmux.keys(&["-l", "vim -u NONE -i NONE -n\r"]);
    wait(&tmux, "vim", |it| it.iter().filter(|line| *line == "~").count() > 10);
    tmux.keys(&["-l", "itext in vim"]);
    wait(&tmux, "the text", |it| it.iter().any(|line| line == "text in vim"));
    tmux.keys(&["Escape"]);
    tmux.keys(&["-l", ":q!\r"]);
    wait(&tmux, "the end of vim", |it| !it.iter().any(|line| line == "~"));
    tmux.keys(&["-l", "\r~."]);
    wait(&tmux, "the way back", |it| it.iter().any(|line| line == "code-0"));
    let id = listed(&server, &worker)[0].clone();
    assert!(lines(&tmux).concat().contains(&format!("--join {id}")));
    tmux.keys(&["-l", &shell(&format!("--join {id}"))]);
    wait(&tmux, "the shell again", |it| {
        it.iter().rev().find(|line| !line.is_empty()).is_some_and(|line| line == "inner:")
    });
    tmux.keys(&["-l", "exit 5\r"]);
    wait(&tmux, "its end", |it| it.iter().any(|line| line == "code-5"));
    eventually(DEADLINE, "no terminal is left", || listed(&server, &worker).is_empty().then_some(()));
}
