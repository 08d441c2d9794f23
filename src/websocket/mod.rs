//! WebSocket transport: the handshake, frames as bytes, and reading what a client sends. It knows nothing of workers.
//!
//! A connection has two sides that never share a tungstenite socket: a [`MessageReader`] on one thread, and a writer of
//! frames, made with [`frame`], on another. The reader passes the protocol's own frames (pongs, pings, the reply to a
//! close) to [`ControlOut`] as whole frames, so that the writer puts them between its own frames and never into one.
//! (Two tungstenite sockets on one stream would do just that: a pong meets a half-sent frame.)

pub(crate) mod frame;
pub mod handshake;
mod reader;

#[cfg(test)]
mod tests;

pub(crate) use reader::ControlOut;
pub use reader::{CloseReason, Incoming, MessageReader, ReaderLimits};
