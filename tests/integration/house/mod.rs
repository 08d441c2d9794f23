//! The project's rules, checked on every file that git tracks or would add.

mod names;
mod plan;
mod rooms;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

pub(super) use names::defined_types;
use plan::Plan;

/// Longest source file, in lines, without the unit tests at its end.
const LINES_MAX: usize = 450;

/// The modules of `src/` in the order in which data goes down; a file imports only modules above it.
const ORDER: &[&str] = &[
    "clock",
    "fnv",
    "home",
    "json",
    "metrics",
    "percent",
    "picture",
    "private_file",
    "procfs",
    "qr",
    "socket_owner",
    "subprocess",
    "thread",
    "markdown",
    "probe",
    "scratch",
    "private_list",
    "cgroup",
    "packed",
    "config",
    "access",
    "token",
    "logins",
    "data_dir",
    "logging",
    "audit",
    "banner",
    "worker_env",
    "projects",
    "presets",
    "rules",
    "budgets",
    "schedules",
    "journal",
    "event",
    "adapter",
    "runner",
    "shim",
    "terminal",
    "http",
    "websocket",
    "outbound",
    "wire",
    "sessions",
    "transcript",
    "hub",
    "worker",
    "webhook",
    "hook",
    "push",
    "assets",
    "api",
    "client",
    "cli",
    "demo",
    "server",
    "program",
    "testing",
];

/// The modules of the domain: transport and settings know nothing of them.
const DOMAIN: &[&str] = &["journal", "shim", "event", "wire", "adapter", "hub", "worker"];

/// Imports that the order allows but that are forbidden: module, what it may not import, the reason.
const FORBIDDEN: &[(&str, &[&str], &str)] = &[
    ("thread", &["clock", "procfs", "subprocess"], "a leaf imports nothing of ours"),
    ("metrics", &["clock", "fnv"], "a leaf imports nothing of ours"),
    ("scratch", &["clock", "thread"], "a leaf imports nothing of ours"),
    ("journal", &["config"], "the journal is told its limits"),
    ("shim", &["config", "event", "adapter"], "the shim is told all it needs at its start, and knows no CLI"),
    ("event", &["thread", "config", "shim"], "events are plain data"),
    ("adapter", &["thread", "shim"], "an adapter does no I/O and knows no threads"),
    ("hub", &["adapter", "shim"], "the hub passes bytes on"),
    (
        "transcript",
        &["config", "journal", "event", "adapter", "shim", "sessions"],
        "a tail knows bytes and lines alone",
    ),
    ("http", DOMAIN, "transport knows nothing of the domain"),
    ("websocket", DOMAIN, "transport knows nothing of the domain"),
    ("assets", DOMAIN, "assets are plain files"),
    ("markdown", DOMAIN, "Markdown is text to nodes"),
];

/// Files that may import a module against the two tables above, with the reason.
const EXCEPTIONS: &[(&str, &str, &str)] =
    &[("src/shim/client/spawn.rs", "adapter", "the server's side of the shim takes an adapter's Launch as it is")];

/// Words that no file may contain, with the file names in which they are allowed.
///
/// They are written in two pieces, so that this table does not match itself.
fn forbidden_words() -> Vec<(String, &'static [&'static str], &'static str)> {
    let word = |first: &str, second: &str| format!("{first}{second}");
    vec![
        (word("/wo", "rk/"), &[], "a path of one machine"),
        (word("/ro", "ot/"), &[], "a path of one machine"),
        (word("\"/t", "mp/"), &[], "a path of one machine (std::env::temp_dir() names the place)"),
        (word("registry.np", "mjs"), &[], "a registry host"),
        (word("registry.yarn", "pkg"), &[], "a registry host"),
        (word("npm", "mirror"), &[], "a registry host"),
        (word("pypi", ".org"), &[], "a registry host"),
        (word("files.python", "hosted"), &[], "a registry host"),
        (word("index.crates", ".io"), &[], "a registry host"),
        (word("static.crates", ".io"), &[], "a registry host"),
        (word("proxy.go", "lang"), &[], "a registry host"),
        (word("todo", "!("), &[], "unfinished code"),
        (word("unimple", "mented!("), &[], "unfinished code"),
        (word("#[ig", "nore"), &["tests/integration/recordings/mod.rs"], "a test that does not run"),
        (word("FIX", "ME"), &[], "unfinished code"),
    ]
}

/// Folders whose `mod.rs` still has parts that its rooms import.
const MAY_CIRCLE: &[&str] = &["src/adapter/", "src/worker/registry/", "src/worker/state/"];

/// Files that may sleep: the one place where tests wait, and the fake CLI, which paces its output.
const MAY_SLEEP: &[&str] = &["tests/integration/support/wait.rs", "tests/fake_cli/"];

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// The files of the project, relative to its root, with their text. Binary files are left out.
pub(super) fn files() -> Vec<(String, String)> {
    // The working copy may belong to another user than the one who runs the tests, which git refuses by default.
    let listed = Command::new("git")
        .args(["-c", "safe.directory=*", "ls-files", "-z", "--cached", "--others", "--exclude-standard"])
        .current_dir(root())
        .output()
        .expect("git lists the project's files");
    assert!(listed.status.success(), "{}", String::from_utf8_lossy(&listed.stderr));
    let names = String::from_utf8(listed.stdout).unwrap();
    let names = names.split('\0').filter(|name| !name.is_empty());
    let texts = names.filter_map(|name| Some((name.to_owned(), std::fs::read_to_string(root().join(name)).ok()?)));
    texts.collect()
}

fn sources(dir: &str) -> Vec<(String, String)> {
    let mut files = files();
    files.retain(|(name, _)| name.starts_with(dir) && name.ends_with(".rs"));
    files
}

#[track_caller]
fn assert_none(offences: &[String], rule: &str) {
    assert!(offences.is_empty(), "{rule}:\n  {}", offences.join("\n  "));
}

#[test]
fn no_file_names_a_machine_path_registry_or_unfinished_work() {
    let mut offences = Vec::new();
    for (name, text) in files() {
        for (word, allowed, why) in forbidden_words() {
            if allowed.contains(&name.as_str()) {
                continue;
            }
            let lines = text.lines().enumerate().filter(|(_, line)| line.contains(&word));
            offences.extend(lines.map(|(at, _)| format!("{name}:{}: {word:?} is {why}", at + 1)));
        }
    }
    assert_none(&offences, "words that no file may hold");
}

#[test]
fn packages_come_from_the_usual_places_alone() {
    let mut offences = Vec::new();
    for (name, text) in files() {
        if name.ends_with("Cargo.lock") {
            let usual = "source = \"registry+https://github.com/rust-lang/crates.io-index\"";
            let others = text.lines().filter(|line| line.starts_with("source = ") && *line != usual);
            offences.extend(others.map(|line| format!("{name}: {line}")));
        }
        if name.ends_with("package-lock.json") && text.contains("\"resolved\":") {
            offences.push(format!("{name} names the registry that it was made with (see tests/clis/.npmrc)"));
        }
        if name.ends_with(".npmrc") && text.lines().any(|line| line.trim_start().starts_with("registry")) {
            offences.push(format!("{name} names a registry"));
        }
        if name.contains(".cargo/config") {
            offences.push(format!("{name} changes where crates come from"));
        }
    }
    assert_none(&offences, "packages come from the usual places");
}

#[test]
fn source_files_are_short() {
    let sources = sources("src/").into_iter().chain(sources("tests/"));
    let long = sources.map(|(name, text)| (name, lines_of_code(&text))).filter(|(_, lines)| *lines > LINES_MAX);
    let offences: Vec<String> = long.map(|(name, lines)| format!("{name} has {lines} lines")).collect();
    assert_none(&offences, &format!("a source file has at most {LINES_MAX} lines; split it by what changes together"));
}

#[test]
fn imports_go_up_the_list_of_modules() {
    let rank: BTreeMap<&str, usize> = ORDER.iter().enumerate().map(|(rank, name)| (*name, rank)).collect();
    let mut offences = Vec::new();
    for (name, text) in sources("src/") {
        let module = module_of(&name);
        if ["lib", "main"].contains(&module.as_str()) {
            continue;
        }
        let Some(&own) = rank.get(module.as_str()) else {
            offences.push(format!("{name}: the module {module} has no place in the order"));
            continue;
        };
        let mut imported = imports(&text);
        imported.retain(|other| !EXCEPTIONS.iter().any(|(file, module, _)| *file == name && module == other));
        for other in imported.iter().filter(|other| **other != module) {
            let above = rank.get(other.as_str()).is_some_and(|&theirs| theirs < own);
            if rank.contains_key(other.as_str()) && !above {
                offences.push(format!("{name}: {module} imports {other}, which stands below it"));
            }
        }
        for (_, not, why) in FORBIDDEN.iter().filter(|(forbidding, ..)| *forbidding == module) {
            let wrong = not.iter().filter(|other| imported.iter().any(|name| name == *other));
            offences.extend(wrong.map(|other| format!("{name}: {module} imports {other}, but {why}")));
        }
    }
    assert_none(&offences, "imports go up the list of modules");
}

/// Files that parse JSON of CLIs strictly, each for a reason: the reader itself, lines that rs-worker wrote to a CLI,
/// files of users, and first attempts whose failure falls back to the lenient reader.
const STRICT_READERS: &[&str] = &[
    "src/adapter/acp/lines/input.rs",
    "src/adapter/claude/deltas.rs",
    "src/adapter/claude/encode.rs",
    "src/adapter/claude/lines/input.rs",
    "src/adapter/codex/deltas.rs",
    "src/adapter/codex/lines/input.rs",
    "src/adapter/declared/file.rs",
    "src/adapter/testing/odd_lines.rs",
    "src/adapter/testing/recorded.rs",
    "src/adapter/testing/transcripts.rs",
    "src/transcript/line.rs",
];

#[test]
fn json_of_clis_is_read_by_the_lenient_reader() {
    let readers = ["src/adapter/", "src/sessions/", "src/transcript/"];
    let is_reader = |name: &str| readers.iter().any(|dir| name.starts_with(dir)) && !name.contains("/tests");
    let offences: Vec<String> = sources("src")
        .into_iter()
        .filter(|(name, _)| is_reader(name) && !STRICT_READERS.contains(&name.as_str()))
        .filter(|(_, text)| ["serde_json::from_slice", "serde_json::from_str"].iter().any(|call| text.contains(call)))
        .map(|(name, _)| name)
        .collect();
    assert_none(&offences, "what CLIs print is read by crate::json, which repairs what the strict parser refuses");
}

/// Counts the lines of a file without its inline unit tests, before and after them.
fn lines_of_code(text: &str) -> usize {
    let mut count = 0;
    let mut lines = text.lines().peekable();
    while let Some(line) = lines.next() {
        let opens = |next: &&str| next.starts_with("mod ") && next.ends_with('{');
        if line == "#[cfg(test)]" && lines.peek().is_some_and(opens) {
            let _tests = lines.by_ref().take_while(|line| *line != "}").count();
        } else {
            count += 1;
        }
    }
    count
}

#[test]
fn length_rule_counts_code_on_both_sides_of_unit_tests() {
    assert_eq!(lines_of_code("#[cfg(test)]\nmod tests;\n\nfn a() {}\n"), 4);
    assert_eq!(lines_of_code("fn a() {}\n\n#[cfg(test)]\nmod tests {\n    fn b() {}\n}\n"), 2);
    assert_eq!(lines_of_code("fn a() {}\n#[cfg(test)]\nmod tests {\n    fn b() {}\n}\nfn c() {}\nfn d() {}\n"), 3);
}

#[test]
fn no_files_or_rooms_import_each_other_in_a_circle() {
    assert_none(&Plan::of(&sources("src/")).circles(MAY_CIRCLE), "imports have no circles, in no folder");
}

#[test]
fn circles_are_found_through_faces_and_every_form_of_import() {
    let file = |name: &str, text: &str| (name.to_owned(), text.to_owned());
    let files = [
        file("src/a/mod.rs", "mod x;\nmod y;\npub(crate) use y::Late;\n"),
        file("src/a/x.rs", "use super::Late;\n"),
        file("src/a/y.rs", "fn f() { crate::a::{x::f, z}; }\n"),
        file("src/b.rs", "use crate::a::x::f;\n#[cfg(test)]\nuse crate::c::C;\npub(in crate::c) fn g() {}\n"),
        file("src/d.rs", "fn d() {}\n#[cfg(test)]\nmod tests {\n    use super::d;\n    use crate::e::E;\n}\n"),
        file("src/e.rs", "use crate::d::d;\n"),
        file("src/c.rs", "use crate::b::B;\n"),
    ];
    assert_eq!(Plan::of(&files).circles(&[]), ["src/a/: x <-> y"]);
    let straight = [file("src/b.rs", ""), file("src/c.rs", "use crate::b;\nlet b = crate::b::B;\n")];
    let plan = Plan::of(&straight);
    assert_eq!((plan.circles(&[]).len(), plan::storeys(&plan.rooms("src/"))), (0, 2));
}

/// `src/journal/record.rs` and `src/hub.rs` belong to `journal` and `hub`.
fn module_of(name: &str) -> String {
    let inside = name.trim_start_matches("src/");
    inside.split(['/', '.']).next().unwrap_or_default().to_owned()
}

/// The top-level modules that a file names by `crate::`, in imports or in paths; comments do not count.
fn imports(text: &str) -> Vec<String> {
    let code: Vec<&str> = text.lines().filter(|line| !line.trim_start().starts_with("//")).collect();
    let code = code.join("\n");
    let mut found = Vec::new();
    for (at, _) in code.match_indices("crate::") {
        let rest = &code[at + "crate::".len()..];
        match rest.strip_prefix('{') {
            Some(group) => found.extend(group_heads(group)),
            None => found.push(word(rest)),
        }
    }
    found.sort();
    found.dedup();
    found
}

/// The first words of the members of `{a::b, c::{d, e}}`, given without its first brace.
fn group_heads(group: &str) -> Vec<String> {
    let mut heads = vec![word(group.trim_start())];
    let mut depth = 1;
    for (at, c) in group.char_indices() {
        match c {
            '{' => depth += 1,
            '}' => depth -= 1,
            ',' if depth == 1 => heads.push(word(group[at + 1..].trim_start())),
            _ => {}
        }
        if depth == 0 {
            break;
        }
    }
    heads
}

fn word(text: &str) -> String {
    text.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect()
}

#[test]
fn the_check_of_imports_reads_all_their_forms() {
    let text =
        "use crate::{journal::{Kind, Record}, event,\n    worker as w};\n// crate::api\nlet x = crate::hub::Hub;";
    assert_eq!(imports(text), ["event", "hub", "journal", "worker"]);
    assert_eq!(module_of("src/journal/mod.rs"), "journal");
    assert_eq!(module_of("src/hub.rs"), "hub");
}

#[test]
fn tests_wait_for_conditions_and_never_just_pause() {
    let call = format!("{}::{}", "thread", "sleep");
    let mut offences = Vec::new();
    for (name, text) in sources("tests/") {
        if !MAY_SLEEP.iter().any(|allowed| name.starts_with(allowed)) && text.contains(&call) {
            offences.push(name);
        }
    }
    assert_none(&offences, "only tests/integration/support/wait.rs pauses");
}

#[test]
fn documents_name_make_targets_that_exist() {
    let readme = std::fs::read_to_string(root().join("README.md")).unwrap();
    let makefile = std::fs::read_to_string(root().join("Makefile")).unwrap();
    for command in ["make run", "make test"] {
        assert!(readme.contains(command), "README.md says how to `{command}`");
    }
    let exists = |target: &str| {
        makefile.lines().any(|line| line.split(':').next().is_some_and(|names| names.split(' ').any(|n| n == target)))
    };
    let mut offences = Vec::new();
    for (name, text) in files().iter().filter(|(name, _)| name.ends_with(".md")) {
        for (at, _) in text.match_indices("`make ").chain(text.match_indices("\nmake ")) {
            let target = text[at + "`make ".len()..].split(|c: char| !c.is_alphanumeric() && c != '-').next().unwrap();
            if !exists(target) {
                offences.push(format!("{name} names `make {target}`, which the Makefile does not have"));
            }
        }
    }
    assert_none(&offences, "documents name commands that exist");
}

#[test]
fn scripts_can_be_run() {
    use std::os::unix::fs::PermissionsExt;

    let offences: Vec<String> = files()
        .iter()
        .filter(|(_, text)| text.starts_with("#!/"))
        .map(|(name, _)| PathBuf::from(name))
        .filter(|name| root().join(name).metadata().unwrap().permissions().mode() & 0o111 == 0)
        .map(|name| name.display().to_string())
        .collect();
    assert_none(&offences, "a file with #! on its first line is executable");
}

#[test]
fn the_project_names_no_address_that_it_does_not_own() {
    let shipped =
        ["Cargo.toml", "Makefile", "deploy/build-deb", "deploy/rs-worker.service", "deploy/rs-worker-user.service"];
    let mut offences = Vec::new();
    for name in shipped {
        let text = std::fs::read_to_string(root().join(name)).unwrap();
        let named = text.lines().filter(|line| line.contains("://"));
        offences.extend(named.map(|line| format!("{name}: {line}")));
    }
    for (name, text) in files().iter().filter(|(name, _)| name.ends_with(".md")) {
        let addresses =
            text.split("://").skip(1).map(|rest| rest.split(['/', ' ', '`', ')', '>', '"', '\'']).next().unwrap_or(""));
        offences.extend(addresses.filter(|host| !is_example(host)).map(|host| format!("{name}: {host}")));
    }
    assert_none(&offences, "what is shipped names no address of anybody else as the project's own");
}

/// Returns whether documents may use the host in an example: this machine, a reserved name, a variable.
fn is_example(host: &str) -> bool {
    let name = host.split(':').next().unwrap_or_default();
    ["127.0.0.1", "localhost", "[", "$", "name", "HOST", "{", "..."].iter().any(|known| host.starts_with(known))
        || name.is_empty()
        || [".example", ".lan", ".local", ".internal", "example.com", "example.org", "example.net"]
            .iter()
            .any(|end| name.ends_with(end))
}
