// Text from outside: what people see of it, and what it cannot do.

import assert from "node:assert/strict";
import { test } from "node:test";
import * as text from "../../static/js/lib/text.js";

test("terminal escapes are taken out, in all their forms", () => {
  assert.equal(text.plain("\x1b[1;31mred\x1b[0m \x1b]0;title\x07x \x1b]8;;http://a\x1b\\link\x1b]8;;\x1b\\ \x9b32mg\x1b(B \x1bP1$r\x1b\\."), "red x link g .");
  assert.equal(text.plain("\x1b[2J\x1b[H\x1b[?25lok\x1b["), "ok");
});

test("a carriage return overwrites its line, other controls are visible", () => {
  assert.equal(text.plain("10%\r50%\r100%\r\nnext"), "100%\nnext");
  assert.equal(text.plain("a\x00b\x08c\x7f"), "a␀b␈c␡");
});

test("characters that reorder or hide text are spelled out", () => {
  assert.equal(text.plain("a\u202egnp.exe\u2066\u200b"), "a[U+202E]gnp.exe[U+2066][U+200B]");
  assert.equal(text.plain("שלום, مرحبا 👩‍👩‍👧"), "שלום, مرحبا 👩‍👩‍👧");
});

test("stripping escapes takes linear time", () => {
  for (const evil of ["\x1b[", "\x1b]", "\x1bP", "\x1b[1;", "\r", "\x1b", "\x1b]0;\x1b"]) {
    const before = process.cpuUsage().user;
    text.plain(evil.repeat(400_000));
    assert.ok(process.cpuUsage().user - before < 3e6, JSON.stringify(evil));
  }
});

test("only web and mail addresses are links", () => {
  for (const good of ["https://a.b/c?d#e", "http://a", "mailto:a@b.c", "HTTPS://A"]) assert.equal(text.safeUrl(good), good);
  for (const bad of ["javascript:alert(1)", " java\nscript:x", "data:text/html,x", "//evil", "/path", "vbscript:x", "https://", "http:// x", "file:///etc/passwd", "https://a\u0001b"]) {
    assert.equal(text.safeUrl(bad), null, bad);
  }
});

test("a long text folds at either end with its length", () => {
  const long = Array.from({ length: 100 }, (_, at) => `line ${at}`).join("\n");
  const head = text.fold(long, { lines: 3 });
  assert.deepEqual([head.text, head.hidden, head.lines], ["line 0\nline 1\nline 2", 97, 100]);
  const tail = text.fold(long, { lines: 2, tail: true });
  assert.equal(tail.text, "line 98\nline 99");
  assert.equal(text.fold("short\n").cut, false);
  const wide = text.fold("x".repeat(1e6), { chars: 100 });
  assert.equal(wide.text.length, 100);
  assert.equal(text.fold("x".repeat(1e6), { chars: 100, tail: true }).text.length, 100);
});

test("lines are counted as people count them", () => {
  assert.deepEqual(["", "a", "a\n", "a\nb", "\n\n"].map(text.lineCount), [0, 1, 1, 2, 2]);
});

test("counts, sizes, spans and money are short", () => {
  assert.deepEqual([999, 1000, 12_345, 999_950, 1_500_000].map(text.short), ["999", "1.0k", "12k", "1.0M", "1.5M"]);
  assert.deepEqual([100, 2048, 5 * 1048576].map(text.bytes), ["100 B", "2.0 KiB", "5.0 MiB"]);
  assert.deepEqual([400, 12_000, 80_000, 3_700_000, 2e9].map(text.duration), ["0.4 s", "12 s", "1 min 20 s", "1 h 1 min", "23 d"]);
  assert.deepEqual([0.00015, 0.05, 12.5].map(text.dollars), ["$0.0001", "$0.050", "$12.50"]);
  const now = Date.parse("2026-01-10T12:00:00Z");
  assert.deepEqual(["2026-01-10T11:59:50Z", "2026-01-10T11:30:00Z", "2026-01-10T02:00:00Z", "2026-01-07T12:00:00Z", "x"].map((at) => text.ago(at, now)), ["now", "30 min", "10 h", "3 d", ""]);
});

test("paths are relative only inside the project", () => {
  assert.equal(text.relative("/a/b/c.rs", "/a/b"), "c.rs");
  assert.equal(text.relative("/a/bc/d", "/a/b"), "/a/bc/d");
  assert.equal(text.baseName("/a/b/"), "b");
});

test("a worker has at most one remark beside its status", () => {
  const at = (time) => `<${time}>`;
  const note = (fields) => text.noteOf({ status: "idle", ...fields }, at);
  assert.equal(note({}), null);
  assert.equal(note({ rate_limit: { status: "allowed" } }), null);
  assert.deepEqual(note({ rate_limit: { status: "rejected", resets_at: 3 }, resend_at: 4 }), { level: "warning", text: "The usage limit is reached until <3>. What waits is sent again at <4>." });
  assert.deepEqual(note({ rate_limit: { status: "rejected" } }), { level: "warning", text: "The usage limit is reached." });
  assert.match(note({ rate_limit: { status: "allowed_warning", resets_at: 3 } }).text, /near; it starts anew at <3>/);
  assert.match(note({ status: "stopped", hibernated: true }).text, /A message wakes it/);
  assert.equal(note({ status: "stopped" }), null);
  assert.deepEqual(note({ status: "failed", reason: "no such\u202e program" }), { level: "error", text: text.plain("no such\u202e program") });
  assert.equal(note({ warning: "disk full", status: "failed", reason: "x" }).text, "disk full");
});
