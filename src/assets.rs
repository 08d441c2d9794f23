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

/// The policy of the page: it may load from this server, connect to it, and show images that it made itself. No other
/// page may frame it.
pub(crate) const CONTENT_SECURITY_POLICY: &str = "default-src 'self'; img-src 'self' data: blob:; object-src 'none'; \
     base-uri 'none'; form-action 'self'; frame-ancestors 'none'";

/// The same for pages on disk whose markup has styles (`STATIC_INLINE_STYLES`).
const INLINE_STYLES_POLICY: &str = "default-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data: blob:; \
     object-src 'none'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'";

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
const HEADERS: [(&str, &str); 5] = [
    ("Cross-Origin-Opener-Policy", "same-origin"),
    ("Cross-Origin-Resource-Policy", "same-origin"),
    ("Permissions-Policy", "camera=(), geolocation=(), microphone=()"),
    ("Referrer-Policy", "no-referrer"),
    ("X-Content-Type-Options", "nosniff"),
];

/// `Cache-Control` of a file whose address contains the version.
const IMMUTABLE: &str = "public, max-age=31536000, immutable";
/// `Cache-Control` of all others: kept, and validated by their `ETag` before each use.
const REVALIDATED: &str = "no-cache";

/// Largest file that is served from disk, in bytes.
const DISK_FILE_MAX: u64 = 16 * 1024 * 1024;

/// The files in the program, in the order of their names, with the bundles of Swagger UI and ReDoc.
static FILES: &[File] = include!(concat!(env!("OUT_DIR"), "/static_files.rs"));

/// The version in the addresses that the documents refer to: a hash of all files.
const VERSION: &str = include!(concat!(env!("OUT_DIR"), "/static_version.rs"));

/// The directory of the files that `build.rs` takes from a crate; a directory on disk has none of them.
const BUNDLES: &str = "bundles/";

/// A file in the program.
#[derive(Debug)]
struct File {
    /// Relative to `static/`.
    name: &'static str,
    hash: u64,
    identity: &'static [u8],
    /// The compressed forms, where they are smaller.
    brotli: Option<&'static [u8]>,
    gzip: Option<&'static [u8]>,
}

impl File {
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
    /// When `dir` is no folder that can be read.
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
            _ => File::find(versioned.unwrap_or(name)).map(|file| file.chosen(head)),
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
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    fn ask(assets: &Assets, method: &str, name: &str, fields: &str) -> Response {
        let text = format!("{method} /x HTTP/1.1\r\nHost: a\r\n{fields}\r\n");
        let head = Head::parse(text.as_bytes(), ([127, 0, 0, 1], 1).into()).unwrap().unwrap().0;
        assets.respond(&head, name)
    }

    /// A new empty folder.
    fn folder() -> PathBuf {
        let path = std::env::temp_dir().join(format!("rs-worker-assets-{}", uuid::Uuid::new_v4()));
        fs::create_dir(&path).unwrap();
        path
    }

    /// The address of a file of the page as the documents have it.
    fn versioned(name: &str) -> String {
        format!("{VERSION}/{name}")
    }

    #[test]
    fn every_file_of_static_is_in_the_program() {
        let assets = Assets::new(None, false).unwrap();
        let on_disk = Path::new(env!("CARGO_MANIFEST_DIR")).join("static");
        for file in FILES.iter().filter(|file| !file.name.starts_with(BUNDLES)) {
            if file.name.ends_with(".png") {
                assert_eq!(fs::read(on_disk.join(file.name)).unwrap(), file.identity, "{}", file.name);
                continue;
            }
            let text = fs::read_to_string(on_disk.join(file.name)).unwrap();
            let served = std::str::from_utf8(file.identity).unwrap();
            let unlinked =
                served.split_inclusive('\n').filter(|line| !text.contains(&line.replace(&versioned(""), "")));
            let is_link = |line: &str| line.trim_start().starts_with("<link rel=");
            assert!(unlinked.clone().all(is_link), "{}: {:?}", file.name, unlinked.collect::<Vec<_>>());
            let has_version = file.name.ends_with(".html") || ["manifest.webmanifest", "sw.js"].contains(&file.name);
            assert!(has_version || served == text, "{}", file.name);
            assert_ne!(content_type(file.name), "application/octet-stream", "{}", file.name);
        }
        let page = ask(&assets, "GET", "index.html", "");
        assert_eq!((page.status(), page.header("content-type")), (200, Some("text/html; charset=utf-8")));
    }

    #[test]
    fn documents_refer_to_versioned_files_that_exist() {
        let assets = Assets::new(None, false).unwrap();
        for document in ["index.html", "swagger.html", "redoc.html", "manifest.webmanifest"] {
            let text = String::from_utf8(ask(&assets, "GET", document, "").content().bytes().to_vec()).unwrap();
            let names: Vec<&str> =
                text.split("\"static/").skip(1).filter_map(|rest| Some(rest.split_once('"')?.0)).collect();
            assert!(names.len() > 2, "{document}");
            for name in names {
                assert!(name.starts_with(&versioned("")), "{name}");
                assert_eq!(ask(&assets, "GET", name, "").status(), 200, "{document}: {name}");
            }
        }
    }

    #[test]
    fn service_worker_changes_with_every_file_and_is_validated_before_each_use() {
        let response = ask(&Assets::new(None, false).unwrap(), "GET", "sw.js", "");
        let text = String::from_utf8(response.content().bytes().to_vec()).unwrap();
        assert!(text.contains(&format!("const FILES = \"static/{}\";", versioned(""))), "{text}");
        assert_eq!(response.header("cache-control"), Some(REVALIDATED));
        assert_eq!(response.header("content-type"), Some("text/javascript; charset=utf-8"));
        assert_eq!(response.header("content-security-policy"), Some(CONTENT_SECURITY_POLICY));
    }

    #[test]
    fn versioned_files_are_immutable_and_others_are_validated() {
        let assets = Assets::new(None, false).unwrap();
        for (name, expected) in [
            (versioned("js/pages/main.js"), Some(IMMUTABLE)),
            (versioned("bundles/redoc.js"), Some(IMMUTABLE)),
            ("js/pages/main.js".to_owned(), Some(REVALIDATED)),
            ("index.html".to_owned(), Some(REVALIDATED)),
            ("0123456789abcdef/js/main.js".to_owned(), None),
            (VERSION.to_owned(), None),
            (versioned(""), None),
        ] {
            let response = ask(&assets, "GET", &name, "");
            assert_eq!(response.header("cache-control"), expected, "{name}");
            assert_eq!(response.status(), if expected.is_some() { 200 } else { 404 }, "{name}");
        }
    }

    #[test]
    fn client_gets_a_file_in_the_coding_it_prefers() {
        let assets = Assets::new(None, false).unwrap();
        let mut tags = Vec::new();
        for (fields, coding) in [
            ("", None),
            ("Accept-Encoding: gzip\r\n", Some("gzip")),
            ("Accept-Encoding: gzip, br\r\n", Some("br")),
            ("Accept-Encoding: br;q=0, gzip;q=0\r\n", None),
        ] {
            let response = ask(&assets, "GET", "js/pages/main.js", fields);
            assert_eq!(response.header("content-encoding"), coding, "{fields}");
            assert_eq!(response.header("vary"), Some("Accept-Encoding"));
            tags.push(response.header("etag").unwrap().to_owned());
        }
        tags.sort();
        tags.dedup();
        assert_eq!(tags.len(), 3, "each form has its own tag: {tags:?}");
    }

    #[test]
    fn a_file_that_has_not_changed_costs_a_304() {
        let assets = Assets::new(None, false).unwrap();
        let first = ask(&assets, "GET", "index.html", "");
        let tag = first.header("etag").unwrap();
        for (fields, status) in [
            (format!("If-None-Match: {tag}\r\n"), 304),
            (format!("If-None-Match: \"other\", W/{tag}\r\n"), 304),
            ("If-None-Match: *\r\n".to_owned(), 304),
            ("If-None-Match: \"other\"\r\n".to_owned(), 200),
        ] {
            let again = ask(&assets, "HEAD", "index.html", &fields);
            assert_eq!((again.status(), again.header("etag")), (status, Some(tag)), "{fields}");
        }
        assert_ne!(self::tag(b"a"), self::tag(b"b"));
    }

    #[test]
    fn every_file_has_the_strict_headers() {
        let page = ask(&Assets::new(None, false).unwrap(), "GET", "index.html", "");
        for (name, value) in HEADERS {
            assert_eq!(page.header(name), Some(value));
        }
        assert_eq!(page.header("content-security-policy"), Some(CONTENT_SECURITY_POLICY));
        assert!(CONTENT_SECURITY_POLICY.starts_with("default-src 'self'; "));
        assert!(!CONTENT_SECURITY_POLICY.contains("unsafe"));
    }

    #[test]
    fn inline_styles_are_allowed_on_disk_alone_and_nothing_else_is() {
        let dir = folder();
        fs::write(dir.join("index.html"), "<p style=\"color: red\">").unwrap();
        let policy = |assets: &Assets| {
            let answer = ask(assets, "GET", "index.html", "");
            answer.header("content-security-policy").unwrap().to_owned()
        };
        assert_eq!(policy(&Assets::new(Some(&dir), false).unwrap()), CONTENT_SECURITY_POLICY);
        assert_eq!(policy(&Assets::new(None, true).unwrap()), CONTENT_SECURITY_POLICY);
        let relaxed = policy(&Assets::new(Some(&dir), true).unwrap());
        assert_eq!(relaxed.replace(" style-src 'self' 'unsafe-inline';", ""), CONTENT_SECURITY_POLICY);
        fs::remove_dir_all(dir).unwrap();
    }

    #[test]
    fn the_page_of_redoc_may_do_no_more_than_the_others_but_for_its_worker_and_its_styles() {
        let page = ask(&Assets::new(None, false).unwrap(), "GET", "redoc.html", "");
        let policy = page.header("content-security-policy").unwrap();
        let (same, more) = policy.split_once("; worker-src").unwrap();
        assert_eq!(same, CONTENT_SECURITY_POLICY);
        assert!(!more.contains("unsafe") && !more.contains("script-src"), "{more}");
    }

    #[test]
    fn bundles_are_served_from_the_program_alone() {
        let dir = folder();
        fs::create_dir(dir.join("bundles")).unwrap();
        fs::write(dir.join("bundles/redoc.js"), "other").unwrap();
        for assets in [Assets::new(None, false).unwrap(), Assets::new(Some(&dir), false).unwrap()] {
            for file in FILES.iter().filter(|file| file.name.starts_with(BUNDLES)) {
                assert_eq!(ask(&assets, "GET", file.name, "").content().bytes(), file.identity, "{}", file.name);
            }
        }
        fs::remove_dir_all(dir).unwrap();
    }

    #[test]
    fn what_is_not_there_is_404_and_what_is_no_read_405() {
        let assets = Assets::new(None, false).unwrap();
        for name in ["", "nothing.html", "/index.html", "../Cargo.toml", "js"] {
            assert_eq!(ask(&assets, "GET", name, "").status(), 404, "{name}");
        }
        let refused = ask(&assets, "POST", "index.html", "");
        assert_eq!((refused.status(), refused.header("allow")), (405, Some("GET, HEAD")));
    }

    #[test]
    fn a_folder_on_disk_is_served_as_it_is_now_and_nothing_outside_of_it() {
        let (dir, outside) = (folder(), folder());
        fs::create_dir(dir.join("js")).unwrap();
        fs::write(dir.join("js/app.js"), "one").unwrap();
        fs::write(dir.join(".secret"), "s").unwrap();
        fs::write(outside.join("secret"), "s").unwrap();
        symlink(outside.join("secret"), dir.join("link")).unwrap();
        symlink(&outside, dir.join("away")).unwrap();
        symlink(dir.join("js/app.js"), dir.join("inside.js")).unwrap();
        let assets = Assets::new(Some(&dir), false).unwrap();
        let get = |name: &str| ask(&assets, "GET", name, "");
        assert_eq!(get("js/app.js").content().bytes(), b"one");
        fs::write(dir.join("js/app.js"), "two").unwrap();
        assert_eq!(get("js/app.js").content().bytes(), b"two");
        assert_eq!(get("inside.js").status(), 200);
        let escape = format!("../{}/secret", outside.file_name().unwrap().to_str().unwrap());
        let absolute = outside.join("secret").to_str().unwrap().to_owned();
        for name in [
            "link",
            "away/secret",
            ".secret",
            "js",
            "js/",
            "js//app.js",
            "js/../js/app.js",
            &escape,
            &absolute,
            "",
            ".",
        ] {
            assert_eq!(get(name).status(), 404, "{name}");
        }
        fs::remove_dir_all(dir).unwrap();
        fs::remove_dir_all(outside).unwrap();
    }

    #[test]
    fn a_missing_folder_is_reported_at_the_start() {
        let error = Assets::new(Some(Path::new("no-such-folder")), false).unwrap_err();
        assert!(error.to_string().starts_with("cannot serve the page from STATIC_DIR no-such-folder: "), "{error}");
    }
}
