// The dialog that restores files to the state before a turn, after showing what would change.

import { fill, h } from "../lib/dom.js";
import { parseUnified } from "../lib/diff.js";
import { work } from "../lib/work.js";
import { plain, plural } from "../lib/text.js";
import { diffView } from "./diffs.js";
import { troubleLine } from "./troubles.js";
import { openSheet } from "./sheets.js";
import { leftWords, offerUndo } from "./undo.js";

/**
 * Opens the dialog for a `turn` or an earlier restoring, and one `file` of it if that is given; `done` is called after
 * a restoring.
 */
export async function openRestore(app, id, { turn, file = "", title = "Restore to before the turn" }, done) {
  const body = h("div", { class: "fields" });
  const dialog = await openSheet(file ? `Restore ${plain(file)}` : title, body, { broad: true });
  await preview();

  async function preview() {
    fill(body, h("p", { class: "muted", role: "status" }, "Looking at what would change…"));
    try {
      show(await work.restorable(id, turn, file || undefined));
    } catch (error) {
      fill(body, troubleLine(`This could not be loaded: ${error.message}`, preview));
    }
  }

  function show(answer) {
    const { files, untouched } = answer;
    const left = untouched.length > 0 && h("p", { class: "muted" }, `Left as it is: ${leftWords(untouched)}`);
    if (!files.length) {
      fill(body, h("p", null, "Nothing would change: the files are as they were."), left);
      return;
    }
    const boxes = files.map(({ path }) => {
      const box = h("input", { type: "checkbox", value: path });
      box.checked = true;
      box.addEventListener("change", draw);
      return box;
    });
    const problem = h("p", { class: "field-error", role: "alert", hidden: true });
    const yes = h("button", { type: "button", class: "danger" });
    const chosen = () => boxes.filter((box) => box.checked).map((box) => box.value);
    fill(
      body,
      h("p", null, "These changes would be made to the project. What they overwrite is recorded first."),
      files.length > 1 &&
        h(
          "fieldset",
          { class: "plain" },
          h("legend", null, "Files"),
          boxes.map((box) => h("label", { class: "check" }, box, h("span", { class: "path" }, plain(box.value)))),
        ),
      left,
      diffView(parseUnified(answer.diff), { heads: true, folded: true, wrap: true }),
      answer.truncated && h("p", { class: "muted" }, "There are more changes than are shown here."),
      problem,
      h(
        "div",
        { class: "dialog-actions" },
        h("button", { type: "button", on: { click: () => dialog.close() } }, "Cancel"),
        yes,
      ),
    );
    yes.addEventListener("click", restore);
    draw();
    body.querySelector(".dialog-actions button").focus();

    function draw() {
      const { length } = chosen();
      yes.disabled = !length;
      yes.textContent = `Restore ${plural(length, "file")}`;
    }

    async function restore() {
      yes.disabled = true;
      problem.hidden = true;
      try {
        const chosenFiles = chosen().length === files.length && !file ? {} : { files: chosen() };
        offerUndo(app, id, "Restored", await work.restore(id, { turn, ...chosenFiles }), done);
        dialog.close();
        await done();
      } catch (error) {
        problem.textContent = `Not restored: ${error.message}`;
        problem.hidden = false;
        draw();
        yes.textContent = "Try again";
        yes.focus();
      }
    }
  }
}
