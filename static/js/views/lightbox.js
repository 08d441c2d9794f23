// One picture large, in a dialog: keys + - 0, arrows to the others, wheel and two fingers to zoom, dragging to move.

import { h, iconButton, style } from "../lib/dom.js";

const STEP = 1.25;
const SCALE_MIN = 0.1;
const SCALE_MAX = 16;
// Pixels that an arrow key moves a picture that is larger than the window.
const MOVE = 60;
// Pixels that a picture is dragged to see the next one.
const SWEEP = 70;

/** Shows the picture `at` of `pictures`, each `{src, alt}`. */
export async function openLightbox(pictures, at) {
  await style("lightbox");
  const before = document.activeElement;
  const img = h("img", { alt: "", draggable: "false" });
  const stage = h("div", { class: "stage" }, img);
  const percent = h("button", { type: "button", class: "quiet percent", title: "Fit to the window (0)" });
  const caption = h("span", { class: "caption", dir: "auto", "aria-live": "polite" });
  const original = h("a", { class: "icon-button", target: "_blank", rel: "noopener", title: "Open by itself" }, "↗");
  original.setAttribute("aria-label", "Open by itself in a new tab");
  const previous = iconButton("back", "Previous picture (←)", () => go(-1), { class: "icon-button previous" });
  const next = iconButton("back", "Next picture (→)", () => go(1), { class: "icon-button next" });
  const dialog = h(
    "dialog",
    { class: "lightbox", "aria-label": "Picture" },
    h(
      "div",
      { class: "lightbox-bar" },
      caption,
      h("span", { class: "grow" }),
      button("−", "Smaller (-)", () => zoom(1 / STEP)),
      percent,
      button("+", "Larger (+)", () => zoom(STEP)),
      original,
      iconButton("close", "Close (Esc)", () => dialog.close()),
    ),
    stage,
    pictures.length > 1 && [previous, next],
  );
  let view = { scale: 1, x: 0, y: 0 };
  let fitted = 1;
  const fingers = new Map();

  function load() {
    const { src, alt } = pictures[at];
    img.alt = alt;
    img.src = src;
    original.href = src;
    caption.textContent = pictures.length > 1 ? `${at + 1} of ${pictures.length}: ${alt}` : alt;
    previous.disabled = at === 0;
    next.disabled = at === pictures.length - 1;
    dialog.classList.remove("broken");
    fit();
  }

  function go(step) {
    const to = at + step;
    if (to < 0 || to >= pictures.length) return;
    at = to;
    load();
  }

  // A small picture is shown as it is; an SVG without a size of its own fills the window.
  function fit() {
    const { naturalWidth: width, naturalHeight: height } = img;
    const room = stage.getBoundingClientRect();
    fitted = width && height ? Math.min(1, room.width / width, room.height / height) : 1;
    view = { scale: fitted, x: 0, y: 0 };
    draw();
  }

  function draw() {
    img.style.transform = `translate(calc(-50% + ${view.x}px), calc(-50% + ${view.y}px)) scale(${view.scale})`;
    percent.textContent = `${Math.round(view.scale * 100)} %`;
    percent.setAttribute("aria-label", `${Math.round(view.scale * 100)} percent: fit to the window`);
    stage.classList.toggle("larger", view.scale > fitted * 1.01);
  }

  /** Zooms by a factor around a place in the window; its middle when none is given. */
  function zoom(factor, place = null) {
    const room = stage.getBoundingClientRect();
    const [x, y] = place ? [place.x - room.x - room.width / 2, place.y - room.y - room.height / 2] : [0, 0];
    const scale = Math.min(SCALE_MAX, Math.max(Math.min(SCALE_MIN, fitted), view.scale * factor));
    const by = scale / view.scale;
    view = { scale, x: x - (x - view.x) * by, y: y - (y - view.y) * by };
    draw();
  }

  function move(x, y) {
    view = { ...view, x: view.x + x, y: view.y + y };
    draw();
  }

  function key(event) {
    const isLarger = stage.classList.contains("larger") && event.shiftKey;
    const acts = {
      "+": () => zoom(STEP),
      "=": () => zoom(STEP),
      "-": () => zoom(1 / STEP),
      _: () => zoom(1 / STEP),
      0: fit,
      1: () => zoom(1 / view.scale),
      ArrowLeft: () => (isLarger ? move(MOVE, 0) : go(-1)),
      ArrowRight: () => (isLarger ? move(-MOVE, 0) : go(1)),
      ArrowUp: () => move(0, MOVE),
      ArrowDown: () => move(0, -MOVE),
      Home: () => go(-at),
      End: () => go(pictures.length - 1 - at),
    };
    if (event.ctrlKey || event.metaKey || event.altKey || !acts[event.key]) return;
    event.preventDefault();
    event.stopPropagation();
    acts[event.key]();
  }

  // A picture that fits goes back to its place; one that was swept aside makes room for its neighbour.
  function released() {
    if (stage.classList.contains("larger")) return;
    const swept = Math.abs(view.x) > SWEEP && Math.abs(view.x) > Math.abs(view.y);
    if (swept && pictures[at - Math.sign(view.x)]) go(-Math.sign(view.x));
    else if (view.scale >= fitted) fit();
  }

  function pointer(event) {
    const known = fingers.get(event.pointerId);
    if (event.type === "pointerdown") {
      stage.setPointerCapture(event.pointerId);
      fingers.set(event.pointerId, event);
    } else if (event.type === "pointermove" && known) {
      const [other] = [...fingers.values()].filter((finger) => finger.pointerId !== event.pointerId);
      if (other) {
        const distance = (one) => Math.hypot(one.clientX - other.clientX, one.clientY - other.clientY);
        const middle = { x: (event.clientX + other.clientX) / 2, y: (event.clientY + other.clientY) / 2 };
        zoom(distance(event) / Math.max(1, distance(known)), middle);
      } else move(event.clientX - known.clientX, event.clientY - known.clientY);
      fingers.set(event.pointerId, event);
    } else if (event.type !== "pointermove" && fingers.delete(event.pointerId) && !fingers.size) released();
  }

  dialog.addEventListener("keydown", key);
  for (const type of ["pointerdown", "pointermove", "pointerup", "pointercancel"])
    stage.addEventListener(type, pointer);
  stage.addEventListener("dblclick", (event) => {
    if (view.scale > fitted * 1.01) fit();
    else zoom((fitted < 1 ? 1 : 2) / view.scale, event);
  });
  stage.addEventListener("click", (event) => {
    if (event.target === stage && event.detail === 1) dialog.close();
  });
  stage.addEventListener(
    "wheel",
    (event) => {
      event.preventDefault();
      zoom(Math.exp(-Math.sign(event.deltaY) * Math.min(60, Math.abs(event.deltaY)) * 0.004), event);
    },
    { passive: false },
  );
  percent.addEventListener("click", fit);
  img.addEventListener("load", fit);
  img.addEventListener("error", () => {
    dialog.classList.add("broken");
    caption.textContent = `${pictures[at].alt} cannot be shown`;
  });
  window.addEventListener("resize", fit);
  dialog.addEventListener("close", () => {
    window.removeEventListener("resize", fit);
    dialog.remove();
    if (before instanceof HTMLElement && before.isConnected) before.focus({ preventScroll: true });
  });
  document.getElementById("app").append(dialog);
  dialog.showModal();
  load();
}

const button = (text, label, act) =>
  h("button", { type: "button", class: "icon-button", "aria-label": label, title: label, on: { click: act } }, text);
