//! Requests that the server sends to addresses that users choose: the operator's webhook, and the push services of
//! browsers. One POST to a checked address, within a deadline, without following redirects.
//!
//! An address inside the server's own network is refused unless it was allowed, and it is checked before each
//! connection: whoever can choose the address, or the addresses of its name, must not reach hosts that only this
//! machine can reach (`address`).
//!
//! The program has no TLS of its own: a library and its root certificates would be larger than all other dependencies
//! together. `https://` goes through the system's curl (`tls`).

mod address;
mod plain;
mod request;
mod target;
mod tls;

pub(crate) use request::{OutboundResponse, Post, RequestFailure};
pub(crate) use target::OutboundTarget;
pub(crate) use tls::check as check_tls;

/// Sends a request and reads the answer.
///
/// # Errors
/// Fails when the address is not allowed, or no answer comes.
pub(crate) fn send(post: &Post<'_>) -> Result<OutboundResponse, RequestFailure> {
    let addresses = plain::resolve(post.target, post.allow_private)?;
    if post.target.tls { tls::send(post, &addresses) } else { plain::send(post, &addresses) }
}

/// Refuses an address inside the own network, where one is written instead of a name.
///
/// # Errors
/// The kind of address, for people.
pub(crate) fn check_literal(target: &OutboundTarget) -> Result<(), String> {
    target.literal_address().map_or(Ok(()), address::check)
}
