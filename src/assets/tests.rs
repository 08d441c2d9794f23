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

/// The files of a folder below `static/` and of those in it, by name.
fn names_below(folder: &Path, prefix: &str, names: &mut Vec<String>) {
    for entry in fs::read_dir(folder).unwrap() {
        let entry = entry.unwrap();
        let name = format!("{prefix}{}", entry.file_name().into_string().unwrap());
        if entry.file_type().unwrap().is_dir() {
            names_below(&entry.path(), &format!("{name}/"), names);
        } else {
            names.push(name);
        }
    }
}

fn served(name: &str) -> &'static str {
    std::str::from_utf8(AssetFile::find(name).unwrap().identity).unwrap()
}

#[test]
fn every_file_of_static_is_in_the_program() {
    let assets = Assets::new(None, false).unwrap();
    let on_disk = Path::new(env!("CARGO_MANIFEST_DIR")).join("static");
    let mut names = Vec::new();
    names_below(&on_disk, "", &mut names);
    for name in &names {
        let source = fs::read(on_disk.join(name)).unwrap();
        let Some(file) = AssetFile::find(name) else {
            // A module that is joined with others.
            let start = format!("const {} = ", name["js/".len()..].trim_end_matches(".js").replace('/', "_"));
            let joints = ["list", "worker", "cards"].map(|joint| served(&format!("js/joined/{joint}.js")));
            assert_eq!(joints.iter().filter(|text| text.contains(&start)).count(), 1, "{name}");
            continue;
        };
        assert_ne!(content_type(name), "application/octet-stream", "{name}");
        let is_rewritten = [".html", ".js", ".webmanifest"].iter().any(|ending| name.ends_with(ending));
        if !is_rewritten && !String::from_utf8_lossy(&source).contains("@import") {
            assert!(file.identity == source, "{name}");
        }
    }
    let page = ask(&assets, "GET", "index.html", "");
    assert_eq!((page.status(), page.header("content-type")), (200, Some("text/html; charset=utf-8")));
}

#[test]
fn joints_hold_each_module_once_and_import_files_that_exist() {
    for file in FILES.iter().filter(|file| file.name.starts_with("js/")) {
        let text = std::str::from_utf8(file.identity).unwrap();
        let paths = text.split("from \"").chain(text.split("import(\"")).skip(1);
        for path in
            paths.filter_map(|rest| rest.split_once('"')).map(|(path, _)| path).filter(|path| path.starts_with('.'))
        {
            let folder = file.name.rsplit_once('/').unwrap().0;
            let name = match path.strip_prefix("../") {
                Some(rest) => format!("{}/{rest}", folder.rsplit_once('/').unwrap().0),
                None => format!("{folder}/{}", &path[2..]),
            };
            assert!(AssetFile::find(&name).is_some(), "{} imports {path}", file.name);
        }
    }
    for sheet in ["css/list.css", "css/worker.css"] {
        assert!(!served(sheet).contains("@import"), "{sheet}");
    }
    assert!(served("css/list.css").contains(served("css/base.css")));
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
fn service_worker_follows_every_file_and_is_always_revalidated() {
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
        (versioned("js/joined/list.js"), Some(IMMUTABLE)),
        (versioned("bundles/redoc.js"), Some(IMMUTABLE)),
        ("js/joined/list.js".to_owned(), Some(REVALIDATED)),
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
        let response = ask(&assets, "GET", "js/joined/list.js", fields);
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
    for (name, value) in HEADERS.iter().chain(&DOCUMENT_HEADERS) {
        assert_eq!(page.header(name), Some(*value));
    }
    for (name, is_document) in
        [("sw.js", true), ("icon.svg", true), ("js/joined/list.js", false), ("css/base.css", false)]
    {
        let file = ask(&Assets::new(None, false).unwrap(), "GET", name, "");
        assert_eq!(file.header("permissions-policy").is_some(), is_document, "{name}");
        assert!(HEADERS.iter().all(|(header, value)| file.header(header) == Some(*value)), "{name}");
    }
    assert_eq!(page.header("content-security-policy"), Some(CONTENT_SECURITY_POLICY));
    assert!(CONTENT_SECURITY_POLICY.starts_with("default-src 'self'; "));
    assert!(!CONTENT_SECURITY_POLICY.contains("unsafe"));
}

#[test]
fn inline_styles_are_allowed_from_disk_only() {
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
fn redocs_page_may_only_add_its_worker_and_styles() {
    let page = ask(&Assets::new(None, false).unwrap(), "GET", "redoc.html", "");
    let policy = page.header("content-security-policy").unwrap();
    let (same, more) = policy.split_once("; worker-src").unwrap();
    // The page frames itself for workers beside each other; nothing frames this one.
    assert_eq!(same, CONTENT_SECURITY_POLICY.replace("frame-ancestors 'self'", "frame-ancestors 'none'"));
    assert_ne!(same, CONTENT_SECURITY_POLICY);
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
fn missing_files_get_404_and_writes_405() {
    let assets = Assets::new(None, false).unwrap();
    for name in ["", "nothing.html", "/index.html", "../Cargo.toml", "js"] {
        assert_eq!(ask(&assets, "GET", name, "").status(), 404, "{name}");
    }
    let refused = ask(&assets, "POST", "index.html", "");
    assert_eq!((refused.status(), refused.header("allow")), (405, Some("GET, HEAD")));
}

#[test]
fn folder_on_disk_is_served_live_and_nothing_outside_it() {
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
    for name in
        ["link", "away/secret", ".secret", "js", "js/", "js//app.js", "js/../js/app.js", &escape, &absolute, "", "."]
    {
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
