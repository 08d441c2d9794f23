// What the page says of notifications, and the keys that it hands to the browser.

import assert from "node:assert/strict";
import { test } from "node:test";
import { bytes, text } from "../../static/js/lib/push.js";
import { words } from "../../static/js/views/notifications.js";

const IPHONE = "Mozilla/5.0 (iPhone; CPU iPhone OS 18_0 like Mac OS X) Version/18.0 Mobile/15E148 Safari/604.1";

test("each notification state has words and a next step", () => {
  const said = (state, agent = "Chrome") => words({ permission: "granted", isPushed: false, isOn: false, reason: null, ...state }, agent);
  assert.match(said({}), /HTTPS.*WEBHOOK_FORMAT/);
  globalThis.isSecureContext = true;
  assert.match(said({ permission: undefined }, IPHONE), /add this page to the home screen/);
  assert.equal(said({ permission: undefined }), "This browser has no notifications.");
  assert.match(said({ permission: "denied", isOn: true }), /does not allow/);
  assert.match(said({}), /^Off\./);
  assert.match(said({ isOn: true, isPushed: true }), /also while this page is closed/);
  const here = said({ isOn: true, reason: "curl\u202e is missing" });
  assert.match(here, /while this page is open in a tab: .*The server cannot push: curl/);
  assert.ok(!here.includes("\u202e"));
  delete globalThis.isSecureContext;
});

test("keys are base64url without padding, both ways", () => {
  const key = Uint8Array.from({ length: 65 }, (_, at) => (at * 7) % 256);
  assert.equal(text(key), Buffer.from(key).toString("base64url"));
  assert.deepEqual(bytes(text(key)), key);
});
