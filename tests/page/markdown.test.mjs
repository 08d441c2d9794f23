// Markdown: what people and agents write, and what must stay text.

import assert from "node:assert/strict";
import { test } from "node:test";
import { tokens } from "../../static/js/highlight.js";
import { inline } from "../../static/js/inline.js";
import { parse } from "../../static/js/markdown.js";

const kinds = (text) => parse(text).map((block) => block.t);
// A tree in one line: em(a code[b]).
const flat = (nodes) => nodes.map((node) => (node.t === "text" ? node.v : node.t === "code" ? `code[${node.v}]` : node.t === "break" ? "/" : `${node.t}${node.href ? `<${node.href}>` : ""}(${flat(node.c)})`)).join("");

test("blocks are told apart", () => {
  assert.deepEqual(kinds("# a\n\ntext\nmore\n\n- x\n- y\n\n1. z\n\n> q\n\n---\n\n```js\ncode\n```\n\n| a | b |\n|---|---|\n| 1 | 2 |"), ["heading", "paragraph", "list", "list", "quote", "rule", "code", "table"]);
});

test("raw HTML is text", () => {
  assert.deepEqual(parse("<script>alert(1)</script>"), [{ t: "paragraph", text: "<script>alert(1)</script>", at: 0 }]);
  assert.equal(flat(inline("<img src=x onerror=alert(1)> <b>x</b>")), "<img src=x onerror=alert(1)> <b>x</b>");
});

test("emphasis, code and strikes", () => {
  assert.equal(flat(inline("*a* **b** _c_ __d__ ***e*** ~~f~~ `g*h*` ``i ` j``")), "em(a) strong(b) em(c) strong(d) strong(em(e)) strike(f) code[g*h*] code[i ` j]");
  assert.equal(flat(inline("snake_case_name 2 * 3 * 4 **open `tick")), "snake_case_name 2 * 3 * 4 **open `tick");
  assert.equal(flat(inline("**a *b* c**")), "strong(a em(b) c)");
  assert.equal(flat(inline("\\*not\\* a\\\nb  \nc")), "*not* a/b  /c");
});

test("links go to safe addresses only; images become links", () => {
  assert.equal(flat(inline("[a](https://x.y/z_(1)) <https://q.r> https://s.t/u). ![i](https://v.w/p.png)")), "link<https://x.y/z_(1)>(a) link<https://q.r>(https://q.r) link<https://s.t/u>(https://s.t/u)). link<https://v.w/p.png>(i)");
  for (const evil of ["javascript:alert(1)", "JaVaScRiPt:alert(1)", "data:text/html,x", "vbscript:x", "//e.vil", "&#106;avascript:x"]) {
    assert.ok(!flat(inline(`[a](${evil})`)).includes("link<"), evil);
    assert.ok(!flat(inline(`<${evil}>`)).includes("link<"), evil);
  }
});

test("lists nest, number, and carry tasks", () => {
  const [list] = parse("3. a\n   - b\n     - c\n4. d\n\n   more of d");
  assert.equal(list.start, 3);
  assert.equal(list.items[0].blocks[1].items[0].blocks[1].items[0].blocks[0].text, "c");
  assert.equal(list.items[1].blocks[1].text, "more of d");
  const [tasks] = parse("- [x] done\n- [ ] open");
  assert.deepEqual(tasks.items.map((item) => item.done), [true, false]);
});

test("a fence keeps what it holds, also while it is still open", () => {
  const [code] = parse("````md\n```\n# x\n```\n````");
  assert.equal(code.text, "```\n# x\n```");
  assert.deepEqual(parse("```sh\nls"), [{ t: "code", language: "sh", text: "ls", closed: false, at: 0 }]);
});

test("tables have as many cells as their head", () => {
  const [table] = parse("| a | b |\n|:-:|--:|\n| `x|y` | 2 | 3 |\n| 1 |");
  assert.deepEqual(table.align, ["center", "right"]);
  assert.deepEqual(table.rows, [["`x|y`", "2"], ["1", ""]]);
});

test("what stands before the last block is final when text is appended", () => {
  const whole = "# a\n\npara\n\n- x\n- y\n\n```js\nlet a;\n```\n\nlast **words** here\n\n| a | b |\n|--|--|\n| 1 | 2 |\n\nend";
  for (let at = 1; at < whole.length; at += 1) {
    const part = parse(whole.slice(0, at));
    const full = parse(whole);
    for (let n = 0; n < part.length - 1; n += 1) assert.deepEqual(part[n], full[n], `cut at ${at}`);
  }
});

test("hostile text takes linear time and bounded depth", () => {
  const evils = ["*", "[", "`a``b```c", "> ", "- ", "**a ", "[a](", "<http://", "*a_b~~", "https://a", "![", "| a ", "1. x\n", "\\", "]", "_a*b", "> - 1. "];
  for (const evil of evils) {
    const before = process.cpuUsage().user;
    for (const block of parse(evil.repeat(50_000))) if (block.text) JSON.stringify(inline(block.text));
    assert.ok(process.cpuUsage().user - before < 3e6, evil);
  }
});

test("colouring never changes the code", () => {
  for (const language of ["rust", "python", "sh", "sql", "json", "html", "none"]) {
    const code = "// c\n# d\nlet x = 'a\\'b' + \"c\" + 0x1f; /* open\nif select <!-- x";
    assert.equal(tokens(code, language).map(([, piece]) => piece).join(""), code);
  }
  assert.deepEqual(tokens("let a = 1; // x", "js").filter(([kind]) => kind), [["keyword", "let"], ["number", "1"], ["comment", "// x"]]);
});
