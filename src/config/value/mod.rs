//! The kinds of values that a setting can have: what is allowed, how it is read, and how it is shown.

use std::net::{IpAddr, Ipv4Addr};
use std::path::{Path, PathBuf};

use log::LevelFilter;

use super::Config;
use super::dotenv::is_name;
use super::network::{Network, host_form};
use super::reserve::MemoryReserve;
use super::secret::Secret;
use crate::cgroup::{self, WorkerLimits};
use crate::home::{self, HomeChange};

pub(super) const KIB: u64 = 1024;
pub(super) const MIB: u64 = 1024 * KIB;
pub(super) const GIB: u64 = 1024 * MIB;
/// The shortest auth token, in characters.
pub(crate) const TOKEN_MIN: usize = 16;
/// The longest secret or text, in bytes; anything longer is a file pasted by mistake.
const TEXT_MAX: usize = 4096;
/// The longest base path, in bytes.
const BASE_PATH_MAX: usize = 256;
/// The largest memory reserve.
const RESERVE_MAX: u64 = 16_384 * GIB;
/// The most entries of a list.
const LIST_MAX: usize = 100;

/// Converts a number that is within its setting's bounds, which all fit a `usize`.
pub(super) fn count(number: u64) -> usize {
    usize::try_from(number).unwrap_or(usize::MAX)
}

/// A kind of value, with the function that puts a good one into the [`Config`].
#[derive(Clone, Copy, Debug)]
pub(super) enum Value {
    /// An IP address or `localhost`.
    Address(fn(&mut Config, IpAddr)),
    /// Yes or no.
    Flag(fn(&mut Config, bool)),
    /// A whole number within bounds; `unit` is what it counts.
    Number { min: u64, max: u64, unit: &'static str, put: fn(&mut Config, u64) },
    /// A number of bytes within bounds.
    Bytes { min: u64, max: u64, put: fn(&mut Config, u64) },
    /// A log level.
    Level(fn(&mut Config, LevelFilter)),
    /// One of some words.
    Choice { of: &'static [&'static str], put: fn(&mut Config, &str) },
    /// Any one line of text.
    Text(fn(&mut Config, String)),
    /// An API key.
    Key(fn(&mut Config, Secret)),
    /// The auth token.
    Token(fn(&mut Config, Secret)),
    /// The name of an AI CLI.
    Cli(fn(&mut Config, String)),
    /// Names of AI CLIs.
    Clis(fn(&mut Config, Vec<String>)),
    /// A program, by name or path.
    Program(fn(&mut Config, String)),
    /// A file or folder.
    Path(fn(&mut Config, PathBuf)),
    /// A path in this server's addresses.
    BasePath(fn(&mut Config, String)),
    /// Absolute folders.
    Folders(fn(&mut Config, Vec<PathBuf>)),
    /// A web address.
    Url(fn(&mut Config, String)),
    /// A web address in which there may be a secret.
    SecretUrl(fn(&mut Config, Secret)),
    /// Some of these words.
    Words { of: &'static [&'static str], put: fn(&mut Config, Vec<String>) },
    /// Host names.
    Hosts(fn(&mut Config, Vec<String>)),
    /// Origins of web pages.
    Origins(fn(&mut Config, Vec<String>)),
    /// Addresses, and networks of them.
    Networks(fn(&mut Config, Vec<Network>)),
    /// Files and folders of the home directory.
    Home(fn(&mut Config, Vec<HomeChange>)),
    /// Names of environment variables.
    Names(fn(&mut Config, Vec<String>)),
    /// The memory that is kept available.
    Reserve(fn(&mut Config, MemoryReserve)),
    /// A limit of workers, by the name of its field.
    Limit { field: &'static str, put: fn(&mut Config, WorkerLimits) },
}

impl Value {
    /// Describes the allowed values, as the end of a sentence that begins "must be".
    pub(super) fn allowed(&self) -> String {
        match self {
            Self::Address(_) => "an IP address or `localhost`".into(),
            Self::Flag(_) => "`true` or `false`".into(),
            Self::Number { min, max, unit: "", .. } => format!("a whole number from {min} to {max}"),
            Self::Number { min, max, unit, .. } => format!("a whole number of {unit} from {min} to {max}"),
            Self::Bytes { min, max, .. } => {
                format!(
                    "a number of bytes from {} to {}, with an optional `KiB`, `MiB` or `GiB`",
                    bytes(*min),
                    bytes(*max)
                )
            }
            Self::Level(_) => "`error`, `warn`, `info`, `debug` or `trace`".into(),
            Self::Choice { of, .. } => of.iter().map(|word| format!("`{word}`")).collect::<Vec<_>>().join(" or "),
            Self::Text(_) => format!("one line of at most {TEXT_MAX} bytes"),
            Self::Key(_) => format!("at most {TEXT_MAX} printable ASCII characters without spaces"),
            Self::Token(_) => format!("{TOKEN_MIN} to {TEXT_MAX} printable ASCII characters without spaces"),
            Self::Cli(_) => "a name of lower-case letters, digits, `-` and `_`".into(),
            Self::Clis(_) => "names of lower-case letters, digits, `-` and `_`, separated by commas".into(),
            Self::Program(_) => "the name of a program in `PATH`, or a path to one; `~/` is the home directory".into(),
            Self::Path(_) => "a path, relative to the working directory; `~/` is the home directory".into(),
            Self::BasePath(_) => "a path like `/agents`, of letters, digits, `-`, `_`, `.` and `~`".into(),
            Self::Folders(_) => "absolute paths, separated by colons; `~/` is the home directory".into(),
            Self::Url(_) | Self::SecretUrl(_) => "an `http://` or `https://` address without a user name".into(),
            Self::Words { of, .. } => {
                let words: Vec<_> = of.iter().map(|word| format!("`{word}`")).collect();
                format!("some of {}, separated by commas", words.join(", "))
            }
            Self::Hosts(_) => "host names or IP addresses without ports, separated by commas".into(),
            Self::Origins(_) => "origins like `https://name:port`, separated by commas".into(),
            Self::Networks(_) => "IP addresses, and networks like `10.0.0.0/8`, separated by commas".into(),
            Self::Home(_) => {
                "paths below the home directory, separated by commas: `PATH` (read-only), `PATH:rw`, `PATH:copy`, \
                 `PATH:own`, `PATH/*` or `-PATH`"
                    .into()
            }
            Self::Reserve(_) => format!(
                "`auto`, `off`, or a number of bytes with an optional `KiB`, `MiB` or `GiB`, at most {}",
                bytes(RESERVE_MAX)
            ),
            Self::Limit { field, .. } => cgroup::allowed(field).into(),
            Self::Names(_) => "names of environment variables, or prefixes that end in `*`, separated by commas".into(),
        }
    }

    /// Returns whether values must be masked wherever they are shown.
    pub(super) const fn is_secret(&self) -> bool {
        matches!(self, Self::Key(_) | Self::Token(_) | Self::SecretUrl(_))
    }

    /// The unit that a shown value is followed by.
    pub(super) fn suffix(&self) -> &'static str {
        match self {
            Self::Number { unit: "seconds", .. } => "s",
            _ => "",
        }
    }

    /// Reads `text` (trimmed, not empty) into `config` and gives the value as it may be shown. `None` when it is not
    /// allowed; `config` is unchanged then.
    pub(super) fn apply(&self, config: &mut Config, text: &str) -> Option<String> {
        let cwd = config.working_dir.clone();
        let home = config.home.clone();
        let expanded = |path: &str| home::expand(path, home.as_deref()).ok();
        match self {
            Self::Address(put) => {
                let address = address(text)?;
                put(config, address);
                return Some(address.to_string());
            }
            Self::Flag(put) => {
                let on = flag(text)?;
                put(config, on);
                return Some(on.to_string());
            }
            Self::Number { min, max, put, .. } => put(config, within(text.parse().ok()?, *min, *max)?),
            Self::Bytes { min, max, put } => put(config, within(byte_count(text)?, *min, *max)?),
            Self::Level(put) => {
                let level = level(text)?;
                put(config, level);
                return Some(level.to_string().to_ascii_lowercase());
            }
            Self::Choice { of, put } => {
                let word = of.iter().find(|word| word.eq_ignore_ascii_case(text))?;
                put(config, word);
                return Some((*word).to_owned());
            }
            Self::Text(put) => put(config, one_line(text)?),
            Self::Key(put) => return secret(text, 1).map(|key| masked(config, *put, key)),
            Self::Token(put) => return secret(text, TOKEN_MIN).map(|token| masked(config, *put, token)),
            Self::Cli(put) => put(config, cli_name(text)?),
            Self::Clis(put) => return put_list(config, *put, list(text, ',', cli_name)?),
            Self::Program(put) => {
                let program = program(&cwd, &expanded(&one_line(text)?)?);
                put(config, program.clone());
                return Some(program);
            }
            Self::Path(put) => {
                let path = absolute(&cwd, Path::new(&expanded(&one_line(text)?)?));
                put(config, path.clone());
                return Some(path.display().to_string());
            }
            Self::BasePath(put) => {
                let path = base_path(text)?;
                put(config, path.clone());
                return Some(path);
            }
            Self::Folders(put) => {
                let folder =
                    |path: &str| expanded(path).filter(|path| path.starts_with('/')).map(|path| tidy(Path::new(&path)));
                let folders = list(text, ':', folder)?;
                let shown: Vec<String> = folders.iter().map(|folder| folder.display().to_string()).collect();
                put(config, folders);
                return Some(shown.join(":"));
            }
            Self::Url(put) => put(config, url(text)?),
            Self::SecretUrl(put) => return url(text).map(|url| masked(config, *put, Secret::new(url))),
            Self::Words { of, put } => {
                let known = |word: &str| of.contains(&word).then(|| word.to_owned());
                return put_list(config, *put, list(text, ',', known)?);
            }
            Self::Hosts(put) => return put_list(config, *put, list(text, ',', host_name)?),
            Self::Origins(put) => return put_list(config, *put, list(text, ',', origin)?),
            Self::Networks(put) => {
                let networks = list(text, ',', Network::parse)?;
                let shown: Vec<String> = networks.iter().map(ToString::to_string).collect();
                put(config, networks);
                return Some(shown.join(", "));
            }
            Self::Home(put) => put(config, list(text, ',', |entry| HomeChange::parse(entry).ok())?),
            Self::Names(put) => return put_list(config, *put, list(text, ',', name_pattern)?),
            Self::Reserve(put) => put(config, reserve(text)?),
            Self::Limit { field, put } => {
                // Memory has units; the others are numbers.
                let value = serde_json::from_str(text).unwrap_or_else(|_| text.into());
                let mut limits = WorkerLimits::default();
                limits.set(field, &value).ok()?;
                put(config, limits);
            }
        }
        Some(text.to_owned())
    }
}

fn put_list(config: &mut Config, put: fn(&mut Config, Vec<String>), values: Vec<String>) -> Option<String> {
    let shown = values.join(", ");
    put(config, values);
    Some(shown)
}

fn masked(config: &mut Config, put: fn(&mut Config, Secret), secret: Secret) -> String {
    let shown = secret.to_string();
    put(config, secret);
    shown
}

/// A path without a slash at its end. Its letters need no escapes in an address, a header or a cookie.
fn base_path(text: &str) -> Option<String> {
    let path = text.strip_suffix('/').unwrap_or(text);
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.~".contains(&byte);
    let good = |part: &str| !matches!(part, "" | "." | "..") && part.bytes().all(plain);
    let fits = path.is_empty() || path.strip_prefix('/').is_some_and(|inner| inner.split('/').all(good));
    (fits && path.len() <= BASE_PATH_MAX).then(|| path.to_owned())
}

fn address(text: &str) -> Option<IpAddr> {
    if text.eq_ignore_ascii_case("localhost") {
        return Some(IpAddr::V4(Ipv4Addr::LOCALHOST));
    }
    let bare = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(text);
    bare.parse().ok()
}

fn flag(text: &str) -> Option<bool> {
    match text.to_ascii_lowercase().as_str() {
        "true" | "1" | "yes" | "on" => Some(true),
        "false" | "0" | "no" | "off" => Some(false),
        _ => None,
    }
}

fn within(number: u64, min: u64, max: u64) -> Option<u64> {
    (min..=max).contains(&number).then_some(number)
}

fn reserve(text: &str) -> Option<MemoryReserve> {
    match text.to_ascii_lowercase().as_str() {
        "auto" => Some(MemoryReserve::Auto),
        "off" => Some(MemoryReserve::Off),
        _ => within(byte_count(text)?, 1, RESERVE_MAX).map(MemoryReserve::Bytes),
    }
}

const UNITS: [(&str, u64); 3] = [("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10)];

fn byte_count(text: &str) -> Option<u64> {
    for (unit, size) in UNITS {
        if let Some(number) = text.strip_suffix(unit) {
            return number.trim_end().parse::<u64>().ok()?.checked_mul(size);
        }
    }
    text.parse().ok()
}

/// A number of bytes with the largest unit that divides it.
fn bytes(count: u64) -> String {
    let unit = UNITS.iter().find(|(_, size)| count >= *size && count.is_multiple_of(*size));
    unit.map_or_else(|| count.to_string(), |(unit, size)| format!("{}{unit}", count / size))
}

/// The names that Python programs use for levels are understood too: the reference's `.env` files have them.
fn level(text: &str) -> Option<LevelFilter> {
    match text.to_ascii_lowercase().as_str() {
        "error" | "critical" => Some(LevelFilter::Error),
        "warn" | "warning" => Some(LevelFilter::Warn),
        "info" => Some(LevelFilter::Info),
        "debug" => Some(LevelFilter::Debug),
        "trace" => Some(LevelFilter::Trace),
        _ => None,
    }
}

fn one_line(text: &str) -> Option<String> {
    (text.len() <= TEXT_MAX && !text.contains(char::is_control)).then(|| text.to_owned())
}

fn secret(text: &str, min: usize) -> Option<Secret> {
    let good = (min..=TEXT_MAX).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_graphic());
    good.then(|| Secret::new(text))
}

fn cli_name(text: &str) -> Option<String> {
    let word = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-' || byte == b'_';
    (text.len() <= 64 && text.bytes().all(word)).then(|| text.to_owned())
}

/// Reads the entries between separators; empty entries are skipped and repeated ones kept once. `None` when one is
/// wrong, there are too many, or none is left.
fn list<T: PartialEq>(text: &str, separator: char, read: impl Fn(&str) -> Option<T>) -> Option<Vec<T>> {
    let mut values = Vec::new();
    for entry in text.split(separator).map(str::trim).filter(|entry| !entry.is_empty()) {
        let value = read(&one_line(entry)?)?;
        if !values.contains(&value) {
            values.push(value);
        }
    }
    (1..=LIST_MAX).contains(&values.len()).then_some(values)
}

/// A name without a slash is left to `PATH`; anything else is a path.
fn program(cwd: &Path, text: &str) -> String {
    if text.contains('/') { absolute(cwd, Path::new(text)).display().to_string() } else { text.to_owned() }
}

fn absolute(cwd: &Path, path: &Path) -> PathBuf {
    tidy(&cwd.join(path))
}

/// Drops `.` and doubled slashes. `..` stays: behind a symbolic link it may not mean the folder before it.
fn tidy(path: &Path) -> PathBuf {
    path.components().collect()
}

fn url(text: &str) -> Option<String> {
    let rest = text.strip_prefix("https://").or_else(|| text.strip_prefix("http://"))?;
    let authority = rest.split(['/', '?', '#']).next()?;
    let good = !authority.is_empty() && !authority.contains('@') && text.bytes().all(|byte| byte.is_ascii_graphic());
    (good && text.len() <= TEXT_MAX).then(|| text.to_owned())
}

/// A host name in lower case, or an IP address as a `Host` header writes it (IPv6 in brackets).
fn host_name(text: &str) -> Option<String> {
    if let Some(address) = address(text).filter(|_| !text.eq_ignore_ascii_case("localhost")) {
        return Some(host_form(address));
    }
    let label = |part: &str| {
        !part.is_empty()
            && part.len() <= 63
            && part.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_')
    };
    (text.len() <= 253 && text.split('.').all(label)).then(|| text.to_ascii_lowercase())
}

/// `scheme://host[:port]` in lower case, as browsers send it.
fn origin(text: &str) -> Option<String> {
    let (scheme, rest) = text.split_once("://")?;
    let scheme = scheme.to_ascii_lowercase();
    if !matches!(scheme.as_str(), "http" | "https") {
        return None;
    }
    let port_at = rest.rfind(':').filter(|at| !rest[*at..].contains(']'));
    let (host, port) = port_at.map_or((rest, None), |at| (&rest[..at], Some(&rest[at + 1..])));
    let host = host_name(host).filter(|name| !name.starts_with('[') || host.starts_with('['))?;
    match port {
        None => Some(format!("{scheme}://{host}")),
        Some(port) => {
            let port: u16 = port.parse().ok()?;
            let usual = if scheme == "http" { 80 } else { 443 };
            Some(if port == usual { format!("{scheme}://{host}") } else { format!("{scheme}://{host}:{port}") })
        }
    }
}

fn name_pattern(text: &str) -> Option<String> {
    let name = text.strip_suffix('*').unwrap_or(text);
    is_name(name).then(|| text.to_owned())
}

#[cfg(test)]
mod tests;
