// How texts go to the server to be read as Markdown.

import assert from "node:assert/strict";
import { beforeEach, test } from "node:test";
import { read, readBefore } from "../../static/js/lib/markdown.js";

let asked;
let answers;
globalThis.document = { baseURI: "http://server/" };
globalThis.fetch = async (url, { body }) => {
  const { texts } = JSON.parse(body);
  asked.push(texts);
  if (!answers) throw new Error("away");
  return new Response(JSON.stringify({ documents: texts.map((text) => [{ t: "paragraph", c: [{ t: "text", v: text }] }]) }));
};
beforeEach(() => {
  asked = [];
  answers = true;
});

test("texts that are asked for together go together, and each gets its own blocks", async () => {
  const found = await Promise.all(["a", "b", "c"].map(read));
  assert.deepEqual(asked, [["a", "b", "c"]]);
  assert.deepEqual(found.map(([block]) => block.c[0].v), ["a", "b", "c"]);
  assert.deepEqual(readBefore("b"), found[1]);
  assert.equal(readBefore("never"), null);
});

test("many and long texts go in several requests", async () => {
  await Promise.all(Array.from({ length: 120 }, (_, n) => read(`text ${n}`)));
  assert.deepEqual(asked.map((texts) => texts.length), [50, 50, 20]);
  asked = [];
  await Promise.all(["x".repeat(150_000), "y".repeat(60_000), "z"].map(read));
  assert.deepEqual(asked.map((texts) => texts.length), [1, 2]);
  assert.equal(readBefore("y".repeat(60_000)), null);
});

test("a text is asked for again when the server was away", async () => {
  answers = false;
  const found = read("patient");
  await new Promise((resolve) => setTimeout(resolve, 10));
  answers = true;
  assert.equal((await found)[0].c[0].v, "patient");
  assert.equal(asked.length, 2);
});
