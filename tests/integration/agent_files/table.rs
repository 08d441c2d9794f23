//! The versions in the table of `adapters/README.md` and in the files themselves are those that the tests install.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use serde_json::Value;

/// The packages of npm, by the name of their file, and the folder in `tests` with their versions.
const PACKAGES: [(&str, &str, &str); 7] = [
    ("claude-agent-acp", "@agentclientprotocol/claude-agent-acp", "agents/large"),
    ("cline", "cline", "agents/large"),
    ("codex-acp", "@zed-industries/codex-acp", "agents"),
    ("copilot", "@github/copilot", "agents"),
    ("opencode-acp", "opencode-ai", "clis"),
    ("pi", "@mariozechner/pi-coding-agent", "agents"),
    ("qwen", "@qwen-code/qwen-code", "agents"),
];
/// Files in the table whose agent no test installs.
const UNTESTED: [&str; 1] = ["vibe"];

fn project_file(path: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(path);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// Returns the rows of the table: the file's name without `.json`, and the version.
fn rows() -> BTreeMap<String, String> {
    let guide = project_file("adapters/README.md");
    let rows = guide.lines().filter_map(|line| {
        let cells: Vec<&str> = line.strip_prefix("| `")?.split('|').map(str::trim).collect();
        let file = cells.first()?.strip_suffix(".json`")?;
        Some((file.to_owned(), (*cells.get(2)?).to_owned()))
    });
    rows.collect()
}

/// Returns the version of an agent in the table.
pub(super) fn version(file: &str) -> String {
    rows().remove(file).unwrap_or_else(|| panic!("adapters/README.md has no row for {file}.json"))
}

/// Returns the installed version, from the lock file of npm or the requirements of pip.
fn installed() -> BTreeMap<String, String> {
    let mut versions = BTreeMap::new();
    for (file, package, folder) in PACKAGES {
        let lock: Value = serde_json::from_str(&project_file(&format!("tests/{folder}/package-lock.json"))).unwrap();
        let version = lock["packages"][format!("node_modules/{package}")]["version"].as_str().unwrap();
        versions.insert(file.to_owned(), version.to_owned());
    }
    let aider = project_file("tests/agents/large/aider.txt");
    versions.insert("aider".to_owned(), aider.trim().strip_prefix("aider-chat==").unwrap().to_owned());
    versions
}

#[test]
fn table_of_agents_names_the_versions_that_tests_install() {
    let mut rows = rows();
    for file in UNTESTED {
        assert!(
            rows.remove(file).is_some_and(|version| version.contains("not tested")),
            "{file} is said to be untested"
        );
    }
    assert_eq!(rows, installed());
}

#[test]
fn example_files_name_the_versions_that_tests_install() {
    for (file, version) in installed() {
        let text = project_file(&format!("adapters/examples/{file}.json"));
        assert!(text.contains(&format!("Seen with {version}")), "{file}.json: {version}");
    }
}
