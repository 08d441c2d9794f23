// The dialog that gives one prompt to several CLIs, models and presets: a group.

import { fill, h, randomId, style } from "../lib/dom.js";
import { several } from "../lib/several.js";
import { plain } from "../lib/text.js";
import { isUsable } from "./doctor.js";
import { suggestPaths } from "./paths.js";
import { openSheet } from "./sheets.js";
import { troubleLine } from "./troubles.js";

const ATTEMPTS_MAX = 16;
const TITLE_MAX = 60;
const PRESET = "preset:";

/** Opens the dialog with what is known already: folder and prompt, or a worker of the project. */
export async function openBest(app, { project_path = "", worktree = null, prompt = "" } = {}) {
  await style("groups");
  let key = randomId();
  let asked = "";
  let clis = [];
  let presets = [];
  const path = text("project_path", { required: true, placeholder: "/home/you/project", autofocus: true });
  path.value = worktree?.project ?? project_path;
  const words = h("textarea", { name: "prompt", rows: "3", dir: "auto", required: true });
  words.value = prompt;
  const name = text("name", { dir: "auto", maxlength: "200", placeholder: "as the prompt begins" });
  const base = text("base", { placeholder: "what the project has checked out" });
  const trouble = h("div");
  const rows = h("ol", { class: "attempts" });
  const add = h("button", { type: "button", on: { click: () => addRow().focus() } }, "Add an attempt");
  const problem = h("p", { class: "field-error", role: "alert", hidden: true });
  const submit = h("button", { type: "submit", class: "primary" }, "Begin");
  const form = h(
    "form",
    { class: "fields best" },
    h("p", { class: "muted" }, "Each attempt works in a worktree of its own. All begin at the same commit."),
    h("label", null, h("span", null, "Project folder"), path),
    h("label", null, "Prompt", words),
    trouble,
    h("fieldset", { class: "plain" }, h("legend", null, "Attempts"), rows, add),
    h("div", { class: "pair" }, h("label", null, "Name", name), h("label", null, "Begin at", base)),
    problem,
    h(
      "div",
      { class: "dialog-actions" },
      h("button", { type: "button", on: { click: () => dialog.close() } }, "Cancel"),
      submit,
    ),
  );
  const dialog = await openSheet("Best of several", form);
  suggestPaths(path);
  form.addEventListener("submit", begin);
  await load();

  async function load() {
    try {
      const [known, named] = await Promise.all([app.api.clis(), several.presets()]);
      clis = known.available_clis.filter(isUsable);
      presets = named.presets.filter((one) => !one.error);
      fill(trouble);
    } catch (error) {
      fill(trouble, troubleLine(`CLIs and presets could not be listed: ${error.message}`, load));
      return;
    }
    if (rows.childElementCount) return;
    addRow();
    addRow();
  }

  function addRow() {
    const by = h(
      "select",
      { name: "by" },
      h(
        "optgroup",
        { label: "CLIs" },
        clis.map((cli) => h("option", { value: cli.type }, plain(cli.name))),
      ),
      presets.length > 0 &&
        h(
          "optgroup",
          { label: "Presets" },
          presets.map((one) => h("option", { value: PRESET + one.name }, one.name)),
        ),
    );
    const model = text("model", { placeholder: "the CLI's own model", "aria-label": "Model" });
    const values = h("div", { class: "attempt-values" });
    const remove = h("button", { type: "button", class: "quiet" }, "Remove");
    const row = h("li", { class: "attempt" }, by, model, values, remove);
    by.setAttribute("aria-label", "CLI or preset");
    by.addEventListener("change", () => draw());
    remove.addEventListener("click", () => {
      row.remove();
      count();
      add.focus();
    });
    const draw = () => {
      const preset = presets.find((one) => PRESET + one.name === by.value);
      model.hidden = Boolean(preset);
      fill(
        values,
        placeholdersOf(preset).map((one) =>
          h("label", null, one, text("value", { "data-placeholder": one, required: true })),
        ),
      );
    };
    draw();
    rows.append(row);
    count();
    return by;
  }

  function count() {
    add.hidden = rows.childElementCount >= ATTEMPTS_MAX;
    for (const button of rows.querySelectorAll("li > button")) button.hidden = rows.childElementCount < 2;
  }

  function attemptOf(row) {
    const by = row.querySelector("select").value;
    if (!by.startsWith(PRESET)) {
      const model = row.querySelector("[name=model]").value.trim();
      return { ai_cli_type: by, ...(model && { model }) };
    }
    const values = [...row.querySelectorAll("[data-placeholder]")].map((input) => [
      input.dataset.placeholder,
      input.value,
    ]);
    return { preset: by.slice(PRESET.length), ...(values.length && { placeholders: Object.fromEntries(values) }) };
  }

  async function begin(event) {
    event.preventDefault();
    if (submit.disabled || !rows.childElementCount) return;
    submit.disabled = true;
    problem.hidden = true;
    const wanted = {
      name: name.value.trim() || words.value.trim().split("\n")[0].slice(0, TITLE_MAX),
      project_path: path.value.trim(),
      prompt: words.value.trim(),
      attempts: [...rows.children].map(attemptOf),
      ...(base.value.trim() && { base: base.value.trim() }),
    };
    const sign = JSON.stringify(wanted);
    // A repeated request makes one group.
    if (asked && asked !== sign) key = randomId();
    asked = sign;
    submit.textContent = "Making the worktrees…";
    try {
      const group = await several.makeGroup({ ...wanted, idempotency_key: key });
      dialog.close();
      await app.attempt("The attempts could not be compared", async () =>
        (await import("./compare.js")).openCompare(app, group),
      );
    } catch (error) {
      problem.textContent = error.message;
      problem.hidden = false;
      submit.disabled = false;
      submit.textContent = "Begin";
      submit.focus();
    }
  }
}

/** The placeholders that an attempt by a preset needs: its first message is the group's. */
function placeholdersOf(preset) {
  if (!preset) return [];
  const { placeholders, initial_message: message = "", worktree, ...rest } = preset;
  const isIn = (one, value) => new RegExp(`\\{\\{\\s*${one}\\s*\\}\\}`).test(JSON.stringify(value));
  return placeholders.filter((one) => isIn(one, rest) || !isIn(one, [message, worktree ?? ""]));
}

function text(name, props) {
  return h("input", { type: "text", name, autocomplete: "off", spellcheck: "false", ...props });
}
