// Every request of presets and groups fails once: the failure is said, what was wanted is kept, and it can be tried again.

import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { several } from "../../static/js/lib/several.js";
import { tryAgain, testRequests } from "./failing.mjs";
import { at, serverOfAllTests } from "./support.mjs";
import { act, git, write } from "./work.mjs";

const server = serverOfAllTests((running) => running.api("PUT", "/api/presets/first", { initial_message: "echo first" }));

const form = async (page) => {
  await page.goto(`${server.url}/#/`);
  await page.waitForSelector(".brand");
  await page.getByRole("button", { name: "New worker" }).first().click();
  await page.waitForSelector("form.create .cli");
};
const saving = (name) => async (page) => {
  await form(page);
  await page.waitForSelector("select[name=preset] option", { state: "attached" });
  await page.getByText("Save as preset").click();
  await page.getByLabel("Name of the preset").fill(name);
};
const press = (name) => (page) => page.getByRole("button", { name, exact: true }).last().click();
const words = (text) => (page) => page.getByText(text).first().waitFor();
const remove = async (page) => {
  await press("Delete gone")(page);
  await page.waitForSelector("dialog:nth-of-type(2)");
  await press("Delete gone")(page);
};

let made = 0;
/** A group whose second worker can go, and its comparison. */
const compared = async (page) => {
  const name = `g${(made += 1)}`;
  const folder = server.folder(name);
  git(folder, "init", "-q");
  write(folder, "a.txt", "one\n");
  git(folder, "add", ".");
  git(folder, "commit", "-q", "-m", "Begin");
  writeFileSync(join(server.folder("data/project-files"), `${name}.json`), JSON.stringify({ path: folder, check: ["true"] }));
  const attempts = [{ ai_cli_type: "claude" }, { ai_cli_type: "claude" }];
  const group = await server.api("POST", "/api/groups", { name, project_path: folder, prompt: "echo done", attempts });
  for (const worker of group.workers) await server.turns(worker, 1);
  await page.goto(`${server.url}/${at(group.workers[0])}`);
  await page.waitForSelector(".item-turn");
  return group;
};
const comparing = async (page) => {
  const group = await compared(page);
  await act(page, "Compare the attempts");
  await page.waitForSelector(".attempt-card");
  return group;
};
const palette = (words) => async (page) => {
  await page.keyboard.press("Control+k");
  await page.waitForSelector(".palette");
  await page.keyboard.type(words);
  await page.keyboard.press("Enter");
};
const keep = async (page) => {
  await page.getByRole("button", { name: "Keep", exact: true }).first().click();
  await page.getByRole("button", { name: "Delete 1 attempt" }).click();
};

/** Each request: method and path, what comes before it, what makes it, what proves the second try, and what tries again. */
const REQUESTS = {
  presets: [/^GET .*\/api\/presets$/, () => {}, form, (page) => page.waitForSelector("select[name=preset]:visible")],
  savePreset: [/^PUT .*\/api\/presets\//, saving("second"), press("Save"), words("second is saved."), press("Save")],
  removePreset: [/^DELETE .*\/api\/presets\//, async (page) => {
    await server.api("PUT", "/api/presets/gone", {});
    await saving("gone")(page);
  }, remove, words("gone is deleted."), remove],
  groups: [/^GET .*\/api\/groups$/, compared, palette("groups of"), (page) => page.waitForSelector(".groups button")],
  group: [/^GET .*\/api\/groups\/[^/]+$/, compared, (page) => act(page, "Compare the attempts"), (page) => page.waitForSelector(".attempt-card")],
  makeGroup: [/^POST .*\/api\/groups$/, async (page) => {
    const { project_path: folder } = await compared(page);
    await palette("best of several")(page);
    await page.waitForSelector(".attempt");
    await page.getByLabel("Project folder").fill(folder);
    await page.getByLabel("Prompt").fill("echo again");
  }, press("Begin"), (page) => page.waitForSelector(".attempt-card"), press("Begin")],
  checkGroup: [/^POST .*\/check$/, comparing, (page) => page.getByRole("button", { name: "Run the check" }).click(), (page) => page.waitForSelector(".check-outcome.is-passed")],
  diffInGroup: [/^GET .*\/api\/groups\/[^/]+\/diff/, comparing, press("Show the difference"), words("Their files are the same.")],
  keepInGroup: [/^POST .*\/keep$/, comparing, keep, words("1 other attempt deleted."), async (page) => {
    await tryAgain(page);
    await page.getByRole("button", { name: "Delete 1 attempt" }).click();
  }],
  projectOf: [/^GET .*\/api\/projects\?/, form, (page) => page.getByLabel("Project folder").fill(server.project), async (page) => {
    await page.waitForSelector(".trouble", { state: "detached" });
  }],
};

testRequests(server, "presets and groups", REQUESTS, Object.keys(several));
