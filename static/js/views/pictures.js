// Pictures of a conversation as thumbnails whose boxes have their size before the data come; a click shows them large.

import { h, icon } from "../lib/dom.js";
import { bytes, plain } from "../lib/text.js";

// Largest box of a thumbnail, in pixels, and the box of one whose size is not known.
const WIDTH = 320;
const HEIGHT = 220;
const UNKNOWN = [200, 150];
const LEAST = 48;
const SHOWN = /^image\/(png|jpe?g|gif|webp)$/;
const NAMES = /\.(png|jpe?g|gif|webp|avif|svg)$/i;

/** The pictures of a list of images as thumbnails: `[{src, alt, width?, height?, size?}]`. Null for none. */
export function thumbnails(pictures, kind = "") {
  if (!pictures.length) return null;
  return h(
    "ul",
    { class: `pictures ${kind}`.trim() },
    pictures.map((picture, at) => {
      const place = pictures.length > 1 ? `, ${at + 1} of ${pictures.length}` : "";
      return h(
        "li",
        null,
        thumbnail(picture, () => show(pictures, at), place),
      );
    }),
  );
}

/** One picture within a text. */
export function inlinePicture(picture) {
  return h(
    "span",
    { class: "pictures" },
    thumbnail(picture, (el) => {
      // The pictures of one answer are shown one after the other.
      const all = [...(el.closest(".markdown")?.querySelectorAll("button.picture") ?? [el])];
      show(
        all.map((one) => shownBy.get(one) ?? picture),
        Math.max(0, all.indexOf(el)),
      );
    }),
  );
}

const shownBy = new WeakMap();

function thumbnail(picture, open, place = "") {
  const [width, height] = box(picture);
  const img = h("img", { src: picture.src, alt: "", width, height, loading: "lazy", decoding: "async" });
  const name = `${picture.alt || "Picture"}${place}`;
  const facts = [picture.width && `${picture.width} × ${picture.height}`, picture.size && bytes(picture.size)];
  const button = h(
    "button",
    {
      type: "button",
      class: "picture",
      "aria-label": `${name}: show large`,
      title: [name, ...facts.filter(Boolean)].join(", "),
      style: { width: `${width}px`, height: `${height}px` },
      on: { click: () => open(button) },
    },
    img,
  );
  img.addEventListener("error", () => {
    button.disabled = true;
    button.classList.add("broken");
    button.setAttribute("aria-label", `${name}: cannot be shown`);
    button.replaceChildren(icon("image"), h("span", null, `${name} cannot be shown`));
  });
  shownBy.set(button, picture);
  return button;
}

function box({ width, height }) {
  if (!width || !height) return UNKNOWN;
  const scale = Math.min(1, WIDTH / width, HEIGHT / height);
  return [width, height].map((length) => Math.max(LEAST, Math.round(length * scale)));
}

async function show(pictures, at) {
  const { openLightbox } = await import("./lightbox.js");
  openLightbox(pictures, at);
}

/** The pictures of a tool's result. */
export function ofResult(it, context) {
  const { images = [], seq, time } = it.result ?? {};
  const name =
    plain(String(it.input?.file_path ?? it.input?.path ?? it.name ?? ""))
      .split("/")
      .pop() || "Picture";
  return images.map((image, at) => ({
    src: context.imageUrl(seq, at, time),
    alt: name,
    width: image.width,
    height: image.height,
    size: image.bytes,
  }));
}

/** A picture of the project that a tool was asked to look at and that its result does not hold. */
export function ofPath(it, context) {
  const path = it.input?.path ?? it.input?.file_path;
  if (typeof path !== "string" || !NAMES.test(path) || it.result?.isError) return [];
  const src = context.fileUrl(path);
  return src ? [{ src, alt: plain(path).split("/").pop() }] : [];
}

/** The pictures among a message's attachments, and the other files. */
export function ofMessage(it, context) {
  const pictures = [];
  const files = [];
  for (const file of it.attachments) {
    if (!SHOWN.test(file.media_type ?? "")) files.push(file);
    else {
      const alt = plain(file.name ?? "") || "Picture";
      pictures.push({ src: context.imageUrl(it.seq, pictures.length, it.time), alt });
    }
  }
  return { pictures, files };
}

/** Makes the element of a picture that an agent's answer names; null if it is not a file of the project. */
export function ofAnswer(context) {
  return (address, alt) => {
    const src = context.fileUrl(decoded(address));
    return src && inlinePicture({ src, alt: alt || plain(address).split("/").pop() });
  };
}

function decoded(address) {
  try {
    return decodeURIComponent(address.replace(/^file:\/\//, ""));
  } catch {
    return address;
  }
}
