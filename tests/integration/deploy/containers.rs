//! The Dockerfile and the Compose file, checked without Docker: everything that they name exists.

use rs_worker::testing::config::{SETTINGS, setting};

use super::{project_file, project_path};

/// Returns the instructions of a Dockerfile, one per line, with continued lines joined.
fn instructions(text: &str) -> Vec<(String, String)> {
    let lines: Vec<&str> = text.lines().filter(|line| !line.starts_with('#')).collect();
    let joined = lines.join("\n").replace("\\\n", " ");
    let instructions = joined.lines().filter_map(|line| line.split_once(' '));
    instructions.map(|(word, rest)| (word.to_owned(), rest.trim().to_owned())).collect()
}

/// Returns the text after each instruction of one kind.
fn rest_of<'i>(instructions: &'i [(String, String)], wanted: &'static str) -> impl Iterator<Item = &'i str> {
    instructions.iter().filter(move |(word, _)| word == wanted).map(|(_, rest)| rest.as_str())
}

#[test]
fn dockerfile_builds_the_static_program_and_sets_settings_that_exist() {
    let instructions = instructions(&project_file("deploy/Dockerfile"));
    let known = [
        "FROM",
        "ARG",
        "RUN",
        "WORKDIR",
        "COPY",
        "USER",
        "ENV",
        "VOLUME",
        "EXPOSE",
        "ENTRYPOINT",
        "CMD",
        "HEALTHCHECK",
    ];
    for (word, _) in &instructions {
        assert!(known.contains(&word.as_str()), "{word} is no instruction");
    }
    let of = |wanted: &'static str| rest_of(&instructions, wanted);
    assert!(of("RUN").any(|rest| rest.contains("make static")));
    for assignment in of("ENV").flat_map(str::split_whitespace) {
        let (name, value) = assignment.split_once('=').unwrap();
        assert!(setting(name).is_some() && !value.is_empty(), "{assignment}");
    }
    // It runs as an unprivileged user, with the program's documented arguments.
    assert_eq!(of("USER").last(), Some("node"));
    for words in of("ENTRYPOINT").chain(of("CMD")) {
        serde_json::from_str::<Vec<String>>(words).unwrap_or_else(|error| panic!("{words}: {error}"));
    }
    let port = setting("PORT").unwrap().default;
    assert_eq!(of("EXPOSE").collect::<Vec<_>>(), [port]);
}

#[test]
fn the_compose_file_names_files_and_settings_that_exist() {
    let text = project_file("deploy/compose.yaml");
    assert!(text.contains("context: ..\n      dockerfile: deploy/Dockerfile\n"));
    assert!(project_path("deploy/Dockerfile").exists());
    let environment = text.split_once("    environment:\n").unwrap().1;
    let names: Vec<&str> = environment
        .lines()
        .take_while(|line| line.starts_with("      "))
        .map(|line| line.trim().split(':').next().unwrap())
        .collect();
    assert_eq!(names.len(), 2);
    for name in names {
        assert!(SETTINGS.iter().any(|setting| setting.environment_names().any(|other| other == name)), "{name}");
    }
    assert!(text.contains("\"127.0.0.1:7788:7788\""), "nobody else reaches it unasked");
    // Needed by `doctor`, and the place of a login in the container.
    assert!(text.contains("ulimits:\n      nofile: 65536\n") && text.contains("- home:/home/node\n"));
    assert!(project_file("deploy/Dockerfile").contains("HEALTHCHECK") && text.contains("exec rs-worker claude"));
}
