// The presets of the dialog that makes a worker: one is chosen, its fields fill the form, its placeholders become
// fields, and the filled form can be saved as another one.

import { arrange, fill, h } from "../lib/dom.js";
import { several } from "../lib/several.js";
import { plain, plural } from "../lib/text.js";
import { confirm } from "./dialogs.js";
import { givenIn, LIMITS, limitOf, limitText } from "./limits.js";
import { troubleLine } from "./troubles.js";

const SUGGEST_AFTER_MS = 120;
// Fields of presets that the form has no field for.
const HIDDEN = ["system_prompt", "args", "env", "runner"];
const NAME = "[a-z0-9_\\-]{1,64}";

/** The texts of the form's fields, as a preset has them. */
const TEXTS = ["model", "permission_mode", "effort", "initial_message"];
const FIELDS = [...TEXTS, ...LIMITS];

/** The text of a preset's field in the form; undefined if it has none. */
function textIn(preset, field) {
  const value = preset?.[field];
  return value === undefined || TEXTS.includes(field) ? value : limitText(field, value);
}

/** The fields that are boxes. */
const BOXES = ["worktree", "mcp"];

/** A text with these values for its placeholders. */
export const filled = (text, values) =>
  text.replace(/\{\{\s*(\w+)\s*\}\}/g, (whole, name) => (Object.hasOwn(values, name) ? values[name] : whole));

/**
 * Mounts the choice of a preset. `form` has the inputs `path`, `model`, `permission_mode`, `effort`, `worktree`,
 * `mcp`, `initial_message` and those of the limits, and `cli()` and `chooseCli(type)`. `apply(wanted)` puts the preset
 * into a request, or returns false.
 */
export function mountPresets(place, form) {
  let presets = [];
  let chosen = null;
  // The preset of the project is chosen until a person chooses one.
  let isOwn = false;
  let asked = "";
  let timer = 0;
  const choice = h("select", { name: "preset" });
  const trouble = h("div");
  const projectTrouble = h("div");
  const about = h("p", { class: "muted preset-about", hidden: true });
  const values = h("div", { class: "fields", hidden: true });
  const name = h("input", {
    type: "text",
    name: "preset_name",
    autocomplete: "off",
    spellcheck: "false",
    maxlength: "64",
    pattern: NAME,
    title: "Lower-case letters, digits, - and _",
  });
  const saveButton = h("button", { type: "button", on: { click: save } }, "Save");
  const removeButton = h("button", { type: "button", class: "danger-text", hidden: true, on: { click: remove } });
  const problem = h("p", { class: "field-error", role: "alert", hidden: true });
  const done = h("p", { class: "muted", role: "status" });
  const saving = h(
    "details",
    { class: "preset-saving" },
    h("summary", null, "Save as preset"),
    h(
      "div",
      { class: "fields" },
      h("label", null, "Name of the preset", name),
      problem,
      h("div", { class: "dialog-actions" }, removeButton, saveButton),
      done,
    ),
  );
  fill(place, trouble, h("label", { class: "preset-choice" }, "Preset", choice), projectTrouble, about, values);
  choice.addEventListener("change", () => {
    isOwn = true;
    choose(choice.value);
  });
  name.addEventListener("input", drawSaving);
  name.addEventListener("keydown", (event) => {
    if (event.key !== "Enter" || event.ctrlKey || event.metaKey) return;
    event.preventDefault();
    save();
  });
  form.path.addEventListener("input", lookUp);
  form.path.addEventListener("change", lookUp);
  load().then(lookUp);

  async function load() {
    try {
      ({ presets } = await several.presets());
      fill(trouble);
    } catch (failure) {
      fill(
        trouble,
        troubleLine(`The presets could not be listed: ${failure.message}`, () => load().then(lookUp)),
      );
    }
    draw();
  }

  function draw() {
    arrange(choice, [
      h("option", { value: "" }, "none"),
      ...presets.map((one) =>
        h(
          "option",
          { value: one.name, disabled: Boolean(one.error) },
          one.error ? `${one.name} (${plain(one.error)})` : one.name,
        ),
      ),
    ]);
    choice.value = chosen?.name ?? "";
    choice.parentElement.hidden = presets.length === 0;
    place.hidden = presets.length === 0 && trouble.childElementCount === 0;
    drawSaving();
  }

  /** Chooses the preset of a name; "" for none. */
  function choose(wanted) {
    const before = chosen;
    chosen = presets.find((one) => one.name === wanted && !one.error) ?? null;
    choice.value = chosen?.name ?? "";
    for (const field of FIELDS) {
      const { [field]: input } = form;
      // Of the preset before, only what nobody has changed goes.
      const isLeft = input.value.trim() === textIn(before, field)?.trim();
      if (field === "permission_mode" && chosen?.ai_cli_type) form.chooseCli(chosen.ai_cli_type);
      // A message that somebody has written is not lost.
      const isWritten = field === "initial_message" && input.value.trim() && !isLeft;
      if (chosen?.[field] !== undefined && !isWritten) setValue(input, textIn(chosen, field));
      else if (isLeft) input.value = "";
    }
    for (const field of BOXES)
      if (chosen?.[field] !== undefined) form[field].checked = Boolean(chosen[field]);
      else if (before?.[field]) form[field].checked = false;
    if (chosen) name.value = chosen.name;
    drawChosen();
    drawSaving();
  }

  function drawChosen() {
    const kept = Object.fromEntries(fieldsOf().map((input) => [input.dataset.placeholder, input.value]));
    arrange(
      values,
      (chosen?.placeholders ?? []).map((one) => {
        const input = h("input", {
          type: "text",
          dir: "auto",
          autocomplete: "off",
          "data-placeholder": one,
          on: { input: () => input.removeAttribute("aria-invalid") },
        });
        input.value = kept[one] ?? "";
        return h("label", null, one, input);
      }),
    );
    values.hidden = !chosen?.placeholders.length;
    const words = HIDDEN.filter((field) => chosen?.[field] !== undefined).map((field) =>
      describe(field, chosen[field]),
    );
    const from = chosen && !isOwn ? "The preset of this project. " : "";
    about.textContent = from + (words.length ? `It sets also: ${words.join(", ")}.` : "");
    about.hidden = !about.textContent;
  }

  // A box that does not fit the CLI is hidden, and says nothing.
  const isChecked = (field) => form[field].checked && !form[field].closest("[hidden]");

  const fieldsOf = () => /** @type {HTMLInputElement[]} */ ([...values.querySelectorAll("input")]);

  // The preset of the project, once the folder is typed.
  function lookUp() {
    clearTimeout(timer);
    if (isOwn || !presets.length) return;
    timer = setTimeout(ask, SUGGEST_AFTER_MS);
  }

  async function ask() {
    const path = form.path.value.trim();
    if (path === asked && projectTrouble.childElementCount === 0) return;
    asked = path;
    try {
      const [project] = path.startsWith("/") ? (await several.projectOf(path)).projects : [];
      fill(projectTrouble);
      // Somebody has chosen, or typed on, meanwhile.
      if (!isOwn && path === form.path.value.trim() && (project?.preset ?? "") !== (chosen?.name ?? ""))
        choose(project?.preset ?? "");
    } catch (failure) {
      fill(projectTrouble, troubleLine(`The project's preset could not be looked up: ${failure.message}`, ask));
    }
  }

  function drawSaving() {
    const exists = presets.some((one) => one.name === name.value.trim());
    saveButton.textContent = exists ? `Replace ${name.value.trim()}` : "Save";
    removeButton.hidden = !exists;
    removeButton.textContent = `Delete ${name.value.trim()}`;
  }

  async function save() {
    problem.hidden = true;
    done.textContent = "";
    const wanted = name.value.trim();
    if (!new RegExp(`^${NAME}$`).test(wanted))
      return refused(new Error("A name has 1 to 64 lower-case letters, digits, - and _."));
    /** @type {Record<string, any>} */
    const fields = { ai_cli_type: form.cli() };
    for (const field of TEXTS)
      if (form[field].value.trim() && !form[field].closest("[hidden]")) fields[field] = form[field].value.trim();
    for (const field of BOXES) if (isChecked(field)) fields[field] = chosen?.[field] || true;
    Object.assign(fields, givenIn(form));
    // Fields that the form does not show are taken over; so are the variables, whose values only the server knows.
    for (const field of HIDDEN) if (chosen?.[field] !== undefined) fields[field] = chosen[field];
    if (fields.env) fields.env = Object.fromEntries(fields.env.map((one) => [one, null]));
    return keep(`${wanted} is saved.`, async () => {
      await several.savePreset(wanted, fields, chosen?.name);
      isOwn = true;
      return wanted;
    });
  }

  async function remove() {
    const wanted = name.value.trim();
    const sure = await confirm(
      "Delete the preset?",
      `The preset ${wanted} is deleted for everybody.`,
      `Delete ${wanted}`,
    );
    if (!sure) return removeButton.focus();
    return keep(`${wanted} is deleted.`, async () => {
      await several.removePreset(wanted);
      return chosen?.name === wanted ? "" : (chosen?.name ?? "");
    });
  }

  async function keep(words, run) {
    problem.hidden = true;
    saveButton.disabled = true;
    try {
      const next = await run();
      await load();
      if (next !== (chosen?.name ?? "") || next) choose(next);
      done.textContent = words;
      name.focus();
    } catch (failure) {
      refused(failure);
    }
    saveButton.disabled = false;
  }

  function refused(failure) {
    problem.textContent = failure.message;
    problem.hidden = false;
    name.focus();
  }

  function setValue(input, value) {
    // A mode that the list does not have is offered too.
    if (input.matches("select") && ![...input.options].some((option) => option.value === value))
      input.append(h("option", { value }, plain(value)));
    input.value = value;
  }

  return {
    saving,
    /** The list of CLIs is drawn anew. */
    clisDrawn() {
      if (chosen?.ai_cli_type) form.chooseCli(chosen.ai_cli_type);
      if (chosen?.permission_mode) setValue(form.permission_mode, chosen.permission_mode);
    },
    /** The CLI was chosen by hand: models and arguments of another one do not fit it. */
    cliChosen(type) {
      if (!chosen?.ai_cli_type || chosen.ai_cli_type === type) return;
      isOwn = true;
      choose("");
    },
    /** Puts the preset into a request; false when a value is missing. */
    apply(wanted) {
      if (!chosen) return true;
      const given = Object.fromEntries(fieldsOf().map((input) => [input.dataset.placeholder, input.value]));
      const missing = fieldsOf().find((input) => !input.value.trim());
      if (missing) {
        missing.setAttribute("aria-invalid", "true");
        missing.focus();
        return false;
      }
      wanted.preset = chosen.name;
      if (fieldsOf().length) wanted.placeholders = given;
      for (const field of FIELDS) {
        const { value } = form[field];
        if (chosen[field] === undefined) continue;
        // The server fills in the unchanged fields of the preset.
        if (value.trim() === textIn(chosen, field).trim()) delete wanted[field];
        else if (LIMITS.includes(field)) wanted[field] = limitOf(field, value);
        else wanted[field] = filled(value.trim(), given);
      }
      for (const field of BOXES)
        if (chosen[field] !== undefined)
          if (isChecked(field) === Boolean(chosen[field])) delete wanted[field];
          else wanted[field] = isChecked(field);
      return true;
    },
  };
}

function describe(field, value) {
  switch (field) {
    case "system_prompt":
      return "a system prompt";
    case "args":
      return plural(value.length, "argument");
    case "env":
      return `the variables ${value.map(plain).join(", ")}`;
    default:
      return `the runner ${plain(value)}`;
  }
}
