// Differences between texts.

import assert from "node:assert/strict";
import { test } from "node:test";
import { compare, condense, ofInput, ofResult, parseUnified, tally } from "../../static/js/lib/diff.js";

const signs = (rows) => rows.map((row) => row.op + row.text).join("|");

test("an edit shows removed and added lines with numbers", () => {
  const rows = compare("a\nb\nc\n", "a\nx\nc\nd\n");
  assert.equal(signs(rows), " a|-b|+x| c|+d");
  assert.deepEqual(rows.map((row) => [row.a, row.b]), [[1, 1], [2, null], [null, 2], [3, 3], [null, 4]]);
  assert.deepEqual(tally(rows), { added: 2, removed: 1 });
});

test("rows rebuild both texts", () => {
  const words = "abcde";
  let seed = 7;
  const random = (n) => (seed = (seed * 1103515245 + 12345) % 2147483648) % n;
  for (let round = 0; round < 200; round += 1) {
    const text = () => Array.from({ length: random(12) }, () => words[random(5)]).join("\n");
    const [before, after] = [text(), text()];
    const rows = compare(before, after);
    const side = (op) => rows.filter((row) => row.op !== op).map((row) => row.text).join("\n");
    assert.equal(side("+"), before);
    assert.equal(side("-"), after);
  }
});

test("very long texts are compared without the exact table", () => {
  const rows = compare("a\n".repeat(5000), "b\n".repeat(5000));
  assert.deepEqual(tally(rows), { added: 5000, removed: 5000 });
});

test("unchanged stretches are condensed", () => {
  const lines = Array.from({ length: 30 }, (_, at) => String(at));
  const rows = condense(compare(lines.join("\n"), [...lines.slice(0, 15), "new", ...lines.slice(15)].join("\n")));
  assert.equal(signs(rows), "@12 unchanged| 12| 13| 14|+new| 15| 16| 17|@12 unchanged");
});

test("a unified diff is read despite lines like heads", () => {
  const files = parseUnified("diff --git a/x b/x\nindex 1..2\n--- a/x\n+++ b/x\n@@ -1,2 +1,2 @@ f\n--- old\n+++ new\n same\ndiff --git a/y b/y\nnew file\n--- /dev/null\n+++ b/y\n@@ -0,0 +1 @@\n+hi\n\\ No newline at end of file\n");
  assert.deepEqual(files.map((file) => file.path), ["x", "y"]);
  assert.equal(signs(files[0].rows), "@@@ -1,2 +1,2 @@ f|--- old|+++ new| same");
  assert.equal(files[1].rows.length, 2);
});

test("edits are known by their input, not their tool's name", () => {
  assert.equal(signs(ofInput({ file_path: "a", old_string: "x", new_string: "y" })[0].rows), "-x|+y");
  assert.equal(signs(ofInput({ path: "a", content: "x\ny" })[0].rows), "+x|+y");
  assert.equal(ofInput({ file_path: "a", edits: [{ old_string: "x", new_string: "y" }, { old_string: "p", new_string: "q" }] })[0].rows.length, 4);
  assert.equal(ofInput({ command: "ls" }), null);
  assert.equal(ofResult([{ path: "a", diff: "@@ -1 +1 @@\n-x\n+y\n" }])[0].path, "a");
  assert.equal(ofResult(undefined), null);
});

test("names of git's diffs are read in all their forms", () => {
  const paths = (text) => parseUnified(text).map((file) => file.path);
  const added = (name) => `diff --git ${name("a")} ${name("b")}\nnew file mode 100644\n--- /dev/null\n+++ ${name("b")}\n@@ -0,0 +1 @@\n+x\n`;
  assert.deepEqual(paths(added((side) => `${side}/näme 名.txt\t`)), ["näme 名.txt"]);
  assert.deepEqual(paths(added((side) => `"${side}/tab\\there \\"q\\" \\\\ \\303\\244"`)), ['tab\there "q" \\ ä']);
  assert.deepEqual(paths("diff --git a/x b/y b/x b/y\nBinary files a/x b/y and b/x b/y differ\n"), ["x b/y"]);
  assert.deepEqual(paths('diff --git "a/n\\nl" "b/n\\nl"\nold mode 100644\nnew mode 100755\n'), ["n\nl"]);
  assert.deepEqual(paths("diff --git a/old name b/new name\nsimilarity index 100%\nrename from old name\nrename to new name\n"), ["new name"]);
});
