// The history of a file over the turns of a worker, and the way back to each.

import { fill, h } from "../lib/dom.js";
import { parseUnified } from "../lib/diff.js";
import { work } from "../lib/work.js";
import { now } from "../lib/clock.js";
import { clock, plain } from "../lib/text.js";
import { diffView } from "./diffs.js";
import { openRestore } from "./restore.js";
import { troubleLine } from "./troubles.js";
import { openSheet } from "./sheets.js";

const CHANGES = { added: "made", deleted: "removed", modified: "changed", renamed: "renamed", mode: "mode changed" };

/** Opens the history of a file; `done` is called after it was restored. */
export async function openFileHistory(app, id, path, done = () => {}) {
  const body = h("div", { class: "fields" });
  await openSheet(`History of ${plain(path)}`, body, { broad: true });
  await load();

  async function load() {
    fill(body, h("p", { class: "muted", role: "status" }, "Looking at the turns…"));
    try {
      const { steps } = await work.fileHistory(id, path);
      fill(
        body,
        steps.length
          ? h("ol", { class: "file-history" }, steps.map(entry))
          : h("p", { class: "muted" }, "No recorded turn has changed this file."),
      );
      body.querySelector("button")?.focus();
    } catch (error) {
      fill(body, troubleLine(`This could not be loaded: ${error.message}`, load));
    }
  }

  function entry({ turn_id: turn, at, change }) {
    const place = h("div", { class: "file-change" });
    const when = clock(at, now());
    const look = h(
      "button",
      { type: "button", "aria-expanded": "false", "aria-label": `Changes of ${when}` },
      "Changes",
    );
    look.addEventListener("click", async () => {
      const isOpen = look.getAttribute("aria-expanded") === "true";
      look.setAttribute("aria-expanded", String(!isOpen));
      if (isOpen) fill(place);
      else await showChange(turn, place);
    });
    const back = () => app.opening("The restoring", () => openRestore(app, id, { turn, file: path }, done));
    const restore = h(
      "button",
      { type: "button", "aria-label": `Restore to before the turn of ${when}`, on: { click: back } },
      "Restore to before…",
    );
    return h(
      "li",
      null,
      h(
        "div",
        { class: "file-history-head" },
        h("span", null, `${CHANGES[change] ?? change} in the turn of ${when}`),
        h("span", { class: "grow" }),
        look,
        restore,
      ),
      place,
    );
  }

  async function showChange(turn, place) {
    try {
      const { diff } = await work.diff(id, { scope: "turn", turn });
      const files = parseUnified(diff).filter((file) => file.path === path || file.from === path);
      fill(
        place,
        files.length ? diffView(files, { wrap: true }) : h("p", { class: "muted" }, "No line has changed."),
      );
    } catch (error) {
      fill(
        place,
        troubleLine(`This could not be loaded: ${error.message}`, () => showChange(turn, place)),
      );
    }
  }
}
