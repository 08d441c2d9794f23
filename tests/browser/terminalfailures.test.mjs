// Every request of the page's terminal fails once: the failure is said, and it can be tried again.

import assert from "node:assert/strict";
import { terminals } from "../../static/js/lib/terminals.js";
import { tryAgain, testRequests } from "./failing.mjs";
import { at, eventually, serverOfAllTests } from "./support.mjs";
import { act } from "./work.mjs";

const server = serverOfAllTests();
const BASH = { program: ["env", "PS1=$ ", "bash", "--norc", "--noprofile"] };

let made = 0;
async function opened(page) {
  const worker = await server.worker(`t${(made += 1)}`);
  await page.goto(`${server.url}/${at(worker)}`);
  await page.waitForSelector('.scroller[aria-busy="false"]');
  return worker;
}
const menu = (page) => act(page, "Terminal");
const prompts = (page) => eventually(page, () => document.querySelector(".term-rows")?.textContent.trim());
const press = (name) => (page) => page.getByRole("button", { name }).click();
async function shell(page) {
  const worker = await opened(page);
  await server.api("POST", `/api/workers/${worker.id}/terminals`, BASH);
  await menu(page);
  await prompts(page);
  return worker;
}

/** Each request: method and path, what comes before it, what makes it, what proves the second try, and what tries again. */
const REQUESTS = {
  list: [/^GET .*\/terminals$/, opened, menu, prompts, tryAgain],
  open: [/^POST .*\/terminals$/, opened, menu, prompts, press("New terminal")],
  end: [/^DELETE .*\/terminals\//, shell, press("End this terminal"), async (page, worker) => {
    await page.getByText("The program was ended").or(page.getByText("The terminal was ended")).or(page.getByText("The program ended")).first().waitFor();
    assert.deepEqual((await server.api("GET", `/api/workers/${worker.id}/terminals`)).terminals, []);
  }, press("End this terminal")],
};

testRequests(server, "the terminal", REQUESTS, Object.keys(terminals));
