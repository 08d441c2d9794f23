//! The page's scripts as the build makes them: short names for what is a script's own, and nothing else is changed.

#[path = "../../build/names.rs"]
mod names;
#[path = "../../build/tokens.rs"]
mod tokens;

use std::collections::{BTreeMap, BTreeSet};
use std::{fs, path};

use crate::support::server::TestServer;
use tokens::{Kind, Token};

/// A script as the build shortens it, with the names that other files have from the browser.
fn shortened(script: &str, foreign: &[&str]) -> String {
    names::Names::read(script).unwrap().shortened(&foreign.iter().copied().collect::<BTreeSet<_>>())
}

#[test]
fn variables_are_renamed_in_every_place_and_properties_in_none() {
    let same = [
        ("const value = 1; use(value, it.value, { value: value });", "const a = 1; use(a, it.value, { value: a });"),
        ("const value = 1; use({ value }, [value]);", "const a = 1; use({ value:a }, [a]);"),
        (
            "function of({ length, other: first = 2 }, [second]) { go(first, first, second, second); }",
            "function of({ length, other: b = 2 }, [a]) { go(b, b, a, a); }",
        ),
        ("const long = (given) => given ? given.x : { given: given };", "const b = (a) => a ? a.x : { given: a };"),
        (
            "switch (it) { case thing: { const thing = 1; use(thing); break; } default: { go(thing); } }",
            "switch (it) { case a: { const a = 1; use(a); break; } default: { go(a); } }",
        ),
        (
            "class Thing { method(given) { return this.given + given; } get size() { return new Thing(); } }",
            "class b { method(a) { return this.given + a; } get size() { return new b(); } }",
        ),
        (
            "const memory = { get(named) { return named; }, class: memory };",
            "const a = { get(b) { return b; }, class: a };",
        ),
        (
            "const word = 1; use(`${word} word ${{ word: word }}`, \"word\", /word/, 1 / word); // word",
            "const a = 1; use(`${a} word ${{ word: a }}`, \"word\", /word/, 1 / a); // word",
        ),
    ];
    let wrong: Vec<_> = same
        .iter()
        .map(|(script, expected)| (shortened(script, &[]), expected))
        .filter(|(got, expected)| got != *expected)
        .collect();
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn exports_and_what_the_browser_has_keep_their_names() {
    for script in [
        "export const shown = 1; export function drawn() { return shown + shown; } export async function asked() {}",
        "location.hash = encodeURIComponent(document.title);",
        "class Thing extends Error {}",
    ] {
        assert_eq!(shortened(&script.replace("Thing", "T"), &[]), script.replace("Thing", "T"));
    }
    let read = names::Names::read("const own = { history }; own.other(location, own);").unwrap();
    assert_eq!(read.foreign().collect::<Vec<_>>(), ["history", "location"]);
    let script = "const history = 1; use(history);";
    assert_eq!(shortened(script, &["history"]), script, "what one file has from the browser is renamed in none");
    assert_eq!(
        shortened("import { shown, drawn as pictured } from \"./a.js\"; go(shown, shown, shown, pictured);", &[]),
        "import { shown as a, drawn as b } from \"./a.js\"; go(a, a, a, b);"
    );
}

#[test]
fn a_script_that_cannot_be_read_stops_the_build_and_says_where() {
    for (script, said) in [("go();\n}", "line 2"), ("go();\nuse(`a", "line 2"), ("{", "not closed"), ("'a", "line 1")] {
        let error = names::Names::read(script).err().map(|error| error.to_string()).unwrap_or_default();
        assert!(error.contains(said), "{script:?}: {error:?}");
    }
}

#[test]
fn blanks_and_comments_go_but_for_those_that_mean_something() {
    for (script, dense) in [
        ("const a = 1; // one\n/* two */ return  a ;", "const a=1;return a;"),
        ("if (a) { go(); } else { stay(); }", "if(a){go()}else{stay()}"),
        ("use(/[ -/]*/g, ` a ${ b } c`, `h${n}`, \"a  b\");", "use(/[ -/]*/g,` a ${b} c`,`h${n}`,\"a  b\");"),
        ("a + +b - -c; x / /y/.z;", "a+ +b- -c;x/ /y/.z;"),
    ] {
        assert_eq!(tokens::dense(script).unwrap(), dense);
    }
}

#[test]
fn the_scripts_that_are_served_differ_from_their_sources_in_names_alone() {
    let server = TestServer::builder().name("page-names").start();
    let folder = path::Path::new(env!("CARGO_MANIFEST_DIR")).join("static/js");
    let mut renamed = 0;
    for entry in fs::read_dir(folder).unwrap() {
        let entry = entry.unwrap();
        let name = entry.file_name().into_string().unwrap();
        let served = server.get(&format!("/static/js/{name}")).expect(200).text();
        renamed += differences(&name, &fs::read_to_string(entry.path()).unwrap(), &served).len();
    }
    assert!(renamed > 500, "{renamed} names are short");
}

/// The names that were shortened, each to one of its own; panics at any other difference.
fn differences(file: &str, source: &str, served: &str) -> BTreeMap<String, String> {
    let read = |text| tokens::read(text).unwrap().into_iter().filter(|token| token.text != ";").collect::<Vec<_>>();
    let (source, served) = (read(source), read(served));
    let text = |tokens: &[Token<'_>], at: usize| tokens.get(at).map_or("", |token| token.text).to_owned();
    let (mut short, mut kept, mut at) = (BTreeMap::new(), BTreeSet::new(), 0);
    for (number, token) in source.iter().enumerate() {
        let here = text(&served, at);
        // `{ name }` has become `{ name: n }`, or `{ name as n }`.
        let between = text(&served, at + 1);
        let is_pair =
            here == token.text && matches!(between.as_str(), ":" | "as") && text(&source, number + 1) != between;
        let new = if is_pair { text(&served, at + 2) } else { here };
        if new != token.text {
            assert!(token.kind == Kind::Name, "{file}: {:?} has become {new:?}", token.text);
            assert_eq!(
                *short.entry(token.text.to_owned()).or_insert_with(|| new.clone()),
                new,
                "{file}: {:?}",
                token.text
            );
        } else if token.kind == Kind::Name {
            // A property may have any name; `a ? b : c` looks like one here, and has `b` elsewhere too.
            let before = number.checked_sub(1).map(|before| text(&source, before)).unwrap_or_default();
            let is_property = matches!(before.as_str(), "." | "?.") || text(&source, number + 1) == ":";
            kept.extend((!is_property).then_some(token.text));
        }
        at += if is_pair { 3 } else { 1 };
    }
    assert_eq!(at, served.len(), "{file}: more is served than was written");
    let different: BTreeSet<_> = short.values().collect();
    assert_eq!(different.len(), short.len(), "{file}: two names have become one");
    assert!(!different.iter().any(|new| kept.contains(new.as_str())), "{file}: a short name was taken");
    short
}
