// Drafts belong to a tab; the server's clock is read from its answers.

import assert from "node:assert/strict";
import { test } from "node:test";
import { difference } from "../../static/js/lib/clock.js";
import { draftsIn } from "../../static/js/lib/drafts.js";

/** A storage as browsers have it: its keys are its own properties. */
function storage() {
  const make = (name, value) => ({ value, enumerable: false, configurable: true, name });
  return Object.defineProperties({}, {
    getItem: make("getItem", function get(key) { return Object.hasOwn(this, key) ? this[key] : null; }),
    setItem: make("setItem", function set(key, text) { this[key] = String(text); }),
    removeItem: make("removeItem", function remove(key) { delete this[key]; }),
  });
}

function tabs() {
  const left = storage();
  return () => draftsIn(((own) => () => own)(storage()), () => left);
}

test("each tab has its own draft for a worker", () => {
  const tab = tabs();
  const [one, two] = [tab(), tab()];
  one.set("w", "first");
  two.set("w", "second");
  assert.deepEqual([one.get("w"), two.get("w"), one.get("v")], ["first", "second", ""]);
});

test("a closed tab leaves its drafts to one other tab", () => {
  const tab = tabs();
  const [one, two, three] = [tab(), tab(), tab()];
  one.set("w", "left behind");
  one.leave();
  assert.equal(two.get("w"), "left behind");
  assert.equal(three.get("w"), "");
});

test("a tab that is loaded again has what it left", () => {
  const tab = tabs();
  const [one, two] = [tab(), tab()];
  one.set("w", "mine");
  one.leave();
  one.takeBack();
  assert.deepEqual([one.get("w"), two.get("w")], ["mine", ""]);
});

test("drafts of a deleted worker are forgotten", () => {
  const one = tabs()();
  one.set("w", "text");
  one.leave();
  one.forget("w");
  assert.equal(one.get("w"), "");
});

test("without storage nothing is remembered, and nothing fails", () => {
  const refuse = () => { throw new Error("no storage"); };
  const drafts = draftsIn(refuse, refuse);
  drafts.set("w", "text");
  drafts.leave();
  drafts.takeBack();
  assert.equal(drafts.get("w"), "");
});

test("a clock is corrected by hours, not by seconds", () => {
  const at = Date.parse("2026-01-01T12:00:00Z");
  assert.equal(difference("Thu, 01 Jan 2026 12:00:00 GMT", at - 200, at + 200), 0);
  assert.equal(difference("Thu, 01 Jan 2026 15:00:00 GMT", at, at), 3 * 3_600_000 + 500);
  assert.equal(difference(null, at, at), null);
});

test("a worker's further drafts are listed, and forgotten with it", () => {
  const tab = tabs();
  const one = tab();
  one.set("w comment a", "first");
  one.set("w comment b", "second");
  one.set("w2 comment c", "of another");
  assert.deepEqual(one.names("w comment ").toSorted(), ["a", "b"]);
  one.leave();
  const two = tab();
  assert.deepEqual(two.names("w comment ").toSorted(), ["a", "b"]);
  two.forget("w");
  assert.deepEqual([two.names("w comment "), two.names("w2 comment ")], [[], ["c"]]);
});
