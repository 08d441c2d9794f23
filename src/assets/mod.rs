//! The files of the page: those of `static/` in the program, or a directory on disk while the page is developed.
//!
//! The documents refer to the other files by `static/<version>/...`, where the version is a hash of all files
//! (`build.rs`): those are `immutable`, so browsers request them once for each build. Documents, and files that are
//! requested without the version, have an `ETag` and `no-cache`. Files are compressed at build time and served in the coding
//! that the client prefers ([`Coding`]). All have a strict [`CONTENT_SECURITY_POLICY`]; the page of ReDoc alone has
//! [one that is wider in two points](REDOC_POLICY).

use std::fmt;
use std::fs;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use crate::fnv;
use crate::http::{Coding, Content, Head, Method, Response};

/// The policy of the page: it may load from this server, connect to it, and show images that it made itself. Only
/// the page itself may frame it, for workers side by side.
pub(crate) const CONTENT_SECURITY_POLICY: &str = "default-src 'self'; img-src 'self' data: blob:; object-src 'none'; \
     base-uri 'none'; form-action 'self'; frame-ancestors 'self'";

/// The same for pages on disk whose markup has styles (`STATIC_INLINE_STYLES`).
const INLINE_STYLES_POLICY: &str = "default-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data: blob:; \
     object-src 'none'; base-uri 'none'; form-action 'self'; frame-ancestors 'self'";

/// The same for the page of ReDoc.
///
/// - `worker-src blob:`: its search runs in a worker, which it makes of its own text.
/// - The first hash in `style-src` is that of nothing: it puts empty `style` elements into the page and fills them by
///   script. The second is that of the one style which it has as a text, that of its scroll bars. No other text gets in.
pub(crate) const REDOC_POLICY: &str = "default-src 'self'; img-src 'self' data: blob:; object-src 'none'; base-uri 'none'; \
     form-action 'self'; frame-ancestors 'none'; worker-src 'self' blob:; \
     style-src 'self' 'sha256-47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=' \
     'sha256-DLDPR1ic47WIdK2WyeLkblb/tm2mQH+Jt/NNhZWu1k0='";

/// Headers of every file, besides those that depend on it.
const HEADERS: [(&str, &str); 3] = [
    ("Cross-Origin-Resource-Policy", "same-origin"),
    ("Referrer-Policy", "no-referrer"),
    ("X-Content-Type-Options", "nosniff"),
];

/// Headers of documents alone: on styles, modules and icons they would have no effect, and be sent with each.
const DOCUMENT_HEADERS: [(&str, &str); 2] =
    [("Cross-Origin-Opener-Policy", "same-origin"), ("Permissions-Policy", "camera=(), geolocation=(), microphone=()")];

/// `Cache-Control` of a file whose address contains the version.
const IMMUTABLE: &str = "public, max-age=31536000, immutable";
/// `Cache-Control` of all others: kept, and validated by their `ETag` before each use.
const REVALIDATED: &str = "no-cache";

/// Largest file that is served from disk, in bytes.
const DISK_FILE_MAX: u64 = 16 * 1024 * 1024;

/// The files in the program, in the order of their names, with the bundles of Swagger UI and ReDoc.
static FILES: &[AssetFile] = include!(concat!(env!("OUT_DIR"), "/static_files.rs"));

/// The version in the addresses that the documents refer to: a hash of all files.
const VERSION: &str = include!(concat!(env!("OUT_DIR"), "/static_version.rs"));

/// The directory of the files that `build.rs` takes from a crate; a directory on disk has none of them.
const BUNDLES: &str = "bundles/";

/// A file in the program.
#[derive(Debug)]
struct AssetFile {
    /// Relative to `static/`.
    name: &'static str,
    hash: u64,
    identity: &'static [u8],
    /// The compressed forms, where they are smaller.
    brotli: Option<&'static [u8]>,
    gzip: Option<&'static [u8]>,
}

impl AssetFile {
    fn find(name: &str) -> Option<&'static Self> {
        FILES.binary_search_by(|file| file.name.cmp(name)).ok().and_then(|at| FILES.get(at))
    }

    fn compressed(&self, coding: Coding) -> Option<&'static [u8]> {
        match coding {
            Coding::Identity => None,
            Coding::Gzip => self.gzip,
            Coding::Brotli => self.brotli,
        }
    }

    /// Returns the file in the coding that the client prefers, with that coding and the tag of this form.
    fn chosen(&self, head: &Head) -> (Content, String, Option<&'static str>) {
        let coding = Coding::preferred(head, |coding| self.compressed(coding).is_some());
        let bytes = self.compressed(coding).unwrap_or(self.identity);
        let form = coding.name().map_or_else(String::new, |name| format!("-{name}"));
        (Content::Static(bytes), format!("\"{:016x}{form}\"", self.hash), coding.name())
    }
}

/// The files. Shared by all connections.
#[derive(Debug)]
pub(crate) struct Assets {
    dir: Option<PathBuf>,
    inline_styles: bool,
}

/// The reason why the files cannot be served.
#[derive(Debug)]
pub(crate) enum AssetsError {
    /// The folder to serve from cannot be used.
    Dir {
        /// Which.
        path: PathBuf,
        /// The system's error.
        source: io::Error,
    },
}

impl fmt::Display for AssetsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self::Dir { path, source } = self;
        write!(f, "cannot serve the page from STATIC_DIR {}: {source}", path.display())
    }
}

impl std::error::Error for AssetsError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        let Self::Dir { source, .. } = self;
        Some(source)
    }
}

impl Assets {
    /// The files in the program, or those below `dir`, if there is one (`STATIC_DIR`); its pages may have styles in their
    /// markup with `inline_styles` (`STATIC_INLINE_STYLES`).
    ///
    /// # Errors
    /// Fails when `dir` is not a readable folder.
    pub(crate) fn new(dir: Option<&Path>, inline_styles: bool) -> Result<Self, AssetsError> {
        let dir = dir.map(|path| {
            let canonical = path.canonicalize().and_then(|found| found.read_dir().map(|_| found));
            canonical.map_err(|source| AssetsError::Dir { path: path.to_owned(), source })
        });
        Ok(Self { dir: dir.transpose()?, inline_styles })
    }

    /// Answers a GET or HEAD for the file `name`, relative to `static/` (`index.html`, `js/app.js`), with or without the
    /// version before it: 200, 304, 404 or 405.
    pub(crate) fn respond(&self, head: &Head, name: &str) -> Response {
        if !matches!(head.method(), Method::Get | Method::Head) {
            return Response::error(405, "files can only be read").with_header("Allow", "GET, HEAD");
        }
        let versioned = name.strip_prefix(VERSION).and_then(|rest| rest.strip_prefix('/'));
        let found = match (&self.dir, versioned) {
            (Some(dir), _) if !name.starts_with(BUNDLES) => read_below(dir, name).map(|bytes| {
                let tag = tag(&bytes);
                (Content::Owned(bytes), tag, None)
            }),
            _ => AssetFile::find(versioned.unwrap_or(name)).map(|file| file.chosen(head)),
        };
        let Some((content, tag, coding)) = found else { return Response::error(404, format!("no such file: {name}")) };
        let status = if matches(head.header("if-none-match"), &tag) { 304 } else { 200 };
        let policy = match name {
            "redoc.html" => REDOC_POLICY,
            _ if self.dir.is_some() && self.inline_styles => INLINE_STYLES_POLICY,
            _ => CONTENT_SECURITY_POLICY,
        };
        let mut response = Response::with_content(status, content_type(name), content)
            .with_header("ETag", &tag)
            .with_header("Cache-Control", if versioned.is_some() { IMMUTABLE } else { REVALIDATED })
            .with_header("Content-Security-Policy", policy);
        if is_document(name) {
            response =
                DOCUMENT_HEADERS.iter().fold(response, |response, (name, value)| response.with_header(name, value));
        }
        if self.dir.is_none() {
            response = response.with_header("Vary", "Accept-Encoding");
        }
        if let Some(coding) = coding {
            response = response.with_header("Content-Encoding", coding);
        }
        HEADERS.iter().fold(response, |response, (name, value)| response.with_header(name, value))
    }
}

/// The file `name` below `dir`, which is canonical. `None` when there is none, when its name has tricks in it, and when
/// it is a link that leads out.
fn read_below(dir: &Path, name: &str) -> Option<Vec<u8>> {
    if !name.split('/').all(is_plain) {
        return None;
    }
    let path = dir.join(name).canonicalize().ok()?;
    if !path.starts_with(dir) {
        log::warn!("{name} leads out of {}", dir.display());
        return None;
    }
    // Looked at before it is opened: opening a pipe would wait for its other end.
    let length = path.metadata().ok().filter(|metadata| metadata.is_file())?.len();
    if length > DISK_FILE_MAX {
        log::warn!("{} is longer than {DISK_FILE_MAX} bytes", path.display());
        return None;
    }
    let mut bytes = Vec::new();
    fs::File::open(path).ok()?.take(DISK_FILE_MAX).read_to_end(&mut bytes).ok()?;
    Some(bytes)
}

/// Returns whether browsers obey the headers of documents in a file: one that they show by itself, or run by itself.
fn is_document(name: &str) -> bool {
    !(name.ends_with(".css") || name.ends_with(".png") || name.ends_with(".js")) || !name.contains('/')
}

/// Returns whether a part of a name is an ordinary one: not empty, not hidden, no `..`.
fn is_plain(part: &str) -> bool {
    !part.is_empty() && !part.starts_with('.') && !part.contains(['\\', '\0'])
}

/// A strong entity tag: the FNV-1a hash of the content and its length. Nobody gains by making two of our files collide.
fn tag(bytes: &[u8]) -> String {
    format!("\"{:016x}-{:x}\"", fnv::hash(bytes), bytes.len())
}

/// Returns whether `If-None-Match` names this tag. Comparison is weak, as RFC 9110 (13.1.2) wants.
pub(crate) fn matches(if_none_match: Option<&str>, tag: &str) -> bool {
    if_none_match.is_some_and(|value| {
        value.split(',').map(str::trim).any(|given| given == "*" || given.strip_prefix("W/").unwrap_or(given) == tag)
    })
}

fn content_type(name: &str) -> &'static str {
    match name.rsplit_once('.').map_or("", |(_, extension)| extension) {
        "html" => "text/html; charset=utf-8",
        "css" => "text/css; charset=utf-8",
        "js" | "mjs" => "text/javascript; charset=utf-8",
        "json" | "map" => "application/json",
        "webmanifest" => "application/manifest+json",
        "svg" => "image/svg+xml",
        "png" => "image/png",
        "ico" => "image/x-icon",
        "webp" => "image/webp",
        "jpg" | "jpeg" => "image/jpeg",
        "woff2" => "font/woff2",
        "txt" | "md" => "text/plain; charset=utf-8",
        _ => "application/octet-stream",
    }
}

#[cfg(test)]
mod tests;
