//! One socket, by the kernel's own index (`man 7 sock_diag`).
//!
//! Messages are read and written byte by byte, in the layout that the manual gives for `nlmsghdr`, `inet_diag_req_v2` and
//! `inet_diag_msg`; numbers are in the machine's byte order, ports and addresses in that of networks.

use std::io;
use std::os::fd::{AsRawFd as _, OwnedFd};
use std::sync::{Mutex, PoisonError};

use nix::errno::Errno;
use nix::sys::socket::{
    AddressFamily, MsgFlags, SockFlag, SockProtocol, SockType, recv, send, setsockopt, socket, sockopt,
};
use nix::sys::time::TimeVal;

use super::ends::{Ends, ListedSocket, octets};

/// Type of the request (`SOCK_DIAG_BY_FAMILY`), and of its answer.
const BY_FAMILY: u16 = 20;
/// Type of an answer that is an error (`NLMSG_ERROR`).
const ERROR: u16 = 2;
/// The flag of every request (`NLM_F_REQUEST`).
const REQUEST: u16 = 1;
/// Bytes of a message's head.
const HEAD: usize = 16;
/// Bytes of the request.
const QUESTION: usize = HEAD + 56;
/// Bytes of the answer that are understood.
const ANSWER: usize = HEAD + 72;
/// The protocol TCP.
const TCP: u8 = 6;
/// Seconds that the kernel may take; it answers within the call.
const PATIENCE_SECONDS: i64 = 2;

/// The connection to the kernel, which is kept: a server without free descriptors must know its clients still.
static KERNEL: Mutex<Option<OwnedFd>> = Mutex::new(None);

/// The peer's socket; `None` when the kernel has none.
pub(super) fn find(ends: &Ends) -> io::Result<Option<ListedSocket>> {
    let mut kept = KERNEL.lock().unwrap_or_else(PoisonError::into_inner);
    let kernel = match kept.take() {
        Some(kernel) => kernel,
        None => connect()?,
    };
    send(kernel.as_raw_fd(), &question(ends), MsgFlags::empty())?;
    let mut answer = [0; 1024];
    let length = recv(kernel.as_raw_fd(), &mut answer, MsgFlags::empty())?;
    // One that has failed might still be answered, and is not used again.
    *kept = Some(kernel);
    drop(kept);
    read(answer.get(..length).unwrap_or_default())
}

/// Connects to the kernel ahead of the first question.
pub(super) fn prepare() -> io::Result<()> {
    let mut kept = KERNEL.lock().unwrap_or_else(PoisonError::into_inner);
    if kept.is_none() {
        *kept = Some(connect()?);
    }
    Ok(())
}

fn connect() -> io::Result<OwnedFd> {
    let kernel = socket(AddressFamily::Netlink, SockType::Raw, SockFlag::SOCK_CLOEXEC, SockProtocol::NetlinkSockDiag)?;
    setsockopt(&kernel, sockopt::ReceiveTimeout, &TimeVal::new(PATIENCE_SECONDS, 0))?;
    Ok(kernel)
}

fn question(ends: &Ends) -> Vec<u8> {
    let family = if ends.peer.is_ipv4() { AddressFamily::Inet } else { AddressFamily::Inet6 };
    let mut bytes = Vec::with_capacity(QUESTION);
    bytes.extend((QUESTION as u32).to_ne_bytes());
    bytes.extend([BY_FAMILY, REQUEST].map(u16::to_ne_bytes).concat());
    // The message's number and the sender's, which only those need who send several.
    bytes.extend([0; 8]);
    bytes.extend([family as i32 as u8, TCP, 0, 0]);
    // Sockets in all states.
    bytes.extend(u32::MAX.to_ne_bytes());
    bytes.extend(ends.peer.port().to_be_bytes());
    bytes.extend(ends.local.port().to_be_bytes());
    for end in [ends.peer, ends.local] {
        let mut address = octets(end.ip());
        address.resize(16, 0);
        bytes.extend(address);
    }
    // Any interface, and no cookie.
    bytes.extend(0_u32.to_ne_bytes());
    bytes.extend([0xff; 8]);
    bytes
}

fn read(answer: &[u8]) -> io::Result<Option<ListedSocket>> {
    let short = || io::Error::new(io::ErrorKind::InvalidData, "netlink: an answer of another form");
    let word = |at: usize| answer.get(at..at + 4)?.try_into().ok().map(u32::from_ne_bytes);
    let kind = answer.get(4..6).and_then(|bytes| bytes.try_into().ok()).map(u16::from_ne_bytes);
    match kind {
        Some(BY_FAMILY) if answer.len() >= ANSWER => {
            let (Some(uid), Some(inode)) = (word(HEAD + 64), word(HEAD + 68)) else { return Err(short()) };
            let state = answer.get(HEAD + 1).copied().ok_or_else(short)?;
            Ok(Some(ListedSocket { state, uid, inode: inode.into() }))
        }
        Some(ERROR) => match word(HEAD).map(|code| Errno::from_raw(code.cast_signed().wrapping_neg())) {
            Some(Errno::ENOENT) => Ok(None),
            Some(errno) => Err(errno.into()),
            None => Err(short()),
        },
        _ => Err(short()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_of_any_form_are_survived() {
        let mut good = vec![0; ANSWER];
        good[4..6].copy_from_slice(&BY_FAMILY.to_ne_bytes());
        good[HEAD + 1] = 1;
        good[HEAD + 64..HEAD + 68].copy_from_slice(&1000_u32.to_ne_bytes());
        good[HEAD + 68..].copy_from_slice(&7_u32.to_ne_bytes());
        assert_eq!(read(&good).unwrap(), Some(ListedSocket { state: 1, uid: 1000, inode: 7 }));
        for length in 0..good.len() {
            assert!(read(&good[..length]).is_err(), "{length}");
        }
        let mut error = vec![0; HEAD];
        error[4..6].copy_from_slice(&ERROR.to_ne_bytes());
        error.extend((-(Errno::ENOENT as i32)).to_ne_bytes());
        assert_eq!(read(&error).unwrap(), None);
        error.splice(HEAD.., (-(Errno::EPERM as i32)).to_ne_bytes());
        assert_eq!(read(&error).unwrap_err().raw_os_error(), Some(Errno::EPERM as i32));
        assert!(read(&error[..HEAD]).is_err());
    }
}
