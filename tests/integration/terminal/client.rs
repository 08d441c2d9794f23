//! A client of a terminal, which draws its updates into cells.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::support::server::TestServer;
use crate::support::wait::DEADLINE;
use crate::support::workers::TestWorker;
use crate::support::ws::{WsClient, WsReceipt};

/// One cell: its characters and its style, as JSON without the text.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Cell {
    pub(super) text: String,
    pub(super) style: String,
}

/// A connected client.
pub(super) struct Terminal {
    pub(super) id: String,
    pub(super) client: WsClient,
    pub(super) rows: Vec<Vec<Cell>>,
    /// The last update without its rows.
    pub(super) last: Value,
    /// Number of updates so far.
    pub(super) updates: usize,
    /// The frame of its end, once it has arrived.
    pub(super) ended: Option<Value>,
}

impl Terminal {
    #[track_caller]
    pub(super) fn connect(server: &TestServer, worker: &TestWorker, id: &str, (cols, rows): (u16, u16)) -> Self {
        let mut client = server.ws(&format!("/ws/{}/terminals/{id}", worker.id));
        client.send_json(&json!({"type": "hello", "cols": cols, "rows": rows}));
        let mut terminal =
            Self { id: id.to_owned(), client, rows: Vec::new(), last: Value::Null, updates: 0, ended: None };
        terminal.wait("the first screen", |it| it.updates > 0);
        terminal
    }

    /// Applies one frame; false when none arrived within `time`.
    #[track_caller]
    pub(super) fn step(&mut self, time: Duration) -> bool {
        let frame = match self.client.receive(time) {
            WsReceipt::Frame(frame) => frame,
            WsReceipt::Nothing => return false,
            WsReceipt::Closed(reason) => panic!("closed: {reason:?}; the screen was:\n{}", self.text()),
        };
        self.client.frames.clear();
        match frame["type"].as_str().unwrap() {
            "screen" => {
                let rows = usize::try_from(frame["rows"].as_u64().unwrap()).unwrap();
                self.rows.resize(rows, Vec::new());
                for line in frame["lines"].as_array().unwrap() {
                    self.rows[usize::try_from(line[0].as_u64().unwrap()).unwrap()] = cells(&line[1]);
                }
                self.last = frame;
                self.updates += 1;
                self.client.send_json(&json!({"type": "ready"}));
            }
            "ended" => self.ended = Some(frame),
            "history" => self.last["answer"] = frame["lines"].clone(),
            other => panic!("unexpected frame {other}: {frame}"),
        }
        true
    }

    /// Applies frames until the screen is as wanted.
    #[track_caller]
    pub(super) fn wait(&mut self, what: &str, wanted: impl Fn(&Self) -> bool) {
        let end = Instant::now() + DEADLINE;
        while !wanted(self) {
            let left = end.saturating_duration_since(Instant::now());
            if left.is_zero() || !self.step(left) {
                panic!("waited for {what}; the screen is:\n{}", self.text());
            }
        }
    }

    #[track_caller]
    pub(super) fn wait_text(&mut self, text: &str) {
        self.wait(text, |it| it.text().contains(text));
    }

    #[track_caller]
    pub(super) fn wait_end(&mut self) -> Value {
        self.wait("the end", |it| it.ended.is_some());
        self.ended.clone().unwrap()
    }

    #[track_caller]
    pub(super) fn say(&mut self, message: &Value) {
        self.client.send_json(message);
    }

    #[track_caller]
    pub(super) fn type_text(&mut self, text: &str) {
        self.say(&json!({"type": "text", "text": text}));
    }

    #[track_caller]
    pub(super) fn key(&mut self, key: &str) {
        self.say(&json!({"type": "key", "key": key}));
    }

    /// Returns the screen as lines without blanks at their ends.
    pub(super) fn lines(&self) -> Vec<String> {
        let line = |row: &Vec<Cell>| row.iter().map(|cell| cell.text.as_str()).collect::<String>();
        self.rows.iter().map(|row| line(row).trim_end().to_owned()).collect()
    }

    pub(super) fn text(&self) -> String {
        self.lines().join("\n")
    }
}

/// Returns the cells of a row; the second one of a wide character has no text.
pub(super) fn cells(runs: &Value) -> Vec<Cell> {
    let mut cells = Vec::new();
    for run in runs.as_array().unwrap() {
        let mut style = run.clone();
        let fields = style.as_object_mut().unwrap();
        let text = fields.remove("t").unwrap();
        let wide = fields.remove("w").is_some();
        let style = if fields.is_empty() { String::new() } else { style.to_string() };
        let from = cells.len();
        for char in text.as_str().unwrap().chars() {
            if cells.len() > from && is_combining(char) {
                cells.last_mut().map(|cell: &mut Cell| cell.text.push(char)).unwrap();
            } else {
                cells.push(Cell { text: char.to_string(), style: style.clone() });
            }
        }
        if wide {
            cells.push(Cell { text: String::new(), style });
        }
    }
    cells
}

/// The combining characters of these tests.
pub(super) fn is_combining(char: char) -> bool {
    matches!(char, '\u{300}'..='\u{36f}' | '\u{fe0f}' | '\u{200d}')
}
