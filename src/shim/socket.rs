//! The unix socket in the worker's folder, however long the folder's path is.
//!
//! A socket's address holds 107 bytes of path. So the folder is opened, and the socket is named through the descriptor:
//! `/proc/self/fd/<n>/shim.sock`.

use std::fs::{self, File, OpenOptions, Permissions};
use std::io::{self, ErrorKind};
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};

use nix::fcntl::OFlag;
use nix::sys::socket::{self, AddressFamily, Backlog, SockFlag, SockType, UnixAddr};
use nix::sys::stat::{Mode, umask};

/// Name of the socket in the worker's folder.
pub(crate) const SOCKET: &str = "shim.sock";
/// Permissions of the socket: its owner alone.
const MODE: u32 = 0o600;

fn open_folder(dir: &Path) -> io::Result<(File, PathBuf)> {
    let flags = OFlag::O_PATH | OFlag::O_DIRECTORY;
    let folder = OpenOptions::new().read(true).custom_flags(flags.bits()).open(dir)?;
    let address = PathBuf::from(format!("/proc/self/fd/{}/{SOCKET}", folder.as_raw_fd()));
    Ok((folder, address))
}

/// Connects to the shim of the worker whose folder is `dir`. `attach` must follow within 5 seconds.
///
/// # Errors
/// `NotFound` or `ConnectionRefused` when no shim lives there (or it does not listen yet); else the system's error.
pub fn connect(dir: &Path) -> io::Result<UnixStream> {
    let (_folder, address) = open_folder(dir)?;
    UnixStream::connect(address)
}

/// A socket in the worker's folder, which refuses connections until [`BoundSocket::listen`].
#[derive(Debug)]
pub(crate) struct BoundSocket(OwnedFd);

/// Makes the socket. The caller holds the lock on the journal, so one that is there already is a leftover.
///
/// Called while there is one thread, because the mask for new files is the whole process's. It is set for this moment
/// alone: the CLI inherits it and makes the user's own files.
///
/// # Errors
/// The system's error.
pub(crate) fn bind(dir: &Path) -> io::Result<BoundSocket> {
    let (_folder, address) = open_folder(dir)?;
    match fs::remove_file(&address) {
        Err(err) if err.kind() != ErrorKind::NotFound => return Err(err),
        _ => {}
    }
    let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
    let socket = socket::socket(AddressFamily::Unix, SockType::Stream, flags, None)?;
    let name = UnixAddr::new(&address)?;
    let before = umask(Mode::from_bits_truncate(!MODE & 0o777));
    let bound = socket::bind(socket.as_raw_fd(), &name);
    umask(before);
    bound?;
    fs::set_permissions(&address, Permissions::from_mode(MODE))?;
    Ok(BoundSocket(socket))
}

impl BoundSocket {
    /// Lets servers in, without waiting for them. Called when nothing is left that could keep the shim from starting: a
    /// server that has been let in takes the shim's end for a kill.
    ///
    /// # Errors
    /// The system's error.
    pub(crate) fn listen(self) -> io::Result<UnixListener> {
        socket::listen(&self.0, Backlog::MAXALLOWABLE)?;
        Ok(UnixListener::from(self.0))
    }
}
