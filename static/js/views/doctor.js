// The doctor of the first run: which CLIs can be used here, and what to do about those that cannot.

import { copyButton, fill, h, icon, emit } from "../lib/dom.js";
import { plain } from "../lib/text.js";

// CLIs that are still looked for are asked about this often, and so many times at most.
const LOOK_AGAIN_MS = 1000;
const LOOKS_MAX = 30;

/** Returns whether workers can use a CLI now. */
export const isUsable = (cli) => cli.enabled !== false && cli.installed !== false;

/** Describes a CLI: `{state, text, command?, hint?}`; state is `ok`, `note`, `off` or `wait`. */
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

/** The rows of some CLIs. `logIn(cli)` is a button that opens the login where there is a place for it. */
export function doctorRows(clis, logIn = (_cli) => null) {
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
            cli.logged_in === false && logIn(cli),
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

  // A login needs a terminal, and a terminal a worker: the selected one, or any of that CLI.
  function logIn(cli) {
    const { workers, selected } = app.state;
    const fits = [workers.get(selected), ...workers.values()].filter((one) => one?.ai_cli_type === cli.type);
    if (!fits.length || !cli.login_command) return null;
    const open = async () => {
      try {
        await (await import("./terminal.js")).openTerminal(fits[0], ["sh", "-c", cli.login_command]);
        check();
      } catch (failure) {
        fail(`The terminal could not be opened: ${failure.message}`);
      }
    };
    const label = `Log in to ${plain(cli.name ?? cli.type)} in a terminal`;
    return h("button", { type: "button", title: label, "aria-label": label, on: { click: open } }, "Log in…");
  }

  function fail(text) {
    error.textContent = text;
    error.hidden = false;
  }

  async function check(looks = 0) {
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
      fill(rows, clis.length ? doctorRows(clis.filter(shown), logIn) : h("p", null, "This server knows no CLI."));
      demo.hidden = note.hidden = !offered;
      found(answer);
      if (clis.some(({ installed }) => installed === null) && looks < LOOKS_MAX)
        setTimeout(() => el.isConnected && !again.disabled && check(looks + 1), LOOK_AGAIN_MS);
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

/** The middle of the page while there is no worker. */
export function mountFirstRun(root, app) {
  const create = h(
    "button",
    { type: "button", class: "primary", on: { click: () => emit(create, "create") } },
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
