// Comments of a review as elements: cards of those that the server has, and the editor of one that is being written.
// Typed text is kept in the browser until the server has it.

import { compare } from "../lib/diff.js";
import { drafts } from "../lib/drafts.js";
import { fill, h } from "../lib/dom.js";
import { now } from "../lib/clock.js";
import { clock, plain } from "../lib/text.js";
import { diffView } from "./diffs.js";

const STATES = {
  draft: ["draft", "Not sent yet"],
  sent: ["sent", "The agent has it"],
  addressed: ["addressed", "Its lines have changed since"],
  outdated: ["outdated", "Its lines have gone"],
  resolved: ["resolved", "Somebody has closed it"],
};

/** The words for what a comment is about. */
export function placeWords({ file, side, start, end }) {
  if (!file) return "all changes";
  if (!start) return `the file ${plain(file)}`;
  const lines = end > start ? `lines ${start}–${end}` : `line ${start}`;
  return `${lines} of ${plain(file)}${side === "old" ? " as it was" : ""}`;
}

/**
 * The card of a comment. `acts` has `edit`, `remove`, `resolve(comment, isResolved)`, each of which may be missing.
 * `withPlace` names the place, for cards that are not beside it.
 */
export function commentCard(comment, acts, withPlace = false) {
  const { state, text, quoted = [], suggestion, start } = comment;
  const [word, title] = STATES[state] ?? [state, ""];
  const place = comment.place ?? comment;
  const button = (label, act, name) =>
    act &&
    h(
      "button",
      { type: "button", class: "quiet", "aria-label": name, on: { click: (event) => act(comment, event) } },
      label,
    );
  const hasSuggestion = typeof suggestion === "string";
  const isSettled = state === "resolved";
  const about = placeWords(place);
  const body = [
    text && h("p", { class: "comment-text", dir: "auto" }, plain(text)),
    hasSuggestion && suggested(place.file, quoted, suggestion),
    withPlace && start && !hasSuggestion && quotation(quoted, state),
  ];
  const failed = h("p", { class: "field-error", role: "alert", hidden: true });
  return h(
    "article",
    {
      class: `comment is-${state}`,
      tabindex: "-1",
      "aria-label": `Comment on ${about}, ${word}`,
      data: { comment: comment.id },
    },
    h(
      "div",
      { class: "comment-head" },
      h("span", { class: `tag tag-${state}`, title }, word),
      withPlace && h("span", { class: "comment-place path" }, placeWords(comment)),
      h("span", { class: "muted" }, clock(comment.edited_at ?? comment.created_at, now())),
      h("span", { class: "grow" }),
      state === "draft" && button("Edit", acts.edit, `Edit the comment on ${about}`),
      state === "draft" && button("Delete", acts.remove, `Delete the comment on ${about}`),
      !["draft", "resolved"].includes(state) && button("Resolve", acts.resolve, `Resolve the comment on ${about}`),
      isSettled && button("Open again", acts.reopen, `Open the comment on ${about} again`),
    ),
    isSettled ? h("details", null, h("summary", null, plain(text).slice(0, 80) || "Suggestion"), body) : body,
    failed,
  );
}

/** Says in a card why what was asked for has failed; nothing when it has not. */
export function complain(card, text) {
  const line = card.querySelector(":scope > .field-error");
  line.textContent = text;
  line.hidden = !text;
}

function suggested(file, quoted, suggestion) {
  const rows = compare(quoted.join("\n"), suggestion).map((row) => ({ ...row, a: null, b: null }));
  return h(
    "div",
    { class: "suggestion" },
    h("p", { class: "muted" }, "Suggested:"),
    diffView([{ path: file, rows }]),
  );
}

function quotation(quoted, state) {
  if (!quoted.length) return null;
  return h(
    "figure",
    { class: "quotation" },
    state !== "draft" && h("figcaption", { class: "muted" }, "Its text was:"),
    h("pre", { tabindex: "0", "aria-label": "Quoted lines" }, quoted.map(plain).join("\n")),
  );
}

const REPLACE = "Replace these lines by";
// The text of a comment that is a suggestion alone.
const REPLACE_THEM = "Replace these lines.";
const keyOf = (worker, name) => `${worker} comment ${name}`;

/** Typed text that is not saved: `{place, comment, text, suggestion}` by the names of the editors. */
export function unsaved(worker) {
  const found = new Map();
  for (const key of drafts.names(keyOf(worker, ""))) {
    try {
      found.set(key, JSON.parse(drafts.get(keyOf(worker, key))));
    } catch {
      // Of another version of the page.
      drafts.set(keyOf(worker, key), "");
    }
  }
  return found;
}

/**
 * The editor of a comment. `options`: `worker`, `name` (of what is kept), `place` (`{file, side, start, end}`),
 * `lines` (all that can be commented on around it: `[{line, text}]`), `comment` (which is changed), `clientId`,
 * `text`, `suggestion`, `save(fields)` which sends it, `moved(place)` after another range was chosen, `close(why)`.
 */
export function commentEditor(options) {
  const { worker, name, comment = null, lines = [] } = options;
  let place = { ...options.place };
  const key = keyOf(worker, name);
  const area = h("textarea", { rows: "3", dir: "auto", "aria-label": `Comment on ${placeWords(place)}` });
  area.value = options.text ?? comment?.text ?? "";
  const replacement = h("textarea", { rows: "3", class: "code", spellcheck: "false", "aria-label": REPLACE });
  const given = options.suggestion ?? comment?.suggestion;
  const replacing = h("div", { class: "replacing", hidden: typeof given !== "string" }, replacement);
  replacement.value = given ?? "";
  const problem = h("p", { class: "field-error", role: "alert", hidden: true });
  const canSuggest = Boolean(place.start) && place.side !== "old" && (lines.length > 0 || comment);
  const suggest = h(
    "button",
    { type: "button", class: "quiet", "aria-expanded": String(!replacing.hidden) },
    "Suggest a replacement",
  );
  const save = h("button", { type: "submit", class: "primary" }, comment ? "Save" : "Add to the review");
  const cancel = h("button", { type: "button" }, comment ? "Cancel" : "Discard");
  const about = h("span", { class: "muted editor-place" });
  const form = h(
    "form",
    { class: "comment-editor", "aria-label": `Comment on ${placeWords(place)}` },
    h("div", { class: "editor-head" }, about, range()),
    area,
    canSuggest && replacing,
    problem,
    h("div", { class: "editor-foot" }, canSuggest && suggest, h("span", { class: "grow" }), cancel, save),
  );
  let isSending = false;

  const quoted = () => lines.filter(({ line }) => line >= place.start && line <= place.end).map(({ text }) => text);
  const suggestion = () => (replacing.hidden ? undefined : replacement.value);
  const isChanged = () =>
    area.value !== (comment?.text ?? "") || (suggestion() ?? "") !== (comment?.suggestion ?? "");

  function keep() {
    const { clientId } = options;
    const kept = { place, comment: comment?.id, clientId, text: area.value, suggestion: suggestion() };
    drafts.set(key, isChanged() ? JSON.stringify(kept) : "");
  }

  // The lines of a range, by numbers: also where there is no Shift key.
  function range() {
    if (lines.length < 2 || comment) return null;
    const field = (word, edge) => {
      const input = h("input", { type: "number", inputmode: "numeric", min: lines[0].line, max: lines.at(-1).line });
      input.value = String(place[edge]);
      input.addEventListener("change", () => {
        const known = lines.some(({ line }) => line === Number(input.value));
        if (known) place = inOrder({ ...place, [edge]: Number(input.value) }, edge);
        draw();
        keep();
        options.moved?.(place);
      });
      input.dataset.edge = edge;
      return h("label", null, word, input);
    };
    return h("span", { class: "editor-range" }, field("from line", "start"), field("to", "end"));
  }

  function draw() {
    about.textContent = place.start ? (place.side === "old" ? "As it was before" : "") : placeWords(place);
    form.setAttribute("aria-label", `Comment on ${placeWords(place)}`);
    area.setAttribute("aria-label", `Comment on ${placeWords(place)}`);
    /** @type {NodeListOf<HTMLInputElement>} */
    const fields = form.querySelectorAll("input[data-edge]");
    for (const input of fields) input.value = String(place[input.dataset.edge]);
  }

  suggest.addEventListener("click", () => {
    replacing.hidden = !replacing.hidden;
    suggest.setAttribute("aria-expanded", String(!replacing.hidden));
    if (!replacing.hidden && !replacement.value) replacement.value = (comment?.quoted ?? quoted()).join("\n");
    (replacing.hidden ? area : replacement).focus();
    keep();
  });
  form.addEventListener("input", keep);
  form.addEventListener("keydown", (event) => {
    if (event.isComposing) return;
    if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) {
      event.preventDefault();
      submit();
    } else if (event.key === "Escape") {
      // Typed text is kept, and is there again when the place is opened.
      event.preventDefault();
      event.stopPropagation();
      options.close(isChanged() ? "kept" : "cancelled");
    }
  });
  cancel.addEventListener("click", () => {
    drafts.set(key, "");
    options.close("cancelled");
  });
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    submit();
  });

  async function submit() {
    if (isSending) return;
    const text = area.value.trim();
    const replaced = suggestion();
    if (!text && replaced === undefined) {
      fill(problem, "A comment needs some text.");
      problem.hidden = false;
      area.focus();
      return;
    }
    isSending = save.disabled = true;
    try {
      await options.save({ place, text: text || REPLACE_THEM, suggestion: replaced, quoted: quoted() });
      drafts.set(key, "");
      options.close("saved");
    } catch (error) {
      fill(problem, `Not saved: ${error.message}`);
      problem.hidden = false;
      save.textContent = "Try again";
      save.disabled = false;
      save.focus();
    }
    isSending = save.disabled = false;
  }

  draw();
  keep();
  return { el: form, place: () => place, focus: () => area.focus() };
}

function inOrder(place, edge) {
  if (place.start <= place.end) return place;
  return edge === "start" ? { ...place, end: place.start } : { ...place, start: place.end };
}
