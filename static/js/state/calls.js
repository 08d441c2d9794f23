// Tool calls with their results, the prompts about them, and the tasks that they start. Pure; called by the timeline.
// A sub-agent's work is inside the call that started it.

import { item } from "./item.js";

// Statuses in which a task is over.
const OVER = new Set(["completed", "failed", "killed", "stopped", "cancelled"]);
const FACTS = ["kind", "description", "activity", "summary", "tokens", "tool_uses", "duration_ms", "error"];

// Names of the tools that start a sub-agent.
const AGENT_TOOLS = /^(?:Task|Agent|spawn_agent|task)$/;

/** Returns whether a call is that of a sub-agent. */
export const isAgent = (it) => Boolean(it.inside) || it.task?.kind === "agent" || AGENT_TOOLS.test(it.name);

/** Returns whether a task is still running. */
export const isRunning = (task) => !OVER.has(task?.status);

/** Takes a tool call, or more of one that is known. */
export function toolCall(line, event, seq) {
  const known = line.calls.get(event.tool_call_id);
  if (known) {
    const input = event.input && Object.keys(event.input).length ? event.input : known.input;
    line.change(known, {
      input,
      name: event.name || known.name,
      tool: event.kind && event.kind !== "other" ? event.kind : known.tool,
      locations: event.locations?.length ? event.locations : known.locations,
    });
    return;
  }
  const asked = line.asked.get(event.tool_call_id);
  const it = item("tool", event, seq, {
    id: event.tool_call_id,
    name: event.name ?? "",
    input: event.input ?? {},
    tool: event.kind ?? "other",
    locations: event.locations ?? [],
    text: event.content ?? "",
    blocks: event.blocks,
    result: null,
    prompt: asked ?? null,
    waiting: asked?.resolved === null,
    ended: false,
  });
  line.calls.set(it.id, line.place(it));
}

/** Takes the result of a call, which may be pages back. */
export function toolResult(line, event, seq) {
  const result = {
    text: event.content ?? "",
    isError: Boolean(event.is_error),
    output: event.output,
    diff: event.diff,
    images: event.images ?? [],
    seq,
    time: event.timestamp,
  };
  const call = line.calls.get(event.tool_call_id);
  if (call) {
    line.change(call, { result });
    return;
  }
  const it = item("tool", event, seq, {
    id: event.tool_call_id,
    name: "",
    input: {},
    tool: "other",
    locations: [],
    text: "",
    result,
    prompt: null,
    waiting: false,
    ended: false,
  });
  line.calls.set(it.id, line.place(it));
  line.results.set(it.id, it);
}

/** Takes a permission prompt or a question. */
export function request(line, event, seq) {
  if (line.prompts.has(event.request_id)) return;
  const it = item("prompt", event, seq, { id: event.request_id, event, resolved: null });
  line.prompts.set(it.id, line.place(it));
  line.asked.set(event.tool_call_id, it);
  const early = line.resolutions.get(it.id);
  if (early) Object.assign(it, early);
  const call = line.calls.get(event.tool_call_id);
  if (call) line.change(call, { prompt: it, waiting: !it.resolved });
}

/** Takes the end of a prompt, which may be pages back. */
export function resolution(line, event) {
  const resolved = {
    decision: event.decision ?? null,
    answers: event.answers ?? null,
    input: event.updated_input,
    by: event.by,
    rule: event.rule,
    text: event.content,
    time: event.timestamp,
  };
  const it = line.prompts.get(event.request_id);
  if (!it) {
    line.resolutions.set(event.request_id, { resolved });
    return;
  }
  line.change(it, { resolved });
  const call = line.calls.get(it.event.tool_call_id);
  if (call) line.change(call, { waiting: false });
}

/** Ends calls without an answer at the end of their turn; tasks in the background continue. */
export function endCalls(line) {
  const end = (it) => {
    if (it.kind !== "tool" || (it.task && isRunning(it.task))) return;
    it.inside?.forEach(end);
    if (!it.result && !it.ended) line.change(it, { ended: true, waiting: false });
  };
  for (let at = line.items.length - 1; at >= 0 && line.items[at].kind !== "turn"; at -= 1) end(line.items[at]);
}

/** Tasks have no process any more. */
export function endTasks(line) {
  for (const task of line.tasks.values()) if (isRunning(task)) update(line, task, { status: "stopped" });
}

/** Takes news of a background command or a sub-agent: they are in the card of its call, or in one line of its own. */
export function task(line, event, seq) {
  const facts = event.task;
  let known = line.tasks.get(facts.id);
  if (!known) {
    known = { id: facts.id, status: "running", began: event.timestamp, call: null, line: null };
    line.tasks.set(facts.id, known);
  }
  const call = line.calls.get(facts.tool_call_id ?? known.callId);
  if (call) known.call = call;
  known.callId ??= facts.tool_call_id;
  const wasRunning = isRunning(known);
  const news = { status: facts.status ?? known.status };
  for (const name of FACTS) if (facts[name] !== undefined) news[name] = facts[name];
  if (OVER.has(news.status) && wasRunning) news.ended = event.timestamp;
  update(line, known, news);
  // Its end has a line of its own if it comes much later; before that the card shows it.
  const isLate = known.call && known.call.seq < line.turnSeq && known.call.home === null;
  if (!known.line && (!known.call || (isLate && event.code === "task_notification"))) {
    known.line = line.place(item("task", event, seq, { task: known }));
  }
}

function update(line, known, news) {
  Object.assign(known, news);
  if (known.call) line.change(known.call, { task: known });
  if (known.line) line.change(known.line, {});
}

/** Joins what an older page began with what the newer events say of it. */
export function join(line, older) {
  for (const [id, orphan] of line.results) {
    const call = older.calls.get(id);
    if (!call) continue;
    call.result = orphan.result;
    line.remove(orphan);
    line.results.delete(id);
    if (line.calls.get(id) === orphan) line.calls.set(id, call);
  }
  for (const [id, early] of line.resolutions) {
    const prompt = older.prompts.get(id);
    if (!prompt) continue;
    Object.assign(prompt, early);
    line.resolutions.delete(id);
  }
  for (const it of line.items.filter((one) => older.calls.has(one.parent))) {
    line.remove(it);
    line.put(it, older.calls.get(it.parent));
  }
  for (const [id, known] of line.tasks) {
    const first = older.tasks.get(id);
    const call = first?.call ?? older.calls.get(known.callId);
    if (!call || known.call) continue;
    known.call = call;
    for (const name of ["description", "kind", "began"]) known[name] = first?.[name] ?? known[name];
    Object.assign(call, { task: known });
    if (known.line && call.seq >= line.turnSeq) {
      line.remove(known.line);
      known.line = null;
    }
  }
}
