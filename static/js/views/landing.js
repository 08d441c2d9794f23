// The parts of the landing dialog: commit, update, land. Each button says what it will do.

import { fill, h, randomId, toast } from "../lib/dom.js";
import { drafts } from "../lib/drafts.js";
import { work } from "../lib/work.js";
import { plain, plural } from "../lib/text.js";
import { mention } from "./mention.js";

const ASK =
  "Write a commit message for the changes that are not committed yet: an imperative subject of at most 72 " +
  "characters, an empty line, and why. Answer with the message alone, and change nothing.";

/** A part of the dialog: a title that opens it, and a form with one button. */
export function part(name, title, isOpen, ...content) {
  const el = h(
    "details",
    { class: "land-part", data: { part: name } },
    h("summary", null, title),
    h("div", { class: "fields" }, content),
  );
  el.open = isOpen;
  return el;
}

/** A button that runs `act`, says why it failed, and can be pressed again. */
export function action(name, label, act, kind = "primary") {
  const button = h("button", { type: "button", class: kind, data: { name } }, label);
  const problem = h("div", { role: "alert", class: "land-problem" });
  const el = h("div", { class: "land-action" }, problem, h("div", { class: "dialog-actions" }, button));
  button.addEventListener("click", async () => {
    if (button.getAttribute("aria-disabled")) return;
    button.setAttribute("aria-disabled", "true");
    fill(problem);
    try {
      await act(problem);
    } catch (error) {
      fill(problem, h("p", { class: "field-error" }, error.message));
    }
    button.removeAttribute("aria-disabled");
  });
  return { el, button, problem };
}

/** A text field whose text is kept until it has been used. */
function keptText(key, props) {
  const area = h("textarea", props);
  area.value = drafts.get(key);
  area.addEventListener("input", () => drafts.set(key, area.value));
  return area;
}

export function commitPart({ app, id, done }, { uncommitted, branch }) {
  if (!uncommitted.length) return null;
  const key = `${id} commit`;
  const message = keptText(key, { rows: "3", dir: "auto", data: { name: "commit-message" } });
  const boxes = uncommitted.map((path) => {
    const box = h("input", { type: "checkbox", value: path });
    box.checked = true;
    box.addEventListener("change", draw);
    return box;
  });
  const chosen = () => boxes.filter((box) => box.checked).map((box) => box.value);
  const { el, button } = action("commit", "", async () => {
    const text = message.value.trim();
    if (!text) throw new Error("A commit needs a message.");
    const files = chosen();
    const { length } = files;
    await work.commit(id, length === uncommitted.length ? { message: text } : { message: text, files });
    drafts.set(key, "");
    await done(`${plural(length, "file")} committed.`);
  });
  const asking = h("p", { class: "muted", role: "status" });
  const ask = h("button", { type: "button", data: { name: "ask-message" } }, "Ask the agent for a message");
  ask.addEventListener("click", () => askForMessage(app, id, ask, asking, message, key));

  function draw() {
    const { length } = chosen();
    button.textContent = `Commit ${plural(length, "file")}${branch ? ` to ${plain(branch)}` : ""}`;
    button.disabled = !length;
  }

  draw();
  return part(
    "commit",
    `Commit ${plural(uncommitted.length, "file")}`,
    true,
    h("label", null, "Message of the commit", message),
    h("div", { class: "land-ask" }, ask, asking),
    h(
      "fieldset",
      { class: "plain land-files" },
      h("legend", null, "Files"),
      boxes.map((box) => h("label", { class: "check" }, box, h("span", { class: "path" }, plain(box.value)))),
    ),
    el,
  );
}

// The agent's answer becomes the message, unless somebody has written one meanwhile.
async function askForMessage(app, id, button, status, area, key) {
  const before = area.value;
  const conversation = () => app.state.conversations.get(id);
  const turns = app.state.workers.get(id)?.turns ?? 0;
  button.disabled = true;
  status.textContent = "";
  try {
    await app.api.message(id, { content: ASK, client_message_id: randomId() });
  } catch (error) {
    status.textContent = `Not asked: ${error.message}`;
    button.disabled = false;
    return;
  }
  status.textContent = "The agent was asked; its answer will be put here.";
  const timer = setInterval(() => {
    if (!area.isConnected) {
      clearInterval(timer);
      return;
    }
    const worker = app.state.workers.get(id);
    if ((worker?.turns ?? 0) <= turns || worker.status === "busy") return;
    clearInterval(timer);
    button.disabled = false;
    const answer = conversation()?.timeline.items.findLast((it) => it.kind === "assistant")?.text ?? "";
    const isFree = area.value === before && answer.trim();
    status.textContent = isFree ? "The agent's message is above; change it as you like." : "The agent has answered.";
    if (!isFree) return;
    area.value = answer.trim().replace(/^```\w*\n([\s\S]*?)\n```$/, "$1");
    drafts.set(key, area.value);
  }, 250);
}

export function updatePart(context, { behind, ahead, into, branch, conflicts, uncommitted }) {
  if (!behind) return null;
  const { id, done } = context;
  const name = plain(into);
  const from = plural(behind, "commit");
  const run = (strategy, words) =>
    orConflicts(context, async () => {
      await work.bringUp(id, { strategy, from: into });
      await done(words);
    });
  const merge = action(
    "merge",
    `Merge ${from} of ${name} into ${plain(branch ?? "it")}`,
    run("merge", `${from} of ${name} merged.`),
  );
  const rebase = action(
    "rebase",
    `Rebase ${plural(ahead, "commit")} onto ${name}`,
    run("rebase", `${plural(ahead, "commit")} rebased onto ${name}.`),
    "",
  );
  return part(
    "update",
    `Bring ${from} of ${name} into the worktree`,
    conflicts.length > 0,
    uncommitted.length > 0 &&
      h("p", { class: "muted" }, "Commit first: files that are not committed are never moved aside."),
    conflicts.length > 0 &&
      h(
        "p",
        { class: "muted" },
        "There are conflicts: nothing is changed then, and the agent can be asked to resolve them.",
      ),
    merge.el,
    ahead > 0 && rebase.el,
  );
}

/** The files in which both sides conflict. */
export function conflictList(conflicts) {
  return h(
    "ul",
    { class: "land-paths", tabindex: "0", "aria-label": "Conflicts" },
    conflicts.map(({ path, kind }) => h("li", null, h("span", { class: "path" }, plain(path)), ` ${plain(kind)}`)),
  );
}

// Conflicts are shown with what can be done about them.
const orConflicts = (context, run) => async (problem) => {
  try {
    await run();
  } catch (error) {
    if (!error.answer?.ask) throw error;
    fill(problem, conflictCard(context, error));
  }
};

/** A refusal because of conflicts, with the message that asks the agent to resolve them. */
function conflictCard({ app, id, close }, { message, answer }) {
  const text = answer?.ask ?? "";
  const conflicts = answer?.conflicts ?? [];
  const status = h("p", { class: "field-error", role: "alert", hidden: true });
  const key = randomId();
  const send = h(
    "button",
    { type: "button", class: "primary", data: { name: "ask-resolve" } },
    "Ask the agent to resolve",
  );
  send.addEventListener("click", async () => {
    send.disabled = true;
    try {
      await app.api.message(id, { content: text, client_message_id: key });
      close();
      toast("The agent was asked to resolve the conflicts.");
    } catch (error) {
      status.textContent = `Not sent: ${error.message}`;
      status.hidden = false;
      send.disabled = false;
      send.focus();
    }
  });
  const put = () => {
    close();
    mention(app, text);
  };
  return h(
    "div",
    { class: "conflicts" },
    h("p", null, message),
    conflictList(conflicts),
    h("details", null, h("summary", null, "The message to the agent"), h("pre", { tabindex: "0" }, plain(text))),
    status,
    h(
      "div",
      { class: "dialog-actions" },
      h("button", { type: "button", on: { click: put } }, "Put it into the message"),
      send,
    ),
  );
}

const STRATEGIES = {
  squash: ["Squash", "one commit with all changes"],
  merge: ["Merge", "a merge commit; all commits are kept"],
  rebase: ["Rebase", "the commits one after the other, without a merge"],
};

export function landPart(context, plan) {
  const { id, worker, done, look, picked } = context;
  const { into, ahead, strategies, uncommitted } = plan;
  if (!ahead && into) return null;
  const key = `${id} land`;
  const message = keptText(key, {
    rows: "3",
    dir: "auto",
    placeholder: "as the commits say",
    data: { name: "land-message" },
  });
  const to = h("input", {
    type: "text",
    dir: "auto",
    autocomplete: "off",
    spellcheck: "false",
    data: { name: "into" },
  });
  to.value = into ?? "";
  to.addEventListener("change", () => look(to.value.trim()));
  const possible = Object.keys(STRATEGIES).filter((name) => strategies[name]?.possible);
  const strategy = possible.includes(picked.strategy) ? picked.strategy : possible[0];
  const choice = radios("strategy", Object.keys(STRATEGIES), strategy, (name) => {
    const { possible: can, reason, result } = strategies[name] ?? {};
    return [STRATEGIES[name][0], can ? (result ?? STRATEGIES[name][1]) : (reason ?? "not possible"), !can];
  });
  const leave = h("input", { type: "checkbox", data: { name: "leave" } });
  leave.checked = Boolean(picked.leave);
  const then = radios("then", ["keep", "delete"], picked.then ?? "keep", (name) => [
    name === "keep" ? "Keep the worker" : "Delete the worker and its worktree",
    "",
    false,
  ]);
  const land = orConflicts(context, async () => {
    const strategy = choice.value();
    const text = message.value.trim();
    const answer = await work.land(id, {
      strategy,
      into,
      then: then.value(),
      ...(text && strategy !== "rebase" ? { message: text } : {}),
      ...(leave.checked ? { leave_uncommitted: true } : {}),
      // The server refuses a branch that has moved since the dry run.
      expected: { branch: plan.head, into: plan.into_head },
    });
    drafts.set(key, "");
    const words = `Landed on ${plain(into)}${answer?.commit ? ` as ${answer.commit.slice(0, 10)}` : ""}.`;
    if (answer.deleted) {
      context.close();
      toast(`${words} The worker is deleted.`);
    } else await done(answer.left ? `${words} But ${plain(String(answer.left))}` : words);
  });
  const { el, button } = action("land", "", land);
  const isRefused = !possible.length;

  function draw() {
    const strategy = choice.value();
    const [word] = STRATEGIES[strategy] ?? ["Land"];
    const end = then.value() === "delete" ? `, then delete ${plain(worker.name)}` : "";
    button.textContent = `${word} ${plural(ahead, "commit")} onto ${plain(into ?? "a branch")}${end}`;
    button.classList.toggle("danger", then.value() === "delete");
    button.disabled = isRefused;
    messageField.hidden = strategy === "rebase";
    message.placeholder = strategy === "squash" ? (plan.message ?? "") : "as git has it";
  }

  const messageField = h("label", null, "Message", message);
  for (const field of [choice.el, then.el, leave])
    field.addEventListener("change", () => {
      Object.assign(picked, { strategy: choice.value(), then: then.value(), leave: leave.checked });
      draw();
    });
  draw();
  return part(
    "land",
    into ? `Land on ${plain(into)}` : "Land",
    !isRefused,
    h("label", null, "Onto the branch", to),
    h("fieldset", { class: "plain" }, h("legend", null, "How"), choice.el),
    messageField,
    uncommitted.length > 0 &&
      h("label", { class: "check" }, leave, `Without the ${plural(uncommitted.length, "file")} not committed`),
    h("fieldset", { class: "plain" }, h("legend", null, "Then"), then.el),
    el,
  );
}

let groups = 0;

function radios(name, values, chosen, words) {
  groups += 1;
  const group = `${name}-${groups}`;
  const inputs = values.map((value) => {
    const [label, note, isDisabled] = words(value);
    const input = h("input", {
      type: "radio",
      name: group,
      value,
      disabled: isDisabled,
      data: { name: `${name}-${value}` },
    });
    input.checked = value === chosen;
    return {
      input,
      el: h(
        "label",
        { class: "check" },
        input,
        h("span", null, label, note && h("span", { class: "muted" }, ` – ${plain(note)}`)),
      ),
    };
  });
  return {
    el: h(
      "div",
      { class: "land-choices" },
      inputs.map((one) => one.el),
    ),
    value: () => inputs.find(({ input }) => input.checked)?.input.value ?? "",
  };
}
