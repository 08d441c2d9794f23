// Colours of code.

import assert from "node:assert/strict";
import { test } from "node:test";
import { LANGUAGES } from "../../static/js/lib/grammars.js";
import { languageOf, linesOf, tokens } from "../../static/js/lib/highlight.js";

test("colouring never changes the code", () => {
  for (const language of ["rust", "python", "sh", "sql", "json", "html", "none"]) {
    const code = "// c\n# d\nlet x = 'a\\'b' + \"c\" + 0x1f; /* open\nif select <!-- x";
    assert.equal(tokens(code, language).map(([, piece]) => piece).join(""), code);
  }
  assert.deepEqual(tokens("let a = 1; // x", "js").filter(([kind]) => kind), [["keyword", "let"], ["number", "1"], ["comment", "// x"]]);
});

test("the name of a file says its language", () => {
  assert.deepEqual(tokens("let a", "src/main.rs"), tokens("let a", "rust"));
  assert.deepEqual(tokens("a: b", "deploy/Makefile"), tokens("a: b", "make"));
});

const kinds = (code, language) =>
  Object.fromEntries(tokens(code, language).filter(([kind]) => kind).map(([kind, text]) => [text, kind]));

test("each language has its own words, types, functions and marks", () => {
  const rust = kinds("#[derive(Debug)]\nfn a<'x>(b: &'x str) -> Vec<u8> { println!(\"{b}\"); }", "rs");
  assert.deepEqual(
    [rust["#[derive(Debug)]"], rust.fn, rust["'x"], rust.str, rust.Vec, rust["println!"], rust['"{b}"']],
    ["attribute", "keyword", "variable", "type", "type", "function", "string"],
  );
  const ts = kinds("@Input() name: string = `a ${b}`; // c\nif (/a[/]b/.test(x)) call(y);", "ts");
  assert.deepEqual([ts["@Input"], ts.string, ts["`a ${b}`"], ts["/a[/]b/"], ts.call], ["attribute", "type", "string", "string", "function"]);
  const yaml = kinds("name: \"a\" # b\non: [push]\nkeep: true", "yml");
  assert.deepEqual([yaml.name, yaml['"a"'], yaml["# b"], yaml.true], ["property", "string", "comment", "keyword"]);
  const html = kinds('<a href="x">&amp;</a><!-- c -->', "html");
  assert.deepEqual([html["<a"], html.href, html['"x"'], html["&amp;"], html["<!-- c -->"]], ["tag", "attribute", "string", "variable", "comment"]);
  const css = kinds(".a, #b:hover {\n  color: #f00;\n  width: calc(1px + var(--x));\n}", "css");
  assert.deepEqual([css[".a"], css["#b"], css.color, css["#f00"], css.calc, css["--x"]], ["tag", "tag", "property", "number", "function", "variable"]);
  const shell = kinds('export A="$B" && git commit -m x # c', "sh");
  assert.deepEqual([shell.export, shell.git, shell["-m"], shell["# c"]], ["keyword", "function", "attribute", "comment"]);
  assert.equal(kinds("SELECT a FROM b", "sql").SELECT, "keyword");
});

test("lines keep the colours of tokens that span them", () => {
  const lines = linesOf(["/* a", "b */ let x", "", "let y"], "js");
  assert.deepEqual(lines, [[["comment", "/* a"]], [["comment", "b */"], ["", " "], ["keyword", "let"], ["", " x"]], [], [["keyword", "let"], ["", " y"]]]);
});

test("a file's name says its language", () => {
  assert.deepEqual(["a/b.rs", "Dockerfile", "Makefile", ".env", "x"].map(languageOf), ["rs", "dockerfile", "make", "sh", "x"]);
});

test("no text takes long to colour, in any language", () => {
  const hard = ["\"", "'", "\\", "/*", "[", "#[", "a", "<", " ", "\t", "\n", "a:", "r#\"", "$(", "/[", "(/", "{ ", "\n ", "= ", "**a ", "](a", "0x", "_", ".a ", "---", "`"];
  for (const { names } of LANGUAGES) {
    for (const piece of hard) {
      const code = piece.repeat(Math.floor(99_000 / piece.length));
      const start = performance.now();
      tokens(code, names[0]);
      const ms = performance.now() - start;
      // Quadratic patterns take seconds for this.
      assert.ok(ms < 1500, `${names[0]} takes ${ms} ms for ${JSON.stringify(piece)}`);
    }
  }
});
