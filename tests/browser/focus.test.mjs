// Where the focus is after every action.

import assert from "node:assert/strict";
import { test } from "node:test";
import { answerable, composer, focused, keys, menu, placesIn, row, SOON_MS, where } from "./focusing.mjs";
import { at, eventually, finish, open, PHONE, say, Server, serverOfAllTests } from "./support.mjs";

const TOKEN = "the-token-of-the-test-of-the-focus";
const server = serverOfAllTests((running) => running.worker("stays"));
const { BEGIN, empty, newWorker } = placesIn(server);

let folders = 0;
const fillFolder = async (page) => {
  await page.keyboard.press("n");
  await page.waitForSelector(".cli");
  await page.keyboard.type(server.folder(`made-${(folders += 1)}`));
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
