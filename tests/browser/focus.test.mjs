// Where the focus is after every action, and what each printed key does where it is printed.

import assert from "node:assert/strict";
import { join } from "node:path";
import { test } from "node:test";
import { KEYS } from "../../static/js/views/help.js";
import { at, CAPTURES, DESK, eventually, finish, open, PHONE, say, Server, serverOfAllTests } from "./support.mjs";
import { panel, workIn } from "./work.mjs";

const TOKEN = "the-token-of-the-test-of-the-focus";
// The focus moves at once, but for the answers of a busy machine's server.
const SOON_MS = 15_000;
const server = serverOfAllTests((running) => running.worker("stays"));
const { begun } = workIn(server);

/** A name for what has the focus. */
const where = (page) => page.evaluate(() => {
  const el = document.activeElement;
  const names = {
    body: "nothing", ".composer-box > textarea": "composer", ".scroller": "conversation", ".prompt-card": "request", ".workers a": "row",
    ".workers-head input": "filter", ".inbox-scroll": "inbox", ".item": "message", '[role="tab"]': "tab of the panel", ".worker-name": "heading", ".jump": "jump",
  };
  const found = Object.keys(names).find((selector) => el.matches(selector));
  return names[found] ?? el.getAttribute("aria-label") ?? el.labels?.[0]?.textContent ?? el.textContent.trim();
});

const focused = (page, name) => page.waitForFunction(([selector]) => document.activeElement.matches(selector), [name]);
const composer = (page) => focused(page, ".composer-box > textarea");

/** A page that shows nothing yet, of a server with one worker that no test is about. */
async function empty(view) {
  const { workers } = await server.api("GET", "/api/workers");
  for (const worker of workers)
    if (worker.name !== "stays") await server.api("DELETE", `/api/workers/${worker.id}?force=true`);
  return open(server, "health", view);
}

let made = 0;
const newWorker = () => server.worker(`w${(made += 1)}`);

/** The places where actions begin. Each gives the worker that it is about. */
const BEGIN = {
  list: async (page) => {
    const worker = await newWorker();
    await page.goto(`${server.url}/#/`);
    await page.waitForSelector(`.workers a[href="${at(worker)}"]`);
    return worker;
  },
  worker: async (page) => {
    const worker = await newWorker();
    await page.goto(`${server.url}/${at(worker)}`);
    await composer(page);
    return worker;
  },
  conversation: async (page) => {
    const worker = await BEGIN.worker(page);
    await server.message(worker, "echo apricot");
    await page.waitForSelector(".item-turn");
    await page.locator(".scroller").focus();
    return worker;
  },
  busy: async (page) => {
    const worker = await BEGIN.worker(page);
    await server.message(worker, "hang");
    await page.waitForSelector(".interrupt:visible");
    return worker;
  },
  request: async (page) => {
    const worker = await newWorker();
    await server.message(worker, 'permission Bash {"command":"true"}');
    await server.until(worker, "waiting");
    await page.goto(`${server.url}/${at(worker)}`);
    await page.waitForSelector(".prompt-card");
    await answerable(page);
    return worker;
  },
  inbox: async (page) => {
    const worker = await BEGIN.request(page);
    await page.keyboard.press("g");
    await page.waitForSelector(".inbox .prompt-card");
    return worker;
  },
  queued: async (page) => {
    const worker = await BEGIN.busy(page);
    await say(page, "echo later");
    await page.waitForSelector(".queue li");
    return worker;
  },
};

/** Waits until keys answer the request that has just appeared. */
const answerable = (page) => page.waitForTimeout(700);
const keys = (...all) => async (page) => {
  for (const key of all) await page.keyboard.press(key);
};
const menu = (...entries) => async (page) => {
  await page.getByRole("button", { name: "Actions of this worker" }).click();
  for (const name of entries) await page.getByRole("menuitem", { name }).click();
};
const row = (worker) => `.workers a[href="${at(worker)}"]`;
const fillFolder = async (page) => {
  await page.keyboard.press("n");
  await page.waitForSelector(".cli");
  await page.keyboard.type(server.folder(`made-${(made += 1)}`));
  await page.keyboard.press("Enter");
};

/** Each action: what it is, where it begins, what is done, and where the focus then is. */
const ACTIONS = [
  ["the page is opened", "list", keys(), "nothing"],
  ["a worker is clicked", "list", (page, worker) => page.locator(row(worker)).click(), "composer"],
  ["a worker is opened by keys", "list", keys("l", "Enter"), "composer"],
  ["Alt and an arrow open a worker", "list", keys("Alt+ArrowDown"), "composer"],
  ["a worker that waits is opened", "request", keys(), "request"],
  ["a worker that waits is opened and has a draft", "request", async (page, worker) => {
    await page.keyboard.press("i");
    await page.keyboard.type("half a sen");
    await page.evaluate(() => { location.hash = "#/"; });
    await page.locator(row(worker)).click();
  }, "composer"],
  ["n opens the form", "list", keys("n"), "Project folder"],
  ["the form is refused", "list", async (page) => {
    await keys("n")(page);
    await page.waitForSelector(".cli");
    await page.keyboard.type("/nowhere/at all");
    await page.keyboard.press("Enter");
    await page.waitForSelector(".field-error:visible");
  }, "Project folder"],
  ["the form is sent by Enter", "list", fillFolder, "composer"],
  ["the form is closed", "list", async (page) => {
    await keys("l", "n")(page);
    await page.waitForSelector("dialog[open]");
    await page.keyboard.press("Escape");
  }, "row"],
  ["the help is opened", "conversation", keys("?"), "Close"],
  ["the help is closed", "conversation", async (page) => {
    await page.keyboard.press("?");
    await page.waitForSelector(".help");
    await page.keyboard.press("Escape");
  }, "conversation"],
  ["the settings are opened", "conversation", keys(","), "System"],
  ["the settings are closed", "conversation", async (page) => {
    await page.keyboard.press(",");
    await page.waitForSelector(".preferences");
    await page.keyboard.press("Escape");
  }, "conversation"],
  ["the search is opened", "conversation", keys("s"), "Words"],
  ["the search is closed", "conversation", async (page) => {
    await page.keyboard.press("s");
    await page.waitForSelector("dialog[open]");
    await page.keyboard.press("Escape");
  }, "conversation"],
  ["a place that was found is opened", "conversation", async (page) => {
    await page.keyboard.press("s");
    await page.waitForSelector("dialog[open]");
    await page.keyboard.type("apricot");
    await page.locator(".found a").first().press("Enter");
  }, "message"],
  ["the filter is opened", "conversation", keys("/"), "filter"],
  ["the filter is left", "conversation", keys("/", "Escape"), "composer"],
  ["the filter is used", "list", async (page, worker) => {
    await page.keyboard.press("/");
    await page.keyboard.type(worker.name);
    await eventually(page, () => document.querySelectorAll(".workers li").length === 1);
    await page.keyboard.press("Enter");
  }, "composer"],
  ["the inbox is opened and something waits", "request", keys("g"), "request"],
  ["the list is gone to", "conversation", keys("l"), "row"],
  ["the composer is gone to", "conversation", keys("i"), "composer"],
  ["the end is gone to", "conversation", keys("End"), "conversation"],
  ["the theme is changed", "conversation", keys("t", "t"), "conversation"],
  ["the panel is opened", "conversation", keys("p"), "tab of the panel"],
  ["the panel is closed by its key", "conversation", async (page) => {
    await page.keyboard.press("p");
    await focused(page, '[role="tab"]');
    await page.keyboard.press("p");
  }, "conversation"],
  ["the panel is closed by Escape", "conversation", async (page) => {
    await page.keyboard.press("p");
    await focused(page, '[role="tab"]');
    await page.keyboard.press("Escape");
  }, "conversation"],
  ["a request is allowed by key", "request", keys("a"), "composer"],
  ["a request is denied by key", "request", keys("d"), "composer"],
  ["a request is allowed by a click", "request", (page) => page.getByRole("button", { name: "Allow once" }).click(), "composer"],
  ["a reason is asked for", "request", (page) => page.getByRole("button", { name: "Deny with a reason" }).click(), "Reason for denying"],
  ["no reason is given after all", "request", async (page) => {
    await page.getByRole("button", { name: "Deny with a reason" }).click();
    await page.keyboard.press("Escape");
  }, "request"],
  ["a request is denied with a reason", "request", async (page) => {
    await page.getByRole("button", { name: "Deny with a reason" }).click();
    await page.keyboard.type("not today");
    await page.keyboard.press("Enter");
  }, "composer"],
  ["the first of several requests is answered", "inbox", async (page) => {
    const other = await newWorker();
    await server.message(other, "permission");
    await eventually(page, () => document.querySelectorAll(".inbox .prompt-card").length > 1);
    await answerable(page);
    const before = await page.locator(".inbox .prompt-card").count();
    await page.keyboard.press("a");
    await eventually(page, (count) => document.querySelectorAll(".inbox .prompt-card").length < count, before);
  }, "request"],
  ["a request comes and the composer is empty", "worker", async (page, worker) => {
    await page.waitForTimeout(1100);
    await server.message(worker, "permission");
  }, "request"],
  ["a request comes while somebody writes", "worker", async (page, worker) => {
    await page.keyboard.type("I am wri");
    await server.message(worker, "permission");
    await page.waitForSelector(".prompt-card");
  }, "composer"],
  ["a message is sent by Enter", "worker", (page) => say(page, "echo on"), "composer"],
  ["a message is sent by a click", "worker", async (page) => {
    await page.keyboard.type("echo on");
    await page.getByRole("button", { name: "Send" }).click();
    await page.waitForSelector(".item-turn");
  }, "composer"],
  ["a turn is interrupted by a click", "busy", async (page) => {
    await page.getByRole("button", { name: "Interrupt" }).click();
    await page.waitForSelector(".item-turn");
  }, "composer"],
  ["a queued message is edited", "queued", (page) => page.getByRole("button", { name: "Edit" }).click(), "Queued message"],
  ["a queued message stays as it is", "queued", async (page) => {
    await page.getByRole("button", { name: "Edit" }).click();
    await page.keyboard.press("Escape");
  }, "Edit"],
  ["a queued message is changed", "queued", async (page) => {
    await page.getByRole("button", { name: "Edit" }).click();
    await page.keyboard.type(" on");
    await page.keyboard.press("Enter");
    await page.waitForSelector('.queue li:has-text("echo later on")');
  }, "composer"],
  ["a queued message is removed", "queued", async (page) => {
    await page.getByRole("button", { name: "Remove from the queue" }).click();
    await page.waitForSelector(".queue li", { state: "detached" });
  }, "composer"],
  ["the menu is opened", "worker", menu(), "Changes, usage, process"],
  ["the menu is closed", "worker", async (page) => {
    await menu()(page);
    await page.waitForSelector(".menu");
    await page.keyboard.press("Escape");
  }, "Actions of this worker"],
  ["a new name is asked for", "worker", menu("Rename"), "Name"],
  ["a worker is renamed", "worker", async (page) => {
    await menu("Rename")(page);
    await page.locator("dialog input").fill("renamed");
    await page.keyboard.press("Enter");
    await page.waitForSelector("dialog", { state: "detached" });
  }, "Actions of this worker"],
  ["a worker is stopped", "worker", async (page) => {
    await menu("Stop")(page);
    await page.waitForSelector(".head-status .status-stopped");
  }, "Actions of this worker"],
  ["a worker is forked", "conversation", async (page, worker) => {
    await menu("Fork")(page);
    await eventually(page, (id) => location.hash.includes("/w/") && !location.hash.includes(id), worker.id);
  }, "composer"],
  ["a terminal is opened", "worker", menu("Terminal"), "Terminal input; Shift+Escape leaves"],
  ["a terminal is left for its buttons", "worker", async (page) => {
    await menu("Terminal")(page);
    await focused(page, ".term-input");
    await page.keyboard.press("Shift+Escape");
  }, "Close; the terminal stays open on the server"],
  ["a terminal is closed", "worker", async (page) => {
    await menu("Terminal")(page);
    await focused(page, ".term-input");
    await keys("Shift+Escape", "Enter")(page);
    await page.waitForSelector("dialog.terminal", { state: "detached" });
  }, "Actions of this worker"],
  ["a new terminal is begun", "worker", async (page) => {
    await menu("Terminal")(page);
    await eventually(page, () => document.querySelector(".term-rows")?.textContent.trim());
    await page.getByRole("button", { name: "New terminal" }).click();
    await eventually(page, () => document.querySelectorAll(".terminal option").length === 2);
  }, "Terminal input; Shift+Escape leaves"],
  ["a terminal is ended", "worker", async (page) => {
    await menu("Terminal")(page);
    await eventually(page, () => document.querySelector(".term-rows")?.textContent.trim());
    await page.getByRole("button", { name: "End this terminal" }).click();
    await eventually(page, () => /ended/.test(document.querySelector(".term-status").textContent));
  }, "Terminal input; Shift+Escape leaves"],
  ["a deletion is asked about", "worker", menu("Delete"), "Cancel"],
  ["a worker is deleted", "worker", async (page) => {
    await menu("Delete")(page);
    await page.getByRole("button", { name: /^Delete/ }).last().click();
    await page.waitForSelector("dialog", { state: "detached" });
  }, "row"],
  ["the open worker is deleted elsewhere", "worker", (page, worker) => server.api("DELETE", `/api/workers/${worker.id}`), "row"],
  ["the skip link is used", "conversation", async (page) => {
    await page.locator(".skip").focus();
    await page.keyboard.press("Enter");
  }, "composer"],
  ["the skip link is used and something waits", "request", async (page) => {
    await page.locator(".skip").focus();
    await page.keyboard.press("Enter");
  }, "request"],
  ["the list is gone back to", "worker", (page) => page.evaluate(() => { location.hash = "#/"; }), "row"],
];

for (const [name, begin, act, expected] of ACTIONS) {
  test(`this action leaves the focus in place: ${name}: ${expected}`, async () => {
    const page = await empty();
    const worker = await BEGIN[begin](page);
    await act(page, worker);
    for (const end = Date.now() + SOON_MS; (await where(page)) !== expected && Date.now() < end; ) await page.waitForTimeout(25);
    assert.equal(await where(page), expected);
    // It stays there.
    await page.waitForTimeout(150);
    assert.equal(await where(page), expected);
    await finish(page, server);
  });
}

test("an empty inbox has the focus itself", async () => {
  const own = await Server.start();
  try {
    const page = await open(own);
    await page.waitForSelector("text=No workers yet");
    await page.keyboard.press("g");
    await focused(page, ".inbox-scroll");
    await finish(page, own);
  } finally {
    await own.close();
  }
});

test("the login focuses its field, then the next view", async () => {
  const own = await Server.start({ AUTH_TOKEN: TOKEN });
  own.headers = { authorization: `Bearer ${TOKEN}` };
  try {
    const worker = await own.worker("guarded");
    const page = await open(own, at(worker));
    await focused(page, ".login input");
    await page.keyboard.type("wrong");
    await page.keyboard.press("Enter");
    await page.waitForSelector("text=not right");
    await focused(page, ".login input");
    await page.keyboard.type(TOKEN);
    await page.keyboard.press("Enter");
    await composer(page);
    await page.getByRole("button", { name: "Settings" }).click();
    await page.getByRole("button", { name: "Log out" }).click();
    await focused(page, ".login input");
    await finish(page, own);
  } finally {
    await own.close();
  }
});

test("letters typed after a card's key become a message", async () => {
  const worker = await newWorker();
  const page = await open(server, at(worker));
  await composer(page);
  await page.keyboard.type("x");
  await page.keyboard.press("Backspace");
  await page.waitForTimeout(1100);
  await server.message(worker, "permission");
  await focused(page, ".prompt-card");
  await page.keyboard.type("add a test", { delay: 30 });
  assert.equal(await page.locator(".composer-box > textarea").inputValue(), "add a test");
  assert.equal(await where(page), "composer");
  assert.equal((await server.until(worker, "waiting")).status, "waiting");
  assert.equal(await page.locator(".prompt-card kbd:visible").count(), 0, "no key is printed where it writes text");
  await finish(page, server);
});

test("the composer does not open a phone's keyboard by itself", async () => {
  const worker = await newWorker();
  const page = await open(server, "#/", PHONE);
  await page.locator(row(worker)).tap();
  await focused(page, ".worker-name");
  await finish(page, server);
});

/** The status of a worker once nothing changes it any more: an interrupt takes a moment. */
async function settled(worker) {
  await new Promise((resolve) => setTimeout(resolve, 400));
  return (await server.api("GET", `/api/workers/${worker.id}`)).status;
}

/** Each landmark: how the focus gets there, and whether two Escapes interrupt from there. */
const LANDMARKS = [
  ["the filter", (page) => page.getByLabel("Filter workers").focus(), false],
  ["the menu of statuses", (page) => page.getByLabel("Show status").focus(), false],
  ["the list", (page) => page.locator(".workers a").first().focus(), false],
  ["the buttons above the list", (page) => page.getByRole("button", { name: "Notifications" }).focus(), false],
  ["the head of the worker", (page) => page.getByRole("button", { name: "Actions of this worker" }).focus(), false],
  ["the docked panel", (page) => page.locator('.panel [role="tab"]').first().focus(), false],
  ["the conversation beside a docked panel", (page) => page.locator(".scroller").focus(), false],
  ["a queued message that is edited", (page) => page.getByRole("button", { name: "Edit" }).click(), false],
  ["the conversation", (page) => page.locator(".scroller").focus(), true],
  ["the composer", (page) => page.locator(".composer-box > textarea").focus(), true],
  ["nothing", (page) => page.evaluate(() => document.activeElement.blur()), true],
];

for (const [name, go, interrupts] of LANDMARKS) {
  test(`Escape pressed twice ${interrupts ? "interrupts" : "does not interrupt"} a turn from ${name}`, async () => {
    const page = await empty(DESK);
    const worker = await (name.startsWith("a queued") ? BEGIN.queued(page) : BEGIN.busy(page));
    if (name.includes("docked")) {
      await page.getByRole("button", { name: /^Changes, usage and process/ }).click();
      await page.waitForSelector(".panel:visible");
    }
    await go(page);
    await page.keyboard.press("Escape");
    const asked = page.getByText("Press Esc again to interrupt");
    if (interrupts) await asked.waitFor();
    else assert.equal(await asked.count(), 0);
    assert.equal(await settled(worker), "busy");
    if (name.includes("docked")) assert.equal(await page.locator(".panel").isVisible(), false, "the panel closes first");
    if (interrupts) {
      await page.keyboard.press("Escape");
      await page.waitForSelector('.turn:has-text("Interrupted")');
    }
    await finish(page, server);
  });
}

test("a second Escape that comes late asks again", async () => {
  const page = await empty();
  const worker = await BEGIN.busy(page);
  await page.keyboard.press("Escape");
  await page.getByText("Press Esc again to interrupt").waitFor();
  await page.getByText("Press Esc again to interrupt").waitFor({ state: "detached" });
  await page.keyboard.press("Escape");
  await page.getByText("Press Esc again to interrupt").waitFor();
  assert.equal(await settled(worker), "busy");
  await finish(page, server);
});

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
  const { worker } = await begun(`lines${(made += 1)}`);
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
