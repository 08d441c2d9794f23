//! Names that try to lead out of their folders.

use std::fs;
use std::os::unix::fs::symlink;

use rs_worker::testing::http::error_code;
use serde_json::json;

use super::{assert_serves, builder};

#[test]
fn no_path_leads_out_of_the_static_files() {
    for own_folder in [false, true] {
        let mut server = builder().name("static").prepare();
        let secret = server.dir().join("secret.js");
        fs::write(&secret, "secret").unwrap();
        if own_folder {
            let folder = server.dir().join("web");
            fs::create_dir_all(folder.join("js/pages")).unwrap();
            fs::write(folder.join("index.html"), "<!doctype html>").unwrap();
            fs::write(folder.join("js/pages/app.js"), "1").unwrap();
            fs::write(folder.join(".hidden.js"), "secret").unwrap();
            symlink(&secret, folder.join("out.js")).unwrap();
            symlink(server.dir(), folder.join("up")).unwrap();
            symlink("out.js", folder.join("chain.js")).unwrap();
            symlink("circle.js", folder.join("circle.js")).unwrap();
            symlink("js/pages/app.js", folder.join("inside.js")).unwrap();
            server.set_env("STATIC_DIR", folder.to_str().unwrap());
        }
        server.start();
        let dots = "the request path has a . or .. segment";
        for (path, status, detail) in [
            ("/static/../secret.js", 400, dots),
            ("/static/js/../../secret.js", 400, dots),
            ("/static/%2e%2e/secret.js", 400, dots),
            ("/static/..%2fsecret.js", 400, dots),
            ("/static/%2E%2E%2Fsecret.js", 400, dots),
            ("/static/./js/app.js", 400, dots),
            ("/static/js/app.js%00.png", 400, "the request target has a control character"),
            ("/static/%", 400, "the request target has a % that two hexadecimal digits do not follow"),
            ("/static/%ff", 400, "the request target is not valid UTF-8"),
            ("/static/%252e%252e/secret.js", 404, "no such file: %2e%2e/secret.js"),
            ("/static/..%5csecret.js", 404, "no such file: ..\\secret.js"),
            ("/static/%2fetc/passwd", 404, "no such file: /etc/passwd"),
            ("/static//etc/passwd", 404, "no such file: /etc/passwd"),
            ("/static/js//app.js", 404, "no such file: js//app.js"),
            ("/static/js", 404, "no such file: js"),
            ("/static/js/", 404, "no such file: js/"),
            ("/static/.hidden.js", 404, "no such file: .hidden.js"),
            ("/static/out.js", 404, "no such file: out.js"),
            ("/static/up/secret.js", 404, "no such file: up/secret.js"),
            ("/static/chain.js", 404, "no such file: chain.js"),
            ("/static/circle.js", 404, "no such file: circle.js"),
        ] {
            let reply = server.get(path);
            assert_eq!(
                (reply.status, reply.json()),
                (status, json!({ "detail": detail, "code": error_code(status) })),
                "{path}"
            );
        }
        server.get(if own_folder { "/static/js/pages/app.js" } else { "/static/js/joined/list.js" }).expect(200);
        server.get("/static/inside.js").expect(if own_folder { 200 } else { 404 });
        assert_serves(&server);
    }
}

#[test]
fn no_project_path_leads_out_of_the_project_roots() {
    let mut server = builder().name("roots").prepare();
    let root = server.project();
    let inside = root.join("inside");
    fs::create_dir_all(&inside).unwrap();
    fs::write(root.join("file"), "").unwrap();
    // A sibling whose name begins with the root's.
    let neighbour = server.dir().join("project-of-others");
    fs::create_dir(&neighbour).unwrap();
    symlink(&neighbour, root.join("out")).unwrap();
    symlink("/", root.join("slash")).unwrap();
    symlink("circle", root.join("circle")).unwrap();
    symlink(&inside, root.join("link")).unwrap();
    server.set_env("PROJECT_ROOTS", root.to_str().unwrap());
    server.start();

    let root = root.to_str().unwrap();
    let outside = |path: &str| format!("the project folder is outside of PROJECT_ROOTS: {path}");
    let missing = |path: &str| format!("the project folder does not exist: {path}");
    let usable = |path: &str, why: &str| format!("the project folder cannot be used: {path}: {why}");
    let long = format!("{root}/{}", "x".repeat(300));
    let cases = [
        (format!("{root}/.."), outside as fn(&str) -> String),
        (format!("{root}/inside/../.."), outside),
        (neighbour.to_str().unwrap().to_owned(), outside),
        ("/".to_owned(), outside),
        ("/etc/passwd".to_owned(), outside),
        (format!("{root}/out"), outside),
        (format!("{root}/slash/etc"), outside),
        (format!("{root}/nothing"), missing),
        (format!("{root}/%2e%2e"), missing),
        (format!("{root}/..%2f"), missing),
        (format!("{root}/file"), |path| format!("the project folder is not a directory: {path}")),
        ("inside".to_owned(), |path| format!("the project folder's path must be absolute: {path}")),
        ("../project".to_owned(), |path| format!("the project folder's path must be absolute: {path}")),
        ("~".to_owned(), |path| format!("the project folder's path must be absolute: {path}")),
        (String::new(), |path| format!("the project folder's path must be absolute: {path}")),
    ];
    let create =
        |path: &str| server.post("/api/workers", &json!({"name": "n", "project_path": path, "ai_cli_type": "claude"}));
    for (path, detail) in cases {
        let reply = create(&path);
        assert_eq!(
            (reply.status, reply.json()),
            (400, json!({"detail": detail(&path), "code": "invalid_request", "field": "project_path"})),
            "{path}"
        );
    }
    for (path, why) in [
        (format!("{root}/circle"), "Too many levels of symbolic links (os error 40)"),
        (long, "File name too long (os error 36)"),
        (format!("{root}/file/x"), "Not a directory (os error 20)"),
    ] {
        let reply = create(&path);
        assert_eq!(
            (reply.status, reply.json()),
            (400, json!({"detail": usable(&path, why), "code": "invalid_request", "field": "project_path"})),
            "{path}"
        );
    }
    let reply = create(&format!("{root}/\0/inside"));
    assert_eq!(reply.status, 422, "{}", reply.text());
    assert_eq!(reply.json()["detail"][0]["msg"], "Input should not contain NUL");

    let reply = create(&format!("{root}/link/../link/.")).expect(201);
    assert_eq!(reply.json()["project_path"], inside.to_str().unwrap(), "resolved, and within");
    assert_serves(&server);
}
