// The dashboard: what waits, what runs, what has finished since you left, what has failed, and what it has cost.

import { now } from "../lib/clock.js";
import { fill, h, icon } from "../lib/dom.js";
import { redraw } from "../lib/redraw.js";
import { branchOf, isSnoozed, projectOf } from "../state/listed.js";
import { isUnread, openPrompts, shownStatus } from "../state/state.js";
import { ago, baseName, clock, dollars, plain, plural, short } from "../lib/text.js";
import { changedLines, statusBadge } from "./row.js";

// Workers that a card names.
const NAMED_MAX = 6;
// Groups that a table of costs shows.
const GROUPS_MAX = 6;
const DAYS = 7;
// Least time between two looks at the costs.
const COSTS_EVERY_MS = 5_000;
const DAY_MS = 86_400_000;
// The CLIs' names for the windows of their plans.
const WINDOWS = { five_hour: "five hours", seven_day: "week", seven_day_opus: "week of Opus" };
const WORKING = new Set(["busy", "preparing", "starting", "stalled"]);

/** The contents of the dashboard's cards, as lists of workers. Those in `asleep` may be in another list too. */
export function summary(state, now) {
  const waiting = new Set(openPrompts(state).map((prompt) => prompt.worker_id));
  const cards = { waiting: [], running: [], finished: [], failed: [], asleep: [] };
  for (const worker of state.workers.values()) {
    if (!worker.archived && shownStatus(worker, worker.status) === "asleep") cards.asleep.push(worker);
    if (waiting.has(worker.id)) cards.waiting.push(worker);
    else if (worker.archived || isSnoozed(worker, now)) continue;
    else if (worker.status === "failed" || worker.warning) cards.failed.push(worker);
    else if (WORKING.has(worker.status)) cards.running.push(worker);
    else if (["idle", "stopped"].includes(worker.status) && worker.turns > 0 && isUnread(state, worker))
      cards.finished.push(worker);
  }
  const latest = (a, b) => ((a.last_activity ?? "") < (b.last_activity ?? "") ? 1 : -1);
  for (const list of Object.values(cards)) list.sort(latest);
  return cards;
}

/**
 * The windows of the providers' plans, as the worker that was active last has them: `{cli, window, status, percent,
 * resets}`. One that has started anew since is left out.
 */
export function plans(workers, now) {
  const found = new Map();
  const latest = [...workers].sort((a, b) => ((a.last_activity ?? "") < (b.last_activity ?? "") ? -1 : 1));
  for (const worker of latest) {
    const { ai_cli_type: cli, rate_limit: limit } = worker;
    const windows = worker.plan_windows ?? [];
    if (limit && limit.status !== "allowed" && !windows.length) found.set(cli, { cli, window: "", ...limit });
    for (const one of windows) found.set(`${cli} ${one.window}`, { cli, ...one });
  }
  return [...found]
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([, one]) => one)
    .filter(({ resets_at: end }) => !end || Date.parse(end) > now)
    .map(({ cli, window, status, used_percent: percent = null, resets_at: resets }) => ({
      cli,
      window,
      status,
      percent,
      resets,
    }));
}

/** The last `count` days, as the usage report names them (UTC), oldest first. */
export const lastDays = (now, count) =>
  Array.from({ length: count }, (_, at) => new Date(now - (count - 1 - at) * DAY_MS).toISOString().slice(0, 10));

/** All tokens of a total. */
export const tokensOf = ({ usage }) =>
  usage.input_tokens + usage.output_tokens + usage.cache_read_tokens + usage.cache_write_tokens;

const CARDS = [
  ["waiting", "Waiting for you", "Nothing waits for you."],
  ["running", "Working", "No worker is in a turn."],
  ["finished", "Finished since you looked", "Nothing new since you looked."],
  ["failed", "Need attention", "No worker has failed."],
];

/** Mounts the dashboard; `update(visible)` draws it. */
export function mountHome(root, app) {
  const { state, api } = app;
  const cards = h("div", { class: "home-cards" });
  const limits = h("div", { class: "home-limits" });
  const asleep = h("p", { class: "muted home-asleep" });
  const costs = h("section", { class: "home-costs", "aria-label": "Cost and tokens" });
  const box = h(
    "div",
    { class: "home" },
    h(
      "header",
      { class: "home-head" },
      h("a", { class: "icon-button back", href: "#/", "aria-label": "All workers" }, icon("back")),
      h("h1", null, "Overview"),
    ),
    limits,
    cards,
    asleep,
    costs,
  );
  let span = 1;
  let report = null;
  let failure = null;
  let loading = false;
  let askedAt = 0;
  let askedTurns = -1;
  let later = null;
  let drawn = "";

  function update(visible, force = false) {
    if (!visible) return;
    if (box.parentElement !== root) fill(root, box);
    const sign = `${state.rev.workers}.${state.rev.prompts}`;
    if (sign !== drawn || force) {
      drawn = sign;
      drawCards();
    }
    const turns = [...state.workers.values()].reduce((sum, worker) => sum + (worker.turns ?? 0), 0);
    if (loading || turns === askedTurns) return;
    const wait = askedAt + COSTS_EVERY_MS - Date.now();
    if (wait <= 0) load(turns);
    // No event may follow the last turn.
    else later ??= setTimeout(() => ((later = null), update(box.isConnected)), wait);
  }

  function drawCards() {
    const found = summary(state, now());
    redraw(
      cards,
      CARDS.map(([key, title, none]) => card(key, title, none, found[key])),
    );
    const sleepers = found.asleep.length;
    asleep.textContent = sleepers ? `${plural(sleepers, "worker")} asleep. A message wakes each.` : "";
    asleep.hidden = !sleepers;
    redraw(limits, plans(state.workers.values(), now()).map(planNote));
  }

  function card(key, title, none, workers) {
    return h(
      "section",
      { class: `home-card is-${key}${workers.length ? "" : " is-empty"}`, "aria-label": title, data: { key } },
      h("h2", null, h("span", { class: "home-count" }, String(workers.length)), title),
      workers.length ? h("ul", null, workers.slice(0, NAMED_MAX).map(line)) : h("p", { class: "muted" }, none),
      workers.length > NAMED_MAX && h("p", { class: "muted" }, `and ${workers.length - NAMED_MAX} more`),
      key === "waiting" && workers.length > 0 && h("a", { href: "#/inbox" }, "Answer them in the inbox"),
    );
  }

  function line(worker) {
    const where = [baseName(plain(projectOf(worker))), plain(branchOf(worker))].filter(Boolean).join(" · ");
    const status = openPrompts(state, worker.id).length ? "waiting" : worker.status;
    const says = ["waiting", "failed", "stalled"].includes(status) ? worker.reason : worker.last_text;
    return h(
      "li",
      { data: { key: worker.id } },
      h(
        "a",
        { href: `#/w/${encodeURIComponent(worker.id)}` },
        h(
          "span",
          { class: "home-line" },
          statusBadge(status, false),
          h("b", { dir: "auto" }, plain(worker.name)),
          h("span", { class: "muted when" }, ago(worker.last_activity, now())),
        ),
        h(
          "span",
          { class: "home-says" },
          h("span", { class: "home-text", dir: "auto" }, plain(worker.warning ?? says ?? "") || where),
          changedLines(worker),
        ),
      ),
    );
  }

  function planNote({ cli, window, status, percent, resets }) {
    const name = plain(WINDOWS[window] ?? window.replaceAll("_", " "));
    const words = { rejected: "used up", warning: "nearly used up" }[status] ?? "";
    const used = percent === null ? words : `${percent} % used${words && `, ${words}`}`;
    const until = resets ? `starts anew at ${clock(resets, new Date())}` : "";
    return h(
      "p",
      { class: `home-limit is-${status === "allowed" ? "allowed" : "low"}` },
      h(
        "span",
        null,
        h("b", null, plain(cli)),
        `: ${[name || "usage limit", used, until].filter(Boolean).join(", ")}`,
      ),
      percent !== null &&
        h("meter", {
          min: "0",
          max: "100",
          low: "75",
          high: "90",
          optimum: "0",
          value: String(percent),
          "aria-label": `${name} in use`,
        }),
    );
  }

  async function load(turns) {
    loading = true;
    askedAt = Date.now();
    askedTurns = turns;
    if (!report) drawCosts();
    try {
      const days = lastDays(now(), DAYS);
      const from = days[DAYS - span];
      const [byDay, byProject, byCli] = await Promise.all([
        api.usage("day", days[0]),
        api.usage("project", from),
        api.usage("cli", from),
      ]);
      report = { days, byDay, byProject, byCli };
      failure = null;
    } catch (error) {
      failure = error;
    }
    loading = false;
    drawCosts();
  }

  function drawCosts() {
    const had = costs.contains(document.activeElement);
    redraw(costs, costsOf());
    // The button that was pressed may be gone, as the one that tries again.
    if (had && !costs.contains(document.activeElement)) costs.querySelector("button").focus();
  }

  function costsOf() {
    const choose = (count, word) =>
      h(
        "button",
        {
          type: "button",
          "aria-pressed": String(span === count),
          on: {
            click: () => {
              span = count;
              load(askedTurns);
            },
          },
        },
        word,
      );
    const head = h(
      "div",
      { class: "home-costs-head" },
      h("h2", null, "Cost and tokens"),
      h(
        "div",
        { class: "home-choice", role: "group", "aria-label": "Time" },
        choose(1, "Today"),
        choose(DAYS, "7 days"),
      ),
    );
    if (failure)
      return [
        head,
        h("p", { role: "alert" }, `The costs could not be loaded: ${failure.message} `),
        h("button", { type: "button", on: { click: () => load(askedTurns) } }, "Try again"),
      ];
    if (!report) return [head, h("p", { class: "muted" }, "Adding up…")];
    const { days, byDay, byProject, byCli } = report;
    const total = byProject.total;
    const csv = new URL(`api/usage?by=day&format=csv&from=${days[0]}`, document.baseURI).href;
    return [
      head,
      h(
        "p",
        { class: "home-total" },
        h("b", null, dollars(total.cost_usd) || "$0"),
        h(
          "span",
          { class: "muted" },
          `${short(tokensOf(total))} tokens, ${plural(total.turns, "turn")}`,
          total.failed_turns ? `, ${total.failed_turns} failed` : "",
        ),
      ),
      chart(days, byDay.rows),
      h("div", { class: "home-tables" }, table("By project", byProject.rows, baseName), table("By CLI", byCli.rows)),
      h(
        "p",
        { class: "muted home-note" },
        "Days begin at 0:00 UTC. Costs are as the CLIs report them. ",
        h("a", { href: csv, download: "usage.csv" }, "Download as CSV"),
      ),
    ];
  }

  function chart(days, rows) {
    const known = new Map(rows.map((row) => [row.key, row]));
    const value = (day) => known.get(day)?.cost_usd || 0;
    const tokens = (day) => (known.has(day) ? tokensOf(known.get(day)) : 0);
    const isFree = days.every((day) => value(day) === 0);
    const size = isFree ? tokens : value;
    const most = Math.max(...days.map(size), Number.MIN_VALUE);
    return h(
      "ol",
      { class: "home-chart", "aria-label": isFree ? "Tokens a day" : "Cost a day" },
      days.map((day) =>
        h(
          "li",
          { title: `${day}: ${dollars(value(day))}, ${short(tokens(day))} tokens` },
          h("span", { class: "bar", style: { height: `${Math.max(2, Math.round((size(day) / most) * 64))}px` } }),
          h("span", { class: "day" }, day.slice(8)),
          h("span", { class: "visually-hidden" }, `${day}: ${dollars(value(day))}, ${short(tokens(day))} tokens`),
        ),
      ),
    );
  }

  function table(title, rows, shown = (text) => text) {
    const body = rows
      .slice(0, GROUPS_MAX)
      .map((row) =>
        h(
          "tr",
          null,
          h("th", { scope: "row", title: plain(row.key), dir: "auto" }, shown(plain(row.key)) || "unknown"),
          h("td", null, dollars(row.cost_usd)),
          h("td", null, short(tokensOf(row))),
        ),
      );
    return h(
      "table",
      null,
      h("caption", null, title),
      h(
        "thead",
        null,
        h("tr", null, h("td"), h("th", { scope: "col" }, "Cost"), h("th", { scope: "col" }, "Tokens")),
      ),
      h("tbody", null, body.length ? body : h("tr", null, h("td", { colspan: "3", class: "muted" }, "Nothing yet"))),
    );
  }

  return { update };
}
