// Real programs on the page's terminal, cell by cell as in tmux: characters, their columns, colours and styles.

import assert from "node:assert/strict";
import { execFileSync, spawn } from "node:child_process";
import { existsSync, mkdirSync, writeFileSync } from "node:fs";
import { delimiter, join } from "node:path";
import { after, test } from "node:test";
import { look } from "../../static/js/views/terminal_screen.js";
import { Model } from "./model.mjs";
import { at, CLAUDE, DEADLINE_MS, DESK, eventually, finish, open, repeat, serverOfAllTests } from "./support.mjs";

const server = serverOfAllTests();
const has = (name) => process.env.PATH.split(delimiter).some((folder) => existsSync(join(folder, name)));
// In CI a test that cannot run fails.
const needs = (...names) => {
  const missing = ["tmux", ...names].filter((name) => !has(name));
  return missing.length > 0 && !process.env.RS_WORKER_TEST_REQUIRE_ALL ? { skip: `${missing.join(", ")} missing` } : {};
};
const KEY = "sk-ant-fake-0123456789abcdef";
const SAMPLE = `fn main() { // \u6f22\u5b57 e\u0301 caf\u00e9\n\tlet x = "tab";\n${"0123456789".repeat(13)}\n${Array.from({ length: 80 }, (_, n) => `    line ${n} \u2500\u2502\u250c \uac00\ub098\n`).join("")}}\n`;
const WIDE = /^[\u1100-\u115f\u2e80-\ua4cf\uac00-\ud7a3\uff00-\uff60]$/;

const sessions = new Set();
after(() => {
  for (const session of sessions) session.end();
});

/** The same program in a server of tmux of its own, whose screen has this size. */
async function inTmux(folder, program, cwd, home, { cols, rows }) {
  const socket = join(folder, "tmux.sock");
  writeFileSync(join(folder, "tmux.conf"), "set -g status off\nset -g default-terminal xterm-256color\nset -ga terminal-overrides ',*:Tc'\nset -g escape-time 0\n");
  const env = { PATH: process.env.PATH, HOME: home, LANG: "C.UTF-8", TERM: "xterm-256color" };
  const process_ = spawn("setpriv", ["--pdeathsig", "KILL", "tmux", "-D", "-u", "-S", socket, "-f", join(folder, "tmux.conf")], { cwd, env, stdio: "ignore" });
  const run = (...args) => execFileSync("tmux", ["-N", "-u", "-S", socket, ...args], { cwd, env, encoding: "utf8", stdio: ["ignore", "pipe", "ignore"] });
  for (const end = Date.now() + DEADLINE_MS; ; ) {
    try {
      run("new-session", "-d", "-x", String(cols), "-y", String(rows), ...program);
      break;
    } catch (error) {
      if (Date.now() > end) throw error;
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
  }
  const session = {
    keys: (...keys) => run("send-keys", ...keys),
    cells: () => run("capture-pane", "-p", "-e").split("\n").reduce(({ style, lines }, line) => parsed(line, style, lines), { style: {}, lines: [] }).lines,
    end() {
      sessions.delete(session);
      process_.kill("SIGKILL");
    },
  };
  sessions.add(session);
  return session;
}

/** Reads one captured line; its style continues on the next. */
function parsed(line, style, lines) {
  const cells = [];
  let now = style;
  for (const [, numbers, char] of line.matchAll(/\u001b\[([\d;]*)m|([^\u001b])/gu))
    if (char === undefined) now = styled(now, numbers.split(";").map(Number));
    else if (/\p{Mn}/u.test(char)) cells.at(-1).text += char;
    else {
      cells.push({ text: char, ...now });
      if (WIDE.test(char)) cells.push({ text: " " });
    }
  lines.push(cells);
  return { style: now, lines };
}

const LETTERS = { 1: "b", 2: "d", 3: "i", 4: "u", 7: "r", 8: "h", 9: "s" };

function styled(before, numbers) {
  let style = { ...before };
  for (let number = numbers.shift() ?? 0; number !== undefined; number = numbers.shift())
    if (number === 0) style = {};
    else if (LETTERS[number]) style.a = [...new Set([...(style.a ?? ""), LETTERS[number]])].join("");
    else if (number === 38 || number === 48) {
      const tint = numbers.shift() === 5 ? numbers.shift() : `#${numbers.splice(0, 3).map((part) => part.toString(16).padStart(2, "0")).join("")}`;
      style[number === 38 ? "f" : "b"] = tint;
    } else if (number === 39) delete style.f;
    else if (number === 49) delete style.b;
    else style[Math.floor(number / 10) % 2 ? "f" : "b"] = (number % 10) + (number >= 90 ? 8 : 0);
  return style;
}

/** What tmux shows, as what the page should: of each cell with text its column, text, classes and colours. */
const wanted = (rows) => trimmed(rows.map((cells) => cells.flatMap(({ text, ...style }, column) => {
  if (!text.trim()) return [];
  const { classes, style: colours } = look(style);
  return [[column, text, [...classes].sort().join(" "), colours.color ?? "", colours["background-color"] ?? ""]];
})));

/** What the page shows. */
const shown = async (page) => trimmed(await page.locator(".term-rows").evaluate((rows) => [...rows.children].map((row) => {
  const segments = new Intl.Segmenter(undefined, { granularity: "grapheme" });
  let column = 0;
  return [...row.childNodes].flatMap((node) => {
    const span = node instanceof HTMLElement ? node : null;
    const classes = [...(span?.classList ?? [])].filter((name) => !["t-wide", "t-cell"].includes(name)).sort().join(" ");
    const isWide = span?.classList.contains("t-wide");
    return [...segments.segment(node.textContent)].flatMap(({ segment }) => {
      const cell = [column, segment, classes, span?.style.color ?? "", span?.style.backgroundColor ?? ""];
      column += isWide ? 2 : 1;
      return segment.trim() ? [cell] : [];
    });
  });
})));

// A colour in one notation, whatever it was written in.
const plain = (color) => {
  const hex = /^#(..)(..)(..)$/.exec(color);
  const parts = hex ? hex.slice(1).map((part) => Number.parseInt(part, 16)) : [...color.matchAll(/\d+/g)].map(Number);
  return parts.join(",");
};

function trimmed(rows) {
  const cells = rows.map((row) => row.map(([column, text, classes, front, back]) => [column, text.normalize("NFC"), classes, plain(front), plain(back)]));
  while (cells.length && cells.at(-1).length === 0) cells.pop();
  return cells;
}

let made = 0;

/** A program on the page and in tmux; `program` gets a home, since programs write there. */
async function both(program) {
  const worker = await server.worker(`screen${(made += 1)}`);
  const cwd = worker.project_path;
  writeFileSync(join(cwd, "sample.rs"), SAMPLE);
  const [ours, theirs] = ["ours", "theirs"].map((name) => server.folder(`homes/${made}/${name}`));
  await server.api("POST", `/api/workers/${worker.id}/terminals`, { program: program(ours, cwd) });
  const page = await open(server, at(worker), DESK);
  await page.waitForSelector('.scroller[aria-busy="false"]');
  await page.getByRole("button", { name: "Actions of this worker" }).click();
  await page.getByRole("menuitem", { name: "Terminal" }).click();
  await page.waitForSelector(".term-rows .term-row");
  await eventually(page, () => document.querySelector(".term-status").textContent === "");
  const size = await sizeOf(page);
  const folder = server.folder(`tmux/${made}`);
  const tmux = await inTmux(folder, program(theirs, cwd), cwd, theirs, size);
  return {
    page,
    /** Types the same in both. */
    async text(words) {
      await page.keyboard.type(words);
      tmux.keys("-l", words.replaceAll("\n", "\r"));
    },
    async key(name, inTmuxName = name) {
      await page.keyboard.press(name);
      tmux.keys(inTmuxName);
    },
    /** Waits until both show the same, once both show a text. Rows for which `isLeft` holds are left out. */
    async same(what, ready, isLeft = (_text) => false) {
      await eventually(page, (text) => document.querySelector(".term-rows").textContent.includes(text), ready);
      const kept = (rows) => rows.filter((row) => !isLeft(row.map(([, text]) => text).join("")));
      for (const end = Date.now() + DEADLINE_MS / 3; ; ) {
        const [left, right] = [kept(await shown(page)), kept(wanted(tmux.cells()))];
        if (JSON.stringify(left) === JSON.stringify(right)) return;
        if (Date.now() > end) assert.deepEqual(left, right, what);
        await page.waitForTimeout(50);
      }
    },
    async end() {
      tmux.end();
      await finish(page, server);
    },
  };
}

/** The size that the page has given its terminal. */
async function sizeOf(page) {
  const read = () => page.evaluate(() => {
    const root = document.querySelector(".term-screen");
    const cell = document.querySelector(".term-ruler").getBoundingClientRect();
    const style = getComputedStyle(root);
    const free = (one, other, all) => all - parseFloat(style[one]) - parseFloat(style[other]);
    return {
      cols: Math.floor(free("paddingLeft", "paddingRight", root.clientWidth) / (cell.width / 10)),
      rows: Math.floor(free("paddingTop", "paddingBottom", root.clientHeight) / cell.height),
    };
  });
  await repeat(page, async () => (await read()).rows !== (await page.locator(".term-rows > .term-row").count()), async () => {});
  return read();
}

test("bash is drawn as in tmux", needs(), async () => {
  const it = await both(() => ["env", "PS1=$ ", "bash", "--norc", "--noprofile"]);
  await it.same("the prompt", "$");
  await it.text("printf '\\033[1;31mred\\033[0m \\033[4;38;5;208mline\\033[0m \\033[48;2;1;2;3mrgb\\033[0m \\033[7mback\\033[0m\\n'; cat sample.rs\n");
  await it.same("colours, wide and combining characters", "line 79");
  await it.text("printf '\\033(0lqqk\\033(B \\033[5bx\\n\\033[10;5Hmoved\\033[2J\\033[Hcleared\\n'\n");
  await it.same("line drawing, repeated characters, cursor", "cleared");
  await it.end();
});

test("vim is drawn as in tmux", needs("vim"), async () => {
  const it = await both(() => ["vim", "-u", "NONE", "-i", "NONE", "-n", "-c", "set nu hls ruler nocp bg=light", "-c", "syntax on", "sample.rs"]);
  await it.same("the file", "fn main");
  await it.key("PageDown");
  await it.key("ArrowDown", "Down");
  await it.text("/line 3\n");
  await it.same("a search", "line 3");
  await it.text("Onew text");
  await it.key("Escape");
  await it.text(":vsplit\n");
  await it.same("a split", "|");
  await it.end();
});

test("less is drawn as in tmux", needs("less"), async () => {
  const it = await both(() => ["less", "-N", "sample.rs"]);
  // The page gives its size after the start, at which less draws its last line in another way.
  await it.text(" ");
  await it.same("the second page", "line 60");
  await it.key("ArrowUp", "Up");
  await it.text("/line 4\n");
  await it.same("a search", "line 4");
  await it.text("G");
  await it.same("the end", "(END)");
  await it.end();
});

test("htop is drawn as in tmux", needs("htop"), async () => {
  const it = await both(() => ["htop", "-d", "100"]);
  // Figures change; the head of the table and the keys do not.
  await it.same("the fixed rows", "F10", (text) => !/PIDUSER|^F1Help/.test(text));
  await it.end();
});

/** Claude Code in a home in which no question is asked at the start. */
const claude = (args, env = {}) => (home, cwd) => {
  const projects = { [cwd]: { hasTrustDialogAccepted: true, hasCompletedProjectOnboarding: true } };
  mkdirSync(home, { recursive: true });
  writeFileSync(join(home, ".claude.json"), JSON.stringify({ hasCompletedOnboarding: true, theme: "dark", customApiKeyResponses: { approved: [KEY.slice(-20)], rejected: [] }, projects }));
  const whole = { TERM: "xterm-256color", COLORTERM: "truecolor", PATH: process.env.PATH, HOME: home, LANG: "C.UTF-8", CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC: "1", DISABLE_TELEMETRY: "1", DISABLE_AUTOUPDATER: "1", ...(process.env.TMPDIR ? { TMPDIR: process.env.TMPDIR } : {}), ...env };
  return ["env", "-i", ...Object.entries(whole).map(([name, value]) => `${name}=${value}`), CLAUDE, ...args];
};

test("the real Claude login is drawn as in tmux", needs(), async () => {
  const it = await both(claude(["/login"]));
  await it.same("the ways to log in", "Select login method");
  await it.key("ArrowDown", "Down");
  await it.same("the second way", "\u276f 2.");
  await it.end();
});

test("the real Claude Code is drawn as in tmux", needs(), async () => {
  const model = await Model.start();
  try {
    const it = await both(claude([], { ANTHROPIC_BASE_URL: model.url, ANTHROPIC_API_KEY: KEY }));
    await it.same("the start", "Claude Code v");
    await it.text("say hello");
    await it.same("a message that is written", "say hello");
    await it.key("Enter");
    // The duration is shown with a word that is chosen by chance.
    await it.same("the answer", "Done.", (text) => text.startsWith("\u273b"));
    await it.end();
  } finally {
    await model.close();
  }
});
