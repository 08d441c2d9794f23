// The choice whether a new worker's agent may make workers of its own.

import { h } from "../lib/dom.js";

const ABLE = "agent_tokens";

/** Mounts the choice: `el`, its `input`, and `draw(cli)`, which hides it for a CLI whose agents get no token. */
export function mountOffspring() {
  const input = h("input", { type: "checkbox", name: "mcp", "aria-describedby": "create-mcp-about" });
  const about = h(
    "p",
    { class: "muted", id: "create-mcp-about" },
    "It gets a token that reaches only the workers it makes. They work in this folder, have its permissions or " +
      "fewer, and spend its budgets. You answer their prompts.",
  );
  const label = h("label", { class: "check" }, input, "Its agent may start workers (MCP)");
  const el = h("div", null, label, about);
  return {
    el,
    input,
    draw(cli) {
      el.hidden = !cli?.capabilities?.includes(ABLE);
    },
  };
}
