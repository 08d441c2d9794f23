//! Files that only their owner may read: the token and the logins. A leaf module.

use std::fmt;
use std::fs::{self, DirBuilder, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::Path;

use nix::fcntl::OFlag;
use nix::unistd::geteuid;

/// The reason why a file is not read.
#[derive(Debug)]
pub(crate) enum PrivateFileError {
    /// The system refused.
    Io(io::Error),
    /// Others can read or change it, or it is not a file; the text is the end of a sentence about it.
    Open(String),
}

impl fmt::Display for PrivateFileError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Io(error) => error.fmt(f),
            Self::Open(reason) => f.write_str(reason),
        }
    }
}

impl std::error::Error for PrivateFileError {}

impl From<io::Error> for PrivateFileError {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

/// Reads at most `max` bytes of a file; `None` when it is not there.
///
/// # Errors
/// Fails when it cannot be read, or is not a private file of our own.
pub(crate) fn read(path: &Path, max: u64) -> Result<Option<Vec<u8>>, PrivateFileError> {
    // A symbolic link may lead to a file that somebody else chose; a named pipe must not hold up the start.
    let flags = OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK;
    let file = match OpenOptions::new().read(true).custom_flags(flags.bits()).open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error.into()),
    };
    let metadata = file.metadata()?;
    if !metadata.is_file() {
        return Err(PrivateFileError::Open("is not a regular file".into()));
    }
    if metadata.uid() != geteuid().as_raw() {
        return Err(PrivateFileError::Open(format!("belongs to user {}, not to {}", metadata.uid(), geteuid())));
    }
    if metadata.mode() & 0o077 != 0 {
        let mode = metadata.mode() & 0o7777;
        return Err(PrivateFileError::Open(format!("is open to other users (mode {mode:04o})")));
    }
    let mut bytes = Vec::new();
    file.take(max).read_to_end(&mut bytes)?;
    Ok(Some(bytes))
}

/// Makes a file that is whole when it gets its name; its folder is made too.
///
/// # Errors
/// `AlreadyExists` when there is one of this name, or whatever the system says.
pub(crate) fn create(path: &Path, bytes: &[u8]) -> io::Result<()> {
    with_draft(path, bytes, |draft| fs::hard_link(draft, path))
}

/// Puts a whole file in the place of the one of this name, if there is one.
///
/// # Errors
/// The system's error; the old file is then unchanged.
pub(crate) fn replace(path: &Path, bytes: &[u8]) -> io::Result<()> {
    with_draft(path, bytes, |draft| fs::rename(draft, path))
}

fn with_draft(path: &Path, bytes: &[u8], place: impl FnOnce(&Path) -> io::Result<()>) -> io::Result<()> {
    let folder = path.parent().unwrap_or(path);
    DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let draft = folder.join(format!(".{}.{}", name.trim_start_matches('.'), uuid::Uuid::new_v4()));
    let placed = write(&draft, bytes).and_then(|()| place(&draft));
    // The draft's own name is not needed any more, in either case.
    let _ = fs::remove_file(&draft);
    placed
}

fn write(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
    file.write_all(bytes)?;
    file.sync_all()
}

/// Random bytes of the system as text, two characters a byte.
///
/// # Errors
/// Fails when the system has none.
pub(crate) fn random_text<const BYTES: usize>() -> io::Result<String> {
    let mut bytes = [0_u8; BYTES];
    getrandom::fill(&mut bytes).map_err(io::Error::other)?;
    Ok(data_encoding::HEXLOWER.encode(&bytes))
}
