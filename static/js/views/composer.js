// The composer: drafts, history, completion, attachments, queued messages, interrupt.
// Emits `send` {text, attachments, withHistory}, `interrupt`, `editQueued` {id, text}, `removeQueued` {id},
// `retry` {message}, `discard` {message}.

import { drafts } from "../lib/drafts.js";
import { fill, h, icon, iconButton, memory, emit } from "../lib/dom.js";
import { plain } from "../lib/text.js";
import { mountForgotten } from "./forgotten.js";
import { thumbnails } from "./pictures.js";

const HISTORY_MAX = 100;
const IMAGE_MAX_BYTES = 5 * 1024 * 1024;
const IMAGES_MAX = 10;
const IMAGE_TYPES = /^image\/(png|jpeg|gif|webp)$/;

export function mountComposer(root, context) {
  const area = h("textarea", {
    rows: "1",
    "aria-label": "Message",
    placeholder: "Message the agent",
    dir: "auto",
    "aria-describedby": "composer-hint",
    enterkeyhint: "send",
  });
  const waiting = h("ul", { class: "queue", "aria-label": "Waiting messages" });
  const offer = h("div", { class: "forgotten" });
  const forgotten = mountForgotten(offer);
  const thumbs = h("ul", { class: "thumbs", "aria-label": "Attachments" });
  const problem = h("p", { class: "field-error", role: "alert", hidden: true });
  const send = h(
    "button",
    { type: "submit", class: "primary send", "aria-label": "Send", title: "Send (Enter)" },
    icon("send"),
  );
  const stopWord = h("span", null, "Interrupt");
  const stop = h(
    "button",
    {
      type: "button",
      class: "interrupt",
      title: "Interrupt (press Esc twice)",
      on: { click: () => emit(root, "interrupt") },
    },
    icon("stop"),
    stopWord,
    h("kbd", { "aria-hidden": "true" }, "Esc"),
  );
  const picker = h("input", {
    type: "file",
    accept: "image/png,image/jpeg,image/gif,image/webp",
    multiple: true,
    class: "visually-hidden",
    tabindex: "-1",
    "aria-hidden": "true",
  });
  const attach = iconButton("image", "Attach an image", () => picker.click());
  const foot = h(
    "div",
    { class: "composer-foot" },
    attach,
    picker,
    context.settings,
    h("span", { class: "grow" }),
    stop,
    send,
  );
  const box = h("div", { class: "composer-box" }, thumbs, area, foot);
  const form = h(
    "form",
    { class: "composer", "aria-label": "Send a message" },
    waiting,
    offer,
    problem,
    box,
    h("p", { id: "composer-hint", class: "visually-hidden" }, "Enter sends, Shift and Enter breaks the line."),
  );
  root.append(form);

  let worker = null;
  let attachments = [];
  let recalled = -1;
  let kept = "";
  const held = new Map();
  // Loaded with the first mark that asks for it.
  /** @type {{ key: (event: KeyboardEvent) => boolean, close: () => void, update?: () => void }} */
  let completion = { key: () => false, close() {} };
  area.addEventListener("input", async function first() {
    if (!/[/@]/.test(area.value)) return;
    area.removeEventListener("input", first);
    try {
      completion = (await import("./completion.js")).mountCompletion(area, box, context);
    } catch (error) {
      complain(`Suggestions could not be loaded: ${error.message}`);
      area.addEventListener("input", first);
    }
  });

  form.addEventListener("submit", (event) => {
    event.preventDefault();
    submit();
  });
  area.addEventListener("input", () => {
    recalled = -1;
    keep();
  });
  area.addEventListener("keydown", (event) => {
    if (event.isComposing || event.keyCode === 229) return;
    if (completion.key(event)) return;
    if (
      event.key === "Enter" &&
      !event.shiftKey &&
      !event.altKey &&
      (event.ctrlKey || event.metaKey || !matchMedia("(pointer: coarse)").matches)
    ) {
      event.preventDefault();
      submit();
    } else if (event.key === "ArrowUp" || event.key === "ArrowDown") recall(event);
  });
  area.addEventListener("paste", (event) => take(event, event.clipboardData?.files));
  root.addEventListener("dragover", (event) => {
    if (event.dataTransfer?.types.includes("Files")) {
      event.preventDefault();
      box.classList.add("dropping");
    }
  });
  root.addEventListener("dragleave", () => box.classList.remove("dropping"));
  root.addEventListener("drop", (event) => {
    box.classList.remove("dropping");
    take(event, event.dataTransfer?.files);
  });
  picker.addEventListener("change", () => {
    addFiles([...picker.files]);
    picker.value = "";
  });

  function take(event, files) {
    if (!files?.length) return;
    event.preventDefault();
    addFiles([...files]);
  }

  async function addFiles(files) {
    const target = worker;
    for (const file of files) {
      if (!IMAGE_TYPES.test(file.type))
        complain(`${file.name}: only PNG, JPEG, GIF and WebP images can be attached.`);
      else if (file.size > IMAGE_MAX_BYTES) complain(`${file.name} is larger than 5 MiB.`);
      else if (attachments.length >= IMAGES_MAX) complain(`At most ${IMAGES_MAX} images go with one message.`);
      else {
        const data = await base64(file);
        if (worker !== target) return;
        attachments.push({ name: file.name, media_type: file.type, data });
      }
    }
    drawThumbs();
    area.focus();
  }

  function drawThumbs() {
    fill(
      thumbs,
      attachments.map((file, at) =>
        h(
          "li",
          null,
          h("img", { src: `data:${file.media_type};base64,${file.data}`, alt: file.name }),
          iconButton("close", `Remove ${file.name}`, () => {
            attachments.splice(at, 1);
            drawThumbs();
          }),
        ),
      ),
    );
    thumbs.hidden = attachments.length === 0;
  }

  function complain(text) {
    problem.textContent = text;
    problem.hidden = !text;
  }

  function keep() {
    if (worker) drafts.set(worker, area.value);
    fit();
  }

  function fit() {
    area.style.height = "auto";
    area.style.height = `${area.scrollHeight}px`;
  }

  function submit() {
    const text = area.value.trim();
    if (!worker || (!text && !attachments.length)) return;
    const sent = attachments;
    setText("");
    attachments = [];
    drawThumbs();
    complain("");
    if (text) {
      const history = memory.get("history", []).filter((entry) => entry !== text);
      memory.set("history", [...history, text].slice(-HISTORY_MAX));
    }
    const withHistory = forgotten.isWanted();
    if (withHistory) forgotten.settle();
    emit(root, "send", { text, attachments: sent, withHistory });
  }

  function setText(text) {
    area.value = text;
    recalled = -1;
    keep();
  }

  /** Adds text where the cursor is. */
  function insert(text) {
    const before = area.value.slice(0, area.selectionStart);
    area.setRangeText((before && !/\s$/.test(before) ? " " : "") + text, before.length, area.selectionEnd, "end");
    keep();
    area.focus();
  }
  root.closest("#app").addEventListener("mention", ({ detail }) => insert(detail.text));

  // The arrow keys go through the history only from the first and the last line.
  function recall(event) {
    const before = area.value.slice(0, area.selectionStart);
    const after = area.value.slice(area.selectionEnd);
    const up = event.key === "ArrowUp";
    if (event.shiftKey || (up ? before.includes("\n") : after.includes("\n"))) return;
    if (recalled < 0 && (!up || area.value !== "")) return;
    const history = memory.get("history", []).slice().reverse();
    const next = recalled + (up ? 1 : -1);
    if (next >= history.length || next < -1) return;
    event.preventDefault();
    if (recalled < 0) kept = area.value;
    recalled = next;
    area.value = next < 0 ? kept : history[next];
    fit();
    area.setSelectionRange(area.value.length, area.value.length);
  }

  // Of those in the queue the server has the data, by the cursor of the message.
  const picturesOf = ({ attachments, seq, time }) =>
    Array.from({ length: Math.min(attachments ?? 0, IMAGES_MAX) }, (_, at) => ({
      src: context.imageUrl(worker, seq, at, time),
      alt: "Attached picture",
    }));
  const picturesIn = (files = []) =>
    files.map((file) => ({ src: `data:${file.media_type};base64,${file.data}`, alt: file.name }));

  function queued(message) {
    const { id, text } = message;
    const edit = h(
      "button",
      { type: "button", class: "quiet", "aria-label": "Edit", title: "Edit", on: { click: () => editing() } },
      icon("edit"),
    );
    const remove = iconButton("close", "Remove from the queue", () => emit(root, "removeQueued", { id }));
    const body = h("span", { class: "queued-text", dir: "auto" }, plain(text));
    const parts = [
      h("span", { class: "tag" }, "queued"),
      thumbnails(picturesOf(message), "small"),
      body,
      edit,
      remove,
    ];
    const li = h("li", null, parts);
    function editing() {
      const field = h("textarea", { rows: "2", "aria-label": "Queued message", dir: "auto" });
      field.value = text;
      const done = (save) => {
        li.removeAttribute("data-editing");
        if (save && field.value.trim() && field.value !== text)
          emit(root, "editQueued", { id, text: field.value.trim() });
        fill(li, parts);
        edit.focus();
      };
      li.dataset.editing = "";
      fill(
        li,
        field,
        h("button", { type: "button", class: "primary", on: { click: () => done(true) } }, "Save"),
        h("button", { type: "button", on: { click: () => done(false) } }, "Cancel"),
      );
      field.addEventListener("keydown", (event) => {
        if (event.key === "Escape" || (event.key === "Enter" && !event.shiftKey && !event.isComposing)) {
          event.preventDefault();
          event.stopPropagation();
          done(event.key === "Enter");
        }
      });
      field.focus();
    }
    return li;
  }

  function unsent(message) {
    return h(
      "li",
      { class: message.error ? "failed" : "" },
      h(
        "span",
        { class: "tag" },
        message.error ? "not sent" : message.waiting ? "waits for the connection" : "sending",
      ),
      thumbnails(picturesIn(message.attachments), "small"),
      h(
        "span",
        { class: "queued-text", dir: "auto" },
        plain(message.content),
        message.error && h("span", { class: "field-error" }, ` ${plain(message.error)}`),
      ),
      message.error &&
        h("button", { type: "button", on: { click: () => emit(root, "retry", { message }) } }, "Try again"),
      message.error && iconButton("close", "Discard", () => emit(root, "discard", { message })),
    );
  }

  let drawn = "";

  /** Shows the composer of a worker. */
  function update(conv, status, rev) {
    if (conv?.id !== worker) {
      if (worker) held.set(worker, attachments);
      worker = conv?.id ?? null;
      attachments = held.get(worker) ?? [];
      held.delete(worker);
      area.value = worker ? drafts.get(worker) : "";
      recalled = -1;
      completion.close();
      complain("");
      drawThumbs();
      fit();
    }
    forgotten.update(conv);
    const busy = status === "busy" || status === "waiting" || status === "stalled";
    stop.hidden = !busy;
    const hint =
      {
        stopped: "Message that starts the agent again",
        failed: "Message that starts the agent again",
        busy: "Message for after this turn",
        waiting: "Message for after this turn",
      }[status] ?? "Message the agent";
    if (area.placeholder !== hint) area.placeholder = hint;
    const sign = `${worker}.${rev}`;
    if (!conv || sign === drawn || waiting.querySelector("[data-editing]")) return;
    drawn = sign;
    fill(waiting, [...conv.queue.values()].map(queued), conv.outbox.map(unsent));
    waiting.hidden = waiting.childElementCount === 0;
  }

  /** Escape was pressed once: the next one interrupts. */
  function arm(on) {
    stop.classList.toggle("armed", on);
    stopWord.textContent = on ? "Press Esc again to interrupt" : "Interrupt";
  }

  const isEmpty = () => area.value === "" && attachments.length === 0;
  return { update, focus: () => area.focus(), fit, setText, isEmpty, arm };
}

async function base64(file) {
  const bytes = new Uint8Array(await file.arrayBuffer());
  let binary = "";
  for (let at = 0; at < bytes.length; at += 32768) binary += String.fromCharCode(...bytes.subarray(at, at + 32768));
  return btoa(binary);
}
