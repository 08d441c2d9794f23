// The dialog that discards a file's or a hunk's changes, after showing them.

import { h } from "../lib/dom.js";
import { work } from "../lib/work.js";
import { plain } from "../lib/text.js";
import { diffView } from "./diffs.js";
import { openSheet } from "./sheets.js";
import { offerUndo } from "./undo.js";

/** Opens the dialog. `hunk` is a row of op "@" with the rows after it, where one hunk alone is meant. */
export async function openDiscard(app, id, { file, hash, hunk = null }, reload) {
  const name = plain(file.path);
  const rows = hunk ? hunk.rows : file.rows;
  const problem = h("p", { class: "field-error", role: "alert", hidden: true });
  const yes = h("button", { type: "button", class: "danger" }, hunk ? "Discard these lines" : `Discard ${name}`);
  const gone = file.status === "new" ? "The file is removed." : "The file is put back to what the last commit has.";
  const body = h(
    "div",
    { class: "fields" },
    h("p", null, hunk ? "These lines are put back to what the last commit has." : gone),
    h("p", { class: "muted" }, "What is discarded is recorded first, so this can be undone."),
    diffView([{ ...file, rows }], { heads: true, folded: true, wrap: true }),
    problem,
    h(
      "div",
      { class: "dialog-actions" },
      h("button", { type: "button", autofocus: true, on: { click: () => dialog.close() } }, "Cancel"),
      yes,
    ),
  );
  yes.addEventListener("click", async () => {
    yes.disabled = true;
    try {
      const part = hunk ? { hunk: { header: hunk.row.text, hash } } : {};
      const answer = await work.discard(id, { file: file.path, scope: "uncommitted", ...part });
      offerUndo(app, id, "Discarded", answer, reload);
      dialog.close();
      await reload();
    } catch (error) {
      problem.textContent = `Not discarded: ${error.message}`;
      problem.hidden = false;
      yes.textContent = "Try again";
      yes.disabled = false;
      yes.focus();
    }
  });
  const dialog = await openSheet(hunk ? `Discard lines of ${name}` : `Discard ${name}`, body);
}
