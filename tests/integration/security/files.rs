//! Files of projects: which are served, with which type, and that none can act on behalf of the page.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use nix::sys::stat::Mode;
use nix::unistd::mkfifo;
use serde_json::json;

use super::TOKEN;
use crate::support::http::Reply;
use crate::support::server::TestServer;
use crate::wire::{CAT, builder, declare, server, start};

/// The first bytes of a PNG of 2 by 3 pixels.
const PNG: &[u8] = b"\x89PNG\r\n\x1a\n\0\0\0\x0dIHDR\0\0\0\x02\0\0\0\x03\x08\x02\0\0\0";
const SCRIPT: &str = "<svg xmlns='http://www.w3.org/2000/svg'><script>alert(1)</script></svg>";
const POLICY: &str = "sandbox; default-src 'none'";

/// A server with a worker, and its project's folder.
struct Project {
    server: TestServer,
    worker: String,
    folder: PathBuf,
}

impl Project {
    fn new(server: TestServer) -> Self {
        let folder = server.project_named("shown");
        let worker = server.create_worker(CAT, &json!({"project_path": folder}));
        Self { server, worker, folder }
    }

    fn write(&self, name: &str, content: impl AsRef<[u8]>) {
        let path = self.folder.join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
    }

    fn get(&self, path: &str) -> Reply {
        self.ask("GET", path, &[])
    }

    fn ask(&self, method: &str, path: &str, headers: &[(&str, &str)]) -> Reply {
        self.server.client.request(method, &target(&self.worker, path), headers, b"")
    }
}

fn target(worker: &str, path: &str) -> String {
    let encoded: String = path.bytes().map(|byte| format!("%{byte:02X}")).collect();
    format!("/api/workers/{worker}/blob?path={encoded}")
}

#[test]
fn file_has_its_contents_type_and_only_pictures_are_shown() {
    let project = Project::new(server());
    let text = "text/plain; charset=utf-8";
    for (name, content, media_type, how) in [
        ("a.png", PNG, "image/png", "inline"),
        ("sub/a.html", PNG, "image/png", "inline"),
        ("page.png", b"<!doctype html><script>alert(1)</script>", text, "attachment"),
        ("a.svg", SCRIPT.as_bytes(), "image/svg+xml", "inline"),
        ("script.js", b"alert(1)", text, "attachment"),
        ("a.pdf", b"%PDF-1.7\n\xff\xfe", "application/octet-stream", "attachment"),
        ("empty", b"", text, "attachment"),
    ] {
        project.write(name, content);
        let reply = project.get(name).expect(200);
        assert_eq!((reply.header("content-type"), &*reply.body), (Some(media_type), content), "{name}");
        let disposition = reply.header("content-disposition").unwrap();
        assert!(disposition.starts_with(&format!("{how}; filename=\"")), "{name}: {disposition}");
        for (header, value) in [
            ("x-content-type-options", "nosniff"),
            ("content-security-policy", POLICY),
            ("cross-origin-resource-policy", "same-origin"),
            ("cache-control", "private, no-cache"),
        ] {
            assert_eq!(reply.header(header), Some(value), "{name}: {header}");
        }
    }
    let hostile = "a\"; x=\r\n<b>é.html";
    project.write(hostile, "x");
    let disposition = project.get(hostile).expect(200).header("content-disposition").unwrap().to_owned();
    assert!(disposition.starts_with("attachment; filename=\"a___x__b__.html\"; filename*=UTF-8''"), "{disposition}");
}

#[test]
fn unchanged_file_costs_a_304_and_head_has_no_content() {
    let project = Project::new(server());
    project.write("a.png", PNG);
    let tag = project.get("a.png").expect(200).header("etag").unwrap().to_owned();
    let again = project.ask("GET", "a.png", &[("If-None-Match", &tag)]).expect(304);
    assert_eq!((again.header("etag"), again.body.len()), (Some(&*tag), 0));
    assert_eq!(again.header("content-security-policy"), Some(POLICY));
    let head = project.ask("HEAD", "a.png", &[]).expect(200);
    assert_eq!((head.header("content-type"), head.body.len()), (Some("image/png"), 0));
    project.write("a.png", [PNG, b"more"].concat());
    project.ask("GET", "a.png", &[("If-None-Match", &tag)]).expect(200);
    for method in ["POST", "PUT", "PATCH", "DELETE"] {
        let refused = project.ask(method, "a.png", &[("Content-Type", "application/json")]).expect(405);
        assert_eq!(refused.header("allow"), Some("GET, HEAD"), "{method}");
    }
}

#[test]
fn no_path_leads_out_of_the_project() {
    let project = Project::new(server());
    let outside = project.server.dir().join("outside");
    fs::create_dir(&outside).unwrap();
    fs::write(outside.join("secret"), "secret").unwrap();
    project.write("sub/own", "own");
    symlink(outside.join("secret"), project.folder.join("out")).unwrap();
    symlink(&outside, project.folder.join("up")).unwrap();
    symlink("out", project.folder.join("chain")).unwrap();
    symlink("circle", project.folder.join("circle")).unwrap();
    symlink("sub/own", project.folder.join("inside")).unwrap();
    let absolute = project.folder.join("sub/own").display().to_string();
    let long = "x".repeat(300);
    for (path, status) in [
        ("", 400),
        (".", 400),
        ("..", 400),
        ("../outside/secret", 400),
        ("sub/../../outside/secret", 400),
        ("sub/../sub/own", 400),
        ("/etc/passwd", 400),
        (&absolute, 400),
        ("out", 404),
        ("up/secret", 404),
        ("chain", 404),
        ("circle", 404),
        ("missing", 404),
        ("sub/own/x", 404),
        (&long, 404),
        ("sub", 400),
        ("inside", 200),
        ("sub/./own", 200),
    ] {
        let reply = project.get(path);
        assert_eq!(reply.status, status, "{path:.60}: {}", reply.text());
        assert!(!reply.text().contains("secret\n") && reply.text() != "secret", "{path:.60}");
    }
    let address = format!("/api/workers/{}/blob", project.worker);
    assert_eq!(project.server.get(&address).expect(422).json()["field"], "path");
    project.server.get(&format!("{address}?path=a%00b")).expect(400);
    project.server.get("/api/workers/none/blob?path=a").expect(404);
}

#[test]
fn range_of_a_file_is_answered_alone() {
    let project = Project::new(server());
    project.write("digits", "0123456789");
    let whole = project.get("digits");
    let header = |reply: &Reply, name: &str| reply.header(name).unwrap_or_default().to_owned();
    assert_eq!((whole.status, header(&whole, "accept-ranges").as_str()), (200, "bytes"));
    let tag = header(&whole, "etag");
    let date = "Mon, 30 Nov 2026 10:00:00 GMT";
    let none: &[(&str, &str)] = &[];
    for (range, more, status, content_range, body) in [
        ("bytes=0-3", none, 206, "bytes 0-3/10", "0123"),
        ("bytes=7-", none, 206, "bytes 7-9/10", "789"),
        ("bytes=-2", none, 206, "bytes 8-9/10", "89"),
        ("bytes=4-400", none, 206, "bytes 4-9/10", "456789"),
        ("bytes=0-0,2-2", none, 200, "", "0123456789"),
        ("bytes=5-1", none, 200, "", "0123456789"),
        ("bytes=0-3", &[("If-Range", tag.as_str())], 206, "bytes 0-3/10", "0123"),
        ("bytes=0-3", &[("If-Range", "\"other\"")], 200, "", "0123456789"),
        ("bytes=0-3", &[("If-Range", date)], 200, "", "0123456789"),
        ("bytes=0-3", &[("If-None-Match", tag.as_str())], 304, "", ""),
    ] {
        let headers = [&[("Range", range)], more].concat();
        let reply = project.ask("GET", "digits", &headers);
        let got = (reply.status, header(&reply, "content-range"), reply.text());
        assert_eq!(got, (status, content_range.to_owned(), body.to_owned()), "{headers:?}");
    }
    let beyond = project.ask("GET", "digits", &[("Range", "bytes=10-")]).expect(416);
    assert_eq!(header(&beyond, "content-range"), "bytes */10");
    assert_eq!(beyond.json()["code"], "range_not_satisfiable");
    let head = project.ask("HEAD", "digits", &[("Range", "bytes=0-3")]);
    assert_eq!((head.status, header(&head, "content-range").as_str()), (200, ""));
    // The part has the policy of the whole.
    project.write("page.html", "<script>alert(1)</script>");
    let part = project.ask("GET", "page.html", &[("Range", "bytes=1-")]).expect(206);
    assert!(header(&part, "content-security-policy").contains("sandbox"));
    assert!(header(&part, "content-disposition").starts_with("attachment"));
    assert_eq!(header(&part, "content-type"), "text/plain; charset=utf-8");
}

#[test]
fn link_that_is_swapped_in_meanwhile_never_wins() {
    let project = Project::new(server());
    let outside = project.server.dir().join("outside");
    fs::create_dir(&outside).unwrap();
    fs::write(outside.join("file"), "secret").unwrap();
    project.write("real/file", "own");
    let (real, place) = (project.folder.join("real"), project.folder.join("sub"));
    let link = project.folder.join("link");
    symlink(&outside, &link).unwrap();
    let stop = AtomicBool::new(false);
    thread::scope(|scope| {
        scope.spawn(|| {
            // The folder and the link alternate under one name.
            while !stop.load(Ordering::Relaxed) {
                for other in [&real, &link] {
                    fs::rename(other, &place).unwrap();
                    fs::rename(&place, other).unwrap();
                }
            }
        });
        let mut served = 0;
        for _ in 0..2000 {
            let reply = project.get("sub/file");
            assert_ne!(reply.text(), "secret");
            assert!(matches!(reply.status, 200 | 404), "{}", reply.text());
            served += usize::from(reply.status == 200);
        }
        stop.store(true, Ordering::Relaxed);
        println!("{served} of 2000 were served");
    });
    // The project's own folder may be replaced too.
    fs::rename(&project.folder, project.server.dir().join("moved")).unwrap();
    symlink(&outside, &project.folder).unwrap();
    let refused = project.get("file").expect(409);
    assert!(refused.text().contains("is now a link to"), "{}", refused.text());
}

#[test]
fn only_regular_files_of_a_bounded_size_are_served() {
    let project = Project::new(server());
    mkfifo(&project.folder.join("fifo"), Mode::from_bits_truncate(0o600)).unwrap();
    // Bound by a short path.
    let socket = std::os::unix::net::UnixListener::bind(project.folder.join("socket"));
    fs::create_dir(project.folder.join("folder")).unwrap();
    symlink("/dev/zero", project.folder.join("zero")).unwrap();
    for (path, status) in [("fifo", 400), ("folder", 400), ("zero", 404)] {
        assert_eq!(
            project.get(path).expect(status).json()["code"],
            if status == 400 { "invalid_request" } else { "not_found" }
        );
    }
    if socket.is_ok() {
        assert!(matches!(project.get("socket").status, 400 | 404));
    }
    let large = fs::File::create(project.folder.join("large")).unwrap();
    large.set_len(64 * 1024 * 1024).unwrap();
    assert_eq!(project.get("large").expect(200).body.len(), 64 * 1024 * 1024);
    large.set_len(64 * 1024 * 1024 + 1).unwrap();
    assert_eq!(project.get("large").expect(413).json()["code"], "too_large");
}

#[test]
fn files_of_the_server_itself_are_refused() {
    let server = start(builder().dotenv("# the settings\n"));
    // Many users start the server in their project.
    let folder = server.dir().canonicalize().unwrap();
    let worker = server.create_worker(CAT, &json!({"project_path": folder}));
    fs::write(folder.join("own.txt"), "mine").unwrap();
    let get = |path: &Path| server.get(&target(&worker, path.strip_prefix(&folder).unwrap().to_str().unwrap()));
    let data = server.data_dir().canonicalize().unwrap();
    assert_eq!(get(&folder.join("own.txt")).expect(200).text(), "mine");
    for own in [folder.join(".env"), data.join(&worker).join("journal"), folder.join("adapters/cat.json")] {
        assert!(own.exists(), "{}", own.display());
        let refused = get(&own).expect(400);
        assert!(refused.text().contains("the server's own"), "{}: {}", own.display(), refused.text());
    }
    symlink(".env", folder.join("settings.txt")).unwrap();
    get(&folder.join("settings.txt")).expect(400);
}

#[test]
fn project_on_another_machine_is_refused_in_words() {
    let mut server = builder().env("RUNNER", "none,far").prepare();
    declare(&server, CAT, &json!({"family": "text", "command": ["cat"]}));
    fs::create_dir_all(server.dir().join("runners")).unwrap();
    let far = json!({"about": "Elsewhere.", "elsewhere": true, "command": ["env", "{command...}"]});
    fs::write(server.dir().join("runners/far.json"), far.to_string()).unwrap();
    server.start();
    let worker = server.create_worker(CAT, &json!({"runner": "far", "project_path": "/etc"}));
    let refused = server.get(&target(&worker, "passwd")).expect(409);
    assert!(refused.text().contains("another machine (far)"), "{}", refused.text());
}

#[test]
fn files_and_images_need_the_token() {
    let mut server = builder().env("AUTH_TOKEN", TOKEN).env("LOCAL_ACCESS", "token").prepare();
    declare(&server, CAT, &json!({"family": "text", "command": ["cat"]}));
    server.start();
    for path in ["/api/workers/x/blob?path=a", "/api/workers/x/images/1/0"] {
        server.get(path).expect(401);
        let known = server.client.request("GET", path, &[("Authorization", &format!("Bearer {TOKEN}"))], b"");
        assert_eq!(known.status, 404, "{path}");
    }
}
