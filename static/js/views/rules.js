// Rules that answer permission prompts: the list, and a new one from a prompt.

import { at, call } from "../lib/api.js";
import { fill, h, emit } from "../lib/dom.js";
import { moment, plain } from "../lib/text.js";
import { openDialog } from "./dialogs.js";
import { troubleLine } from "./troubles.js";

const EFFECTS = { allow: "Allows", ask: "Asks for", deny: "Denies" };
const promptPath = (worker, request) => at(worker, `/permission-rule/${encodeURIComponent(request)}`);

/**
 * Opens the list, or the offer of a rule for a prompt; or the schedules, whose entries come this way so that no page
 * loads more for them at its start.
 * @param {{ worker?: string, request?: string, key?: string, option?: string, schedules?: boolean }} detail
 */
export async function openRules(detail) {
  if (detail.schedules) (await import("./schedules.js")).openSchedules();
  else if (detail.request) openOffer(detail);
  else openList();
}

/** The effect of a rule, its tool, patterns and scope. */
function facts(rule) {
  const subject = [...rule.commands, ...rule.paths].join(" · ") || rule.tool || "everything";
  const scope = [rule.tool, rule.cli, rule.project, rule.worker && `worker ${rule.worker}`].filter(Boolean);
  if (rule.expires_at) scope.push(`until ${moment(rule.expires_at)}`);
  return [
    h("div", { dir: "auto" }, `${EFFECTS[rule.effect]} `, h("code", null, plain(subject))),
    h("div", { class: "muted", dir: "auto" }, plain(scope.join(" · "))),
  ];
}

function openList() {
  const list = h("ul", { class: "logins rules", "aria-label": "Rules" });
  const note = h("p", { class: "muted", role: "status" }, "Loading…");
  const error = h("div");
  openDialog("Rules", [note, list, error], { wide: true });
  act();

  /**
   * Runs a command, then draws the rules that are left.
   * @param {() => Promise<unknown>} [command]
   */
  async function act(command) {
    fill(error);
    try {
      await command?.();
      const { rules } = await call("GET", "api/rules");
      fill(list, rules.map(row));
      note.textContent = rules.length
        ? "Rules answer requests without you. The history names them."
        : "No rules. “Always do this…” on a request makes one.";
    } catch (failure) {
      fill(
        error,
        troubleLine(failure.message, () => act(command)),
      );
    }
  }

  function row(rule, index) {
    const revoke = async () => {
      await act(() => call("DELETE", `api/rules/${encodeURIComponent(rule.id)}`));
      // The button that had the focus is gone: the next one gets it.
      const buttons = list.querySelectorAll("button");
      if (document.activeElement === document.body)
        (buttons[Math.min(index, buttons.length - 1)] ?? list.closest("dialog")?.querySelector("button"))?.focus();
    };
    return h(
      "li",
      null,
      h("div", null, h("strong", { dir: "auto" }, plain(rule.name)), facts(rule)),
      h("button", { type: "button", "aria-label": `Revoke ${plain(rule.name)}`, on: { click: revoke } }, "Revoke"),
    );
  }
}

/**
 * Offers the narrowest rule for a prompt.
 * @param {{ worker?: string, request?: string, key?: string, option?: string }} prompt
 */
function openOffer({ worker, request, key, option }) {
  const body = h("div", null, h("p", { class: "muted", role: "status" }, "Loading…"));
  const error = h("div");
  const dialog = openDialog("Always do this", [body, error], { wide: true });

  const failing = (again) => (failure) =>
    fill(
      error,
      troubleLine(failure.message, () => {
        fill(error);
        return again();
      }),
    );

  load();

  function load() {
    return call("GET", promptPath(worker, request)).then(draw).catch(failing(load));
  }

  function draw({ rule, reach }) {
    const name = h("input", { type: "text", value: rule.name, maxlength: "80", "aria-label": "Name of the rule" });
    // Made once, also if only the answer is tried again.
    let made = false;
    const save = async () => {
      fill(error);
      try {
        if (!made) await call("POST", "api/rules", { ...rule, name: name.value.trim() || rule.name });
        made = true;
      } catch (failure) {
        return void failing(save)(failure);
      }
      emit(dialog, "answer", { key, worker, request, option });
      dialog.close();
    };
    fill(
      body,
      h("p", { dir: "auto" }, plain(reach)),
      facts(rule),
      h("label", { class: "field" }, h("span", null, "Name"), name),
      h(
        "div",
        { class: "dialog-actions" },
        h("button", { type: "button", on: { click: () => dialog.close() } }, "Cancel"),
        h("button", { type: "button", class: "primary", on: { click: save } }, "Allow now and always"),
      ),
    );
    name.focus();
  }
}
