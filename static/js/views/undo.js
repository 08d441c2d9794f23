// The notice after files of the project were restored: files that were left, and the way back.

import { h, iconButton, style } from "../lib/dom.js";
import { plain, plural } from "../lib/text.js";

// Files that were left and are named with their reasons; the others are counted.
const LEFT_SHOWN = 3;

/** The files that were left, in words. */
export function leftWords(untouched) {
  const shown = untouched.slice(0, LEFT_SHOWN).map(({ path, reason }) => `${plain(path)}: ${plain(reason)}.`);
  const more = untouched.length - shown.length;
  return more > 0 ? [...shown, `${plural(more, "more file")} left as they are.`].join(" ") : shown.join(" ");
}

/** Says what was done, until it is put away, with a button that undoes it. Throws when nothing was changed. */
export function offerUndo(app, id, word, { recorded, untouched = [] }, done) {
  if (!recorded) throw new Error(leftWords(untouched) || "There was nothing to change.");
  style("sheets");
  const left = leftWords(untouched);
  const undo = h("button", { type: "button", class: "quiet" }, "Undo…");
  undo.addEventListener("click", () => {
    el.remove();
    app.opening("The undoing", async () => {
      const { openRestore } = await import("./restore.js");
      await openRestore(app, id, { turn: recorded, title: "Undo" }, done);
    });
  });
  const close = iconButton("close", "Dismiss", () => el.remove());
  const words = h("span", { role: "status" }, left ? `${word}. Left as it is: ${left}` : `${word}.`);
  const el = h("div", { class: "toast undo" }, words, undo, close);
  document.querySelector(".toast")?.remove();
  document.body.append(el);
}
