//! The first line of a shim, and the version that follows from it.

use std::io::{self, Read as _};
use std::os::unix::net::UnixStream;

use super::incoming::{FromShim, IncomingBytes};
use crate::shim::protocol::Versions;

/// The first line of a shim.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Greeting {
    /// The version in which to attach.
    pub version: u32,
    /// The shim's process.
    pub pid: i32,
    /// The journal's end at that moment.
    pub end: u64,
}

/// Waits for the greeting on a new connection of a server that speaks these versions. A shim sends nothing more
/// before `attach`.
///
/// # Errors
/// Fails when the connection ends, or there is no version that both speak: then the error's kind is `Unsupported`.
pub fn greeted(mut socket: &UnixStream, versions: Versions) -> io::Result<Greeting> {
    let mut incoming = IncomingBytes::new(0);
    loop {
        let count = match socket.read(incoming.space()) {
            Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
            Ok(count) => count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(error),
        };
        incoming.filled(count);
        match incoming.next_item() {
            Some(FromShim::Greeting { version, pid, end }) => {
                let version =
                    versions.with(version).map_err(|text| io::Error::new(io::ErrorKind::Unsupported, text))?;
                return Ok(Greeting { version, pid, end });
            }
            Some(_) => return Err(io::Error::other("the process that listens there is not a shim")),
            None => {}
        }
    }
}
