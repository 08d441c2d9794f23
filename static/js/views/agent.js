// A sub-agent as one card with its state, time, tokens, answer and calls; a background task as one line.

import { arrange, fill, h, icon } from "../lib/dom.js";
import { duration, plain, plural, short } from "../lib/text.js";
import { isRunning } from "../state/calls.js";
import { shownOf } from "../state/shown.js";
import { itemView } from "./items.js";
import { timeLink } from "./timelink.js";
import { longText } from "./rich.js";
import { headline, prose, took } from "./tools.js";

// Items of a sub-agent that are drawn at once; the earlier ones by a button.
const INSIDE_SHOWN = 60;
const ANSWER_CHARS = 240;

const STATES = {
  running: "working",
  background: "working in the background",
  done: "done",
  failed: "failed",
  stopped: "stopped",
};

function stateOf({ task, result, ended }) {
  if (task && isRunning(task)) return result ? "background" : "running";
  if (task?.status === "failed" || (result?.isError && !task)) return "failed";
  if (task && task.status !== "completed") return "stopped";
  if (result) return result.isError ? "failed" : "done";
  return ended ? "stopped" : "running";
}

function factsOf(it) {
  const said = it.result?.output ?? {};
  const calls = it.task?.tool_uses ?? it.inside?.filter((one) => one.kind === "tool").length ?? 0;
  const tokens = said.totalTokens ?? it.task?.tokens;
  const ms = said.totalDurationMs ?? it.task?.duration_ms ?? took(it);
  return [
    calls > 0 && plural(calls, "call"),
    tokens > 0 && `${short(tokens)} tokens`,
    ms >= 0 && duration(ms),
  ].filter(Boolean);
}

// Its answer: its result, or its last words when it worked in the background.
function answerOf(it) {
  if (it.result && it.result.output?.status !== "async_launched") return it.result.text;
  if (it.task && isRunning(it.task)) return "";
  return it.inside?.findLast((one) => one.kind === "assistant")?.text ?? it.task?.summary ?? "";
}

function doing(it, context) {
  const last = it.inside?.findLast((one) => one.kind === "tool");
  if (!last) return plain(it.task?.activity ?? "");
  const { verb, object } = headline(last, context.cwd());
  return plain(`${verb} ${object}`);
}

/** The view of a sub-agent. */
export function agentView(article, it, context) {
  const line = h("span", { class: "tool-line" });
  const note = h("span", { class: "tool-note" });
  const last = h("p", { class: "agent-last muted", dir: "auto" });
  const head = h("summary", null, h("span", { class: "tool-mark" }, icon("think")), line, note);
  const calls = h("div", { class: "calls" });
  const earlier = h("button", { type: "button", class: "fold", hidden: true });
  const task = h("div");
  const answer = h("div");
  const details = h(
    "details",
    { class: "tool agent" },
    head,
    h("div", { class: "details-body" }, task, earlier, calls, answer),
  );
  article.append(details, last);
  const views = new Map();
  const groups = new Map();
  let now = it;
  let limit = INSIDE_SHOWN;
  let answered = null;
  earlier.addEventListener("click", () => {
    limit += INSIDE_SHOWN * 4;
    draw();
  });
  details.addEventListener("toggle", draw);

  function draw() {
    const state = stateOf(now);
    const working = state === "running" || state === "background";
    last.textContent = working ? doing(now, context) : plain(answerOf(now)).trim().slice(0, ANSWER_CHARS);
    last.hidden = details.open || !last.textContent;
    if (!details.open) return;
    if (!task.childElementCount && now.input?.prompt)
      task.append(longText(now.input.prompt, { lines: 6, label: "Task" }));
    const inside = shownOf(now.inside ?? [], groups);
    const left = Math.max(0, inside.length - limit);
    earlier.hidden = left === 0;
    earlier.textContent = `Show ${plural(left, "earlier step")}`;
    arrange(
      calls,
      inside.slice(left).map((one) => viewOf(one)),
    );
    const text = answerOf(now);
    if (text !== answered) {
      answered = text;
      const isResult = text && text === now.result?.text;
      fill(
        answer,
        isResult && (now.result.isError ? longText(text, { label: "Error" }) : prose(now.result, context)),
      );
    }
  }

  function viewOf(one) {
    let view = views.get(one.key);
    if (!view) {
      view = itemView(one, context);
      view.rev = one.rev;
      views.set(one.key, view);
    } else if (view.rev !== one.rev) {
      view.rev = one.rev;
      view.update(one);
    }
    return view.el;
  }

  return (next) => {
    now = next;
    const state = stateOf(now);
    const name = plain(now.input?.subagent_type ?? now.name ?? "Sub-agent");
    const { object } = headline({ ...now, tool: "think" }, context.cwd());
    article.className = `item item-tool item-agent is-${state}${now.depth ? " deep" : ""}`;
    article.setAttribute("aria-label", `Sub-agent: ${object}`.slice(0, 120));
    fill(
      line,
      h("strong", null, "Sub-agent"),
      " ",
      h("span", { class: "object", dir: "auto" }, object),
      name !== "Agent" && name !== "Task" && h("span", { class: "tag" }, name),
    );
    const working = state === "running" || state === "background";
    fill(
      note,
      factsOf(now).map((fact) => h("span", { class: "fact" }, fact)),
      h(
        "span",
        { class: `state-word ${state}` },
        working && h("span", { class: "spinner", "aria-hidden": "true" }),
        STATES[state],
      ),
    );
    draw();
  };
}

const WORDS = { agent: "Sub-agent", command: "Background command" };

/** The view of a background task whose call is not beside it: one line that is kept up to date. */
export function taskView(article, it, context) {
  return (now) => {
    const { task } = now;
    const running = isRunning(task);
    const word = running ? "running" : task.status === "completed" ? "done" : plain(task.status);
    const said = task.error ?? (running ? task.activity : task.summary);
    const ms = task.duration_ms ?? Date.parse(task.ended ?? "") - Date.parse(task.began ?? "");
    const title = WORDS[task.kind] ?? "Background task";
    article.setAttribute("aria-label", title);
    article.classList.toggle("failed", task.status === "failed");
    fill(
      article,
      h(
        "div",
        { class: "task-line" },
        running
          ? h("span", { class: "spinner", "aria-hidden": "true" })
          : icon(task.status === "failed" ? "cross" : "check"),
        h("strong", null, title),
        h("span", { class: "object", dir: "auto" }, plain(task.description ?? said ?? "").slice(0, 200)),
        h(
          "span",
          { class: "tool-note" },
          h("span", null, word),
          ms >= 0 && h("span", null, duration(ms)),
          timeLink(now, context),
        ),
      ),
      said &&
        said !== task.description &&
        h("p", { class: "agent-last muted", dir: "auto" }, plain(said).slice(0, ANSWER_CHARS)),
    );
  };
}
