// Lines of a diff that can be commented on, and files that a restore leaves.

import assert from "node:assert/strict";
import { test } from "node:test";
import { parseUnified } from "../../static/js/lib/diff.js";
import { linesAround, linesOn } from "../../static/js/views/lines.js";
import { leftWords } from "../../static/js/views/undo.js";

const [file] = parseUnified(`diff --git a/x b/x
--- a/x
+++ b/x
@@ -1,3 +1,3 @@
 one
-two
+deux
 three
@@ -10,2 +10,3 @@
 ten
+new
 eleven
`);

test("each side of a diff has its own lines", () => {
  assert.deepEqual(linesOn(file, "old").map(({ line }) => line), [1, 2, 3, 10, 11]);
  assert.deepEqual(linesOn(file, "new").map(({ line, text }) => `${line} ${text}`), ["1 one", "2 deux", "3 three", "10 ten", "11 new", "12 eleven"]);
});

test("a range of lines stays within one file's part", () => {
  assert.deepEqual(linesAround(file, "new", 11).map(({ line }) => line), [10, 11, 12]);
  assert.deepEqual(linesAround(file, "old", 3).map(({ line }) => line), [1, 2, 3]);
});

test("three files that are left are named, the others counted", () => {
  const left = ["a", "b", "c", "d", "e"].map((path) => ({ path, reason: "it is a submodule" }));
  assert.equal(leftWords([]), "");
  assert.equal(leftWords(left.slice(0, 2)), "a: it is a submodule. b: it is a submodule.");
  assert.match(leftWords(left), /c: it is a submodule\. 2 more files left as they are\.$/);
});
