// The places of the views: the column of workers, the open one, and the panel beside it.

import { h, icon, iconButton, emit } from "../lib/dom.js";

/** Makes them in `root`. */
export function skeleton(root) {
  const part = (tag, name, props = {}) => h(tag, { class: name, ...props });
  const banner = part("div", "banner-place");
  const sidebar = part("nav", "sidebar", { "aria-label": "Workers" });
  const header = part("header", "worker-head");
  const conversation = part("div", "conversation");
  const composer = part("div", "composer-place");
  // In place of the composer, for a session that runs elsewhere.
  const takeOver = h(
    "div",
    { class: "composer-place", hidden: true },
    h(
      "div",
      { class: "composer" },
      h("p", { class: "muted" }, "This session runs elsewhere and is followed here, read-only."),
      h(
        "button",
        { type: "button", class: "primary", on: { click: (event) => emit(event.currentTarget, "takeOver") } },
        "Take over",
      ),
    ),
  );
  const inbox = part("section", "inbox", { "aria-label": "Waiting for you", hidden: true });
  const welcome = part("section", "welcome");
  const panel = part("aside", "panel", { "aria-label": "Details", hidden: true });
  const brand = h(
    "div",
    { class: "brand" },
    h(
      "a",
      { href: "#/", class: "brand-name" },
      h("span", { class: "brand-mark", "aria-hidden": "true" }, icon("terminal")),
      "rs-worker",
    ),
    h("span", { class: "grow" }),
    iconButton("search", "Search all conversations (s)", (event) => emit(event.currentTarget, "search")),
    iconButton("bell", "Notifications", (event) => emit(event.currentTarget, "notifications"), {
      class: "icon-button bell",
    }),
    iconButton("settings", "Settings (,)", (event) => emit(event.currentTarget, "preferences")),
    iconButton("help", "Keys and help (?)", (event) => emit(event.currentTarget, "help")),
  );
  sidebar.append(brand);
  const main = h(
    "main",
    { id: "main", class: "main", tabindex: "-1" },
    header,
    conversation,
    composer,
    takeOver,
    inbox,
    welcome,
  );
  root.append(banner, h("div", { class: "columns" }, sidebar, main, panel));
  return { banner, sidebar, main, header, conversation, composer, takeOver, inbox, welcome, panel };
}
