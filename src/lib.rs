//! rs-worker, an AI Code Worker Manager: one program that starts, supervises and streams many AI coding CLIs on one
//! small server. A *worker* is one CLI session bound to a project directory.
//!
//! # One idea: the journal is the truth
//!
//! Every worker has an append-only [`journal`]: what its CLI printed, what was written to it, and what happened to its
//! process, in one order. A record's sequence number is its byte offset. Everything else, from the status to the open
//! permission prompts, is a *fold* over the journal ([`worker::state::fold`]), or a cursor into it. So a client that comes back
//! names its last event and misses nothing; a slow one is served from the file; and the server can be killed
//! at any moment.
//!
//! # Two kinds of process
//!
//! ```text
//!  browser, REST and WebSocket clients
//!       |  HTTP, one port                                             commands, up
//!  server    http -> api -> worker (commands) -> mailbox --.
//!            hub <- worker (fold) <- reader <--------------+
//!       |  unix socket, <data>/<worker>/shim.sock          |
//!  shim      one small process a running worker: this program again
//!       |  pipes                                                      data, down
//!      the CLI, in a process group of its own
//! ```
//!
//! The [`shim`] owns the CLI's pipes and appends to the journal. It outlives the server, so neither an upgrade nor a crash
//! disturbs an agent. The server holds no truth: it folds the journals, attaches to the shims that live, and goes on.
//!
//! # The modules, in reading order
//!
//! Data goes down this list, commands go up; a file imports only what stands above it.
//!
//! | module | what it is |
//! | --- | --- |
//! | [`clock`], [`thread`], [`procfs`], [`socket_owner`], [`subprocess`], [`probe`], [`json`], [`markdown`], [`fnv`], [`home`], [`packed`], [`percent`], [`picture`], [`metrics`], [`private_file`] | leaves: time, named threads, `/proc`, the owners of connections, programs that are asked something, installed programs and their versions, lenient JSON, Markdown as nodes, a hash that stays, the home directory, compressed files, addresses, the types and sizes of pictures, what the process counts of itself, files that only their owner reads |
//! | [`config`], [`token`], [`logins`], [`worker_env`], [`logging`], [`banner`], [`data_dir`] | settings, and what follows from them alone |
//! | [`journal`] | records, the writer that has the lock, readers that seek and page |
//! | [`event`] | what a worker can tell: the same events for every CLI |
//! | [`adapter`] | what is known of each CLI: command lines, and the fold from its lines to events. No I/O, no clock |
//! | [`runner`] | where a command runs: sandboxes, containers, other machines, as command lines around it |
//! | [`shim`] | the process that owns the CLI, its protocol, the end of process trees |
//! | [`http`], [`websocket`] | transport: bytes to requests and messages, and back. No domain |
//! | [`outbound`] | requests to addresses of somebody's choice, which are checked first |
//! | [`wire`] | events as the frames that clients get, encoded once |
//! | [`sessions`] | what the CLIs' own transcript files tell of sessions that were started elsewhere |
//! | [`transcript`] | such a file followed while it grows: bounded reads, whole lines, each once; who has a session |
//! | [`hub`] | from one worker's reader to all subscribers, without a thread or a copy in between |
//! | [`worker`] | one worker: fold, connection to its shim, commands; all of them: the registry |
//! | [`webhook`] | tells an address of the operator's choice when a worker waits, has ended a turn, has failed |
//! | [`push`] | notifies browsers of the same, by Web Push |
//! | [`assets`], [`api`] | the page's files; the routes, and the WebSocket API |
//! | [`client`], [`cli`], [`demo`], [`server`] | the command line: without a server, and asking one; the demo agent; everything put together |
//! | [`program`] | the dispatch of the process's arguments |
//! | [`testing`] | the parts that tests, fuzzers and benches use; nothing else is visible outside the crate |
//!
//! # Threads
//!
//! No async runtime: one thread accepts connections, each connection has one that reads it (a WebSocket a second one that
//! writes), each running worker has one that reads its shim and one that writes to it; one looks whether turns stall, one
//! after idle workers and usage limits, one follows the sessions that run elsewhere, one counts changed lines after turns,
//! and two deliver the webhook and Web Push. A
//! worker's reader folds what has come, encodes it once, and writes it to every subscriber that keeps up, there and then,
//! without blocking; for the others it leaves a mark, and their own writers read the journal ([`hub`]). Every queue is
//! bounded by a named constant or a setting; a thread ends because its channel or socket closed.
//!
//! # Where it departs from the obvious
//!
//! * tiny_http's server is not used, only its responses: see [`http`].
//! * The hub stands before the worker, which publishes into it; the hub knows only bytes and offsets.
//! * Events depend on what came before them, so a cursor alone is not enough to tell them from the middle of a journal:
//!   saved folds every few hundred KiB ([`worker::history::checkpoint`]) make any place cheap to reach. They are only a cache.
//! * Commands are not tracked anywhere but in the journal: what is to be written to a CLI follows from the fold, the shim
//!   appends it and writes it, and the fold sees it come back. A crash in between repeats nothing and loses nothing.

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
pub(crate) mod probe;
pub(crate) mod procfs;
pub(crate) mod socket_owner;
pub(crate) mod subprocess;
pub(crate) mod thread;

pub(crate) mod banner;
pub(crate) mod config;
pub(crate) mod data_dir;
pub(crate) mod logging;
pub(crate) mod logins;
pub(crate) mod token;
pub(crate) mod worker_env;

#[cfg(test)]
mod scratch;

pub(crate) mod adapter;
pub(crate) mod event;
pub(crate) mod journal;
pub(crate) mod runner;
pub(crate) mod shim;

pub(crate) mod http;
pub(crate) mod websocket;

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
