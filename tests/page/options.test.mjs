import assert from "node:assert/strict";
import { test } from "node:test";

import { optionFor } from "../../static/js/state/options.js";

const OPTIONS = [
  { id: "allow_once", kind: "allow_once" }, { id: "allow_mode", kind: "allow_always" },
  { id: "allow_always", kind: "allow_always" }, { id: "deny", kind: "reject_once" },
];
const meant = (event) => ["allow", "always", "deny"].map((meaning) => optionFor(event, meaning)?.id);

test("the key for always makes a rule, not a mode", () => {
  assert.deepEqual(meant({ options: OPTIONS }), ["allow_once", "allow_always", "deny"]);
  assert.deepEqual(meant({ options: OPTIONS.filter(({ id }) => id !== "allow_always") }), ["allow_once", "allow_mode", "deny"]);
  assert.deepEqual(meant({}), ["allow_once", undefined, "deny"]);
});

test("no key allows risky requests, and each may be denied", () => {
  for (const flag of ["default_to_no", "requires_user_interaction"]) {
    assert.deepEqual(meant({ options: OPTIONS, [flag]: true }), [undefined, undefined, "deny"]);
  }
});
