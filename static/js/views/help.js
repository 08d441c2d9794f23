// The help sheet: every key, in one place.

import { fill, h, emit } from "../lib/dom.js";

/**
 * The keys, by part of the page; tests compare the key map with it.
 * @type {[string, [string, string][]][]}
 */
export const KEYS = [
  [
    "Anywhere",
    [
      ["?", "This sheet"],
      ["n", "New worker"],
      ["Ctrl+K", "Go to or do anything"],
      ["s", "Search all conversations"],
      ["/", "Filter the workers"],
      ["g", "Waiting for you (inbox)"],
      ["l", "To the list of workers"],
      ["Alt+↑  Alt+↓", "Worker above, worker below"],
      ["F6", "Next of the workers side by side"],
      ["i", "Write a message"],
      ["p", "Changes, files, usage and process"],
      ["t", "Light or dark"],
      [",", "Settings"],
    ],
  ],
  [
    "List of workers",
    [
      ["↑ ↓  or  j k", "Move"],
      ["Enter", "Open"],
      ["x", "Select"],
      ["Shift+↑  Shift+↓", "Select more"],
      ["Esc", "End the selection"],
    ],
  ],
  [
    "Requests, in a conversation and in the inbox",
    [
      ["a", "Allow once"],
      ["A", "Allow always"],
      ["d", "Deny"],
    ],
  ],
  [
    "Conversation",
    [
      ["Esc", "Interrupt the turn (press twice)"],
      ["End", "Follow the end"],
      ["PgUp PgDn", "Scroll"],
    ],
  ],
  [
    "Lines of the changes",
    [
      ["↑ ↓", "Move"],
      ["Shift+↑  Shift+↓", "Select more"],
      ["Enter", "Comment on them"],
      ["Ctrl+Enter", "Add the comment to the review"],
      ["Esc", "Leave the comment; its text is kept"],
    ],
  ],
  [
    "Composer",
    [
      ["Enter", "Send"],
      ["Shift+Enter", "New line"],
      ["↑ ↓", "Earlier messages"],
      ["/", "Commands of the CLI"],
      ["@", "Files of the project"],
      ["Esc", "Interrupt the turn (press twice)"],
    ],
  ],
];

/** The sheet's body. */
export function helpSheet(app) {
  return h(
    "div",
    { class: "help" },
    h(
      "div",
      { class: "help-keys" },
      KEYS.map(([title, keys]) => h("section", null, h("h3", null, title), h("dl", null, keys.map(row)))),
    ),
    h(
      "p",
      { class: "muted help-note" },
      "Images can be pasted into the composer or dropped on it. A picture opens large: + and - zoom, 0 fits it, " +
        "arrows show the others. The address of this page names the open worker; " +
        "the time beside a message is a link to it. Escape leaves a field, then closes the panel.",
    ),
    h(
      "p",
      { class: "help-note" },
      link("preferences", "Settings…"),
      " ",
      link("rules", "Rules…"),
      " ",
      link("rules", "Schedules…", { schedules: true }),
      " ",
      link("logins", "Logins…"),
      " ",
      h("button", { type: "button", class: "chip", on: { click: openBudgets } }, "Budgets…"),
    ),
    about(app),
  );
}

function row([key, what]) {
  const keys = key.split("  ").map((part) => (part === "or" ? " or " : h("kbd", null, part)));
  return h("div", null, h("dt", null, keys), h("dd", null, what));
}

// Opens another dialog, which replaces this one.
function link(name, label, detail) {
  const open = ({ currentTarget }) => {
    emit(currentTarget, name, detail);
    currentTarget.closest("dialog").close();
  };
  return h("button", { type: "button", class: "chip", on: { click: open } }, label);
}

async function openBudgets({ currentTarget }) {
  const dialog = currentTarget.closest("dialog");
  (await import("./budgets.js")).openBudgets(null, null);
  dialog.close();
}

/** The server's version, and the way to the API's documents. */
export function about(app) {
  const version = h("span", null, "rs-worker");
  const line = h(
    "p",
    { class: "muted about" },
    version,
    " · ",
    h("a", { href: "docs", target: "_blank", rel: "noreferrer" }, "API documents"),
    " · ",
    h("a", { href: "redoc", target: "_blank", rel: "noreferrer" }, "the same as one page"),
  );
  app.api.health().then(
    (health) => fill(version, `rs-worker ${health.version}`),
    // Without it, the line is as useful.
    () => fill(version, "rs-worker (version not known: the server did not answer)"),
  );
  return line;
}
