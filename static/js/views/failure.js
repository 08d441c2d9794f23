// The end of an agent's process as one card: why, how, and the end of its error output.

import { fill, h, icon } from "../lib/dom.js";
import { plain } from "../lib/text.js";
import { longText } from "./rich.js";
import { timeLink } from "./timelink.js";

function how(exit) {
  if (!exit) return "";
  if (exit.signal) return `The process was ended by ${exit.signal}.`;
  return exit.exit_code === undefined ? "The process ended." : `The process exited with code ${exit.exit_code}.`;
}

const others = (ended) => ended.map((one) => `${plain(one.name)} (${one.pid}, ${one.signal})`).join(", ");

/** The view of an end. */
export function failureView(article, it, context) {
  return (now) => {
    const isError = now.level === "error";
    const open = article.querySelector("details")?.open ?? false;
    const text = plain(now.text) || how(now.exit);
    article.classList.toggle("error", isError);
    article.setAttribute("aria-label", isError ? "Error" : "Stopped");
    const details = h(
      "details",
      { open },
      h("summary", null, icon("terminal"), h("span", null, "Error output")),
      h("div", { class: "details-body" }, longText(now.output, { tail: true, lines: 12, label: "Error output" })),
    );
    fill(
      article,
      h(
        "div",
        { class: "notice" },
        icon(isError ? "cross" : "stop"),
        h("span", { class: "code" }, isError ? "Failed" : "Stopped"),
        h("div", { class: "notice-text", dir: "auto" }, text),
        now.exit?.ended?.length > 0 && h("div", { class: "muted" }, `Also ended: ${others(now.exit.ended)}.`),
        timeLink(now, context),
      ),
      now.output.trim() && now.output.trim() !== text && details,
    );
  };
}
