// What each key of the help sheet does where it is printed.

import assert from "node:assert/strict";
import { join } from "node:path";
import { test } from "node:test";
import { KEYS } from "../../static/js/views/help.js";
import { answerable, composer, focused, keys, placesIn, SOON_MS, where } from "./focusing.mjs";
import { at, CAPTURES, eventually, finish, say, serverOfAllTests } from "./support.mjs";
import { panel, workIn } from "./work.mjs";

const server = serverOfAllTests((running) => running.worker("stays"));
const { begun } = workIn(server);
const { BEGIN, empty, newWorker } = placesIn(server);

let worktrees = 0;
const shows = (selector) => (page) => page.waitForSelector(selector);
const hash = (pattern) => (page) => page.waitForFunction((text) => new RegExp(text).test(location.hash), pattern);
const press = (begin, key, check) => async (page) => {
  const worker = await BEGIN[begin](page);
  await page.keyboard.press(key);
  await check(page, worker);
};
const answered = (word) => shows(`.resolved:has-text("${word}")`);
const lines = async (page) => {
  const worker = await BEGIN.worker(page);
  await server.message(worker, "lines 80");
  await page.waitForSelector('.item-assistant:has-text("80 lines")');
  await eventually(page, () => document.querySelector(".scroller").scrollTop > 500);
  await page.locator(".scroller").focus();
};
const always = async (page) => {
  const worker = await newWorker();
  await server.message(worker, `play ${join(CAPTURES, "tool_allowed.journal")}`);
  await page.goto(`${server.url}/${at(worker)}`);
  await page.waitForSelector(".prompt-card");
  await answerable(page);
  await page.keyboard.press("A");
  await page.waitForSelector(".prompt-card", { state: "detached" });
  const { messages } = await server.api("GET", `/api/workers/${worker.id}/messages?types=permission_resolved`);
  assert.equal(messages.at(-1).decision, "allow_always");
};
const twoEscapes = (begin) => async (page) => {
  await BEGIN.busy(page);
  await page.locator(begin).focus();
  await keys("Escape", "Escape")(page);
  await page.waitForSelector('.turn:has-text("Interrupted")');
};
async function lineOf(page) {
  const { worker } = await begun(`lines${(worktrees += 1)}`);
  await page.goto(`${server.url}/${at(worker)}`);
  await page.waitForSelector(".composer");
  await panel(page);
  await page.locator('.line-button[tabindex="0"]').focus();
}
async function selects(page) {
  await BEGIN.list(page);
  await keys("l", "x")(page);
  await page.waitForSelector(".workers .is-picked");
}
const background = (page) => page.evaluate(() => getComputedStyle(document.body).backgroundColor);

/** What each key of the help sheet does, by the part of the page that it is printed for. */
const CHECKS = {
  Anywhere: {
    "?": press("list", "?", shows(".help")),
    n: press("list", "n", shows("form.create")),
    "Ctrl+K": press("list", "Control+k", shows(".palette")),
    s: press("list", "s", shows('[role="search"]')),
    "/": press("list", "/", (page) => focused(page, ".workers-head input")),
    g: press("list", "g", hash("^#/inbox")),
    l: press("list", "l", (page) => focused(page, ".workers a")),
    "Alt+↑  Alt+↓": async (page) => {
      await BEGIN.list(page);
      await page.keyboard.press("Alt+ArrowDown");
      await hash("^#/w/")(page);
      const first = await page.evaluate(() => location.hash);
      await page.keyboard.press("Alt+ArrowDown");
      await page.waitForFunction((before) => location.hash !== before, first);
      await page.keyboard.press("Alt+ArrowUp");
      await page.waitForFunction((before) => location.hash === before, first);
    },
    F6: async (page) => {
      const beside = await newWorker();
      const worker = await BEGIN.worker(page);
      await page.goto(`${server.url}/${at(worker)}/with/${beside.id}`);
      await page.frameLocator(".pane iframe").locator("#main[aria-label] .composer-box > textarea").waitFor();
      await page.locator(".composer-box > textarea").focus();
      await page.keyboard.press("F6");
      await page.waitForFunction(() => document.activeElement.matches(".pane iframe"));
      await page.keyboard.press("F6");
      await composer(page);
    },
    i: press("conversation", "i", composer),
    p: press("conversation", "p", shows(".panel:visible")),
    t: async (page) => {
      await BEGIN.list(page);
      const before = await background(page);
      await page.keyboard.press("t");
      assert.notEqual(await background(page), before);
      await page.keyboard.press("t");
      assert.equal(await background(page), before);
    },
    ",": press("list", ",", shows(".preferences")),
  },
  "List of workers": {
    "↑ ↓  or  j k": async (page) => {
      await newWorker();
      await BEGIN.list(page);
      await page.keyboard.press("l");
      const index = () => page.evaluate(() => [...document.querySelectorAll(".workers a")].indexOf(document.activeElement));
      for (const [key, expected] of [["ArrowDown", 1], ["j", 2], ["k", 1], ["ArrowUp", 0]]) {
        await page.keyboard.press(key);
        assert.equal(await index(), expected, key);
      }
    },
    Enter: async (page) => {
      await BEGIN.list(page);
      await keys("l", "Enter")(page);
      await hash("^#/w/")(page);
    },
    x: selects,
    "Shift+↑  Shift+↓": async (page) => {
      await selects(page);
      await page.keyboard.press("Shift+ArrowDown");
      await eventually(page, () => document.querySelectorAll(".workers .is-picked").length === 2);
    },
    Esc: async (page) => {
      await selects(page);
      await page.keyboard.press("Escape");
      await page.waitForSelector(".workers .is-picked", { state: "detached" });
      assert.equal(await where(page), "row");
    },
  },
  "Requests, in a conversation and in the inbox": {
    a: async (page) => {
      await press("request", "a", answered("Allowed once"))(page);
      await press("inbox", "a", (page, worker) => server.turns(worker, 1))(page);
    },
    A: always,
    d: press("request", "d", answered("Denied")),
  },
  Conversation: {
    "Esc": twoEscapes(".scroller"),
    End: async (page) => {
      await lines(page);
      await page.evaluate(() => document.querySelector(".scroller").scrollTo(0, 0));
      await page.keyboard.press("End");
      await eventually(page, () => document.querySelector(".scroller").scrollTop > 500);
    },
    "PgUp PgDn": async (page) => {
      await lines(page);
      const first = () => page.evaluate(() => {
        const { top } = document.querySelector(".scroller").getBoundingClientRect();
        return Number([...document.querySelectorAll(".item-assistant")].find((el) => el.getBoundingClientRect().bottom > top)?.textContent.match(/line (\d+)/)?.[1]);
      });
      const until = async (fits) => {
        for (const end = Date.now() + SOON_MS; !fits(await first()); ) assert.ok(Date.now() < end, `line ${await first()}`);
      };
      const before = await first();
      await page.keyboard.press("PageUp");
      await until((line) => line < before - 4);
      await page.waitForTimeout(700);
      const up = await first();
      await page.keyboard.press("PageDown");
      await until((line) => line > up + 4);
    },
  },
  "Lines of the changes": {
    "↑ ↓": async (page) => {
      await lineOf(page);
      await page.keyboard.press("ArrowDown");
      assert.equal(await where(page), "Comment on line 24 of src/code.rs");
      await page.keyboard.press("ArrowUp");
      assert.equal(await where(page), "Comment on line 23 of src/code.rs");
    },
    "Shift+↑  Shift+↓": async (page) => {
      await lineOf(page);
      await keys("Shift+ArrowDown", "Shift+ArrowDown", "Shift+ArrowUp")(page);
      assert.equal(await page.locator(".row.picked").count(), 2);
    },
    Enter: async (page) => {
      await lineOf(page);
      await keys("Shift+ArrowDown", "Enter")(page);
      await eventually(page, () => document.activeElement.getAttribute("aria-label") === "Comment on lines 23–24 of src/code.rs");
    },
    "Ctrl+Enter": async (page) => {
      await lineOf(page);
      await page.keyboard.press("Enter");
      await page.keyboard.type("by key");
      await page.keyboard.press("Control+Enter");
      await page.waitForSelector('.comment.is-draft:has-text("by key")');
    },
    Esc: async (page) => {
      await lineOf(page);
      await page.keyboard.press("Enter");
      await page.keyboard.type("half");
      await page.keyboard.press("Escape");
      await page.waitForSelector(".comment-editor", { state: "detached" });
      assert.equal(await where(page), "Comment on line 23 of src/code.rs");
      await page.keyboard.press("Enter");
      assert.equal(await page.locator(".comment-editor textarea").first().inputValue(), "half");
    },
  },
  Composer: {
    Enter: async (page) => {
      await BEGIN.worker(page);
      await page.keyboard.type("echo plum");
      await page.keyboard.press("Enter");
      await page.waitForSelector('.item-assistant:has-text("plum")');
    },
    "Shift+Enter": async (page) => {
      await BEGIN.worker(page);
      await page.keyboard.type("one");
      await page.keyboard.press("Shift+Enter");
      assert.equal(await page.locator(".composer-box > textarea").inputValue(), "one\n");
    },
    "↑ ↓": async (page) => {
      await BEGIN.worker(page);
      await say(page, "echo earlier");
      await page.waitForSelector(".item-turn");
      await page.keyboard.press("ArrowUp");
      assert.equal(await page.locator(".composer-box > textarea").inputValue(), "echo earlier");
      await page.keyboard.press("ArrowDown");
      assert.equal(await page.locator(".composer-box > textarea").inputValue(), "");
    },
    "/": async (page) => {
      await BEGIN.conversation(page);
      await page.keyboard.press("i");
      await page.keyboard.type("/com");
      await page.waitForSelector(".completion li:visible");
    },
    "@": async (page) => {
      await BEGIN.worker(page);
      await page.keyboard.type("@");
      await page.waitForSelector(".completion:not(ul)", { state: "hidden" });
    },
    Esc: twoEscapes(".composer-box > textarea"),
  },
};

for (const [part, printed] of KEYS) {
  test(`the keys of the help sheet for ${part} are checked`, () => {
    assert.deepEqual(printed.map(([key]) => key), Object.keys(CHECKS[part] ?? {}));
  });
  for (const [key, what] of printed) {
    test(`this key matches the help sheet: ${part}: ${key}: ${what}`, async () => {
      const page = await empty();
      await CHECKS[part][key](page);
      await finish(page, server);
    });
  }
}

test("keys are printed only on cards that they can answer", async () => {
  const page = await empty();
  await BEGIN.inbox(page);
  const other = await newWorker();
  await server.message(other, "permission");
  await eventually(page, () => document.querySelectorAll(".inbox .prompt-card").length > 1);
  const printed = () => page.$$eval(".inbox .prompt-card", (cards) => cards.map((card) => [...card.querySelectorAll("kbd")].filter((key) => key.checkVisibility()).length > 0));
  const before = await printed();
  assert.equal(before.filter(Boolean).length, 1);
  await page.locator(".inbox .prompt-card").last().focus();
  await eventually(page, () => [...document.querySelectorAll(".inbox .prompt-card")].at(-1).classList.contains("keyed"));
  assert.deepEqual(await printed(), [...before.slice(1).map(() => false), true]);
  await page.getByLabel("Filter workers").focus();
  await eventually(page, () => !document.querySelector(".prompt-card.keyed"));
  assert.ok(!(await printed()).includes(true));
  await finish(page, server);
});
