// The views of a conversation's items. `itemView(item, context)` makes `{el, update(item)}`; tools and prompts have
// their own files. Context: `{worker, now(), prompt(item), cwd()}`.

import { copyButton, fill, h, icon, style, emit } from "../lib/dom.js";
import { failureView } from "./failure.js";
import { groupView } from "./group.js";
import { ofAnswer, ofMessage, thumbnails } from "./pictures.js";
import { longText, markdownView } from "./rich.js";
import { isAgent } from "../state/calls.js";
import { clock, dollars, duration, plain, plural, readable, short } from "../lib/text.js";
import { timeLink } from "./timelink.js";
import { toolView } from "./tools.js";
import { troubleLine } from "./troubles.js";

// A longer message is folded where it is shown as plain text.
const LONG_CHARS = 6_000;

const WORDS = {
  end_turn: "Done",
  interrupted: "Interrupted",
  error: "Failed",
  refusal: "Refused",
  max_turns: "Stopped at the turn limit",
  max_tokens: "Stopped at the token limit",
  process_ended: "The process ended",
};

/** The view of an item. */
export function itemView(it, context) {
  const make = VIEWS[it.kind] ?? unknownView;
  const article = h("article", { class: `item item-${it.kind}`, tabindex: "-1" });
  const view = make(article, it, context);
  const update = (now) => {
    article.classList.toggle("deep", now.depth > 0);
    view(now);
  };
  update(it);
  return { el: article, update };
}

function user(article, it, context) {
  article.setAttribute("aria-label", it.own ? "You" : "Message to the agent");
  return (now) => {
    const { pictures, files: others } = ofMessage(now, context);
    const files = others.map((file) =>
      h("li", null, icon("file"), " ", plain(file.name ?? file.media_type ?? "file")),
    );
    const body =
      now.text.length > LONG_CHARS
        ? longText(now.text, { lines: 30, label: "Message" })
        : h("div", { class: "bubble-text", dir: "auto" }, plain(now.text));
    fill(
      article,
      h(
        "div",
        { class: `bubble${now.own ? "" : " foreign"}` },
        now.text && body,
        thumbnails(pictures, "attachments"),
        files.length > 0 && h("ul", { class: "attachments" }, files),
      ),
      h(
        "div",
        { class: "meta" },
        !now.own && h("span", null, "from the CLI"),
        timeLink(now, context),
        copyButton(() => now.text, "Copy message"),
      ),
    );
  };
}

function assistant(article, it, context) {
  article.setAttribute("aria-label", "Agent");
  const view = markdownView(ofAnswer(context));
  const meta = h("div", { class: "meta" });
  article.append(view.el, meta);
  let done = false;
  return (now) => {
    show(view, now);
    article.classList.toggle("live", now.live);
    if (!now.live && !done) {
      done = true;
      fill(
        meta,
        now.depth > 0 && h("span", null, "sub-agent"),
        timeLink(now, context),
        copyButton(() => now.text, "Copy answer"),
      );
    }
  };
}

// A whole message without blocks is one that the server found too long for them.
function show(view, now) {
  if (now.blocks || now.live || now.text.length < LONG_CHARS) view.show(now.text, now.blocks, now.read);
  else fill(view.el, longText(now.text, { label: "Message" }));
}

function thinking(article) {
  article.setAttribute("aria-label", "Thinking");
  const label = h("span");
  const body = h("div", { class: "details-body" });
  const details = h("details", { class: "thought" }, h("summary", null, icon("think"), label), body);
  article.append(details);
  let view = null;
  let latest = null;
  const draw = () => {
    if (!details.open) return;
    if (!view) {
      view = markdownView();
      body.append(view.el);
    }
    show(view, latest);
  };
  details.addEventListener("toggle", draw);
  return (now) => {
    latest = now;
    const last = now.text.trimEnd().split("\n").pop().slice(0, 120);
    label.textContent = now.live ? `Thinking… ${plain(last)}` : "Thought";
    article.classList.toggle("live", now.live);
    draw();
  };
}

const PLAN_MARKS = { completed: ["done", "done"], in_progress: ["doing", "in progress"], pending: ["todo", "to do"] };

function plan(article) {
  article.setAttribute("aria-label", "Plan");
  return (now) => {
    const done = now.entries.filter((entry) => entry.status === "completed").length;
    fill(
      article,
      h(
        "div",
        { class: "card" },
        h(
          "div",
          { class: "card-head" },
          h("strong", null, "Plan"),
          h("span", { class: "muted" }, `${done} of ${now.entries.length} done`),
        ),
        h(
          "ul",
          { class: "plan" },
          now.entries.map((entry) => {
            const [mark, word] = PLAN_MARKS[entry.status] ?? PLAN_MARKS.pending;
            return h(
              "li",
              { class: entry.status },
              h("span", { class: "mark", role: "img", "aria-label": word }, icon(mark)),
              h("span", { dir: "auto" }, plain(entry.text ?? entry.content)),
            );
          }),
        ),
      ),
    );
  };
}

function turn(article, it, context) {
  const { event } = it;
  const usage = event.usage ?? {};
  const failed = event.is_error && event.stop_reason !== "interrupted";
  const read = (usage.input_tokens ?? 0) + (usage.cache_read_tokens ?? 0) + (usage.cache_write_tokens ?? 0);
  article.setAttribute("aria-label", "End of turn");
  const cached = usage.cache_read_tokens ? `, ${short(usage.cache_read_tokens)} of them from the cache` : "";
  const facts = [
    event.duration_ms !== undefined && [duration(event.duration_ms), "Duration of the turn"],
    read > 0 && [`${short(read)} in`, `Tokens read: ${short(read)}${cached}`],
    usage.output_tokens > 0 && [`${short(usage.output_tokens)} out`, `Tokens written: ${short(usage.output_tokens)}`],
    dollars(event.cost_usd) && [dollars(event.cost_usd), "Cost of the turn"],
  ].filter(Boolean);
  return () => {
    article.classList.toggle("failed", Boolean(failed));
    fill(
      article,
      h(
        "div",
        { class: "turn" },
        icon(failed ? "cross" : event.stop_reason === "interrupted" ? "stop" : "check"),
        h(
          "span",
          { class: "turn-word" },
          WORDS[event.stop_reason] ?? plain(String(event.stop_reason ?? "done").replaceAll("_", " ")),
        ),
        facts.map(([fact, title]) => h("span", { title }, fact)),
        timeLink(it, context),
      ),
      failed &&
        event.stop_reason !== "process_ended" &&
        (event.result || event.content) &&
        h(
          "div",
          { class: "turn-error", dir: "auto" },
          longText(event.result || event.content, { lines: 8, label: "Error" }),
        ),
    );
  };
}

const CODES = {
  api_retry: "Trying again",
  command_output: "Output",
  conversation_reset: "New conversation",
  gap: "Another history",
  synthetic_message: "From the CLI",
  usage_limit: "Usage limit",
};

const wordsOf = ({ code, count }) =>
  `${CODES[code] ?? code.replaceAll("_", " ")}${count > 1 ? `, ${count} times` : ""}`;

function notice(article, it, context) {
  return (now) => {
    const until = now.until ? ` It starts anew at ${clock(now.until, context.now())}.` : "";
    const long = now.text.length > 500;
    article.classList.add(now.level);
    if (now.level === "error") article.setAttribute("aria-label", "Error");
    fill(
      article,
      h(
        "div",
        { class: "notice" },
        h("span", { class: "notice-mark", "aria-hidden": "true" }, now.level === "info" ? "·" : "!"),
        now.code && now.code !== now.text && h("span", { class: "code" }, plain(wordsOf(now))),
        h(
          "div",
          { class: "notice-text", dir: "auto" },
          long ? longText(now.text, { lines: 6, label: "Message" }) : plain(now.text) + until,
        ),
        timeLink(now, context),
      ),
    );
  };
}

/** A `<details>` whose body is made when it is opened. */
export function lazyDetails(summary, make, open = false) {
  const body = h("div", { class: "details-body" });
  const details = h("details", null, h("summary", null, summary), body);
  let made = false;
  const draw = () => {
    if (details.open && !made) {
      made = true;
      fill(body, make());
    }
  };
  details.addEventListener("toggle", draw);
  if (open) {
    details.open = true;
    draw();
  }
  return details;
}

function stderr(article) {
  article.setAttribute("aria-label", "Error output");
  return (now) => {
    const open = article.querySelector("details")?.open ?? false;
    const label = h(
      "span",
      null,
      `stderr, ${plural(now.lines.length, "line")}: `,
      h("code", null, plain(now.lines[now.lines.length - 1]).slice(0, 160)),
    );
    fill(
      article,
      lazyDetails(
        [icon("terminal"), label],
        () => longText(now.lines.join("\n"), { tail: true, label: "Error output" }),
        open,
      ),
    );
  };
}

function exit(article, it, context) {
  const { event } = it;
  const how = event.signal
    ? `ended by ${event.signal}`
    : event.exit_code !== undefined
      ? `exited with code ${event.exit_code}`
      : "ended";
  article.setAttribute("aria-label", "Process ended");
  return () => {
    article.classList.toggle("failed", event.exit_code !== undefined && event.exit_code !== 0);
    fill(
      article,
      h(
        "div",
        { class: "notice" },
        icon("stop"),
        h(
          "span",
          { class: "notice-text" },
          `The process ${how}.`,
          event.ended?.length > 0 &&
            ` Also ended: ${event.ended.map((one) => `${plain(one.name)} (${one.pid}, ${one.signal})`).join(", ")}.`,
        ),
        timeLink(it, context),
      ),
      event.stderr_tail && longText(event.stderr_tail, { tail: true, lines: 8, label: "End of the error output" }),
    );
  };
}

function unknownView(article, it) {
  const text = readable(it.raw);
  article.setAttribute("aria-label", "Unknown event");
  return () =>
    fill(
      article,
      lazyDetails([icon("file"), h("span", null, `Unknown event ${plain(it.raw?.type ?? "").slice(0, 60)}`)], () =>
        longText(text, { language: "json" }),
      ),
    );
}

// A view whose code `load()` promises, and which is loaded with the first item of its kind.
function loaded(what, load) {
  let asked = null;
  let make = null;
  return (article, it, context) => {
    let latest = it;
    let view = make?.(article, it, context) ?? null;
    const ask = () => {
      asked ??= load();
      asked.then(
        (found) => {
          make = found;
          fill(article);
          view = make(article, it, context);
          view(latest);
          emit(article, "cardReady");
        },
        (error) => {
          asked = null;
          fill(article, troubleLine(`This ${what} could not be shown: ${error.message}`, ask));
        },
      );
    };
    if (!view) ask();
    return (now) => {
      latest = now;
      view?.(now);
    };
  };
}

const prompt = loaded("request", async () => {
  const [{ promptView }] = await Promise.all([import("./prompts.js"), style("prompts")]);
  return promptView;
});
const agent = loaded("sub-agent", async () => (await import("./agent.js")).agentView);
const task = loaded("task", async () => (await import("./agent.js")).taskView);

// A call becomes that of a sub-agent when it does something.
function tool(article, it, context) {
  let make = null;
  let view = null;
  return (now) => {
    const wanted = isAgent(now) ? agent : toolView;
    if (make !== wanted) {
      make = wanted;
      fill(article);
      view = make(article, now, context);
    }
    view(now);
  };
}

const VIEWS = {
  user,
  assistant,
  thinking,
  plan,
  turn,
  notice,
  stderr,
  exit,
  tool,
  prompt,
  task,
  group: groupView,
  failure: failureView,
};
