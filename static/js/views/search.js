// Search in what all workers have said and done, newest first.

import { fill, h } from "../lib/dom.js";
import { now } from "../lib/clock.js";
import { openDialog } from "./dialogs.js";
import { troubleLine } from "./troubles.js";
import { ago, moment, plain, plural } from "../lib/text.js";

const PAUSE_MS = 300;

/** Opens the dialog; with a text, searches for it. */
export function openSearch(app, text = "") {
  const field = h("input", {
    type: "text",
    role: "searchbox",
    enterkeyhint: "search",
    autofocus: true,
    dir: "auto",
    autocomplete: "off",
    maxlength: "200",
    "aria-label": "Words",
    placeholder: "Words in messages, commands and outputs",
  });
  const status = h("p", { class: "muted", role: "status" });
  const list = h("ol", { class: "found" });
  const failed = h("div");
  const more = h("button", { type: "button", hidden: true, on: { click: () => run(next) } }, "Older");
  const form = h("form", { role: "search" }, field);
  const dialog = openDialog("Search all conversations", [form, status, list, failed, more], {
    wide: true,
    onClose: () => (asked += 1),
  });
  let asked = 0;
  let next = null;
  let timer = 0;
  let last = "";
  field.addEventListener("input", () => {
    clearTimeout(timer);
    timer = setTimeout(begin, PAUSE_MS);
  });
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    begin();
  });
  if (text) {
    field.value = text;
    begin();
  }

  function begin() {
    const text = field.value.trim();
    if (text === last) return;
    last = text;
    fill(list);
    fill(failed);
    asked += 1;
    status.textContent = "";
    more.hidden = true;
    if (text) run(null);
  }

  // A request reads for a moment only; an empty page with a next place is not the end.
  async function run(cursor) {
    const mine = (asked += 1);
    more.hidden = true;
    fill(failed);
    status.textContent = "Searching…";
    try {
      let page;
      do {
        page = await app.api.search(last, cursor);
        if (mine !== asked) return;
        cursor = page.next;
        if (cursor) status.textContent = `Searching… back to ${moment(page.searched_until)}`;
      } while (cursor && !page.results.length);
      const first = list.children.length;
      list.append(...page.results.map(row));
      if (first) list.children[first]?.querySelector("a").focus();
      next = cursor;
      more.hidden = !next;
      const count = list.children.length;
      status.textContent = count ? `${plural(count, "place")}${next ? ", newest first" : ""}` : "Nothing found.";
    } catch (error) {
      if (mine !== asked) return;
      status.textContent = "";
      fill(
        failed,
        troubleLine(`The search has failed: ${error.message}`, () => run(cursor)),
      );
    }
  }

  function row(hit) {
    const text = [...hit.snippet];
    const { start, end } = hit.match;
    const part = (from, to) => plain(text.slice(from, to).join(""));
    return h(
      "li",
      null,
      h(
        "a",
        { href: `#/w/${encodeURIComponent(hit.worker_id)}/m/${hit.seq}`, on: { click: () => dialog.close() } },
        h(
          "span",
          { class: "found-head" },
          h("b", { dir: "auto" }, plain(hit.worker_name)),
          h("span", { class: "muted" }, `${hit.type.replaceAll("_", " ")} · ${ago(hit.timestamp, now())}`),
        ),
        h("span", { dir: "auto" }, part(0, start), h("mark", null, part(start, end)), part(end)),
      ),
    );
  }
}
