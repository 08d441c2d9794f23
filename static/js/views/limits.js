// The limits of a worker's processes as fields of a form.

import { h } from "../lib/dom.js";
import { plain } from "../lib/text.js";
import { field } from "./fields.js";

/** The names of the limits in requests and presets. */
export const LIMITS = ["memory", "cpu", "pids"];

const LABELS = { memory: "Memory", cpu: "Processors", pids: "Processes and threads" };
const EXAMPLES = { memory: "2GiB", cpu: "1.5", pids: "500" };
/** @type {[string, number][]} */
const UNITS = [
  ["GiB", 2 ** 30],
  ["MiB", 2 ** 20],
  ["KiB", 2 ** 10],
];

/** The text of a limit in its field: bytes in the largest unit that has a whole number of them. */
export function limitText(name, value) {
  if (name !== "memory" || typeof value !== "number") return String(value ?? "");
  const [unit, size] = UNITS.find(([, bytes]) => value > 0 && value % bytes === 0) ?? ["", 1];
  return `${value / size}${unit}`;
}

/** The limit in a request for a field's text: null for none. A text that is not a number is left to the server. */
export function limitOf(name, text) {
  const trimmed = text.trim();
  if (!trimmed) return null;
  const number = Number(trimmed);
  return name === "memory" || Number.isNaN(number) ? trimmed : number;
}

/** The limits that the inputs are filled with, as in a request. */
export const givenIn = (inputs) =>
  Object.fromEntries(
    LIMITS.filter((name) => inputs[name].value.trim()).map((name) => [name, limitOf(name, inputs[name].value)]),
  );

/**
 * Mounts the fields: `fields` and their `inputs` by the names of the limits, and `given()` for those that are filled.
 * `update(limits)` is given those of the server.
 */
export function mountLimits() {
  const fields = Object.fromEntries(
    LIMITS.map((name) => [
      name,
      field(
        LABELS[name],
        h("input", { type: "text", name, autocomplete: "off", spellcheck: "false", inputmode: modeOf(name) }),
      ),
    ]),
  );
  const note = h("p", { class: "muted", role: "status" });
  const el = h(
    "fieldset",
    { class: "plain limits" },
    h("legend", null, "Limits of its processes together"),
    h("div", { class: "pair" }, fields.memory.el, fields.cpu.el),
    fields.pids.el,
    note,
  );
  /** @param {import("page").Limits} [limits] */
  function update(limits) {
    for (const name of LIMITS) {
      const usual = limitText(name, limits?.[name]);
      fields[name].input.placeholder = usual ? `${usual}, as the server is set` : `none, or as ${EXAMPLES[name]}`;
    }
    note.textContent =
      limits && !limits.enforced
        ? `This server does not enforce limits: ${plain(limits.reason)}. Those set here are kept for when it does.`
        : "";
  }
  update();
  const inputs = Object.fromEntries(LIMITS.map((name) => [name, fields[name].input]));
  const given = () => givenIn(inputs);
  return { el, fields, inputs, given, update };
}

const modeOf = (name) => ({ cpu: "decimal", pids: "numeric" })[name];
