// The help sheet: every key, in one place.

import { h, tell } from "../lib/dom.js";

/**
 * What keys do, by part of the page; tests hold the key map to it.
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
      ["i", "Write a message"],
      ["p", "Changes, usage and process"],
      ["t", "Light or dark"],
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
    "Conversation",
    [
      ["a", "Allow once"],
      ["A", "Allow always"],
      ["d", "Deny"],
      ["Esc", "Interrupt the turn"],
      ["End", "Follow the end"],
      ["PgUp PgDn", "Scroll"],
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
      ["Esc", "Interrupt the turn"],
    ],
  ],
];

/** The sheet's body. */
export function helpSheet() {
  return h(
    "div",
    { class: "help" },
    KEYS.map(([title, keys]) =>
      h(
        "section",
        null,
        h("h3", null, title),
        h(
          "dl",
          null,
          keys.map(([key, what]) =>
            h(
              "div",
              null,
              h(
                "dt",
                null,
                key.split("  ").map((part) => (part === "or" ? " or " : h("kbd", null, part))),
              ),
              h("dd", null, what),
            ),
          ),
        ),
      ),
    ),
    h(
      "p",
      null,
      h("a", { href: "docs", target: "_blank", rel: "noreferrer" }, "API documents"),
      " · ",
      h("a", { href: "redoc", target: "_blank", rel: "noreferrer" }, "the same as one page"),
      " · ",
      h("button", { type: "button", class: "chip", on: { click: openLogins } }, "Logins…"),
    ),
    h(
      "p",
      { class: "muted" },
      "Images can be pasted into the composer or dropped on it. The address of this page names the open worker; " +
        "the time beside a message is a link to it.",
    ),
  );
}

// The list of logins replaces this dialog.
function openLogins({ currentTarget }) {
  tell(currentTarget, "logins");
  currentTarget.closest("dialog").close();
}
