// The offer to repeat the conversation, for an agent whose session was lost and who does not know it any more.

import { fill, h, iconButton, memory } from "../lib/dom.js";

/** Puts the offer into `place`. Which loss was dealt with is remembered by its event's sequence number. */
export function mountForgotten(place) {
  let worker = null;
  let lost = null;
  const box = h("input", { type: "checkbox" });
  const label = h("label", null, box, " Send the conversation so far with the next message");
  place.hidden = true;
  place.setAttribute("role", "status");

  function settle() {
    if (worker && lost !== null) memory.set(`recalled.${worker}`, lost);
    place.hidden = true;
    lost = null;
  }

  return {
    /** Offers it for the conversation `conv` if its session was lost and nothing was chosen yet. */
    update(conv) {
      const seq = conv?.timeline.forgotten ?? null;
      if (conv?.id === worker && seq === lost) return;
      worker = conv?.id ?? null;
      lost = seq !== null && memory.get(`recalled.${worker}`) !== seq ? seq : null;
      place.hidden = lost === null;
      if (lost === null) return;
      box.checked = false;
      fill(
        place,
        h("span", null, "The agent has a new session and does not know this conversation."),
        label,
        iconButton("close", "Go on without", settle),
      );
    },
    /** Returns whether the next message takes the conversation with it. */
    isWanted: () => !place.hidden && box.checked,
    settle,
  };
}
