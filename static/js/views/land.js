// The dialog that brings a worker's commits to another branch: what a dry run says, and a part for each step.

import { fill, h, style } from "../lib/dom.js";
import { work } from "../lib/work.js";
import { plain, plural } from "../lib/text.js";
import { commitPart, conflictList, landPart, updatePart } from "./landing.js";
import { pullRequestPart, pushPart } from "./remote.js";
import { troubleLine } from "./troubles.js";
import { openSheet } from "./sheets.js";

/** Opens the dialog for a worker. */
export async function openLand(app, worker) {
  await style("land");
  const { id } = worker;
  const summary = h("div", { class: "land-summary" });
  const parts = h("div", { class: "land-parts" });
  const trouble = h("div");
  const done = h("p", { class: "land-done", role: "status", hidden: true });
  let into;
  const dialog = await openSheet(
    `Land the work of ${plain(worker.name)}`,
    h("div", { class: "land" }, trouble, summary, done, parts),
    { broad: true },
  );
  const context = {
    app,
    id,
    worker,
    close: () => dialog.close(),
    // Choices are kept when the dry run is repeated.
    picked: {},
    // The result is shown after the dry run was repeated, so that nobody presses a button that goes away.
    done: async (words) => {
      await look();
      done.hidden = false;
      done.textContent = words;
    },
    look: (target) => {
      into = target || undefined;
      return look();
    },
  };
  await look();

  async function look() {
    if (!summary.childElementCount) fill(summary, h("p", { class: "muted" }, "Looking at what would happen…"));
    try {
      const plan = await work.landing(id, into);
      if (!dialog.isConnected) return;
      fill(trouble);
      show(plan);
    } catch (error) {
      fill(trouble, troubleLine(`This could not be looked at: ${error.message}`, look));
      if (!parts.childElementCount) fill(summary);
    }
  }

  function show(plan) {
    const active = /** @type {HTMLElement | null} */ (document.activeElement);
    const name = parts.contains(active) ? (active.dataset.name ?? active.closest("details")?.dataset.part) : "";
    const open = new Map([...parts.querySelectorAll("details")].map((part) => [part.dataset.part, part.open]));
    fill(summary, summaryOf(plan));
    fill(
      parts,
      [commitPart, updatePart, landPart, pushPart, pullRequestPart].map((part) => part(context, plan)),
    );
    for (const part of parts.querySelectorAll("details"))
      if (open.has(part.dataset.part)) part.open = open.get(part.dataset.part) || part.open;
    if (!name) return;
    const places = [`[data-name="${name}"]`, `[data-part="${name}"] summary`, "summary"];
    const next = places.map((place) => parts.querySelector(place)).find((found) => found !== null);
    if (next instanceof HTMLElement) next.focus();
    else dialog.querySelector("button").focus();
  }
}

const code = (text) => h("code", null, plain(text));

function summaryOf(plan) {
  const {
    branch,
    into,
    ahead,
    behind,
    uncommitted,
    conflicts,
    target = {},
    pending,
    in_progress: other,
    signs,
  } = plan;
  const warn = (...content) => h("div", { class: "land-warning" }, content);
  const from = code(branch ?? "a commit without a branch");
  return [
    h(
      "p",
      { class: "land-branches" },
      from,
      into && [" → ", code(into)],
      ": ",
      ahead ? `${plural(ahead, "commit")} to land` : "nothing to land yet",
      behind > 0 && `, and ${plural(behind, "commit")} of ${plain(into)} that it does not have`,
      ".",
    ),
    pending &&
      warn(
        h(
          "p",
          null,
          `Not finished: ${plain(pending.about || pending.operation)}. The next start completes or undoes it.`,
        ),
      ),
    other && warn(h("p", null, `A ${plain(other)} is in progress in the worker's folder. It has to end first.`)),
    uncommitted.length > 0 &&
      warn(h("p", null, `${plural(uncommitted.length, "file")} not committed: what is in no commit does not land.`)),
    conflicts.length > 0 &&
      warn(
        h("p", null, `${plural(conflicts.length, "file")} in conflict with ${plain(into)}:`),
        conflictList(conflicts),
      ),
    targetWords(into, target),
    signs && h("p", { class: "muted" }, "New commits are signed."),
  ];
}

function targetWords(into, { checked_out_at: place, dirty = [], bare, problem }) {
  const name = plain(into ?? "");
  const muted = (...words) => h("p", { class: "muted" }, words);
  if (problem) return h("div", { class: "land-warning" }, h("p", null, plain(problem)));
  if (bare) return muted(`${name} is in a repository without working files; only the branch moves.`);
  if (!place) return muted(`${name} is not checked out anywhere; only the branch moves.`);
  if (!dirty.length) return muted(`${name} is checked out, without changes, at `, code(place), "; its files follow.");
  return h(
    "div",
    { class: "land-warning" },
    h(
      "p",
      null,
      `${name} is checked out at `,
      code(place),
      " with changes that are not committed, so nothing lands on it:",
    ),
    h(
      "ul",
      { class: "land-paths", tabindex: "0", "aria-label": "Changed files" },
      dirty.map((path) => h("li", { class: "path" }, plain(path))),
    ),
  );
}
