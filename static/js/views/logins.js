// The browsers that are logged in, each with a button that ends its login.

import { now } from "../lib/clock.js";
import { fill, h } from "../lib/dom.js";
import { confirm, openDialog } from "./dialogs.js";
import { ago, moment, plain } from "../lib/text.js";
import { troubleLine } from "./troubles.js";

// The mark in a `User-Agent`, and the name if it differs. Later marks also occur in the agents of earlier browsers.
const BROWSERS = [["Edg", "Edge"], ["OPR", "Opera"], ["Firefox"], ["Chrome"], ["Safari"]];
const SYSTEMS = ["Android", "iPhone", "iPad", "Windows", "Mac OS X", "Linux"];

/** A short name for a browser, from its `User-Agent`. */
export function browserName(agent) {
  const browser = BROWSERS.find(([mark]) => agent.includes(`${mark}/`));
  if (!browser) return plain(agent) || "Unknown browser";
  const system = SYSTEMS.find((name) => agent.includes(name));
  return [browser.at(-1), system].filter(Boolean).join(" on ");
}

/**
 * Opens the dialog.
 * @param {{ api: import("page").PageApi }} app
 */
export function openLogins({ api }) {
  const list = h("ul", { class: "logins", "aria-label": "Logins" });
  const note = h("p", { class: "muted", role: "status" }, "Loading…");
  const error = h("div");
  const everywhere = h(
    "button",
    { type: "button", class: "danger", hidden: true, on: { click: endAll } },
    "Log out everywhere",
  );
  const tokens = h(
    "button",
    {
      type: "button",
      class: "chip",
      on: { click: () => act(async () => (await import("./tokens.js")).openTokens()) },
    },
    "Access tokens…",
  );
  openDialog("Logins", [note, list, error, h("div", { class: "dialog-actions" }, tokens, everywhere)], {
    wide: true,
  });
  act();

  /**
   * Runs a command, then draws the logins that are left. If this browser's own has ended, the server answers 401 and
   * the page asks for a login.
   * @param {() => Promise<unknown>} [command]
   */
  async function act(command) {
    fill(error);
    try {
      await command?.();
      draw((await api.logins()).logins);
    } catch (failure) {
      fill(
        error,
        troubleLine(failure.message, () => act(command)),
      );
    }
  }

  function draw(logins) {
    const latest = logins.toSorted(
      (a, b) => Number(b.current) - Number(a.current) || b.last_used.localeCompare(a.last_used),
    );
    fill(list, latest.map(row));
    note.textContent = logins.length
      ? "Ending a login closes its browser's connections. Access with the token itself remains."
      : "No browser is logged in.";
    everywhere.hidden = logins.length === 0;
  }

  function row(login, at) {
    const name = browserName(login.user_agent);
    const used = `used ${ago(login.last_used, now())}`;
    const end = async () => {
      await act(() => (login.current ? api.logout() : api.endLogin(login.id)));
      // The button that had the focus is gone: the next one gets it, unless the page asks for a login.
      const buttons = list.querySelectorAll("button");
      const next = buttons[Math.min(at, buttons.length - 1)] ?? everywhere;
      if (document.activeElement === document.body) next.focus();
    };
    const token = login.token && `token ${plain(login.token)}`;
    const facts = [
      token,
      login.address,
      used,
      `since ${moment(login.created_at)}`,
      `ends ${moment(login.expires_at)}`,
    ].filter(Boolean);
    return h(
      "li",
      null,
      h(
        "div",
        null,
        h("strong", { title: plain(login.user_agent) }, name),
        login.current && h("span", { class: "muted" }, " (this browser)"),
        h("div", { class: "muted" }, facts.join(" · ")),
      ),
      h("button", { type: "button", "aria-label": `Log out ${name}, ${used}`, on: { click: end } }, "Log out"),
    );
  }

  async function endAll() {
    const text = "Every browser, including this one, has to log in again.";
    if (!(await confirm("Log out everywhere", text, "Log out everywhere"))) return;
    // The others first: without its own login this page can't end any.
    await act(async () => {
      await api.endOtherLogins();
      await api.logout();
    });
  }
}
