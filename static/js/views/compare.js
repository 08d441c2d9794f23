// The attempts of a group side by side: how far each is, what it has cost, its check; the difference between two; the
// choice of one.

import { fill, h, style } from "../lib/dom.js";
import { several } from "../lib/several.js";
import { dollars, duration, plain, plural, short } from "../lib/text.js";
import { addressOf, navigate } from "../lib/router.js";
import { changesView } from "./changes.js";
import { confirm } from "./dialogs.js";
import { changedLines, statusBadge } from "./row.js";
import { openSheet } from "./sheets.js";
import { troubleLine } from "./troubles.js";

// Pause between two looks at a group that is shown.
const LOOK_EVERY_MS = 2_000;
const CHECK_WORDS = { waiting: "waits for its place", running: "runs", passed: "passed", failed: "failed" };
// A comparison has no comments.
const PLAIN = { begin() {}, drawn() {}, file: () => null, isOpen: () => true };

/** Opens the group of a worker. */
export async function openGroupOf(app, worker) {
  await openCompare(app, await several.group(worker.group));
}

/** Opens the list of groups. */
export async function openGroups(app) {
  await style("groups");
  const list = h("ul", { class: "groups" });
  const trouble = h("div");
  const dialog = await openSheet("Groups", h("div", null, trouble, list));
  await load();

  async function load() {
    try {
      const { groups } = await several.groups();
      fill(trouble);
      fill(list, groups.length ? groups.map(line) : h("li", { class: "muted" }, "There is no group yet."));
      list.querySelector("button")?.focus();
    } catch (error) {
      fill(trouble, troubleLine(`The groups could not be listed: ${error.message}`, load));
    }
  }

  function line(group) {
    const open = () => {
      dialog.close();
      app.attempt("The attempts could not be compared", () => openCompare(app, group));
    };
    const more = `${plural(group.workers.length, "attempt")}${group.kept ? ", one is kept" : ""}`;
    return h(
      "li",
      null,
      h("button", { type: "button", class: "quiet", dir: "auto", on: { click: open } }, plain(group.name)),
      h("span", { class: "muted" }, more),
    );
  }
}

/** Opens the comparison of a group. */
export async function openCompare(app, first) {
  await style("groups");
  let group = first;
  let drawn = "";
  const trouble = h("div");
  const said = h("div", { class: "group-said", role: "status" });
  const bar = h("div", { class: "group-bar" });
  const cards = h("div", { class: "attempt-cards" });
  const changes = h("section", { class: "group-diff", "aria-label": "Difference of two attempts", hidden: true });
  const chosen = new Set(group.workers.slice(0, 2).map(({ id }) => id));
  const checkButton = h("button", { type: "button", on: { click: check } });
  const diffButton = h("button", { type: "button", on: { click: diff } }, "Show the difference");
  fill(bar, checkButton, diffButton);
  const dialog = await openSheet(
    plain(group.name),
    h(
      "div",
      { class: "comparison" },
      h(
        "details",
        null,
        h("summary", null, "Prompt"),
        h("p", { class: "group-prompt", dir: "auto" }, plain(group.prompt)),
      ),
      trouble,
      said,
      bar,
      cards,
      changes,
    ),
    { broad: true },
  );
  dialog.classList.add("wider");
  draw();
  watch();

  async function watch() {
    while (dialog.isConnected) {
      await new Promise((resolve) => setTimeout(resolve, LOOK_EVERY_MS));
      if (dialog.isConnected && !document.hidden) await look();
    }
  }

  async function look() {
    try {
      group = await several.group(group.id);
      fill(trouble);
      draw();
    } catch (error) {
      if (!trouble.childElementCount)
        fill(trouble, troubleLine(`The group could not be looked at: ${error.message}`, look));
    }
  }

  function draw() {
    const sign = JSON.stringify(group);
    if (sign === drawn) return;
    drawn = sign;
    const held = /** @type {HTMLElement | null} */ (document.activeElement);
    const name = cards.contains(held) ? held.dataset.name : "";
    const open = new Set([...cards.querySelectorAll("details[open]")].map((el) => el.dataset.name));
    for (const id of chosen) if (!group.workers.some((worker) => worker.id === id)) chosen.delete(id);
    fill(cards, group.workers.map(card));
    for (const el of cards.querySelectorAll("details")) el.open = open.has(el.dataset.name);
    checkButton.hidden = !group.check;
    checkButton.textContent = `Run the check: ${plain(group.check ?? "").slice(0, 60)}`;
    drawChoice();
    if (!name) return;
    /** @type {HTMLElement | undefined} */
    const again = [...cards.querySelectorAll("[data-name]")].find((el) => el.dataset.name === name);
    (again ?? dialog.querySelector("button")).focus();
  }

  function drawChoice() {
    diffButton.disabled = chosen.size !== 2;
    diffButton.hidden = group.workers.length < 2;
    diffButton.title = chosen.size === 2 ? "" : "Choose two attempts to compare";
  }

  function card(worker) {
    const isKept = worker.id === group.kept;
    const tokens = Object.values(worker.usage ?? {}).reduce((sum, count) => sum + (Number(count) || 0), 0);
    const box = h("input", { type: "checkbox", "data-name": `compare ${worker.id}` });
    box.checked = chosen.has(worker.id);
    box.addEventListener("change", () => {
      if (box.checked) chosen.add(worker.id);
      else chosen.delete(worker.id);
      drawChoice();
    });
    const title = plain(worker.name);
    const act = (word, run, more = {}) =>
      h("button", { type: "button", "data-name": `${word} ${worker.id}`, on: { click: run }, ...more }, word);
    return h(
      "article",
      { class: `attempt-card${isKept ? " is-kept" : ""}`, "aria-label": title },
      h("h3", { dir: "auto" }, title),
      isKept && h("p", { class: "tag" }, "kept"),
      h(
        "dl",
        null,
        fact("Status", statusBadge(worker.status)),
        fact("Time", worker.worked_ms || worker.turns ? duration(worker.worked_ms) : "none yet"),
        fact("Tokens", short(tokens)),
        fact("Cost", dollars(worker.cost_usd) || "not known"),
        fact("Files", worker.changed ? String(worker.changed.files) : "not known"),
        fact("Lines", changedLines(worker) ?? "none"),
        group.check || worker.check ? fact("Check", outcome(worker.check)) : null,
      ),
      worker.check?.output && output(worker),
      group.workers.length > 1 && h("label", { class: "check" }, box, "Compare"),
      h(
        "div",
        { class: "attempt-actions" },
        act("Open", () => {
          dialog.close();
          navigate(addressOf(worker.id));
        }),
        act("Land…", () => land(worker)),
        group.workers.length > 1 && (!group.kept || isKept) && act("Keep", () => keep(worker), { class: "primary" }),
      ),
    );
  }

  function land(worker) {
    return app.opening("The landing", async () => (await import("./land.js")).openLand(app, worker));
  }

  async function check() {
    await run("The check could not begin", check, async () => {
      const { left } = await several.checkGroup(group.id);
      fill(
        said,
        left.map(({ name, detail }) => h("p", { dir: "auto" }, `${plain(name)} is not checked: ${plain(detail)}`)),
      );
      await look();
    });
  }

  async function diff() {
    const [from, to] = group.workers.filter(({ id }) => chosen.has(id));
    if (!to) return;
    changes.hidden = false;
    if (!changes.childElementCount) fill(changes, h("p", { class: "muted" }, "Comparing…"));
    try {
      const [answer] = await Promise.all([
        several.diffInGroup(group.id, from.id, to.id),
        ...["worker", "panel", "review"].map(style),
      ]);
      const view = changesView(() => null, PLAIN);
      const words = `From ${plain(from.name)} to ${plain(to.name)}`;
      const none = !answer.files.length && !answer.not_shown.length;
      fill(
        changes,
        h("h3", { dir: "auto", tabindex: "-1" }, words),
        none ? h("p", { class: "muted" }, "Their files are the same.") : view.el,
      );
      if (!none) view.show(answer);
      changes.querySelector("h3").focus();
    } catch (error) {
      fill(changes, troubleLine(`The attempts could not be compared: ${error.message}`, diff));
    }
  }

  async function keep(worker, force = false) {
    const others = group.workers.filter(({ id }) => id !== worker.id);
    const name = plain(worker.name);
    const text = force
      ? "What they have not committed is lost. Their commits are kept."
      : "One that has uncommitted changes, or commits that are nowhere else, is left.";
    const word = `Delete ${plural(others.length, "attempt")}`;
    const sure = await confirm(`Keep ${name} and delete the others?`, text, word);
    if (!sure) return;
    await run(
      "The others could not be deleted",
      () => keep(worker, force),
      async () => {
        const { deleted, left } = await several.keepInGroup(group.id, worker.id, force);
        fill(
          said,
          h("p", { dir: "auto" }, `${name} is kept, ${plural(deleted.length, "other attempt")} deleted.`),
          deleted
            .filter(({ detail }) => detail)
            .map(({ name: other, detail }) => h("p", { dir: "auto" }, `${plain(other)}: ${plain(detail)}`)),
          left.map(({ name: other, detail }) => h("p", { dir: "auto" }, `${plain(other)} is left: ${plain(detail)}`)),
          left.length > 0 &&
            h(
              "button",
              { type: "button", class: "danger", on: { click: () => keep(worker, true) } },
              "Discard their changes…",
            ),
          h("button", { type: "button", on: { click: () => land(worker) } }, `Land the work of ${name}…`),
        );
        await look();
        said.querySelector("button").focus();
      },
    );
  }

  // A failure is said above the attempts, with a button that tries again.
  async function run(what, again, act) {
    fill(said);
    try {
      await act();
    } catch (error) {
      fill(said, troubleLine(`${what}: ${error.message}`, again));
    }
  }
}

function fact(title, value) {
  return [h("dt", null, title), h("dd", null, value)];
}

function outcome(check) {
  if (!check) return "not made yet";
  const { state, code, took_ms: ms, stale } = check;
  const more = [
    code > 0 && `code ${code}`,
    ms >= 0 && ms !== undefined && duration(ms),
    stale && "before its last turn",
  ];
  const words = [CHECK_WORDS[state] ?? state, ...more.filter(Boolean)].join(", ");
  return h("span", { class: `check-outcome is-${state}${stale ? " is-stale" : ""}` }, words);
}

function output({ id, check }) {
  return h(
    "details",
    { "data-name": `output ${id}` },
    h("summary", { "data-name": `summary ${id}` }, "Output of the check"),
    h("pre", { tabindex: "0" }, [check.error && `${plain(check.error)}\n\n`, plain(check.output)].filter(Boolean)),
  );
}
