// The panel beside a conversation: what changed in the project, usage, the process, its error output.

import { fill, h, iconButton, copyButton, memory } from "../lib/dom.js";
import { redraw } from "../lib/redraw.js";
import { widthHandle } from "./changes.js";
import { usageChart } from "./chart.js";
import { now } from "../lib/clock.js";
import { troubleLine } from "./troubles.js";
import { longText } from "./rich.js";
import { bytes, clock, dollars, duration, plain, plural, short } from "../lib/text.js";

const TABS = [
  ["changes", "Changes"],
  ["files", "Files"],
  ["usage", "Usage"],
  ["process", "Process"],
  ["stderr", "stderr"],
];
// The views that have parts of their own.
const VIEWS = {
  changes: async () => (await import("./review.js")).reviewView,
  files: async () => (await import("./files.js")).filesView,
};
const RESUME = {
  claude: (id) => `claude --resume ${id}`,
  opencode: (id) => `opencode --session ${id}`,
  codex: (id) => `codex resume ${id}`,
  gemini: (id) => `gemini --resume ${id}`,
};

export function mountPanel(root, app) {
  const { state } = app;
  const body = h("div", { class: "panel-body", id: "panel-body", role: "tabpanel", tabindex: "0" });
  const tabs = TABS.map(([name, label]) =>
    h(
      "button",
      {
        type: "button",
        role: "tab",
        id: `tab-${name}`,
        "aria-controls": "panel-body",
        on: { click: () => choose(name) },
      },
      label,
    ),
  );
  const bar = h("div", { role: "tablist", class: "tabs", "aria-label": "Details" }, tabs);
  const handle = widthHandle(root);
  root.append(
    handle.el,
    h(
      "div",
      { class: "panel-head" },
      bar,
      iconButton("close", "Close the panel", () => toggle()),
    ),
    body,
  );
  let tab = memory.get("panel-tab", "changes");
  let open = false;
  let drawn = "";
  let asked = null;
  let before = null;
  const narrow = matchMedia("(max-width: 1099px)");
  narrow.addEventListener("change", () => update());
  // Beside the panel that lies over the others, a click closes it.
  root.parentElement.addEventListener("click", (event) => {
    if (event.target === event.currentTarget && isOverlay()) toggle();
  });
  const views = { changes: null, files: null };

  bar.addEventListener("keydown", (event) => {
    const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
    if (!step) return;
    const at = TABS.findIndex(([name]) => name === tab);
    choose(TABS[(at + step + TABS.length) % TABS.length][0]);
    tabs[TABS.findIndex(([name]) => name === tab)].focus();
  });

  function choose(name) {
    tab = name;
    memory.set("panel-tab", name);
    drawn = "";
    asked = null;
    update();
  }

  function toggle(takesFocus = true) {
    if (!state.selected && !open) return;
    open = !open;
    memory.set("panel", open);
    drawn = "";
    asked = null;
    if (open) before = document.activeElement;
    update();
    if (!takesFocus) return;
    if (open) tabs.find((el) => el.getAttribute("aria-selected") === "true")?.focus();
    else if (before?.isConnected) before.focus();
  }

  /** Returns whether the panel covers the conversation. */
  const isOverlay = () => isOpen() && narrow.matches;
  const isOpen = () => open && !root.hidden;

  function update() {
    const worker = state.workers.get(state.selected);
    root.hidden = !open || !worker;
    for (const el of root.parentElement.children)
      if (el instanceof HTMLElement && el !== root) el.inert = isOverlay();
    document.querySelector(".show-panel")?.setAttribute("aria-expanded", String(!root.hidden));
    if (root.hidden) return;
    handle.update();
    tabs.forEach((el, at) => {
      const chosen = TABS[at][0] === tab;
      el.setAttribute("aria-selected", String(chosen));
      el.tabIndex = chosen ? 0 : -1;
    });
    body.setAttribute("aria-labelledby", `tab-${tab}`);
    const conv = state.conversations.get(worker.id);
    if (tab in views) return showView(worker, conv);
    if (tab === "process") return ask(worker, conv);
    const sign = `${tab}.${worker.id}.${conv?.turns.length}.${conv?.stderr.length}.${conv?.stderr.at(-1)}`;
    if (sign === drawn) return undefined;
    const isSame = drawn.startsWith(`${tab}.${worker.id}.`);
    drawn = sign;
    return (isSame ? redraw : fill)(body, tab === "usage" ? usage(conv, worker) : stderr(conv));
  }

  // Asked again when the worker's turn or status changes.
  async function ask(worker, conv) {
    const key = keyOf(worker, conv);
    if (asked === key) return;
    asked = key;
    try {
      const answer = await app.api.worker(worker.id);
      const isSame = drawn.startsWith(`${tab}.${worker.id}.`);
      if (asked === key) (isSame ? redraw : fill)(body, process(answer, app.session()));
    } catch (error) {
      if (asked === key) fill(body, failure(error));
    }
    drawn = key;
  }

  const keyOf = (worker, conv) => `${tab}.${worker.id}.${worker.status}.${conv?.turns.length}`;

  const failure = (error) =>
    troubleLine(`This could not be loaded: ${error.message}`, () => {
      asked = null;
      drawn = "";
      update();
    });

  // One view for each worker, so that an answer which says the same changes nothing.
  async function showView(worker, conv) {
    const mine = `${tab}.${worker.id}`;
    if (views[tab]?.id !== worker.id) {
      if (asked === mine) return;
      asked = mine;
      try {
        const make = await VIEWS[tab]();
        if (asked !== mine) return;
        views[tab] = { id: worker.id, view: make(app, worker.id) };
      } catch (error) {
        if (asked === mine) fill(body, failure(error));
        return;
      }
    }
    const { view } = views[tab];
    if (view.el.parentElement !== body) fill(body, view.el);
    view.update(keyOf(worker, conv), conv?.reviewed ?? 0);
    asked = null;
    drawn = mine;
  }

  return { update, toggle, isOverlay, isOpen };
}

function usage(conv, worker) {
  const turns = conv?.turns ?? [];
  if (!turns.length) return h("p", { class: "muted" }, "No turn has ended yet.");
  const sum = (read) => turns.reduce((total, turn) => total + (read(turn) ?? 0), 0);
  const all = worker.usage ?? {};
  const facts = [
    ["Turns", String(worker.turns ?? turns.length)],
    ["Tokens in", short((all.input_tokens ?? 0) + (all.cache_write_tokens ?? 0))],
    ["From cache", short(all.cache_read_tokens ?? 0)],
    ["Tokens out", short(all.output_tokens ?? 0)],
    ["Cost", dollars(worker.cost_usd ?? 0)],
    ["Time", `${duration(sum((turn) => turn.ms))} in the ${plural(turns.length, "turn")} shown`],
  ];
  if (conv.context?.window) facts.push(["Context", `${short(conv.context.tokens)} of ${short(conv.context.window)}`]);
  return [table(facts), usageChart(turns)];
}

function table(facts) {
  return h(
    "dl",
    { class: "facts" },
    facts
      .filter(([, value]) => value !== "" && value !== undefined && value !== null)
      .map(([name, value]) => [h("dt", null, name), h("dd", null, value)]),
  );
}

function resumeLine(command) {
  // Read from the element, which stays when it is drawn again with another command.
  const code = h("code", { data: { command } }, plain(command));
  return h(
    "div",
    { class: "resume" },
    h("p", { class: "muted" }, "Go on in a terminal (stop the worker first):"),
    h(
      "div",
      { class: "copy-line" },
      code,
      copyButton(() => code.dataset.command, "Copy the command"),
    ),
  );
}

function process(answer, session) {
  const facts = answer.process ?? {};
  const id = session.session_id ?? answer.session_id;
  const resume = id && RESUME[answer.ai_cli_type]?.(id);
  const started = facts.started_at;
  return [
    table([
      ["Status", answer.status],
      ["Process", facts.pid ?? "none"],
      ["Running for", started && duration(now() - Date.parse(started))],
      ["Memory", bytes(facts.memory_bytes)],
      ["CPU time", facts.cpu_ms !== undefined ? duration(facts.cpu_ms) : ""],
      ["Model", plain(session.model ?? answer.model ?? "")],
      ["Created", clock(answer.created_at, now())],
      ["Folder", h("code", null, plain(answer.project_path))],
      ["Branch", answer.worktree && h("code", null, plain(answer.worktree.branch))],
      ["Session", id && h("code", null, plain(id))],
    ]),
    resume && resumeLine(`cd '${String(answer.project_path).replaceAll("'", "'\\''")}' && ${resume}`),
    facts.argv &&
      h(
        "details",
        null,
        h("summary", null, "Command line"),
        longText(facts.argv.join(" "), { label: "Command line" }),
      ),
  ];
}

function stderr(conv) {
  return conv?.stderr.length
    ? longText(conv.stderr.join("\n"), { lines: 200, tail: true, label: "Error output" })
    : h("p", { class: "muted" }, "Nothing was written to stderr.");
}
