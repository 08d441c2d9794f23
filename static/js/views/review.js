// The review of a worker's changes: the diff with its comments, marks of files that were viewed, and their sending.

import { arrange, fill, h, randomId, style, toast } from "../lib/dom.js";
import { work } from "../lib/work.js";
import { plain, plural } from "../lib/text.js";
import { changesView } from "./changes.js";
import { commentCard, commentEditor, complain, unsaved } from "./comments.js";
import { lineButtons, linesAround } from "./lines.js";
import { scopeMenu } from "./scopes.js";
import { troubleLine } from "./troubles.js";

const nameOf = ({ file = "", side = "new", start = 0, end = 0 }) => JSON.stringify([file, side, start, end]);

/** The view of one worker's changes and their review. */
export function reviewView(app, id) {
  style("review");
  const el = h("div", { class: "review" });
  const failures = h("div", { class: "review-failures" });
  const progress = h("span", { class: "muted review-progress", role: "status" });
  const loose = h("section", { class: "threads loose", "aria-label": "Other comments", hidden: true });
  const foot = h("div", { class: "review-foot", hidden: true });
  /** @type {any} */
  let answer = null;
  /** @type {any[]} */
  let comments = [];
  let viewed = new Map();
  let asked = "";
  // Texts that are being written, by name; and the cards as they were drawn.
  const editors = new Map();
  const cards = new Map();
  let isRestored = false;

  const scopes = scopeMenu(app, id, () => load());
  const marks = lineButtons(el, (place) => write(place));
  const extension = {
    gutter: marks.gutter,
    file: fileTools,
    hunk: hunkTools,
    begin: marks.forget,
    isOpen: (path) => !isViewed(path),
    drawn: () => queueMicrotask(place),
  };
  const changes = changesView((path) => app.api.fileUrl(id, path), extension);
  el.append(h("div", { class: "review-bar" }, scopes.el, progress), failures, changes.el, loose, foot);

  const hashOf = (path) => {
    const file = answer?.files?.find((one) => one.path === path);
    return file?.new_hash ?? file?.old_hash ?? null;
  };
  const isViewed = (path) => viewed.has(path) && viewed.get(path) === hashOf(path);

  /** Asks again when `key` is another one, or the review has changed. */
  function update(key, reviewKey) {
    if (asked === `${key} ${reviewKey}`) return undefined;
    const isReviewOnly = asked.startsWith(`${key} `);
    asked = `${key} ${reviewKey}`;
    return isReviewOnly ? loadReview() : load();
  }

  let round = 0;

  function load() {
    round += 1;
    const mine = round;
    return attempt("The changes could not be loaded", async () => {
      const [diff, review] = await Promise.all([work.diff(id, scopes.query()), work.review(id)]);
      if (mine !== round) return;
      answer = diff;
      take(review);
      scopes.show(diff);
      redraw();
    });
  }

  const loadReview = () =>
    attempt("The comments could not be loaded", async () => {
      take(await work.review(id));
      redraw();
    });

  function take(review) {
    comments = review.comments;
    viewed = new Map(review.viewed.map(({ file, hash }) => [file, hash]));
    if (isRestored) return;
    isRestored = true;
    restoreEditors();
  }

  function redraw() {
    if (!answer) return;
    const active = /** @type {HTMLElement | null} */ (document.activeElement);
    const hadFocus = active && el.contains(active);
    changes.show(answer);
    place();
    if (hadFocus && document.activeElement !== active && el.contains(active)) active.focus({ preventScroll: true });
    drawFoot();
  }

  // One line for each kind of failure, with a button that tries again.
  const lines = new Map();

  async function attempt(what, run) {
    try {
      const result = await run();
      if (lines.delete(what)) arrange(failures, [...lines.values()]);
      return result;
    } catch (error) {
      const again = () => attempt(what, run);
      const dismiss = () => {
        lines.delete(what);
        arrange(failures, [...lines.values()]);
      };
      lines.set(what, troubleLine(`${what}: ${error.message}`, again, { dismiss }));
      arrange(failures, [...lines.values()]);
      return undefined;
    }
  }

  // Each comment and each editor beside its line, its file, or at the end.
  function place() {
    const wanted = new Map();
    const put = (holder, one) => wanted.set(holder, [...(wanted.get(holder) ?? []), one]);
    const shown = new Set();
    for (const comment of comments) {
      if (editors.has(comment.id)) continue;
      const where = holderOf(comment.place ?? { file: comment.file });
      shown.add(comment.id);
      put(where.el, cardOf(comment, !where.isLine));
    }
    for (const editor of editors.values()) put(holderOf(editor.place()).el, editor.el);
    for (const key of cards.keys()) if (!shown.has(key)) cards.delete(key);
    /** @type {NodeListOf<HTMLElement>} */
    const old = el.querySelectorAll(".threads");
    for (const holder of new Set([...old, ...wanted.keys()])) {
      const children = wanted.get(holder) ?? [];
      arrange(holder, holder === loose && children.length ? [looseTitle, ...children] : children);
      if (holder === loose) loose.hidden = !children.length;
      else if (!children.length) holder.remove();
    }
    el.querySelectorAll(".diff-rows").forEach(marks.settle);
    drawCounts();
  }

  const looseTitle = h("h2", null, "Other comments");

  function holderOf({ file, side, start, end }) {
    if (!file) return { el: loose, isLine: false };
    const section = changes.placeOf(file);
    if (!section) return { el: loose, isLine: false };
    const cell = start ? marks.cellOf(file, side ?? "new", end ?? start) : null;
    const row = cell?.closest(".row");
    return row ? { el: below(row), isLine: true } : { el: below(section, "file-threads"), isLine: false };
  }

  function below(anchor, kind = "") {
    const isFile = Boolean(kind);
    const next = isFile ? anchor.querySelector(":scope > .file-threads") : anchor.nextElementSibling;
    if (next?.classList.contains("threads")) return next;
    const holder = h("div", { class: `threads ${kind}`.trim() });
    if (isFile) anchor.append(holder);
    else anchor.after(holder);
    return holder;
  }

  function cardOf(comment, withPlace) {
    const sign = JSON.stringify([comment, withPlace]);
    const known = cards.get(comment.id);
    if (known?.sign === sign) return known.card;
    const card = commentCard(
      comment,
      { edit, remove, resolve: settle("resolved"), reopen: settle("draft") },
      withPlace,
    );
    const hadFocus = known?.card.contains(document.activeElement);
    cards.set(comment.id, { sign, card });
    if (hadFocus) queueMicrotask(() => card.focus({ preventScroll: true }));
    return card;
  }

  const fileOf = (path) => changes.files().find((file) => file.path === path);

  /** Opens the editor of a comment on a place, or on a comment that is changed. */
  function write(wanted, { comment = null, name = comment?.id ?? nameOf(wanted), isQuiet = false } = {}) {
    if (editors.has(name)) {
      editors.get(name).focus();
      return;
    }
    const typed = unsaved(id).get(name);
    let at = typed?.place ?? wanted;
    const file = at.file && fileOf(at.file);
    const around = file && at.start ? linesAround(file, at.side, at.start) : [];
    // A range ends with its part of the file.
    if (around.length) at = { ...at, end: Math.min(at.end, around.at(-1).line) };
    const clientId = typed?.clientId ?? randomId();
    const editor = commentEditor({
      worker: id,
      name,
      place: at,
      lines: around,
      comment,
      clientId,
      text: typed?.text,
      suggestion: typed?.suggestion,
      moved: (next) => {
        marks.show(next);
        place();
        editor.focus();
      },
      save: (given) => save(comment, given, clientId),
      close: (why) => close(name, why),
    });
    editors.set(name, editor);
    place();
    if (!isQuiet) editor.focus();
  }

  async function save(comment, { place: at, text, suggestion, quoted }, clientId) {
    const given = suggestion === undefined ? {} : { suggestion };
    if (comment) await work.changeComment(id, comment.id, { text, suggestion: suggestion ?? null });
    else {
      const where = at.start ? { side: at.side, start: at.start, end: at.end, quoted } : {};
      const file = at.file ? { file: at.file } : {};
      // A turn shows the files as they were then; a comment is on what they are now.
      const scope = answer.scope === "turn" ? {} : scopes.query();
      await work.addComment(id, { ...file, ...where, text, ...given, ...scope, client_comment_id: clientId });
    }
    await loadReview();
  }

  function close(name, why) {
    const editor = editors.get(name);
    const at = editor.place();
    const active = document.activeElement;
    // Whoever has gone elsewhere while it was saved stays there.
    const holdsFocus = editor.el.contains(active) || active === document.body;
    editors.delete(name);
    if (holdsFocus) marks.clear();
    place();
    drawFoot();
    if (!holdsFocus) return;
    if (why === "kept") app.announce("Your text is kept. Open the place again to continue.");
    const card = el.querySelector(`[data-comment="${CSS.escape(name)}"]`);
    if (card instanceof HTMLElement) card.focus({ preventScroll: true });
    else if (!at.start || !marks.focus(at)) focusNear(at);
  }

  function focusNear({ file }) {
    const section = file && changes.placeOf(file);
    const next = section?.querySelector("summary") ?? foot.querySelector("button");
    next?.focus({ preventScroll: true });
  }

  // Text that was typed before the page was loaded again.
  function restoreEditors() {
    for (const [name, { place: at, comment }] of unsaved(id)) {
      const known = comment && comments.find((one) => one.id === comment);
      if (!comment || known) queueMicrotask(() => write(at, { comment: known, name, isQuiet: true }));
    }
  }

  const edit = (comment) => write(comment.place ?? comment, { comment });

  async function act(comment, what, run) {
    const card = cards.get(comment.id)?.card;
    try {
      complain(card, "");
      await run();
      await loadReview();
    } catch (error) {
      complain(card, `${what}: ${error.message}`);
    }
  }

  function remove(comment) {
    return act(comment, "Not deleted", async () => {
      await work.removeComment(id, comment.id);
      focusNear(comment.place ?? comment);
    });
  }

  const settle = (state) => (comment) =>
    act(comment, "Not changed", () => work.changeComment(id, comment.id, { state }));

  // The parts of a file's head besides its name.
  function fileTools(file) {
    const hash = hashOf(file.path);
    const box = h("input", { type: "checkbox" });
    box.checked = isViewed(file.path);
    box.addEventListener("change", () => view(file, box));
    const more = h(
      "button",
      { type: "button", class: "icon-button file-more", "aria-label": `More for ${plain(file.path)}`, title: "More" },
      "⋯",
    );
    more.addEventListener("click", () =>
      app.opening("The menu", async () => {
        const { openFileMenu } = await import("./filemenu.js");
        const given = { file, hash, button: more, canDiscard: canDiscard(file), comment: write, reload: load };
        await openFileMenu(app, id, given);
      }),
    );
    return h(
      "div",
      { class: "file-tools" },
      h("span", { class: "comment-count muted", data: { file: file.path } }),
      hash && h("label", { class: "viewed", title: "Viewed: the mark falls when the file changes" }, box, "Viewed"),
      more,
    );
  }

  // Only what is not committed can be discarded; a renamed file is two files for the server.
  const canDiscard = ({ status }) =>
    status !== "renamed" && (answer.scope === "uncommitted" || (answer.scope === "base" && !answer.commits?.length));

  function hunkTools(line, { path, row }) {
    if (!canDiscard(fileOf(path) ?? {})) return;
    const button = h("button", { type: "button", class: "quiet hunk-discard" }, "Discard…");
    button.setAttribute("aria-label", `Discard the changes at line ${row.from} of ${plain(path)}`);
    button.addEventListener("click", () =>
      app.opening("The dialog", async () => {
        const file = fileOf(path);
        const from = file.rows.indexOf(row);
        const end = file.rows.findIndex((one, at) => at > from && one.op === "@");
        const rows = file.rows.slice(from, end < 0 ? undefined : end);
        const { openDiscard } = await import("./discard.js");
        await openDiscard(app, id, { file, hash: hashOf(path), hunk: { row, rows } }, load);
      }),
    );
    line.append(button);
  }

  function view(file, box) {
    const isOn = box.checked;
    return attempt(`“${plain(file.path)}” could not be marked`, async () => {
      try {
        await work.setViewed(id, { file: file.path, hash: hashOf(file.path), viewed: isOn });
      } catch (error) {
        box.checked = isViewed(file.path);
        throw error;
      }
      if (isOn) viewed.set(file.path, hashOf(file.path));
      else viewed.delete(file.path);
      box.checked = isOn;
      changes.setOpen(file.path, !isOn);
      drawFoot();
    });
  }

  function drawCounts() {
    /** @type {NodeListOf<HTMLElement>} */
    const all = el.querySelectorAll(".comment-count");
    for (const count of all) {
      const { length } = comments.filter((one) => one.file === count.dataset.file && one.state !== "resolved");
      count.textContent = length ? plural(length, "comment") : "";
    }
  }

  function drawFoot() {
    const drafts = comments.filter(({ state }) => state === "draft");
    const files = answer?.files ?? [];
    const done = files.filter(({ path }) => isViewed(path)).length;
    const words = files.length ? `${done} of ${files.length} viewed` : "";
    if (progress.textContent !== words) progress.textContent = words;
    foot.hidden = answer?.git === false;
    const sign = `${drafts.length}`;
    if (foot.dataset.sign === sign) return;
    const hadFocus = foot.contains(document.activeElement);
    foot.dataset.sign = sign;
    fill(
      foot,
      h("button", { type: "button", class: "quiet", on: { click: () => write({}) } }, "Comment on all changes"),
      h("span", { class: "grow" }),
      drafts.length > 0 &&
        h(
          "button",
          { type: "button", class: "primary", on: { click: () => send(drafts) } },
          `Send review (${drafts.length})`,
        ),
    );
    if (hadFocus) foot.querySelector("button").focus();
  }

  function send(drafts) {
    return app.opening("The review", async () => {
      const { openSending } = await import("./sending.js");
      await openSending(id, drafts, async () => {
        toast(`${plural(drafts.length, "comment")} sent to the agent.`);
        await loadReview();
        foot.querySelector("button").focus();
      });
    });
  }

  return { el, update };
}
