//! Terminals of workers: one process each, which owns the pseudoterminal, keeps the screen and outlives the server, and
//! the server's side of it.
//!
//! ```text
//! program ─ pty ─> emulator ─> rows that changed ─ unix socket ─> server ─ WebSocket ─> page, `rs-worker shell`
//! keys, pasted text, clicks, size ──────────────────────────────────────────────────> pty
//! ```
//!
//! A client gets an update when it has drawn the previous one, from the present screen. So nothing is queued for any
//! client, however much a program prints.

mod ansi;
mod emulator;
mod guard;
mod host;
mod keys;
mod message;
mod rows;
mod spec;
mod start;

pub(crate) use emulator::{Emulator, Size};
pub(crate) use host::{become_program, main};
pub(crate) use message::REQUEST_BYTES_MAX;
pub(crate) use rows::CellRun;
pub(crate) use spec::{HOST, PROGRAM};
pub(crate) use start::{FOLDER, TerminalSpec, clear, end, spawn, tag};
