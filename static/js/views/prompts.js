// Permission and question cards, in the conversation and in the inbox.
// They emit `answer` with `{key, worker, request, option?, message?, answers?}`.

import { fill, h, icon, emit } from "../lib/dom.js";
import { editView } from "./edits.js";
import { longText } from "./rich.js";
import { promptKey } from "../state/state.js";
import { optionFor, optionsOf } from "../state/options.js";
import { clock, plain, readable } from "../lib/text.js";
import { questionForm, questionsOf } from "./questions.js";
import { headline, inputList, planText } from "./tools.js";

const KINDS = {
  allow_once: "Allow once",
  allow_always: "Allow always",
  reject_once: "Deny",
  reject_always: "Deny always",
};
const DECISIONS = {
  allow_once: "Allowed once",
  allow_always: "Allowed always",
  allow: "Allowed",
  deny: "Denied",
  reject_once: "Denied",
  reject_always: "Denied always",
  cancelled: "Withdrawn",
};
const BY = { user: "", cli: " by the CLI" };
const EDITS = /edit|write|patch|replace/i;
const SHELLS = /bash|shell|exec|command|terminal/i;

/** The view of a prompt in a conversation. */
export function promptView(article, it, context) {
  let card = null;
  let closed = null;
  return (now) => {
    // It may be open for reading.
    if (closed && closed === now.resolved) return;
    closed = now.resolved;
    const isQuestion = now.event.type === "question";
    article.setAttribute("aria-label", isQuestion ? "Question" : "Permission request");
    article.classList.toggle("open", !now.resolved);
    article.dataset.request = now.id;
    if (now.resolved) {
      card = null;
      fill(article, resolvedLine(now, isQuestion, context));
      return;
    }
    if (!card) {
      card = promptCard(
        { key: promptKey(context.worker, now.id), worker_id: context.worker, request_id: now.id, event: now.event },
        context,
      );
      fill(article, card.el);
    }
    card.update();
  };
}

function resolvedLine(it, isQuestion, context) {
  const { decision, answers, by, rule, time, text, input } = it.resolved;
  const denied = /deny|reject|cancel/.test(decision ?? "") || (isQuestion && !answers);
  const isForm = isQuestion && questionsOf(it.event).some((asked) => asked.field !== undefined);
  const unanswered = text === "declined" ? (isForm ? "Declined" : "Skipped") : "Withdrawn";
  const option = optionsOf(it.event).find((option) => option.id === decision);
  const kind = it.event.budget ? null : option?.kind;
  const plan = isPlan(it.event);
  const word = isQuestion
    ? answers
      ? "Answered"
      : unanswered
    : plan
      ? planWord(decision, denied)
      : (DECISIONS[decision] ?? DECISIONS[kind] ?? plain(option?.label || text || decision || "Closed"));
  const what = isQuestion
    ? questionsOf(it.event)
        .map((q) => q.question)
        .join(" ")
    : `${it.event.tool_name ?? ""}`;
  if (plan) return resolvedPlan(it, word, denied, context);
  return h(
    "div",
    { class: `resolved ${denied ? "denied" : "allowed"}` },
    icon(denied ? "cross" : "check"),
    h(
      "span",
      null,
      h("strong", null, word),
      `${rule ? ` by the rule “${plain(rule)}”` : (BY[by] ?? "")}: `,
      h("span", { dir: "auto" }, plain(what)),
      answers && h("span", { class: "answers", dir: "auto" }, ` ${plain(answerText(answers))}`),
      input && h("span", { class: "answers", dir: "auto" }, ` with ${plain(JSON.stringify(input))}`),
    ),
    time && h("span", { class: "muted time" }, clock(time, context.now())),
  );
}

const isPlan = (event) => event.type === "permission_request" && typeof event.input?.plan === "string";

const planWord = (decision, denied) =>
  decision === "cancelled" ? "Plan withdrawn" : denied ? "Plan sent back" : "Plan approved";

// The plan stays where it was asked about.
function resolvedPlan(it, word, denied, context) {
  const body = h("div", { class: "details-body" });
  const details = h(
    "details",
    { class: `resolved plan-resolved ${denied ? "denied" : "allowed"}` },
    h(
      "summary",
      null,
      icon(denied ? "cross" : "check"),
      h("strong", null, word),
      h("span", { class: "muted" }, firstLine(it.event.input.plan)),
      it.resolved.time && h("span", { class: "muted time" }, clock(it.resolved.time, context.now())),
    ),
    body,
  );
  details.addEventListener("toggle", () => {
    if (details.open && !body.childElementCount) body.append(planText(it.event, context.worker, context));
  });
  return details;
}

const firstLine = (plan) =>
  plain(plan)
    .split("\n")
    .map((line) => line.replace(/^[#\s>*-]+/, ""))
    .find((line) => line)
    ?.slice(0, 120) ?? "";

const answerText = (answers) =>
  typeof answers === "object" ? Object.values(answers).map(readable).join("; ") : readable(answers);

/** A card that can be answered; `context.answerOf(key)` returns the state of an answer. */
export function promptCard(prompt, context, { title = null } = {}) {
  const isQuestion = prompt.event.type === "question";
  const error = h("p", { class: "field-error", role: "alert" });
  const form = isQuestion ? questionForm(prompt) : permissionForm(prompt, context);
  const el = h(
    "section",
    {
      class: "prompt-card",
      data: { key: prompt.key },
      tabindex: "-1",
      "aria-label": isQuestion ? "Question" : `Permission: ${prompt.event.tool_name ?? ""}`,
    },
    title,
    form,
    error,
  );
  function update() {
    const answer = context.answerOf(prompt.key);
    error.textContent = answer?.error ?? "";
    error.hidden = !answer?.error;
    for (const control of el.querySelectorAll(".prompt-actions button, .question input"))
      control.disabled = Boolean(answer?.sending);
    el.classList.toggle("sending", Boolean(answer?.sending));
  }
  update();
  return { el, update };
}

function permissionForm(prompt, context) {
  const { event } = prompt;
  const name = event.display_name ?? event.tool_name ?? "Tool";
  const plan = isPlan(event);
  const purpose = event.description ?? event.input?.description;
  const reason = h("input", {
    type: "text",
    class: "reason",
    placeholder: plan ? "What should be different?" : "Why not? The agent reads it (optional)",
    "aria-label": plan ? "What to change" : "Reason for denying",
    dir: "auto",
    hidden: true,
  });
  const send = (option) =>
    emit(form, "answer", {
      key: prompt.key,
      worker: prompt.worker_id,
      request: prompt.request_id,
      option: option.id,
      message: reason.value.trim() || undefined,
    });
  const deny = optionFor(event, "deny");
  const keys = new Map(
    [
      ["allow", "a"],
      ["always", "A"],
      ["deny", "d"],
    ].map(([meaning, key]) => [optionFor(event, meaning), key]),
  );
  const usual = event.default_to_no ? "reject_once" : "allow_once";
  const buttons = optionsOf(event).map((option) => {
    const rejects = String(option.kind).startsWith("reject");
    const label = plain(option.label || KINDS[option.kind] || option.id);
    const key = keys.get(option);
    return h(
      "button",
      {
        type: "button",
        class: option.kind === usual ? "primary" : rejects ? "danger" : "",
        "aria-keyshortcuts": key ?? null,
        on: { click: () => send(option) },
      },
      label,
      key && h("kbd", { "aria-hidden": "true" }, key),
    );
  });
  const withReason =
    deny &&
    !event.budget &&
    h(
      "button",
      {
        type: "button",
        class: "quiet",
        "aria-expanded": "false",
        on: {
          click: (event) => {
            reason.hidden = !reason.hidden;
            event.currentTarget.setAttribute("aria-expanded", String(!reason.hidden));
            if (!reason.hidden) reason.focus();
          },
        },
      },
      plan ? "Say what to change…" : "Deny with a reason…",
    );
  const once = optionsOf(event).find((option) => option.kind === "allow_once");
  const delicate = event.default_to_no || event.suppress_always_allow_rule || event.requires_user_interaction;
  const always =
    once &&
    !plan &&
    !delicate &&
    h(
      "button",
      {
        type: "button",
        class: "quiet",
        on: {
          click: () =>
            emit(form, "rules", {
              key: prompt.key,
              worker: prompt.worker_id,
              request: prompt.request_id,
              option: once.id,
            }),
        },
      },
      "Always do this…",
    );
  reason.addEventListener("keydown", (event) => {
    if (event.key === "Escape" && withReason) {
      reason.hidden = true;
      withReason.setAttribute("aria-expanded", "false");
    }
    if (event.key !== "Enter" || event.isComposing) return;
    event.preventDefault();
    send(deny);
  });
  const form = h(
    "div",
    { class: `permission${plan ? " plan-ready" : ""}` },
    h(
      "div",
      { class: "prompt-head" },
      h("span", { class: "prompt-mark", "aria-hidden": "true" }, "?"),
      plan
        ? h("strong", null, "Plan ready")
        : event.title
          ? h("strong", { dir: "auto" }, plain(event.title))
          : h("span", null, "Allow ", h("strong", null, plain(name)), "?"),
      purpose && h("span", { class: "muted", dir: "auto" }, plain(purpose)),
      event.agent_id && h("span", { class: "tag" }, "sub-agent"),
    ),
    event.decision_reason && h("p", { class: "muted", dir: "auto" }, plain(event.decision_reason)),
    plan ? planText(event, prompt.worker_id, context) : what(event, context, prompt.worker_id),
    h("div", { class: "prompt-actions" }, buttons, withReason, always),
    reason,
  );
  return form;
}

// The effect of the tool: the command, the change, or its input.
function what(event, context, worker) {
  const input = event.input ?? {};
  const name = event.tool_name ?? "";
  const edit = EDITS.test(name) || input.old_string !== undefined ? editView(input, context, worker) : null;
  if (edit) return edit;
  const command = input.command ?? input.cmd;
  if (command && (SHELLS.test(name) || Object.keys(input).length <= 3)) {
    return longText(Array.isArray(command) ? command.join(" ") : readable(command), {
      lines: 24,
      language: "sh",
      label: "Command",
    });
  }
  if (Object.keys(input).length) return inputList(input);
  const { object } = headline({ tool: "other", name, input, text: event.content }, context.cwd?.());
  return h("p", { dir: "auto" }, object || plain(event.content ?? ""));
}
