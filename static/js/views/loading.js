// The loading state of a conversation: its progress, the reason of a failure, and its beginning.

import { fill, h } from "../lib/dom.js";
import { troubleLine } from "./troubles.js";

/** The place in a conversation that says that it is being loaded, or why it cannot be. */
export function mountLoading(root, again) {
  const place = h("div", { class: "loading" });
  root.append(place);
  let drawn = "";

  /** Draws it for a conversation, or none. */
  return function update(conv) {
    const sign = !conv
      ? ""
      : conv.error
        ? `failed ${conv.error} ${conv.failures}`
        : conv.phase === "replaying" && conv.cursor === null
          ? "loading"
          : "";
    if (sign === drawn) return;
    drawn = sign;
    place.classList.toggle("alone", Boolean(conv) && conv.timeline.items.length === 0);
    fill(
      place,
      sign === "loading" && h("p", { class: "muted", role: "status" }, "Loading the conversation…"),
      conv?.error && troubleLine(`The conversation could not be loaded: ${conv.error}`, again),
    );
  };
}

/** The head of a conversation: its beginning, or why earlier messages are missing; `again(id)` requests them. */
export function mountBeginning(place, again) {
  let drawn = "";
  return function update(conv) {
    const sign = conv.hasMore
      ? conv.loadingOlder
        ? "Loading earlier messages…"
        : (conv.olderError ?? "")
      : conv.timeline.items.length
        ? "Beginning of the conversation"
        : "";
    if (sign === drawn) return;
    drawn = sign;
    const isFailed = conv.hasMore && !conv.loadingOlder && conv.olderError;
    fill(place, isFailed ? troubleLine(`Earlier messages could not be loaded: ${sign}`, () => again(conv.id)) : sign);
  };
}
