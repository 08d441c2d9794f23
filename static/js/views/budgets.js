// Budgets: what is used of them, and a new one.

import { call } from "../lib/api.js";
import { fill, h } from "../lib/dom.js";
import { dollars, plain } from "../lib/text.js";
import { openDialog } from "./dialogs.js";
import { troubleLine } from "./troubles.js";

const LIMITS = [
  ["cost_usd", "Cost in US dollars", "0.01"],
  ["tokens", "Tokens", "1"],
  ["turns", "Turns", "1"],
  ["running_secs", "Seconds of running turns", "1"],
];
const UNITS = { tokens: "tokens", turns: "turns", running_secs: "seconds" };
const SCOPES = { all: "All workers", project: "A project", preset: "A preset", worker: "A worker" };

const amount = (name, value) =>
  name === "cost_usd" ? dollars(value) || "$0" : `${Math.round(value).toLocaleString("en")} ${UNITS[name]}`;

/** The used amounts, as `$1.20 of $20`. */
const used = (budget) =>
  Object.entries(budget.limits)
    .map(([name, limit]) => `${amount(name, budget.used[name])} of ${amount(name, limit)}`)
    .join(" · ");

/** The workers, the time and the state of a budget. */
function facts(budget) {
  const scope = budget.scope === "all" ? SCOPES.all : `${budget.scope} ${budget[budget.scope]}`;
  const about = [scope, budget.period === "day" ? "each day (UTC)" : "in total", budget.note].filter(Boolean);
  const held = budget.held.map((worker) => worker.name).join(", ");
  return [
    h("div", { dir: "auto" }, `${budget.percent} % used: ${used(budget)}`),
    h("progress", { max: "100", value: String(Math.min(budget.percent, 100)), "aria-label": "Used part" }),
    h("div", { class: "muted", dir: "auto" }, plain(about.join(" · "))),
    budget.counts === "tokens" &&
      h(
        "div",
        { class: "muted" },
        `${budget.counted_in_tokens.length} of its workers report no cost: ` +
          `${dollars(budget.used.estimated_cost_usd) || "$0"} is estimated from tokens.`,
      ),
    held && h("div", { class: "field-error", dir: "auto" }, plain(`Messages wait in ${held}`)),
  ];
}

/**
 * Opens the list with the form for a new budget.
 * @param {any} _app
 * @param {any} worker the selected one, if any
 */
export function openBudgets(_app, worker) {
  const list = h("ul", { class: "logins rules budgets", "aria-label": "Budgets" });
  const note = h("p", { class: "muted", role: "status" }, "Loading…");
  const error = h("div");
  const form = newBudget(worker, (body) => act(() => call("POST", "api/budgets", body)));
  openDialog("Budgets", [note, list, form, error], { wide: true });
  act();

  /**
   * Runs a command, then draws the budgets that there are.
   * @param {() => Promise<unknown>} [command]
   */
  async function act(command) {
    fill(error);
    try {
      await command?.();
      const { budgets } = await call("GET", "api/budgets");
      fill(list, budgets.map(row));
      note.textContent = budgets.length
        ? "A budget that is used up interrupts turns, holds messages and asks you."
        : "No budgets. Nothing limits what the workers use.";
      return true;
    } catch (failure) {
      fill(
        error,
        troubleLine(failure.message, () => act(command)),
      );
      return false;
    }
  }

  function row(budget) {
    const path = `api/budgets/${encodeURIComponent(budget.id)}`;
    const limits = Object.entries(budget.limits).map(([name, limit]) => {
      const input = h("input", { type: "number", min: "0", step: "any", value: String(limit), name });
      return h("label", { class: "field" }, h("span", null, LIMITS.find(([known]) => known === name)[1]), input);
    });
    const change = (event) => {
      event.preventDefault();
      const entries = [...new FormData(event.target)].map(([name, value]) => [name, Number(value)]);
      return act(() => call("PATCH", path, { limits: Object.fromEntries(entries) }));
    };
    return h(
      "li",
      null,
      h(
        "div",
        null,
        h("strong", { dir: "auto" }, plain(budget.name)),
        facts(budget),
        h(
          "details",
          null,
          h("summary", null, "Change the limits"),
          h("form", { on: { submit: change } }, limits, h("button", { type: "submit" }, "Save")),
        ),
      ),
      h(
        "button",
        {
          type: "button",
          "aria-label": `Remove ${plain(budget.name)}`,
          on: { click: () => act(() => call("DELETE", path)) },
        },
        "Remove",
      ),
    );
  }
}

/**
 * The form for a new budget.
 * @param {any} selected
 * @param {(body: object) => Promise<boolean>} add
 */
function newBudget(selected, add) {
  const field = (label, control) => h("label", { class: "field" }, h("span", null, label), control);
  const choice = (options) =>
    h(
      "select",
      null,
      Object.entries(options).map(([value, text]) => h("option", { value }, text)),
    );
  const name = h("input", { type: "text", required: true, maxlength: "80" });
  const scope = choice(SCOPES);
  const subject = h("input", { type: "text", dir: "auto" });
  const whose = field("Folder, preset or worker id", subject);
  const period = choice({ day: "Each day (UTC)", total: "In total" });
  const limits = LIMITS.map(([limit, label, step]) => [
    limit,
    label,
    h("input", { type: "number", min: "0", step, inputmode: "decimal" }),
  ]);
  const follow = () => {
    whose.hidden = scope.value === "all";
    subject.required = !whose.hidden;
    subject.value =
      (scope.value === "worker" && selected?.id) || (scope.value === "project" && selected?.project_path) || "";
  };
  scope.addEventListener("change", follow);
  follow();
  const submit = async (event) => {
    event.preventDefault();
    const given = limits
      .filter(([, , input]) => input.value !== "")
      .map(([limit, , input]) => [limit, Number(input.value)]);
    const body = { name: name.value.trim(), period: period.value, limits: Object.fromEntries(given) };
    if (scope.value !== "all") body[scope.value] = subject.value.trim();
    if (await add(body)) form.reset();
    follow();
  };
  const form = h(
    "form",
    { on: { submit } },
    field("Name", name),
    field("For", scope),
    whose,
    field("Period", period),
    limits.map(([, label, input]) => field(label, input)),
    h("div", { class: "dialog-actions" }, h("button", { type: "submit", class: "primary" }, "Add budget")),
  );
  return h("details", null, h("summary", null, "New budget…"), form);
}
