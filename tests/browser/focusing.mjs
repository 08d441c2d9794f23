// What the tests of the focus and of keys share: the places where actions begin, and what has the focus.

import { at, open, say } from "./support.mjs";

// The focus moves at once, but for the answers of a busy machine's server.
export const SOON_MS = 15_000;

/** A name for what has the focus. */
export const where = (page) => page.evaluate(() => {
  const el = document.activeElement;
  const names = {
    body: "nothing", ".composer-box > textarea": "composer", ".scroller": "conversation", ".prompt-card": "request", ".workers a": "row",
    ".workers-head input": "filter", ".inbox-scroll": "inbox", ".item": "message", '[role="tab"]': "tab of the panel", ".worker-name": "heading", ".jump": "jump",
  };
  const found = Object.keys(names).find((selector) => el.matches(selector));
  return names[found] ?? el.getAttribute("aria-label") ?? el.labels?.[0]?.textContent ?? el.textContent.trim();
});

export const focused = (page, name) => page.waitForFunction(([selector]) => document.activeElement.matches(selector), [name]);
export const composer = (page) => focused(page, ".composer-box > textarea");

/** Waits until keys answer the request that has just appeared. */
export const answerable = (page) => page.waitForTimeout(700);
export const keys = (...all) => async (page) => {
  for (const key of all) await page.keyboard.press(key);
};
export const menu = (...entries) => async (page) => {
  await page.getByRole("button", { name: "Actions of this worker" }).click();
  for (const name of entries) await page.getByRole("menuitem", { name }).click();
};
export const row = (worker) => `.workers a[href="${at(worker)}"]`;

/** The pages of a server on which actions begin. Its worker `stays` is one that no test is about. */
export function placesIn(server) {
  let made = 0;
  const newWorker = () => server.worker(`w${(made += 1)}`);

  /** A page that shows nothing yet, of a server with one worker that no test is about. */
  async function empty(view) {
    const { workers } = await server.api("GET", "/api/workers");
    for (const worker of workers)
      if (worker.name !== "stays") await server.api("DELETE", `/api/workers/${worker.id}?force=true`);
    return open(server, "health", view);
  }

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

  return { BEGIN, empty, newWorker };
}
