//! The unix socket in the worker's folder, however long the folder's path is.
//!
//! A socket's address holds 107 bytes of path. So the folder is opened, and the socket is named through the descriptor:
//! `/proc/self/fd/<n>/shim.sock`.

use std::fs::{self, File, OpenOptions, Permissions};
use std::io::{self, ErrorKind};
use std::os::fd::AsRawFd;
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};

use nix::fcntl::OFlag;
use nix::sys::stat::{Mode, umask};

/// Name of the socket in the worker's folder.
pub const SOCKET: &str = "shim.sock";
/// Permissions of the socket: its owner alone.
const MODE: u32 = 0o600;

fn open_folder(dir: &Path) -> io::Result<(File, PathBuf)> {
    let flags = OFlag::O_PATH | OFlag::O_DIRECTORY;
    let folder = OpenOptions::new().read(true).custom_flags(flags.bits()).open(dir)?;
    let address = PathBuf::from(format!("/proc/self/fd/{}/{SOCKET}", folder.as_raw_fd()));
    Ok((folder, address))
}

/// Connects to the shim of the worker whose folder is `dir`. Then `attach` is to be sent within 5 seconds.
///
/// # Errors
/// `NotFound` or `ConnectionRefused` when no shim lives there (or it has not begun to listen yet); else what the system
/// says.
pub fn connect(dir: &Path) -> io::Result<UnixStream> {
    let (_folder, address) = open_folder(dir)?;
    UnixStream::connect(address)
}

/// Makes the socket. The caller holds the lock on the journal, so one that is there already belongs to nobody.
///
/// Called while there is one thread, because the mask for new files is the whole process's. It is set for this moment
/// alone: the CLI inherits it and makes the user's own files.
pub(super) fn bind(dir: &Path) -> io::Result<UnixListener> {
    let (_folder, address) = open_folder(dir)?;
    match fs::remove_file(&address) {
        Err(err) if err.kind() != ErrorKind::NotFound => return Err(err),
        _ => {}
    }
    let before = umask(Mode::from_bits_truncate(!MODE & 0o777));
    let listener = UnixListener::bind(&address);
    umask(before);
    let listener = listener?;
    fs::set_permissions(&address, Permissions::from_mode(MODE))?;
    listener.set_nonblocking(true)?;
    Ok(listener)
}
