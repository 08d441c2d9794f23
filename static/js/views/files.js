// The files of a worker's project: a tree that is loaded folder by folder, and one file at a time. Read-only.

import { fill, h, style } from "../lib/dom.js";
import { work } from "../lib/work.js";
import { bytes, plain } from "../lib/text.js";
import { fileView } from "./fileview.js";
import { mention } from "./mention.js";
import { troubleLine } from "./troubles.js";

// Letters that follow each other within this time are one name that is looked for.
const TYPED_MS = 700;

/** The view of the files of one worker. */
export function filesView(app, id) {
  style("files");
  const tree = h("ul", { class: "tree", role: "tree", "aria-label": "Files of the project" });
  const trouble = h("div");
  const place = h("div", { class: "file-view", hidden: true });
  const el = h("div", { class: "files" }, trouble, tree, place);
  let typed = "";
  let typedAt = 0;
  let isLoaded = false;
  let asked = null;

  /** Loads the open folders again when `key` is another one. */
  function update(key) {
    if (asked === key) return;
    asked = key;
    refresh();
  }

  async function refresh() {
    const open = isLoaded ? openPaths() : [];
    const at = path(document.activeElement);
    const hadFocus = tree.contains(document.activeElement);
    const first = await load("");
    if (!first) return;
    fill(tree, first);
    isLoaded = true;
    for (const folder of open) {
      const item = itemOf(folder);
      if (item) await expand(item);
    }
    const current = (at && itemOf(at)) ?? tree.querySelector('[role="treeitem"]');
    if (current) settle(current);
    if (hadFocus) current?.focus();
  }

  const openPaths = () => [...tree.querySelectorAll('[aria-expanded="true"]')].map(path);
  const path = (item) => item?.dataset?.path ?? null;
  const itemOf = (wanted) => items().find((item) => path(item) === wanted);

  /** The elements of a folder's entries; null when it could not be loaded. */
  async function load(folder) {
    const level = folder ? folder.split("/").length + 1 : 1;
    const note = (text) => h("li", { class: "muted", role: "none", data: { level: String(level) } }, text);
    try {
      const { entries, truncated } = await work.tree(id, folder);
      fill(trouble);
      const all = entries.map((entry) => itemFor(entry, folder, level));
      if (truncated) all.push(note("There are more files than are shown here."));
      if (!entries.length) all.push(note("Nothing is in this folder."));
      return all;
    } catch (error) {
      const again = () => (folder ? expand(itemOf(folder)) : refresh());
      fill(trouble, troubleLine(`The files could not be loaded: ${error.message}`, again));
      return null;
    }
  }

  function itemFor({ name, kind, size }, folder, level) {
    const full = folder ? `${folder}/${name}` : name;
    const isFolder = kind === "folder";
    return h(
      "li",
      {
        role: "treeitem",
        tabindex: "-1",
        "aria-level": String(level),
        "aria-expanded": isFolder ? "false" : null,
        data: { path: full, kind, level: String(level), name: plain(name).toLowerCase() },
      },
      h(
        "span",
        { class: `tree-row tree-${kind}`, style: { "--level": String(level) } },
        h("span", { class: "tree-name", dir: "ltr" }, plain(name)),
        kind === "link" && h("span", { class: "tag" }, "link"),
        kind === "file" && h("span", { class: "muted" }, bytes(size)),
      ),
    );
  }

  async function expand(item) {
    if (!item || item.dataset.kind !== "folder" || item.ariaExpanded === "true") return;
    const entries = await load(path(item));
    if (!entries || item.ariaExpanded === "true") return;
    item.after(...entries);
    item.ariaExpanded = "true";
  }

  function collapse(item) {
    for (const one of below(item)) one.remove();
    item.ariaExpanded = "false";
  }

  /** The rows after a folder that are in it. */
  function below(item) {
    const all = [];
    const isInside = (el) => el && Number(el.dataset.level) > Number(item.dataset.level);
    for (let next = item.nextElementSibling; isInside(next); next = next.nextElementSibling) all.push(next);
    return all;
  }

  /** @returns {HTMLElement[]} */
  const items = () => [...tree.querySelectorAll('[role="treeitem"]')];

  function settle(item) {
    for (const other of tree.querySelectorAll('[tabindex="0"]')) other.setAttribute("tabindex", "-1");
    item.setAttribute("tabindex", "0");
  }

  function focus(item) {
    if (!item) return;
    settle(item);
    item.focus({ preventScroll: true });
    item.querySelector(".tree-row").scrollIntoView({ block: "nearest" });
  }

  function choose(item) {
    focus(item);
    if (item.dataset.kind === "folder") {
      if (item.ariaExpanded === "true") collapse(item);
      else expand(item);
    } else openFile(path(item));
  }

  tree.addEventListener("click", (event) => {
    const item = /** @type {HTMLElement} */ (event.target).closest('[role="treeitem"]');
    if (item) choose(item);
  });
  tree.addEventListener("keydown", (event) => {
    const item = /** @type {HTMLElement} */ (event.target);
    if (!item.matches('[role="treeitem"]') || event.ctrlKey || event.metaKey || event.altKey) return;
    if (!key(event, item)) return;
    event.preventDefault();
    event.stopPropagation();
  });

  function key(event, item) {
    const all = items();
    const at = all.indexOf(item);
    const up = () => all.findLast((one, n) => n < at && Number(one.dataset.level) < Number(item.dataset.level));
    switch (event.key) {
      case "ArrowDown":
        focus(all[at + 1]);
        return true;
      case "ArrowUp":
        focus(all[at - 1]);
        return true;
      case "Home":
        focus(all[0]);
        return true;
      case "End":
        focus(all.at(-1));
        return true;
      case "ArrowRight":
        if (item.ariaExpanded === "true") focus(all.at(at + 1));
        else expand(item);
        return true;
      case "ArrowLeft":
        if (item.ariaExpanded === "true") collapse(item);
        else focus(up());
        return true;
      case "Enter":
      case " ":
        choose(item);
        return true;
      default:
        return event.key.length === 1 && byName(event.key, all, at);
    }
  }

  // Letters go to the next entry that begins with them.
  function byName(letter, all, at) {
    const time = Date.now();
    typed = time - typedAt < TYPED_MS ? typed + letter.toLowerCase() : letter.toLowerCase();
    typedAt = time;
    const from = typed.length > 1 ? at : at + 1;
    const order = [...all.slice(from), ...all.slice(0, from)];
    focus(order.find((item) => item.dataset.name.startsWith(typed)));
    return true;
  }

  function openFile(file) {
    const view = fileView(app, id, file, {
      back: () => {
        place.hidden = true;
        tree.hidden = false;
        fill(place);
        focus(itemOf(file) ?? items()[0]);
      },
      mention: () => mention(app, `@${file} `),
    });
    fill(place, view.el);
    place.hidden = false;
    tree.hidden = true;
    view.focus();
  }

  return { el, update };
}
