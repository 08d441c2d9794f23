// The inbox: every open prompt of every worker.

import { now } from "../lib/clock.js";
import { arrange, h, icon } from "../lib/dom.js";
import { promptCard } from "./prompts.js";
import { branchOf, projectOf } from "../state/listed.js";
import { openPrompts } from "../state/state.js";
import { ago, plain } from "../lib/text.js";

/** Mounts the inbox; `update(visible)` draws it. */
export function mountInbox(root, app, context) {
  const { state } = app;
  const count = h("span", { class: "muted" });
  const list = h("div", { class: "inbox-list" });
  const empty = h("p", { class: "empty" }, "Nothing waits for you.");
  root.append(
    h(
      "header",
      { class: "inbox-head" },
      h("a", { class: "icon-button back", href: "#/", "aria-label": "All workers" }, icon("back")),
      h("h1", null, "Waiting for you"),
      count,
    ),
    h("div", { class: "inbox-scroll", tabindex: "0", role: "group", "aria-label": "Requests" }, list, empty),
  );
  const cards = new Map();
  let drawn = "";

  function update(visible) {
    root.hidden = !visible;
    const sign = `${state.rev.prompts}.${state.rev.workers}`;
    if (!visible || drawn === sign) return;
    drawn = sign;
    const prompts = openPrompts(state);
    for (const prompt of prompts) {
      const known = cards.get(prompt.key);
      if (known) known.update();
      else
        cards.set(
          prompt.key,
          promptCard(
            prompt,
            { ...context, cwd: () => state.workers.get(prompt.worker_id)?.project_path ?? "" },
            { title: title(prompt) },
          ),
        );
    }
    for (const key of [...cards.keys()]) if (!state.prompts.has(key)) cards.delete(key);
    arrange(
      list,
      prompts.map((prompt) => cards.get(prompt.key).el),
    );
    count.textContent = prompts.length ? String(prompts.length) : "";
    empty.hidden = prompts.length > 0;
  }

  function title(prompt) {
    const worker = state.workers.get(prompt.worker_id);
    return h(
      "div",
      { class: "prompt-title" },
      h(
        "a",
        { href: `#/w/${encodeURIComponent(prompt.worker_id)}`, dir: "auto" },
        plain(worker?.name ?? prompt.event.worker_name ?? prompt.worker_id),
      ),
      h(
        "span",
        { class: "muted", title: plain(worker?.project_path ?? "") },
        [worker?.ai_cli_type, plain(projectOf(worker)), plain(branchOf(worker))].filter(Boolean).join(" · "),
      ),
      prompt.event.timestamp && h("span", { class: "muted" }, ago(prompt.event.timestamp, now())),
    );
  }
  return { update };
}
