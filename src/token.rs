//! The token that clients send when the server can be reached from other machines, or when one was set.
//!
//! If it was not set, it is created at the first start and stored in a file that only its owner can read, so that the
//! same user's tools find it. Runs at start, on the main thread.

use std::fmt;
use std::hint::black_box;
use std::io;
use std::path::{Path, PathBuf};

use crate::config::{Config, Secret, TOKEN_MIN};
use crate::private_file::{self, PrivateFileError};

/// Random bytes of a token that is made; its text has twice as many characters.
const RANDOM_BYTES: usize = 32;
/// The largest token file that is read, in bytes.
const FILE_MAX: u64 = 4096;

/// The token that clients must send.
#[derive(Clone, Debug)]
pub struct AuthToken {
    secret: Secret,
    file: Option<PathBuf>,
}

impl AuthToken {
    /// A token that people chose.
    pub const fn chosen(secret: Secret) -> Self {
        Self { secret, file: None }
    }

    /// Returns whether it was made from random bytes, so that nobody can guess it.
    pub const fn is_random(&self) -> bool {
        self.file.is_some()
    }

    /// Returns whether `given` is the token. The time it takes does not depend on where they differ.
    pub fn matches(&self, given: &str) -> bool {
        let (own, given) = (self.secret.expose().as_bytes(), given.as_bytes());
        let differences = own
            .iter()
            .enumerate()
            .fold(0, |found, (at, byte)| found | (byte ^ black_box(given.get(at).copied().unwrap_or(0))));
        (black_box(differences) == 0) & (own.len() == given.len())
    }

    /// The token itself.
    pub fn secret(&self) -> &Secret {
        &self.secret
    }

    /// The file that holds it; `None` when `AUTH_TOKEN` set it.
    pub fn file(&self) -> Option<&Path> {
        self.file.as_deref()
    }
}

/// The reason why there is no token.
#[derive(Debug)]
pub(crate) enum TokenFileError {
    /// The file cannot be read or written.
    File {
        /// The file.
        path: PathBuf,
        /// The reason.
        source: io::Error,
    },
    /// Others can read or change the file, so its token is not secret.
    Open {
        /// The file.
        path: PathBuf,
        /// The mistake.
        reason: String,
    },
    /// The file holds no token.
    Content {
        /// The file.
        path: PathBuf,
    },
    /// The system has no random bytes.
    Random(io::Error),
}

impl fmt::Display for TokenFileError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File { path, source } => write!(
                f,
                "cannot keep the auth token in {}: {source}; set AUTH_TOKEN_FILE to another path, or AUTH_TOKEN",
                path.display()
            ),
            Self::Open { path, reason } => {
                let path = path.display();
                write!(f, "the auth token file {path} {reason}; remove it, and a new token is made")
            }
            Self::Content { path } => write!(
                f,
                "the auth token file {} holds no token of at least {TOKEN_MIN} printable characters; remove it, and a new \
                 one is made",
                path.display()
            ),
            Self::Random(source) => write!(f, "cannot read random bytes for the auth token: {source}"),
        }
    }
}

impl std::error::Error for TokenFileError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::File { source, .. } | Self::Random(source) => Some(source),
            Self::Open { .. } | Self::Content { .. } => None,
        }
    }
}

/// The token that clients must send: `AUTH_TOKEN`, else the one in the token file, which is made when it is missing.
/// `None` when none is needed ([`Config::needs_token`]).
///
/// # Errors
/// Fails when the file cannot be read or made, or others can read it.
pub(crate) fn auth_token(config: &Config) -> Result<Option<AuthToken>, TokenFileError> {
    if !config.needs_token() {
        return Ok(None);
    }
    if let Some(secret) = &config.auth_token {
        return Ok(Some(AuthToken::chosen(secret.clone())));
    }
    let path = &config.auth_token_file;
    let secret = match read(path)? {
        Some(secret) => secret,
        None => make(path)?,
    };
    Ok(Some(AuthToken { secret, file: Some(path.clone()) }))
}

/// The token in the file, or `None` when there is no file.
///
/// # Errors
/// Fails when the file cannot be read, holds no token, or is open to others.
pub(crate) fn read(path: &Path) -> Result<Option<Secret>, TokenFileError> {
    let read = private_file::read(path, FILE_MAX).map_err(|error| match error {
        PrivateFileError::Io(source) => TokenFileError::File { path: path.to_owned(), source },
        PrivateFileError::Open(reason) => TokenFileError::Open { path: path.to_owned(), reason },
    })?;
    let Some(bytes) = read else { return Ok(None) };
    let token = str::from_utf8(&bytes).unwrap_or_default().trim();
    let good = token.len() >= TOKEN_MIN && token.bytes().all(|byte| byte.is_ascii_graphic());
    if good { Ok(Some(Secret::new(token))) } else { Err(TokenFileError::Content { path: path.to_owned() }) }
}

/// Makes a token and its file. The file gets its name only when it is whole; of two servers that start at once, the
/// second takes the first one's token.
fn make(path: &Path) -> Result<Secret, TokenFileError> {
    let failed = |source| TokenFileError::File { path: path.to_owned(), source };
    let token = private_file::random_text::<RANDOM_BYTES>().map_err(TokenFileError::Random)?;
    match private_file::create(path, format!("{token}\n").as_bytes()) {
        Ok(()) => Ok(Secret::new(token)),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => read(path)?.ok_or_else(|| failed(error)),
        Err(error) => Err(failed(error)),
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};

    use super::*;
    use crate::scratch::Scratch;

    fn config(folder: &Scratch, dotenv: &str) -> Config {
        Config::load(folder.path(), Some(dotenv), &|_| None).unwrap()
    }

    fn error(folder: &Scratch) -> String {
        auth_token(&config(folder, "HOST=0.0.0.0")).unwrap_err().to_string()
    }

    fn keep(folder: &Scratch, text: &str, mode: u32) -> PathBuf {
        let path = config(folder, "").auth_token_file;
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, text).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
        path
    }

    #[test]
    fn a_loopback_server_needs_no_token_and_makes_none() {
        let folder = Scratch::new();
        assert!(auth_token(&config(&folder, "")).unwrap().is_none());
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
    }

    #[test]
    fn configured_token_counts_on_any_address_and_is_not_stored() {
        let folder = Scratch::new();
        for host in ["127.0.0.1", "0.0.0.0"] {
            let token =
                auth_token(&config(&folder, &format!("HOST={host}\nAUTH_TOKEN=0123456789abcdef"))).unwrap().unwrap();
            assert_eq!((token.secret().expose(), token.file()), ("0123456789abcdef", None));
        }
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
    }

    #[test]
    fn token_is_made_once_and_kept_in_a_private_file() {
        let folder = Scratch::new();
        let config = config(&folder, "HOST=0.0.0.0");
        let first = auth_token(&config).unwrap().unwrap();
        let second = auth_token(&config).unwrap().unwrap();
        assert_eq!(first.secret(), second.secret());
        assert_eq!(first.file(), Some(config.auth_token_file.as_path()));
        let text = first.secret().expose();
        assert!(text.len() == 64 && text.bytes().all(|byte| byte.is_ascii_hexdigit()), "{text}");
        assert_eq!(fs::read_to_string(&config.auth_token_file).unwrap(), format!("{text}\n"));
        assert_eq!(fs::metadata(&config.auth_token_file).unwrap().mode() & 0o777, 0o600);
        let parent = config.auth_token_file.parent().unwrap();
        assert_eq!(fs::metadata(parent).unwrap().mode() & 0o777, 0o700);
        assert_eq!(fs::read_dir(parent).unwrap().count(), 1, "no draft is left");
        assert_ne!(auth_token(&self::config(&Scratch::new(), "HOST=::")).unwrap().unwrap().secret(), first.secret());
    }

    #[test]
    fn servers_that_start_at_once_agree_on_one_token() {
        let folder = Scratch::new();
        let path = folder.path().join("data/auth_token");
        let starts: Vec<_> = (0..8)
            .map(|_| {
                let path = path.clone();
                std::thread::spawn(move || read(&path).unwrap().unwrap_or_else(|| make(&path).unwrap()))
            })
            .collect();
        let tokens: Vec<Secret> = starts.into_iter().map(|start| start.join().unwrap()).collect();
        assert!(tokens.iter().all(|token| *token == tokens[0]));
    }

    #[test]
    fn a_file_that_others_can_read_is_refused() {
        let folder = Scratch::new();
        let path = keep(&folder, "0123456789abcdef\n", 0o640);
        let expected = "is open to other users (mode 0640); remove it, and a new token is made";
        assert_eq!(error(&folder), format!("the auth token file {} {expected}", path.display()));
        keep(&folder, "0123456789abcdef\n", 0o400);
        assert!(auth_token(&config(&folder, "HOST=0.0.0.0")).is_ok());
    }

    #[test]
    fn a_file_without_a_token_is_refused() {
        let folder = Scratch::new();
        for text in ["", "short\n", "0123456789 abcdef\n", "0123456789abcdef\u{e9}\n"] {
            let path = keep(&folder, text, 0o600);
            let expected = "holds no token of at least 16 printable characters; remove it, and a new one is made";
            assert_eq!(error(&folder), format!("the auth token file {} {expected}", path.display()), "{text:?}");
        }
    }

    #[test]
    fn links_and_folders_are_refused() {
        let folder = Scratch::new();
        let path = keep(&folder, "0123456789abcdef\n", 0o600);
        let target = folder.path().join("elsewhere");
        fs::rename(&path, &target).unwrap();
        symlink(&target, &path).unwrap();
        assert!(error(&folder).contains("; set AUTH_TOKEN_FILE to another path, or AUTH_TOKEN"), "{}", error(&folder));
        let refused = read(&path).unwrap_err();
        assert!(matches!(refused, TokenFileError::File { .. }) && std::error::Error::source(&refused).is_some());
        fs::remove_file(&path).unwrap();
        fs::create_dir(&path).unwrap();
        assert!(matches!(read(&path), Err(TokenFileError::Open { .. })));
        let expected = "is not a regular file; remove it, and a new token is made";
        assert_eq!(error(&folder), format!("the auth token file {} {expected}", path.display()));
    }

    #[test]
    fn only_the_whole_token_matches() {
        let token = AuthToken { secret: Secret::new("0123456789abcdef"), file: None };
        assert!(token.matches("0123456789abcdef"));
        for wrong in
            ["", "0123456789abcde", "0123456789abcdef0", "0123456789abcdeF", "0123456789abcdef\0", "x123456789abcdef"]
                // Two differences that would cancel each other.
                .into_iter()
                .chain(["1023456789abcdef", "0123456789abcdfe"])
        {
            assert!(!token.matches(wrong), "{wrong:?}");
        }
        assert!(!format!("{token:?}").contains("0123456789"));
    }
}
