//! One socket, searched for in the tables that the kernel writes as text (`man 5 proc`), line by line.

use std::fs::File;
use std::io::{self, BufRead, BufReader};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use super::ends::{Ends, ListedSocket, octets};

/// Bytes that are read of a table at once.
const READ_BYTES: usize = 64 * 1024;
/// Longest line that is understood, in bytes.
const LINE_MAX: usize = 1024;

/// The peer's socket; `None` when no table has it. An IPv4 connection may be in the table of IPv6, too: a program can
/// make it by a socket of that family.
pub(super) fn find(ends: &Ends) -> io::Result<Option<ListedSocket>> {
    if ends.peer.is_ipv4()
        && let Some(found) = search("/proc/net/tcp", &key(ends, false))?
    {
        return Ok(Some(found));
    }
    search("/proc/net/tcp6", &key(ends, true))
}

/// A table that is not there, as that of IPv6 where that is switched off, lists nothing.
fn search(table: &str, key: &str) -> io::Result<Option<ListedSocket>> {
    let file = match File::open(table) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    let mut lines = BufReader::with_capacity(READ_BYTES, file);
    let mut line = Vec::with_capacity(LINE_MAX);
    loop {
        line.clear();
        if io::Read::take(&mut lines, LINE_MAX as u64).read_until(b'\n', &mut line)? == 0 {
            return Ok(None);
        }
        if let Some(found) = listed(&line, key) {
            return Ok(Some(found));
        }
    }
}

/// The two addresses as a line begins with them, after its number.
fn key(ends: &Ends, as_ipv6: bool) -> String {
    let end = |end: SocketAddr| {
        let ip = match end.ip() {
            IpAddr::V4(ip) if as_ipv6 => IpAddr::V6(ip.to_ipv6_mapped()),
            ip => ip,
        };
        // Each four bytes of an address are written as a number of the machine's own byte order.
        let words = octets(ip).chunks_exact(Ipv4Addr::BITS as usize / 8).fold(String::new(), |text, word| {
            let number = word.try_into().map_or(0, u32::from_ne_bytes);
            format!("{text}{number:08X}")
        });
        format!("{words}:{:04X}", end.port())
    };
    format!("{} {}", end(ends.peer), end(ends.local))
}

/// Parses a line about the socket whose addresses are `key`; `None` when it is of another one.
fn listed(line: &[u8], key: &str) -> Option<ListedSocket> {
    let line = std::str::from_utf8(line).ok()?;
    let (_, rest) = line.split_once(": ")?;
    let mut fields = rest.strip_prefix(key)?.split_ascii_whitespace();
    let state = u8::from_str_radix(fields.next()?, 16).ok()?;
    // Queues, timer, retransmits; then the user, a time-out and the inode.
    let uid = fields.nth(3)?.parse().ok()?;
    let inode = fields.nth(1)?.parse().ok()?;
    Some(ListedSocket { state, uid, inode })
}

#[cfg(test)]
mod tests {
    use super::*;

    const LINE: &str = "   2: 0100007F:C2D4 0100007F:1E6C 01 00000000:00000000 00:00000000 00000000  1000        0 53214 1 \
                        0000000000000000 20 4 30 10 -1\n";

    #[test]
    fn a_line_gives_state_user_and_inode() {
        let found = |key: &str| listed(LINE.as_bytes(), key);
        assert_eq!(found("0100007F:C2D4 0100007F:1E6C"), Some(ListedSocket { state: 1, uid: 1000, inode: 53214 }));
        assert_eq!(found("0100007F:1E6C 0100007F:C2D4"), None, "the other end is another socket");
        for cut in 0..LINE.len() - 60 {
            let _ = listed(&LINE.as_bytes()[..cut], "0100007F:C2D4 0100007F:1E6C");
        }
    }

    #[test]
    #[cfg(target_endian = "little")]
    fn addresses_are_written_as_the_kernel_does() {
        let ends = Ends::new("127.0.0.1:49876".parse().unwrap(), "127.0.0.1:7788".parse().unwrap());
        assert_eq!(key(&ends, false), "0100007F:C2D4 0100007F:1E6C");
        assert_eq!(key(&ends, true), "0000000000000000FFFF00000100007F:C2D4 0000000000000000FFFF00000100007F:1E6C");
        let ends = Ends::new("[::1]:1".parse().unwrap(), "[::1]:65535".parse().unwrap());
        assert_eq!(key(&ends, true), "00000000000000000000000001000000:0001 00000000000000000000000001000000:FFFF");
    }
}
