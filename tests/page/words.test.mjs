// Changed words within lines, and lines side by side.

import assert from "node:assert/strict";
import { test } from "node:test";
import { compare, ofInput, ofInputIn, parseUnified } from "../../static/js/lib/diff.js";
import { changedWords, marked, marksOf, sideBySide } from "../../static/js/lib/words.js";

const cut = (text, ranges) => ranges.map(([from, end]) => text.slice(from, end));

test("changed words of similar lines are marked", () => {
  const [before, after] = ["let total = sum(items);", "let total = count(all_items);"];
  const [old, now] = changedWords(before, after);
  assert.deepEqual(cut(before, old), ["sum", "items"]);
  assert.deepEqual(cut(after, now), ["count", "all_items"]);
  assert.equal(changedWords("return cache.get(key);", "// nothing of that"), null);
  assert.equal(changedWords("x ".repeat(5000), "y ".repeat(5000)), null, "too long to compare");
});

test("a blank between two changed words is marked with them", () => {
  const [before, after] = ["keep these two words here now", "keep all of them words here now"];
  assert.deepEqual(cut(after, changedWords(before, after)[1]), ["all of them"]);
});

test("replaced rows are beside their originals", () => {
  const rows = compare("a\nb\nc\nd", "a\nB\nC\nX\nd");
  const pairs = sideBySide(rows).map(({ old, now }) => [old?.text ?? null, now?.text ?? null]);
  assert.deepEqual(pairs, [["a", "a"], ["b", "B"], ["c", "C"], [null, "X"], ["d", "d"]]);
  assert.equal(marksOf(compare("one two three", "one 2 three")).size, 2);
});

test("marks cut coloured pieces and add up to the line", () => {
  const pieces = [["keyword", "let"], ["", " total = "], ["string", "'a b'"]];
  const out = marked(pieces, [[2, 6], [13, 14]]);
  assert.equal(out.map(([, text]) => text).join(""), "let total = 'a b'");
  assert.deepEqual(out.filter(([, , on]) => on).map(([, text]) => text), ["t", " to", "a"]);
  assert.deepEqual(marked(pieces, undefined).map(([, , on]) => on), [false, false, false]);
});

test("git's file headers are read for every kind", () => {
  const [text, old, moved, image, script] = parseUnified(
    [
      "diff --git a/n b/n\nnew file mode 100644\nindex 0..1\n--- /dev/null\n+++ b/n\n@@ -0,0 +1,2 @@\n+a\n+b",
      "diff --git a/o b/o\ndeleted file mode 100644\nindex 1..0\n--- a/o\n+++ /dev/null\n@@ -1 +0,0 @@\n-a",
      "diff --git a/x b/y\nsimilarity index 100%\nrename from x\nrename to y",
      "diff --git a/i.png b/i.png\nindex 1..2 100644\nBinary files a/i.png and b/i.png differ",
      "diff --git a/s b/s\nold mode 100644\nnew mode 100755\n--- a/s\n+++ b/s\n@@ -10,3 +12,4 @@ fn main() {\n a\n+b\n c\n d",
    ].join("\n"),
  );
  assert.deepEqual([text.status, old.status, old.path, moved.status, moved.from, moved.path], ["new", "deleted", "o", "renamed", "x", "y"]);
  assert.deepEqual([image.binary, image.status, script.mode], [true, "modified", "executable"]);
  const { from, end, section } = script.rows[0];
  assert.deepEqual([from, end, section], [12, 16, "fn main() {"]);
  assert.deepEqual([old.rows[0].from, old.rows[0].end], [1, 2]);
});

test("an edit has its file's line numbers or none", () => {
  const file = Array.from({ length: 20 }, (_, at) => `line ${at + 1}`).join("\n") + "\n";
  const edit = { file_path: "a", old_string: "line 12\n", new_string: "twelve\n" };
  assert.deepEqual(ofInput(edit)[0].rows.map((row) => [row.a, row.b]), [[null, null], [null, null]]);
  const rows = ofInputIn(edit, file)[0].rows;
  assert.deepEqual(rows.filter((row) => "+-".includes(row.op)).map((row) => [row.a, row.b]), [[12, null], [null, 12]]);
  assert.deepEqual([rows[0].op, rows[0].from, rows[0].end], ["@", 9, 16]);
  assert.equal(ofInputIn({ ...edit, old_string: "line 1" }, file), null, "it is in the file more than once");
  assert.equal(ofInputIn({ ...edit, old_string: "other" }, file), null);
  const both = { file_path: "a", edits: [edit, { old_string: "twelve", new_string: "dozen" }] };
  assert.equal(ofInputIn(both, file)[0].rows.find((row) => row.op === "+").text, "dozen");
  const all = ofInputIn({ ...edit, old_string: "line 1", new_string: "row 1", replace_all: true }, file)[0].rows;
  assert.equal(all.filter((row) => row.op === "+").length, 11);
  assert.equal(ofInputIn({ file_path: "a", content: "new\n" }, "old\n")[0].rows.length, 2);
});
