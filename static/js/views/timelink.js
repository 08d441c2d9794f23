// The time of an item of a conversation, which is also the link to it.

import { h } from "../lib/dom.js";
import { clock, moment } from "../lib/text.js";

/** The time of an item, which is also the link to it. */
export function timeLink(it, context) {
  if (!it.time) return null;
  return h(
    "a",
    {
      class: "time",
      href: `#/w/${encodeURIComponent(context.worker)}/m/${Math.floor(it.seq)}`,
      title: `${moment(it.time)}: link to this message`,
    },
    h("time", { datetime: it.time }, clock(it.time, context.now())),
  );
}
