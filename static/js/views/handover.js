// The dialog that continues a conversation in another CLI or model.

import { fill, h, randomId } from "../lib/dom.js";
import { work } from "../lib/work.js";
import { plain } from "../lib/text.js";
import { isUsable } from "./doctor.js";
import { troubleLine } from "./troubles.js";
import { openSheet } from "./sheets.js";

/** Opens the dialog for a worker. */
export async function openHandOver(app, worker) {
  let key = randomId();
  let asked = "";
  const clis = h("select", { name: "ai_cli_type", autofocus: true });
  const trouble = h("div");
  const field = (name, props) =>
    h("input", { type: "text", name, autocomplete: "off", spellcheck: "false", ...props });
  const model = field("model", { placeholder: "the CLI's own choice" });
  const name = field("name", { dir: "auto", maxlength: "200", placeholder: `${plain(worker.name)} (…)` });
  const text = h("textarea", { name: "text", rows: "2", dir: "auto", placeholder: "optional" });
  const where = choice("where", "Where", [
    ["same", "In the same folder"],
    ["copy", "In a new worktree that is a copy"],
  ]);
  const as = choice("as", "The conversation so far", [
    ["message", "In the first message"],
    ["file", "In a file of the project that git ignores"],
  ]);
  const uncommitted = h("input", { type: "checkbox" });
  uncommitted.checked = true;
  const along = h("label", { class: "check" }, uncommitted, "With the changes that are not committed");
  const runs = h("input", { type: "checkbox" });
  // Two agents in one folder disturb each other: that is asked for, or the server refuses it.
  const both = h("label", { class: "check" }, runs, "Although this worker still runs there");
  const problem = h("p", { class: "field-error", role: "alert", hidden: true });
  const submit = h("button", { type: "submit", class: "primary" });
  const form = h(
    "form",
    { class: "fields" },
    h("p", { class: "muted" }, "A new worker continues this conversation. This one stays as it is."),
    trouble,
    h("label", null, "CLI", clis),
    h("label", null, "Model", model),
    h("label", null, "Name", name),
    where.el,
    along,
    both,
    as.el,
    h("label", null, "What it is to do next", text),
    problem,
    h(
      "div",
      { class: "dialog-actions" },
      h("button", { type: "button", on: { click: () => dialog.close() } }, "Cancel"),
      submit,
    ),
  );
  const dialog = await openSheet(`Hand over ${plain(worker.name)}`, form);
  form.addEventListener("change", draw);
  form.addEventListener("submit", handOver);
  draw();
  await load();

  async function load() {
    try {
      const { available_clis: all } = await app.api.clis();
      fill(trouble);
      fill(
        clis,
        all.filter(isUsable).map((cli) => h("option", { value: cli.type }, plain(cli.name))),
      );
      clis.value = worker.ai_cli_type;
      draw();
    } catch (error) {
      fill(trouble, troubleLine(`The CLIs could not be listed: ${error.message}`, load));
    }
  }

  function draw() {
    const to = clis.selectedOptions[0]?.textContent ?? plain(worker.ai_cli_type);
    const { status } = app.state.workers.get(worker.id) ?? worker;
    along.hidden = where.value() !== "copy";
    both.hidden = where.value() === "copy" || ["stopped", "failed"].includes(status);
    submit.textContent = `Hand over to ${to}${where.value() === "copy" ? " in a copy" : ""}`;
  }

  async function handOver(event) {
    event.preventDefault();
    if (submit.disabled) return;
    submit.disabled = true;
    problem.hidden = true;
    const given = {
      ai_cli_type: clis.value,
      model: model.value.trim(),
      name: name.value.trim(),
      text: text.value.trim(),
    };
    const wanted = Object.fromEntries(Object.entries(given).filter(([, value]) => value));
    const force = !both.hidden && runs.checked ? { force: true } : {};
    const left = !along.hidden && !uncommitted.checked ? { uncommitted: "leave" } : {};
    const fields = { ...wanted, ...force, ...left, where: where.value(), as: as.value() };
    const sign = JSON.stringify(fields);
    // A repeated request makes one worker.
    if (asked && asked !== sign) key = randomId();
    asked = sign;
    try {
      const made = await work.handOver(worker.id, { ...fields, idempotency_key: key });
      dialog.close();
      app.created(made);
    } catch (error) {
      problem.textContent = error.message;
      problem.hidden = false;
      submit.textContent = "Try again";
      submit.disabled = false;
      submit.focus();
    }
  }
}

function choice(name, title, options) {
  const inputs = options.map(([value], at) => {
    const input = h("input", { type: "radio", name, value });
    input.checked = at === 0;
    return input;
  });
  return {
    el: h(
      "fieldset",
      { class: "plain" },
      h("legend", null, title),
      inputs.map((input, at) => h("label", { class: "check" }, input, options[at][1])),
    ),
    value: () => inputs.find((input) => input.checked).value,
  };
}
