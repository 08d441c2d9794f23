//! rs-worker: starts, supervises and streams AI coding CLIs on one small server. A *worker* is one CLI session bound to a
//! project directory.
//!
//! # The journal is the truth
//!
//! Each worker has an append-only [`journal`]: every line its CLI printed, every line written to the CLI, and every change of its
//! process, in one order. A record's sequence number is its byte offset. Everything else is derived:
//!
//! * **State** (status, open prompts, queue, usage) is a *fold*: a pure function over the records ([`worker::state::fold`]).
//! * **History, search and export** read the file.
//! * **Clients** hold a cursor. A client that reconnects sends its last sequence number and receives every later event
//!   exactly once.
//!
//! # Two kinds of process
//!
//! ```text
//!  browser, REST and WebSocket clients
//!       |  HTTP, one port                                             commands go up
//!  server    http -> api -> worker (commands) -> mailbox --.
//!            hub <- worker (fold) <- reader <--------------+
//!       |  unix socket, <data>/<worker>/shim.sock          |
//!  shim      one small process per running worker, the same binary
//!       |  pipes                                                      data comes down
//!      the CLI, in its own process group
//! ```
//!
//! The [`shim`] owns the CLI's pipes and appends to the journal before it forwards anything. It outlives the server, so a crash
//! or an upgrade does not disturb an agent. The server holds no state of its own: on start it folds the journals, reconnects to
//! running shims, and continues.
//!
//! # Modules, in reading order
//!
//! Data goes down this list, commands go up; a file imports only from modules above it.
//!
//! | module | responsibility |
//! | --- | --- |
//! | [`clock`], [`thread`], [`procfs`], [`socket_owner`], [`subprocess`], [`probe`], [`json`], [`markdown`], [`fnv`], [`home`], [`packed`], [`percent`], [`picture`], [`metrics`], [`private_file`], [`qr`] | leaves: time, named threads, `/proc`, owners of connections, helper programs, installed programs and their versions, lenient JSON, Markdown as nodes, a stable hash, the home directory, compressed files, percent-encoding, types and sizes of pictures, counters, private files, pictures of links |
//! | [`config`], [`access`], [`token`], [`logins`], [`worker_env`], [`logging`], [`audit`], [`banner`], [`data_dir`] | settings and what depends on settings alone |
//! | [`projects`], [`presets`] | files in which the operator describes projects; named sets of fields of new workers |
//! | [`rules`] | standing rules for permission prompts: how a command is read, matched and decided, and the file of the rules |
//! | [`budgets`] | limits of cost, tokens, turns and running time, and the file of the budgets |
//! | [`schedules`] | messages at an instant or by a cron expression: the slots, what was missed, and the history of runs |
//! | [`journal`] | records, the locked writer, readers that seek and page |
//! | [`event`] | what a worker reports; the same events for every CLI |
//! | [`adapter`] | one per CLI: command lines, and the fold from output lines to events; no I/O, no clock |
//! | [`runner`] | where a command runs: sandbox, container, host, scheduler |
//! | [`shim`] | the process that owns a CLI, its protocol, process-tree shutdown |
//! | [`terminal`] | the process that owns a terminal and keeps its screen |
//! | [`http`], [`websocket`] | transport: bytes to requests and back; no domain types |
//! | [`outbound`] | requests to addresses that users choose, which are checked first |
//! | [`wire`] | events encoded as frames, once for all clients |
//! | [`sessions`] | sessions that were started elsewhere, from the CLIs' own transcript files |
//! | [`transcript`] | follows such a file while it grows: bounded reads, whole lines, each once; finds a session's owner |
//! | [`hub`] | from a worker's reader to its subscribers, without a queue or a copy in between |
//! | [`worker`] | one worker (fold, connection to its shim, commands) and the registry of all |
//! | [`webhook`] | notifies an address of the operator's choice: a worker waits, has ended a turn, has failed |
//! | [`hook`] | runs a program of the operator on the same events |
//! | [`push`] | notifies browsers of the same by Web Push |
//! | [`assets`], [`api`] | the page's files; routes and WebSocket commands |
//! | [`client`], [`cli`], [`demo`], [`server`] | commands without and with a server, the demo agent, the composition root |
//! | [`program`] | dispatches the process's arguments |
//! | [`testing`] | the parts that tests, fuzzers and benches use; nothing else is visible outside the crate |
//!
//! # Threads
//!
//! The server has no async runtime. One thread accepts connections; each connection has a reading thread, and a WebSocket
//! a writing thread as well. Each running worker has a thread that reads its shim and one that writes to it. Each terminal
//! has a thread that waits for its end, and each of its clients one that forwards its screen. The other threads, such as
//! those of watches and notices, are listed in `docs/architecture.md`.
//!
//! A worker's reader folds new records, encodes their events once, and writes them to every subscriber that keeps up, without
//! blocking. A subscriber that would block is marked, and its own writer thread serves it from the journal ([`hub`]). Every queue
//! has a bound that is a named constant or a setting. A thread ends when its channel or socket closes.
//!
//! # Where the design departs from the obvious
//!
//! * tiny_http's server is not used, only its responses: see [`http`].
//! * The hub comes before the worker, which publishes into it; the hub knows only bytes and offsets.
//! * Events depend on the records before them, so a cursor alone is not enough to derive them from the middle of a journal.
//!   Checkpoints every few hundred KiB ([`worker::history::checkpoint`]) make any place cheap to reach. They are only a cache.
//! * Commands are tracked in the journal alone: the fold decides what is written to a CLI, the shim appends and writes it,
//!   and the fold sees it come back as a record. A crash in between neither repeats nor loses it.

pub(crate) mod cgroup;
pub(crate) mod clock;
pub(crate) mod fnv;
pub(crate) mod home;
pub(crate) mod json;
pub(crate) mod markdown;
pub(crate) mod metrics;
pub(crate) mod packed;
pub(crate) mod percent;
pub(crate) mod picture;
pub(crate) mod private_file;
pub(crate) mod private_list;
pub(crate) mod probe;
pub(crate) mod procfs;
pub(crate) mod qr;
pub(crate) mod socket_owner;
pub(crate) mod subprocess;
pub(crate) mod thread;

pub(crate) mod access;
pub(crate) mod audit;
pub(crate) mod banner;
pub(crate) mod budgets;
pub(crate) mod config;
pub(crate) mod data_dir;
pub(crate) mod logging;
pub(crate) mod logins;
pub(crate) mod presets;
pub(crate) mod projects;
pub(crate) mod rules;
pub(crate) mod schedules;
pub(crate) mod token;
pub(crate) mod worker_env;

#[cfg(test)]
mod scratch;

pub(crate) mod adapter;
pub(crate) mod event;
pub(crate) mod journal;
pub(crate) mod runner;
pub(crate) mod shim;
pub(crate) mod terminal;

pub(crate) mod http;
pub(crate) mod websocket;

pub(crate) mod hook;
pub(crate) mod hub;
pub(crate) mod outbound;
pub(crate) mod push;
pub(crate) mod sessions;
pub(crate) mod transcript;
pub(crate) mod webhook;
pub(crate) mod wire;
pub(crate) mod worker;

pub(crate) mod api;
pub(crate) mod assets;
pub(crate) mod cli;
pub(crate) mod client;
pub(crate) mod demo;
pub(crate) mod server;

mod program;
#[doc(hidden)]
pub mod testing;

pub use program::main;
