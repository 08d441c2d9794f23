// Model, permission mode and the other options of the open worker, in the composer's foot, with how full its context
// is. Emits `setting` {name, value}, `chooseModel`, `command` {text}.

import { arrange, h, emit } from "../lib/dom.js";
import { mountContext } from "./context.js";
import { plain } from "../lib/text.js";

// The permission modes in plain words.
const MODES = {
  default: "Ask first",
  acceptEdits: "Accept edits",
  plan: "Plan only",
  bypassPermissions: "Never ask",
  dontAsk: "Deny instead of asking",
  auto: "Auto",
};

// The entry that asks for another model; no CLI calls one so.
const OTHER = "\u0000other";

function otherSetting(option, el) {
  const set = (value) => emit(el, "setting", { name: option.id, value });
  const label = plain(option.name);
  if (option.type === "boolean") {
    const box = h("input", {
      type: "checkbox",
      checked: option.value === true,
      on: { change: () => set(box.checked) },
    });
    return h("label", { class: "setting", title: plain(option.description ?? label) }, box, ` ${label}`);
  }
  const select = h(
    "select",
    {
      class: "setting",
      "aria-label": label,
      title: plain(option.description ?? label),
      on: { change: () => set(select.value) },
    },
    option.choices.map((choice) =>
      h("option", { value: choice.value, selected: choice.value === option.value }, plain(choice.name)),
    ),
  );
  return select;
}

const wordOf = (name, value) => (/mode$/.test(name) ? MODES[value] : undefined);

/** The choices of a CLI's option, as `[{value, label}]`. */
export function choicesOf(cli, name) {
  const option = cli?.config_options?.find?.((entry) => entry.name === name);
  return (option?.choices ?? []).map((value) => ({ value, label: wordOf(name, value) ?? value }));
}

/**
 * The models that can be chosen, as `[{value, label}]`: those that the worker's CLI has listed, else those that
 * another worker of the same kind has heard of, else the usual names; null where the CLI takes none.
 */
export function modelsOf(options, cli) {
  const listed = listedChoices(options, "model") ?? listedChoices(cli?.known_options?.options, "model");
  if (listed) return listed;
  return cli?.config_options?.some((entry) => entry.name === "model") ? choicesOf(cli, "model") : null;
}

/** The choices that the worker's CLI itself has listed for a category, as `[{value, label}]`; null before it has. */
export function listedChoices(options, category) {
  const option = options?.find((entry) => entry.category === category);
  if (!option?.choices?.length) return null;
  return option.choices.map(({ value, name }) => ({ value, label: wordOf(category, value) ?? name ?? value }));
}

/** Options that are neither model nor mode and can be set here. */
export const otherOptions = (options) =>
  (options ?? []).filter((option) => option.settable && !["model", "mode"].includes(option.category));

/** Mounts them; `commands()` promises the slash commands of the open worker's CLI. */
export function mountSettings(app, commands) {
  const mode = h("select", { class: "setting", "aria-label": "Permission mode", title: "Permission mode" });
  const models = h("select", { class: "setting", "aria-label": "Model", title: "Model" });
  const others = h("span", { class: "settings" });
  const context = mountContext(commands);
  const next = h("span", { class: "next-start", hidden: true });
  const effort = h("span", { class: "muted", hidden: true });
  const el = h("div", { class: "settings" }, mode, models, effort, others, next, context.el);
  const listed = { of: "", options: null };
  let clis = null;
  let asked = false;
  let drawn = "";

  function load() {
    asked = true;
    return app.attempt("The choices of models and modes could not be loaded", async () => {
      clis = (await app.api.clis()).available_clis;
      app.update();
    });
  }
  mode.addEventListener("change", () => {
    // The choice shows what is in force: a wish does not, before the CLI has accepted it.
    drawn = "";
    emit(el, "setting", { name: "permission_mode", value: mode.value });
  });
  // The CLI's list may change with each start.
  async function list(worker) {
    const of = `${worker.id} ${["stopped", "failed", "starting"].includes(worker.status)}`;
    if (listed.of === of) return;
    if (!listed.of.startsWith(worker.id)) listed.options = null;
    listed.of = of;
    await app.attempt("The settings of this worker could not be loaded", async () => {
      const { options } = await app.api.options(worker.id);
      if (listed.of !== of) return;
      listed.options = options ?? null;
      app.update();
    });
  }
  models.addEventListener("change", () => {
    const { value } = models;
    drawn = "";
    // It shows what is in force until the CLI has accepted another.
    app.update();
    if (value === OTHER) emit(el, "chooseModel");
    else emit(el, "setting", { name: "model", value });
  });

  function update(worker, conv) {
    el.hidden = !worker;
    if (!worker) return;
    if (!asked) load();
    list(worker);
    const level = worker.next_start?.effort;
    effort.hidden = !level;
    effort.textContent = level ? `effort ${plain(level)}` : "";
    const options = conv?.options ?? listed.options;
    const session = conv?.session ?? {};
    const cli = clis?.find((entry) => entry.type === worker.ai_cli_type);
    const current = session.permission_mode ?? worker.permission_mode ?? worker.options?.permission_mode ?? "";
    const name = session.model ?? worker.model ?? worker.options?.model ?? "";
    context.update(conv, name);
    const coming = [worker.next_start?.permission_mode, worker.next_start?.model];
    const sign = JSON.stringify([worker.id, current, name, coming, clis !== null, options]);
    if (sign === drawn) return;
    drawn = sign;
    const choices = listedChoices(options, "mode") ?? choicesOf(cli, "permission_mode");
    if (!choices.some((choice) => choice.value === current))
      choices.unshift({ value: current, label: current ? (MODES[current] ?? plain(current)) : "Permission mode" });
    const offered = choices.length > 1;
    arrange(
      mode,
      choices.map(({ value, label }) => h("option", { value }, label)),
    );
    mode.value = current;
    mode.hidden = !offered && !current;
    // A CLI may report a model by a longer name than the one that it was asked for.
    const changes = [
      coming[0] && current && coming[0] !== current && (MODES[coming[0]] ?? coming[0]),
      coming[1] && name && !name.includes(coming[1]) && coming[1],
    ].filter(Boolean);
    next.hidden = changes.length === 0;
    next.textContent = changes.length ? `next start: ${plain(changes.join(", "))}` : "";
    const offeredModels = modelsOf(options, cli) ?? (name ? [] : null);
    models.hidden = offeredModels === null;
    if (offeredModels) {
      // The CLI may report the full form of a short name.
      const inForce = options?.find((entry) => entry.category === "model")?.value ?? name;
      const value = offeredModels.some((choice) => choice.value === name) ? name : inForce;
      if (!offeredModels.some((choice) => choice.value === value))
        offeredModels.unshift({ value, label: plain(value || "Model") });
      arrange(
        models,
        [...offeredModels, { value: OTHER, label: "Other…" }].map((choice) =>
          h("option", { value: choice.value }, plain(choice.label)),
        ),
      );
      models.value = value;
    }
    arrange(
      others,
      otherOptions(options).map((option) => otherSetting(option, el)),
    );
  }

  return { el, update };
}
