// Completion in the composer: slash commands at the beginning, `@file` anywhere. The choices are the context's:
// `commands()` promises `[{name, description}]`, `files(query)` a promise of paths.

import { fill, h } from "../lib/dom.js";
import { plain } from "../lib/text.js";

const CHOICES_MAX = 12;
const WAIT_MS = 120;

/** The word to complete at the cursor: `{kind, query, from}`, or null. */
export function trigger(text, at) {
  const before = text.slice(0, at);
  const slash = /^\/([\w:.-]*)$/.exec(before);
  if (slash) return { kind: "command", query: slash[1], from: 0 };
  const file = /(?:^|\s)@([^\s@]{0,200})$/.exec(before);
  return file ? { kind: "file", query: file[1], from: at - file[1].length - 1 } : null;
}

/** The commands that match, those that begin with the query first. */
export function matchCommands(commands, query) {
  const needle = query.toLowerCase();
  const entries = commands
    .map((command) => (typeof command === "string" ? { name: command } : command))
    .filter((command) => command?.name);
  const name = (command) => command.name.replace(/^\//, "").toLowerCase();
  return entries
    .filter((command) => name(command).includes(needle))
    .sort((a, b) => name(b).startsWith(needle) - name(a).startsWith(needle))
    .slice(0, CHOICES_MAX)
    .map((command) => ({
      value: `/${command.name.replace(/^\//, "")} `,
      label: `/${command.name.replace(/^\//, "")}`,
      note: command.description ?? "",
    }));
}

export function mountCompletion(area, host, context) {
  const list = h("ul", {
    class: "completion",
    role: "listbox",
    id: "completion",
    "aria-label": "Suggestions",
    // Scrolling areas must be reachable by key.
    tabindex: "0",
    hidden: true,
  });
  const failed = h("p", { class: "completion field-error", role: "alert", hidden: true });
  host.append(list, failed);
  let choices = [];
  let active = 0;
  let place = null;
  let asked = 0;
  let timer = 0;

  area.addEventListener("input", look);
  area.addEventListener("blur", () => setTimeout(close, 150));
  area.addEventListener("click", look);

  function look() {
    clearTimeout(timer);
    place = trigger(area.value, area.selectionStart);
    asked += 1;
    if (!place) return close();
    const mine = asked;
    if (place.kind === "command") {
      context.commands().then(
        (commands) => mine === asked && show(matchCommands(commands, place.query)),
        (error) => mine === asked && complain("Commands", error),
      );
      return undefined;
    }
    timer = setTimeout(async () => {
      let files;
      try {
        files = await context.files(place.query);
      } catch (error) {
        if (mine === asked) complain("Files", error);
        return;
      }
      if (mine === asked)
        show(files.slice(0, CHOICES_MAX).map((path) => ({ value: `@${path} `, label: path, note: "" })));
    }, WAIT_MS);
    return undefined;
  }

  function show(found) {
    choices = found;
    active = 0;
    if (!choices.length) return close();
    fill(
      list,
      choices.map(({ label, note }, at) =>
        h(
          "li",
          {
            role: "option",
            id: `choice-${at}`,
            "aria-selected": String(at === 0),
            on: {
              mousedown: (event) => {
                event.preventDefault();
                accept(at);
              },
            },
          },
          h("span", { class: "choice-name" }, plain(label)),
          note && h("span", { class: "muted" }, plain(note).slice(0, 100)),
        ),
      ),
    );
    failed.hidden = true;
    list.hidden = false;
    mark();
    return undefined;
  }

  function complain(what, error) {
    close();
    failed.textContent = `${what} could not be listed: ${error.message} Type on to try again.`;
    failed.hidden = false;
  }

  function mark() {
    [...list.children].forEach((li, at) => li.setAttribute("aria-selected", String(at === active)));
    list.children[active]?.scrollIntoView({ block: "nearest" });
    area.setAttribute("aria-controls", "completion");
    area.setAttribute("aria-activedescendant", `choice-${active}`);
  }

  function accept(at) {
    const { value } = choices[at];
    const end = area.selectionStart;
    area.setRangeText(value, place.from, end, "end");
    close();
    area.dispatchEvent(new Event("input", { bubbles: true }));
  }

  function close() {
    list.hidden = true;
    failed.hidden = true;
    choices = [];
    area.removeAttribute("aria-activedescendant");
    area.removeAttribute("aria-controls");
  }

  /** Takes a key while suggestions are shown; true when it was used. */
  function key(event) {
    if (list.hidden || event.ctrlKey || event.metaKey || event.altKey) return false;
    const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    if (step) active = (active + step + choices.length) % choices.length;
    else if ((event.key === "Enter" && !event.shiftKey) || event.key === "Tab") accept(active);
    else if (event.key === "Escape") close();
    else return false;
    event.preventDefault();
    event.stopPropagation();
    if (step) mark();
    return true;
  }

  look();
  return { key, close };
}
