// The visible form of a conversation's items: calls of one kind in a row are one line, an end and its reasons are
// one card, retries are one line that counts, and nothing is said twice. Pure.
// A group is `{key, seq, kind, rev, items, ...}` and stays the same object while it grows.

// Kinds of calls that fold, and from how many in a row on.
const FOLDED = { read: 2, search: 2, fetch: 2, execute: 3 };
// Longest time between the end of a process and the events that belong to it, in milliseconds.
const MOMENT_MS = 5_000;
// Items that are looked at for what the end of a turn or of a process says again.
const LOOK_BACK = 8;

/** The list of what is shown of `items`. `groups` remembers groups by their keys. */
export function shownOf(items, groups) {
  const out = [];
  const used = new Set();
  const grouped = (key, fields, members) => {
    used.add(key);
    let group = groups.get(key);
    if (!group) {
      group = { key, height: 0 };
      groups.set(key, group);
    }
    const rev = members.reduce((sum, it) => sum + it.rev + 1, 0);
    const { height } = group;
    return Object.assign(group, { depth: 0 }, fields, { key, height, seq: members[0].seq, items: members, rev });
  };
  for (const it of items) {
    if (isSaidByPrompt(it)) continue;
    if (it.kind === "turn" && it.event.stop_reason === "interrupted") dropInterrupted(out);
    const why = reasonOf(it, out.at(-1));
    if (why) out.splice(-1, 1, grouped(`t${it.key}`, { ...it, ...why }, [out.at(-1), it]));
    else if (isEnd(it)) {
      const members = takeReasons(out, it);
      out.push(members.length > 1 || it.level === "error" ? grouped(`f${it.key}`, failure(members), members) : it);
    } else if (isRetry(it)) {
      const members = isRetry(out.at(-1)) ? membersOf(out.pop()).concat(it) : [it];
      out.push(members.length > 1 ? grouped(`r${members[0].key}`, retries(members), members) : it);
    } else if (isFoldable(it)) addCall(out, it, grouped);
    else out.push(it);
  }
  for (const key of groups.keys()) if (!used.has(key)) groups.delete(key);
  return out;
}

const membersOf = (it) => it.items ?? [it];

// The card of a prompt says all that the line of its call would; what was asked or planned stays with its answer.
function isSaidByPrompt(it) {
  if (it.kind !== "tool" || !it.prompt || it.home) return false;
  const { event, resolved } = it.prompt;
  const isAnswered = event.type === "question" || typeof event.input?.plan === "string";
  return isAnswered || (!resolved && !it.result && !it.ended);
}

// The end of the turn says it.
function dropInterrupted(out) {
  for (let at = out.length - 1; at >= Math.max(0, out.length - LOOK_BACK) && out[at].kind !== "turn"; at -= 1) {
    if (out[at].kind === "notice" && out[at].code === "interrupted") out.splice(at, 1);
  }
}

// A turn that failed for the reason that was said just before says it itself, in the words that say more.
function reasonOf(it, last) {
  if (it.kind !== "turn" || !it.event.is_error || !last) return null;
  const own = it.event.result || it.event.content || "";
  // Claude Code gives an error of its provider as an answer of the agent too.
  if (last.kind === "assistant") return own && squeezed(last.text) === squeezed(own) ? { event: it.event } : null;
  if (last.kind !== "notice" || last.level !== "error" || !own || !saysSame(last.text, own)) return null;
  return { event: { ...it.event, result: last.text.length > own.length ? last.text : own } };
}

const isRetry = (it) => it?.kind === "notice" && it.code === "api_retry";

const retries = (members) => ({ ...shared(members.at(-1)), kind: "notice", level: "warning", count: members.length });

const shared = ({ time, code, text }) => ({ time, code, text });

const isEnd = (it) => it.kind === "notice" && (it.code === "failed" || it.code === "stopped");

// Takes what has led to an end from the end of the list.
function takeReasons(out, end) {
  const members = [end];
  while (out.length && members.length < LOOK_BACK && isReason(out.at(-1), end)) members.unshift(out.pop());
  return members;
}

function isReason(it, end) {
  if (Math.abs(Date.parse(end.time) - Date.parse(it.time)) > MOMENT_MS) return false;
  if (it.kind === "exit") return true;
  if (end.code !== "failed") return false;
  if (it.kind === "stderr") return true;
  if (it.kind === "turn") return it.event.stop_reason === "process_ended";
  return it.kind === "notice" && it.level === "error" && !it.items && saysSame(it.text, end.text);
}

const squeezed = (text) => text.replace(/\s+/g, " ").trim();

function saysSame(a, b) {
  const [x, y] = [squeezed(a), squeezed(b)];
  return x.includes(y) || y.includes(x) || y.includes(squeezed(a.split("\n")[0]));
}

// One card for the end of a process: its reason, how it ended, and the end of its error output once.
function failure(members) {
  const end = members.at(-1);
  const exited = members.find((it) => it.kind === "exit");
  const lines = members.filter((it) => it.kind === "stderr").flatMap((it) => it.lines);
  const tail = exited?.event.stderr_tail ?? "";
  const output = lines.join("\n");
  return {
    kind: "failure",
    level: end.level,
    code: end.code,
    text: end.reason || (end.code === "stopped" ? "" : end.text),
    time: end.time,
    exit: exited?.event ?? null,
    output: output.length > tail.length ? output : tail,
  };
}

function isFoldable(it) {
  if (it.kind !== "tool" || !FOLDED[it.tool] || !it.name || it.inside || it.task || it.waiting) return false;
  return !it.ended && !it.result?.isError;
}

function addCall(out, it, grouped) {
  const last = out.at(-1);
  const ofKind = (other) => other?.tool === it.tool && other.depth === it.depth;
  if (last?.kind === "group" && ofKind(last)) {
    out.pop();
    out.push(group(last.items.concat(it), grouped));
    return;
  }
  out.push(it);
  const count = FOLDED[it.tool];
  const members = out.slice(-count);
  if (members.length === count && members.every((one) => isFoldable(one) && ofKind(one))) {
    out.splice(-count);
    out.push(group(members, grouped));
  }
}

const group = (members, grouped) =>
  grouped(
    `g${members[0].key}`,
    { kind: "group", tool: members[0].tool, depth: members[0].depth, time: members[0].time },
    members,
  );
