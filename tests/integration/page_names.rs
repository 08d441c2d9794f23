//! The build's short names in the page's scripts: what is a script's own is renamed, and nothing else. The scripts as they
//! are served are what the browser tests run.

#[path = "../../build/names.rs"]
mod names;
#[path = "../../build/tokens.rs"]
mod tokens;

use std::collections::BTreeSet;

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
