// The list of logins: short names of browsers.

import assert from "node:assert/strict";
import { test } from "node:test";
import { browserName } from "../../static/js/views/logins.js";

test("a browser is named by its brand and its system", () => {
  const chrome = "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0.0.0 Safari/537.36";
  const iphone = "Mozilla/5.0 (iPhone; CPU iPhone OS 18_0 like Mac OS X) AppleWebKit/605.1.15 Version/18.0 Safari/604.1";
  assert.equal(browserName(chrome), "Chrome on Linux");
  assert.equal(browserName(`${chrome} Edg/140.0.0.0`), "Edge on Linux");
  assert.equal(browserName(iphone), "Safari on iPhone");
});

test("an unknown client is shown by its own name", () => {
  assert.equal(browserName("curl/8.5.0"), "curl/8.5.0");
  assert.equal(browserName("a\u202eb"), "a[U+202E]b");
  assert.equal(browserName(""), "Unknown browser");
});
