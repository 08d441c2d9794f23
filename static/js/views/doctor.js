// The doctor of the first run: which CLIs can be used here, and what to do about those that cannot.

import { copyButton, fill, h, icon, tell } from "../lib/dom.js";
import { plain } from "../lib/text.js";

/** Whether workers can use a CLI now. */
export const isUsable = (cli) => cli.enabled !== false && cli.installed !== false;

/** What is to be said of a CLI: `{state, text, command?, hint?}`; state is `ok`, `note`, `off` or `wait`. */
export function findings(cli) {
  const version = plain(cli.version ?? "");
  if (cli.enabled === false)
    return { state: "off", text: "Switched off on this server", hint: `ENABLED_AI_CLIS does not name ${cli.type}.` };
  if (cli.installed === null) return { state: "wait", text: "Looking for it…" };
  if (cli.installed === false) {
    const why = plain(cli.reason ?? "").split("; to install it:")[0];
    return { state: "off", text: "Not installed", command: commandOf(cli.install), hint: why };
  }
  if (cli.reason) return { state: "note", text: plain(cli.reason), command: commandOf(cli.install) };
  if (cli.logged_in === false)
    return {
      state: "note",
      text: `${version ? `${version}, ` : ""}no login found`,
      command: cli.login_command,
      hint: cli.key_setting && `Or set ${cli.key_setting} for the server.`,
    };
  const login = cli.logged_in ? "logged in" : "";
  return { state: "ok", text: ["Installed", version, login].filter(Boolean).join(", ") };
}

// Instructions may be a command, or words with one in backquotes.
function commandOf(install) {
  const text = plain(install ?? "").trim();
  const quoted = /`([^`]+)`/.exec(text)?.[1];
  return quoted ?? text;
}

const MARKS = { ok: "check", note: "help", off: "cross", wait: "search" };
const WORDS = { ok: "ready", note: "needs attention", off: "cannot be used", wait: "unknown" };

/** The rows of some CLIs. */
export function doctorRows(clis) {
  return h(
    "ul",
    { class: "doctor" },
    clis.map((cli) => {
      const { state, text, command, hint } = findings(cli);
      return h(
        "li",
        { class: `doctor-row is-${state}` },
        h(
          "span",
          { class: "doctor-mark" },
          icon(MARKS[state]),
          h("span", { class: "visually-hidden" }, WORDS[state]),
        ),
        h("b", { class: "doctor-name" }, plain(cli.name ?? cli.type)),
        h("span", { class: "doctor-text" }, text),
        command &&
          h(
            "span",
            { class: "doctor-command" },
            h("code", null, command),
            copyButton(() => command, `Copy the command for ${plain(cli.name ?? cli.type)}`),
          ),
        hint && h("span", { class: "doctor-hint muted" }, hint),
      );
    }),
  );
}

/**
 * Mounts the doctor: rows, "Check again", the demo. `found` is given the answer each time; only the CLIs that pass
 * `shown` have a row. `failed` is called when there was no answer.
 */
export function mountDoctor(app, found = (_answer) => {}, shown = (_cli) => true, failed = () => {}) {
  const rows = h("div", { class: "doctor-rows", "aria-live": "polite" });
  const again = h("button", { type: "button", on: { click: () => check() } }, "Check again");
  const demo = h("button", { type: "button", hidden: true }, "Try the demo agent");
  const note = h(
    "p",
    { class: "muted doctor-demo", hidden: true },
    "The demo agent needs no CLI and no key, and changes nothing.",
  );
  const error = h("p", { class: "field-error", role: "alert", hidden: true });
  const el = h("div", { class: "doctor-box" }, rows, h("div", { class: "doctor-actions" }, again, demo), note, error);
  let offered = null;
  let count = 0;
  demo.addEventListener("click", async () => {
    demo.disabled = true;
    error.hidden = true;
    try {
      const worker = await app.api.create({
        name: "Demo",
        ai_cli_type: offered.type,
        project_path: offered.project_path,
        initial_message: "Show me what you can do",
      });
      el.closest("dialog")?.close();
      app.created(worker);
    } catch (failure) {
      fail(`The demo could not be started: ${failure.message}`);
    }
    demo.disabled = false;
  });

  function fail(text) {
    error.textContent = text;
    error.hidden = false;
  }

  async function check() {
    again.disabled = true;
    error.hidden = true;
    if (!rows.firstChild)
      fill(
        rows,
        h(
          "p",
          { class: "muted doctor-wait" },
          h("span", { class: "spinner", "aria-hidden": "true" }),
          "Looking for CLIs…",
        ),
      );
    try {
      const answer = await app.api.clis();
      const clis = answer.available_clis ?? [];
      offered = answer.demo ?? null;
      count = clis.filter(shown).length;
      fill(rows, clis.length ? doctorRows(clis.filter(shown)) : h("p", null, "This server knows no CLI."));
      demo.hidden = note.hidden = !offered;
      found(answer);
    } catch (failure) {
      fill(rows);
      fail(`The CLIs could not be looked up: ${failure.message}`);
      failed();
    }
    again.disabled = false;
  }
  check();
  return { el, check, isEmpty: () => count === 0 };
}

/** What stands in the middle when there is no worker yet. */
export function mountFirstRun(root, app) {
  const create = h(
    "button",
    { type: "button", class: "primary", on: { click: () => tell(create, "create") } },
    icon("add"),
    "New worker",
  );
  const lead = h("p", { class: "muted" });
  const doctor = mountDoctor(app, ({ available_clis: clis }) => {
    const usable = (clis ?? []).filter(isUsable).length;
    create.classList.toggle("primary", usable > 0);
    lead.textContent = usable
      ? "Choose a project folder and say what is to be done."
      : "No coding CLI can be used yet. Install one, then check again; or try the demo agent.";
  });
  fill(
    root,
    h(
      "div",
      { class: "first-run" },
      h("h1", null, "Welcome"),
      h(
        "p",
        null,
        "A worker is one session of a coding CLI in one project folder. It keeps working when you close this page, ",
        "and asks you here, on any device.",
      ),
      lead,
      h("h2", null, "CLIs on this server"),
      doctor.el,
      h("div", { class: "first-run-actions" }, create),
    ),
  );
  return doctor;
}
