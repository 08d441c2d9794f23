//! Pull requests: by the services' programs, or by the page on which somebody opens one.

use std::fs;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use serde_json::{Value, json};

use super::super::{Scene, commit, git, prepared};
use crate::support::require::require_program;
use crate::support::server::TestServer;

/// Replaces a service's program where the test is about its input: notes its arguments, environment and stdin, and
/// answers as the service would. `open` is an answer to a question for open pull requests.
const RECORDED: &str = r#"#!/bin/sh
log='LOG'
case "$*" in
"auth token --hostname HOST" | "config get token --host HOST") echo key; exit 0;;
auth* | config*) echo "no key" >&2; exit 1;;
esac
{ echo "ARGS $*"; env; pwd; } >> "$log"
case "$*" in *"--method POST"*) { printf 'STDIN '; cat; echo; } >> "$log"; cat 'ANSWER'; ! grep -q message 'ANSWER';;
*) cat 'OPEN';; esac
"#;

/// A server with a recorded program in front of its PATH, and a folder of what it is to answer.
fn recorded(name: &str, program: &str, host: &str, env: &[(&str, &str)]) -> TestServer {
    let mut server = prepared(name, env);
    install(&server, "bin", program, host);
    server.set_env("PATH", &format!("{}/bin:{}", server.dir().display(), std::env::var("PATH").unwrap()));
    fs::write(server.dir().join("open"), "[]").unwrap();
    server
}

fn install(server: &TestServer, folder: &str, program: &str, host: &str) {
    let at = |name: &str| server.dir().join(name).display().to_string();
    let text = RECORDED.replace("LOG", &at("log")).replace("ANSWER", &at("answer")).replace("OPEN", &at("open"));
    fs::create_dir_all(server.dir().join(folder)).unwrap();
    let file = server.dir().join(folder).join(program);
    fs::write(&file, text.replace("HOST", host)).unwrap();
    fs::set_permissions(&file, fs::Permissions::from_mode(0o755)).unwrap();
}

fn log(scene: &Scene) -> String {
    fs::read_to_string(scene.server.dir().join("log")).unwrap_or_default()
}

fn answers(scene: &Scene, name: &str, answer: &Value) {
    fs::write(scene.server.dir().join(name), answer.to_string()).unwrap();
}

/// A scene with a commit and a remote at this address.
#[track_caller]
fn scene(server: TestServer, address: &str) -> Scene {
    let scene = Scene::started(server);
    scene.add_remote("origin", address);
    commit(&scene.tree, "mine.txt", "mine\n");
    scene
}

#[track_caller]
fn ask(scene: &Scene, more: &Value, status: u16) -> Value {
    let body = scene.push_body(more);
    scene.post("/pull-request", &body, status)
}

#[test]
fn pull_request_is_opened_by_gh_once() {
    let env = [("GH_TOKEN", "t0ken"), ("GH_ENTERPRISE_TOKEN", "0ther"), ("GITLAB_TOKEN", "0ther"), ("PASSWORD", "p")];
    let scene = scene(recorded("pr-gh", "gh", "github.com", &env), "git@github.com:ada/steps.git");
    let page = "https://github.com/ada/steps/pull/7";
    answers(&scene, "answer", &json!({"html_url": page}));
    let body = json!({"title": "A title; $(x)", "body": "Text\n", "into": "main", "draft": true});
    let opened = ask(&scene, &body, 200);
    assert_eq!(opened, json!({"url": page, "created": true, "existing": false, "by": "gh", "note": null}));
    let said = log(&scene);
    let list = "ARGS api --hostname github.com --method GET \
                repos/ada/steps/pulls?state=open&per_page=1&base=main&head=ada%3Atopic";
    assert!(said.contains(list), "{said}");
    let line = said.lines().find_map(|line| line.strip_prefix("STDIN ")).unwrap();
    let fields: Value = serde_json::from_str(line).unwrap();
    let wanted = json!({"title": "A title; $(x)", "body": "Text\n", "head": "topic", "base": "main", "draft": true});
    assert_eq!(fields, wanted);
    assert!(said.contains("\nGH_TOKEN=t0ken\n") && said.contains("\nPWD=/\n"), "{said}");
    assert!(!said.contains("0ther") && !said.contains("PASSWORD") && !said.contains("GIT_DIR"), "{said}");
    assert!(said.contains(&format!("\nHOME={}\n", scene.server.home().display())), "{said}");
    // The same again, as after a crash, finds it.
    answers(&scene, "open", &json!([{"html_url": page}]));
    let again = ask(&scene, &body, 200);
    assert_eq!((&again["url"], &again["created"], &again["existing"]), (&json!(page), &json!(false), &json!(true)));
    let ends = scene.worker.controls(&scene.server, "remote_ended");
    assert!(ends.len() == 2 && ends.iter().all(|end| end["end"] == "done" && end["text"] == page), "{ends:?}");
}

#[test]
fn services_words_reach_the_client() {
    let scene = scene(recorded("pr-words", "gh", "github.com", &[]), "https://github.com/ada/steps");
    answers(&scene, "answer", &json!({"message": "Validation Failed", "errors": [{"message": "No commits"}]}));
    let answer = ask(&scene, &json!({}), 409);
    assert_eq!(answer["code"], "pull_request_failed", "{answer}");
    assert!(answer["detail"].as_str().unwrap().contains("Validation Failed; No commits"), "{answer}");
}

#[test]
fn merge_request_is_opened_by_glab_in_groups() {
    let env = [("GITLAB_TOKEN", "t0ken"), ("GITLAB_HOST", "gitlab.example.org")];
    let server = recorded("pr-glab", "glab", "gitlab.example.org", &env);
    let scene = scene(server, "ssh://git@gitlab.example.org:2222/a/b/steps.git");
    let page = "https://gitlab.example.org/a/b/steps/-/merge_requests/1";
    answers(&scene, "answer", &json!({"web_url": page}));
    let opened = ask(&scene, &json!({"draft": true}), 200);
    assert_eq!((&opened["url"], &opened["by"]), (&json!(page), &json!("glab")));
    let said = log(&scene);
    assert!(
        said.contains("projects/a%2Fb%2Fsteps/merge_requests?state=opened&per_page=1&source_branch=topic"),
        "{said}"
    );
    assert!(said.contains("\nGITLAB_TOKEN=t0ken\n"), "{said}");
    let line = said.lines().find_map(|line| line.strip_prefix("STDIN ")).unwrap();
    let fields: Value = serde_json::from_str(line).unwrap();
    assert_eq!(fields["title"], "Draft: write mine.txt", "as the commit says");
}

#[test]
fn key_for_one_host_is_not_sent_to_another() {
    let env = [("GITLAB_TOKEN", "t0ken"), ("GH_ENTERPRISE_TOKEN", "t0ken"), ("GH_TOKEN", "t0ken")];
    for (program, host) in [("gh", "github.evil.example"), ("glab", "gitlab.evil.example")] {
        let server = recorded(&format!("pr-{program}-evil"), program, host, &env);
        let scene = scene(server, &format!("https://{host}/ada/steps"));
        answers(&scene, "answer", &json!({}));
        ask(&scene, &json!({}), 409);
        assert!(log(&scene).contains("ARGS api") && !log(&scene).contains("t0ken"), "{}", log(&scene));
    }
}

#[test]
fn pull_request_has_a_page_without_a_logged_in_program() {
    let scene = scene(recorded("pr-page", "gh", "github.com", &[]), "https://github.corp.example/ada/steps.git");
    git(&scene.tree, &["branch", "-m", "fix/50%"]);
    let opened = ask(&scene, &json!({"body": ""}), 200);
    let url = "https://github.corp.example/ada/steps/compare/main...fix/50%25?expand=1&title=write%20mine.txt";
    assert_eq!((&opened["url"], &opened["created"], &opened["by"]), (&json!(url), &json!(false), &Value::Null));
    assert_eq!(opened["note"], "gh is not logged in to github.corp.example");
    assert_eq!(log(&scene), "");
    for (name, address, page) in [
        (
            "lab",
            "git@gitlab.com:a/b/c.git",
            "https://gitlab.com/a/b/c/-/merge_requests/new?merge_request%5Bsource_branch%5D=",
        ),
        ("tea", "https://codeberg.org/a/b", "https://codeberg.org/a/b/compare/main...fix/50%25"),
        (
            "bucket",
            "git@bitbucket.org:a/b",
            "https://bitbucket.org/a/b/pull-requests/new?source=fix%2F50%25&dest=main&t=1",
        ),
        ("own", "ssh://git@git.example.org/a/b", ""),
    ] {
        scene.add_remote(name, address);
        if page.is_empty() {
            assert_eq!(ask(&scene, &json!({"remote": name}), 409)["code"], "unknown_forge");
            let named = ask(&scene, &json!({"remote": name, "forge": "gitea"}), 200);
            assert_eq!(named["url"], "https://git.example.org/a/b/compare/main...fix/50%25");
        } else {
            let opened = ask(&scene, &json!({"remote": name}), 200);
            assert!(opened["url"].as_str().unwrap().starts_with(page), "{opened}");
        }
    }
    let same = ask(&scene, &json!({"into": "fix/50%"}), 400);
    assert_eq!(same["field"], "into");
    let body = json!({"expected_url": "https://github.com/other/steps"});
    assert_eq!(scene.refused("/pull-request", &body).0, "address_changed");
}

#[test]
fn program_in_the_project_is_never_run() {
    let mut server = prepared("pr-project", &[]);
    let path = server.project().display().to_string();
    server.set_env("PATH", &format!("{path}:{}", std::env::var("PATH").unwrap()));
    install(&server, "stand", "gh", "github.com");
    let script = server.dir().join("stand/gh");
    let scene = scene(server, "https://github.com/ada/steps");
    fs::copy(script, scene.project.join("gh")).unwrap();
    let opened = ask(&scene, &json!({}), 200);
    assert_eq!((&opened["created"], log(&scene)), (&json!(false), String::new()), "{opened}");
}

/// The API of a service on loopback, which real programs reach as a proxy. Answers with these bodies, one a request, and
/// returns the requests.
fn service(answers: Vec<(u16, Value)>) -> (String, std::thread::JoinHandle<Vec<String>>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    let thread = std::thread::spawn(move || {
        let serve = |(status, answer): (u16, Value)| {
            let mut stream = listener.accept().unwrap().0;
            let mut reader = BufReader::new(stream.try_clone().unwrap());
            let (mut head, mut length, mut in_chunks) = (String::new(), 0, false);
            loop {
                let mut line = String::new();
                reader.read_line(&mut line).unwrap();
                if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length:") {
                    length = value.trim().parse().unwrap();
                }
                in_chunks |= line.to_ascii_lowercase().starts_with("transfer-encoding: chunked");
                head.push_str(&line);
                if line.trim().is_empty() {
                    break;
                }
            }
            let mut body = vec![0; length];
            reader.read_exact(&mut body).unwrap();
            while in_chunks && !body.ends_with(b"0\r\n\r\n") {
                body.push(reader.by_ref().bytes().next().unwrap().unwrap());
            }
            let text = answer.to_string();
            let head_of_answer = format!(
                "HTTP/1.1 {status} OK\r\nContent-Type: application/json\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
                text.len()
            );
            stream.write_all(format!("{head_of_answer}{text}").as_bytes()).unwrap();
            format!("{head}{}", String::from_utf8(body).unwrap())
        };
        answers.into_iter().map(serve).collect()
    });
    (address, thread)
}

#[test]
fn real_gh_opens_a_pull_request() {
    let Some(gh) = require_program("gh") else { return };
    // The host that gh takes for a service on loopback, without TLS.
    let host = "github.localhost";
    let page = "https://github.localhost/ada/steps/pull/7";
    let (proxy, served) = service(vec![(200, json!([])), (201, json!({"html_url": page}))]);
    let folder = gh.parent().unwrap_or(Path::new("/")).display().to_string();
    let env = [("http_proxy", proxy.as_str()), ("PATH", &format!("{}:{folder}", std::env::var("PATH").unwrap()))];
    let server = prepared("pr-real-gh", &env);
    let config = server.home().join(".config/gh");
    fs::create_dir_all(&config).unwrap();
    fs::write(config.join("hosts.yml"), format!("{host}:\n    user: ada\n    oauth_token: k3y\n")).unwrap();
    let scene = scene(server, &format!("https://{host}/ada/steps.git"));
    let opened = ask(&scene, &json!({"title": "It", "body": "Text"}), 200);
    assert_eq!((&opened["url"], &opened["created"], &opened["by"]), (&json!(page), &json!(true), &json!("gh")));
    let asked = served.join().unwrap();
    assert!(asked[0].starts_with("GET http://api.github.localhost/repos/ada/steps/pulls?"), "{}", asked[0]);
    assert!(asked[1].starts_with("POST http://api.github.localhost/repos/ada/steps/pulls "), "{}", asked[1]);
    assert!(asked[1].contains("token k3y") && asked[1].contains(r#""title":"It""#), "{}", asked[1]);
}
