// Colours of code.

import assert from "node:assert/strict";
import { test } from "node:test";
import { tokens } from "../../static/js/lib/highlight.js";

test("colouring never changes the code", () => {
  for (const language of ["rust", "python", "sh", "sql", "json", "html", "none"]) {
    const code = "// c\n# d\nlet x = 'a\\'b' + \"c\" + 0x1f; /* open\nif select <!-- x";
    assert.equal(tokens(code, language).map(([, piece]) => piece).join(""), code);
  }
  assert.deepEqual(tokens("let a = 1; // x", "js").filter(([kind]) => kind), [["keyword", "let"], ["number", "1"], ["comment", "// x"]]);
});
