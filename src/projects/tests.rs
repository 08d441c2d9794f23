//! Project files in a scratch folder.

use std::path::Path;
use std::time::Duration;

use super::Projects;
use crate::scratch::Scratch;

/// A scratch folder with these files in `projects`, and the folders `shop` and `shop/app` as projects. `@` in a file is the
/// scratch folder.
fn projects(files: &[(&str, &str)]) -> (Scratch, Projects) {
    let scratch = Scratch::new();
    let top = scratch.path().canonicalize().unwrap();
    std::fs::create_dir_all(top.join("shop/app")).unwrap();
    std::fs::create_dir(top.join("projects")).unwrap();
    for (name, text) in files {
        std::fs::write(top.join("projects").join(name), text.replace('@', top.to_str().unwrap())).unwrap();
    }
    let projects = Projects::new(&top.join("projects"));
    (scratch, projects)
}

fn find(scratch: &Scratch, projects: &Projects, folder: &str) -> Result<Option<super::Project>, String> {
    projects.find(&scratch.path().canonicalize().unwrap().join(folder)).map_err(|error| error.to_string())
}

#[test]
fn project_file_is_read_whole() {
    let (scratch, projects) = projects(&[(
        "shop.json",
        r#"{"path": "@/shop", "base": "main", "preset": "fix", "env": {"KEY": "secret"}, "setup": ["make deps", ["npm", "ci"]],
            "setup_secs": 5, "teardown": ["make clean"]}"#,
    )]);
    let project = find(&scratch, &projects, "shop/app/src").unwrap().unwrap();
    assert_eq!((project.name.as_str(), project.base.as_deref()), ("shop", Some("main")));
    assert_eq!(project.setup.list[0].argv, ["sh", "-c", "make deps"]);
    assert_eq!(project.setup.list[1].argv, ["npm", "ci"]);
    assert_eq!((project.setup.time, project.teardown.time), (Duration::from_secs(5), Duration::from_secs(60)));
    assert_eq!(project.teardown.list[0].to_string(), "make clean");
    let shown = serde_json::to_string(&projects.shown()).unwrap();
    assert!(shown.contains(r#""env":["KEY"]"#) && !shown.contains("secret"), "{shown}");
    assert!(shown.contains(r#""preset":"fix""#), "{shown}");
    assert_eq!(find(&scratch, &projects, "other"), Ok(None));
}

#[test]
fn mistake_in_a_project_file_names_file_and_field() {
    let cases = [
        (r#"{"path": "@/shop", "setup": "make"}"#, "setup: must be a list"),
        (r#"{"path": "@/shop", "setup": [[]]}"#, "setup: a command is a line for sh"),
        (r#"{"path": "@/shop", "setup_secs": 0}"#, "setup_secs: must be a whole number from 1 to 86400"),
        (r#"{"path": "@/shop", "teardown_secs": 9999}"#, "teardown_secs: must be a whole number"),
        (r#"{"path": "@/shop", "env": {"A=B": "x"}}"#, "env.A=B: not a variable"),
        (r#"{"path": "@/shop", "base": "--output=x"}"#, "base: must not begin with a dash"),
        (r#"{"path": "@/shop", "setups": []}"#, "setups: unknown field; known fields: base, check, check_secs, env"),
        (r#"{"path": "shop"}"#, "path: must be absolute"),
        (r#"{"path": "@/gone"}"#, "path: "),
        (r#"{"setup": []}"#, "path: the field is missing"),
        (r#"{"path": "@/shop", "path": "@/shop"}"#, "path: the field is there twice"),
        ("{", "EOF while parsing"),
    ];
    for (text, reported) in cases {
        let (scratch, projects) = projects(&[("x.json", text)]);
        let why = find(&scratch, &projects, "shop").unwrap_err();
        assert!(why.contains("projects/x.json: ") && why.contains(reported), "{text}: {why}");
    }
}

#[test]
fn innermost_project_is_found_despite_a_mistake_elsewhere() {
    let (scratch, projects) = projects(&[
        ("a.json", r#"{"path": "@/shop/app", "name": "inner"}"#),
        ("b.json", r#"{"path": "@/shop", "name": "outer"}"#),
        ("c.json", r#"{"path": "@/projects", "setup": 1}"#),
    ]);
    let name = |folder| find(&scratch, &projects, folder).unwrap().map(|project| project.name);
    assert_eq!(name("shop/app/x"), Some("inner".to_owned()));
    assert_eq!(name("shop/other"), Some("outer".to_owned()));
    assert_eq!(name("elsewhere"), None);
    assert!(find(&scratch, &projects, "projects").unwrap_err().contains("setup: must be a list"));
}

#[test]
fn two_files_for_one_project_are_refused() {
    let (scratch, projects) = projects(&[("a.json", r#"{"path": "@/shop"}"#), ("b.json", r#"{"path": "@/shop/"}"#)]);
    let why = find(&scratch, &projects, "shop").unwrap_err();
    assert!(why.contains("b.json: path: ") && why.contains("a.json too"), "{why}");
}

#[test]
fn missing_folder_has_no_projects() {
    assert!(Projects::new(Path::new("/nowhere/at/all")).shown().is_empty());
}
