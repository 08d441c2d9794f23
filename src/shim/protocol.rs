//! What server and shim say to each other on the unix socket.
//!
//! Text lines both ways, so that an old shim and a newer server can be read side by side with `socat`.
//!
//! **From the shim**, told apart by the first byte of a line:
//! ```text
//! rs-worker-shim <protocol> <shim pid> <journal end>    once, first
//! 1704067200000000 out {"type":"system",...}            a record, the same bytes as in the journal, in order
//! v 1704067200000000 out {"type":"stream_event",...}    a volatile line: not in the journal
//! ok <id> <offset>                                      command <id> was done; the journal ended there then
//! no <id> <reason>                                      command <id> was not done, and why
//! warn <text>                                           the journal cannot be written; the CLI waits
//! warn                                                  it can be written again
//! ```
//! **From the server**: `attach` first, then commands in any number. `<id>` is any number that the server chooses.
//! ```text
//! attach <protocol> <offset>        send every record from <offset> on, then live
//! append <id> <bytes>\n<body>       body: lines `ctl <json>` or `in <line>`; one write to the journal, then each `in`
//!                                   line goes to the CLI's stdin
//! run <id> <bytes>\n<body>          body: NUL-separated program and arguments; starts the next process (one process a turn)
//! eof <id>                          close the CLI's stdin
//! signal <id> <number>              to the CLI's process group
//! stop <id> <grace ms>              the stop ladder
//! sync <id>                         fdatasync the journal
//! ```
//! **Versions.** A shim speaks one version, which its greeting names; a server speaks all from [`OLDEST`] to
//! [`VERSION`]. A verb that a shim does not know is answered `no <id> unknown command`.

/// The version that this build speaks.
pub const VERSION: u32 = 1;
/// The oldest shim that this build can attach to.
pub const OLDEST: u32 = 1;
/// First word of a shim's greeting.
pub const GREETING: &str = "rs-worker-shim";
/// Longest header line of a command, in bytes.
pub const HEADER_MAX: usize = 256;
/// Longest body of a command, in bytes: the longest line and some records beside it.
pub const BODY_MAX: usize = 80 * 1024 * 1024;
