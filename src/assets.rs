//! The files of the page: `static/`, which is part of the program, or a folder on disk while the page is developed.
//!
//! They are answered with an `ETag` and `Cache-Control: no-cache`: browsers keep them and ask whether they changed, so a
//! new build is seen at once and an old one costs a 304. All run under a strict [`CONTENT_SECURITY_POLICY`]; the page of
//! ReDoc alone has [one that is wider in two points](REDOC_POLICY).

use std::collections::HashMap;
use std::fmt;
use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use crate::fnv;
use crate::http::{Content, Head, Method, Response};

/// What a page of ours may do: load from us, talk to us, show images that it made itself. Nobody may frame it.
pub const CONTENT_SECURITY_POLICY: &str = "default-src 'self'; img-src 'self' data: blob:; object-src 'none'; \
     base-uri 'none'; form-action 'self'; frame-ancestors 'none'";

/// The same for the page of ReDoc.
///
/// - `worker-src blob:`: its search runs in a worker, which it makes of its own text.
/// - The first hash in `style-src` is that of nothing: it puts empty `style` elements into the page and fills them by
///   script. The second is that of the one style which it has as a text, that of its scroll bars. No other text gets in.
pub const REDOC_POLICY: &str = "default-src 'self'; img-src 'self' data: blob:; object-src 'none'; base-uri 'none'; \
     form-action 'self'; frame-ancestors 'none'; worker-src 'self' blob:; \
     style-src 'self' 'sha256-47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=' \
     'sha256-DLDPR1ic47WIdK2WyeLkblb/tm2mQH+Jt/NNhZWu1k0='";

/// Headers of every file, beside its own and its policy.
const HEADERS: [(&str, &str); 6] = [
    ("Cache-Control", "no-cache"),
    ("Cross-Origin-Opener-Policy", "same-origin"),
    ("Cross-Origin-Resource-Policy", "same-origin"),
    ("Permissions-Policy", "camera=(), geolocation=(), microphone=()"),
    ("Referrer-Policy", "no-referrer"),
    ("X-Content-Type-Options", "nosniff"),
];

/// Largest file that is served from disk, in bytes.
const DISK_FILE_MAX: u64 = 16 * 1024 * 1024;

/// Names, relative to `static/`, and contents.
static FILES: &[(&str, &[u8])] = include!(concat!(env!("OUT_DIR"), "/static_files.rs"));

/// The bundles of Swagger UI and ReDoc, which `build.rs` has taken out of a crate. `STATIC_DIR` has none of them.
static BUNDLES: &[(&str, &[u8])] = &[
    ("bundles/redoc.js", include_bytes!(concat!(env!("OUT_DIR"), "/bundles/redoc.js"))),
    ("bundles/swagger-ui.css", include_bytes!(concat!(env!("OUT_DIR"), "/bundles/swagger-ui.css"))),
    ("bundles/swagger-ui.js", include_bytes!(concat!(env!("OUT_DIR"), "/bundles/swagger-ui.js"))),
];

/// The files. Shared by all connections.
#[derive(Debug)]
pub struct Assets {
    embedded: HashMap<&'static str, Embedded>,
    dir: Option<PathBuf>,
}

#[derive(Debug)]
struct Embedded {
    bytes: &'static [u8],
    /// Made when it is first asked for, so that a file which nobody reads is not brought into memory.
    tag: OnceLock<String>,
}

impl Embedded {
    fn tagged(&self) -> (Content, String) {
        (Content::Static(self.bytes), self.tag.get_or_init(|| tag(self.bytes)).clone())
    }
}

/// Why the files cannot be served.
#[derive(Debug)]
pub enum AssetsError {
    /// The folder to serve from cannot be used.
    Dir {
        /// Which.
        path: PathBuf,
        /// Why.
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
    /// The files in the program, or those below `dir`, if there is one (`STATIC_DIR`).
    ///
    /// # Errors
    /// When `dir` is no folder that can be read.
    pub fn new(dir: Option<&Path>) -> Result<Self, AssetsError> {
        let dir = dir.map(|path| {
            let canonical = path.canonicalize().and_then(|found| found.read_dir().map(|_| found));
            canonical.map_err(|source| AssetsError::Dir { path: path.to_owned(), source })
        });
        let files = FILES.iter().chain(BUNDLES);
        let embedded = files.map(|&(name, bytes)| (name, Embedded { bytes, tag: OnceLock::new() })).collect();
        Ok(Self { embedded, dir: dir.transpose()? })
    }

    /// Answers a GET or HEAD for the file `name`, relative to `static/` (`index.html`, `js/app.js`): 200, 304, 404 or 405.
    pub fn respond(&self, head: &Head, name: &str) -> Response {
        if !matches!(head.method(), Method::Get | Method::Head) {
            return Response::error(405, "files can only be read").with_header("Allow", "GET, HEAD");
        }
        let found = match &self.dir {
            Some(dir) if !BUNDLES.iter().any(|(bundle, _)| *bundle == name) => read_below(dir, name).map(|bytes| {
                let tag = tag(&bytes);
                (Content::Owned(bytes), tag)
            }),
            _ => self.embedded.get(name).map(Embedded::tagged),
        };
        let Some((content, tag)) = found else { return Response::error(404, format!("no such file: {name}")) };
        let status = if matches(head.header("if-none-match"), &tag) { 304 } else { 200 };
        let policy = if name == "redoc.html" { REDOC_POLICY } else { CONTENT_SECURITY_POLICY };
        let response = Response::with_content(status, content_type(name), content)
            .with_header("ETag", &tag)
            .with_header("Content-Security-Policy", policy);
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
    File::open(path).ok()?.take(DISK_FILE_MAX).read_to_end(&mut bytes).ok()?;
    Some(bytes)
}

/// Whether a part of a name is an ordinary one: not empty, not hidden, no `..`.
fn is_plain(part: &str) -> bool {
    !part.is_empty() && !part.starts_with('.') && !part.contains(['\\', '\0'])
}

/// A strong entity tag: the FNV-1a hash of the content and its length. Nobody gains by making two of our files collide.
fn tag(bytes: &[u8]) -> String {
    format!("\"{:016x}-{:x}\"", fnv::hash(bytes), bytes.len())
}

/// Whether `If-None-Match` names this tag. Comparison is weak, as RFC 9110 (13.1.2) wants.
fn matches(if_none_match: Option<&str>, tag: &str) -> bool {
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
    use std::fs;
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

    #[test]
    fn every_file_of_static_is_in_the_program() {
        let assets = Assets::new(None).unwrap();
        for (name, bytes) in FILES {
            let on_disk = fs::read(Path::new(env!("CARGO_MANIFEST_DIR")).join("static").join(name)).unwrap();
            match name.rsplit_once('.').map_or("", |(_, extension)| extension) {
                // What is in them is for tests/integration/page_names.rs.
                "js" => assert!(bytes.len() < on_disk.len(), "{name}"),
                "css" => assert_lighter(name, bytes, &on_disk),
                _ => assert_eq!(*bytes, on_disk, "{name}"),
            }
            assert_ne!(content_type(name), "application/octet-stream", "{name}");
        }
        let page = ask(&assets, "GET", "index.html", "");
        assert_eq!((page.status(), page.header("content-type")), (200, Some("text/html; charset=utf-8")));
    }

    /// Styles go in without comments and blanks, and nothing else is gone.
    fn assert_lighter(name: &str, bytes: &[u8], on_disk: &[u8]) {
        let dense = |bytes: &[u8]| -> String {
            let lines = std::str::from_utf8(bytes).unwrap().lines().map(str::trim);
            let code = lines.filter(|line| !line.starts_with("//") && !line.starts_with("/*"));
            code.flat_map(str::chars).filter(|c| !c.is_whitespace() && *c != ';').collect()
        };
        assert_eq!(dense(bytes), dense(on_disk), "{name}");
        assert!(bytes.len() < on_disk.len(), "{name}");
    }

    #[test]
    fn a_file_that_has_not_changed_costs_a_304() {
        let assets = Assets::new(None).unwrap();
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
        let page = ask(&Assets::new(None).unwrap(), "GET", "index.html", "");
        for (name, value) in HEADERS {
            assert_eq!(page.header(name), Some(value));
        }
        assert_eq!(page.header("content-security-policy"), Some(CONTENT_SECURITY_POLICY));
        assert!(CONTENT_SECURITY_POLICY.starts_with("default-src 'self'; "));
        assert!(!CONTENT_SECURITY_POLICY.contains("unsafe"));
    }

    #[test]
    fn the_page_of_redoc_may_do_no_more_than_the_others_but_for_its_worker_and_its_styles() {
        let page = ask(&Assets::new(None).unwrap(), "GET", "redoc.html", "");
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
        for assets in [Assets::new(None).unwrap(), Assets::new(Some(&dir)).unwrap()] {
            for (name, bytes) in BUNDLES {
                assert_eq!(ask(&assets, "GET", name, "").content().bytes(), *bytes, "{name}");
            }
        }
        fs::remove_dir_all(dir).unwrap();
    }

    #[test]
    fn what_is_not_there_is_404_and_what_is_no_read_405() {
        let assets = Assets::new(None).unwrap();
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
        let assets = Assets::new(Some(&dir)).unwrap();
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
    fn a_missing_folder_is_told_at_the_start() {
        let error = Assets::new(Some(Path::new("no-such-folder"))).unwrap_err();
        assert!(error.to_string().starts_with("cannot serve the page from STATIC_DIR no-such-folder: "), "{error}");
    }
}
