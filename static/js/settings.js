// Model and permission mode of the open worker, in the composer's foot. Tells `setting` {name, value}.

import { arrange, h, tell } from "./dom.js";
import { plain } from "./text.js";

const WORDS = { default: "Ask first", acceptEdits: "Accept edits", plan: "Plan only", bypassPermissions: "Never ask", dontAsk: "Deny instead of asking", auto: "Auto" };

/** The choices of a CLI's option, as `[{value, label}]`. */
export function choicesOf(cli, name) {
  const option = cli?.config_options?.find?.((entry) => entry.name === name);
  return (option?.choices ?? []).map((choice) => (typeof choice === "string" ? { value: choice, label: WORDS[choice] ?? choice } : { value: choice.value ?? choice.id ?? choice.name, label: choice.label ?? choice.name ?? choice.value }));
}

export function mountSettings(app) {
  const mode = h("select", { class: "setting", "aria-label": "Permission mode", title: "Permission mode" });
  const model = h("button", { type: "button", class: "setting", title: "Model" });
  const context = h("span", { class: "context-meter", role: "img", hidden: true }, h("span", { class: "fill" }));
  const el = h("div", { class: "settings" }, mode, model, context);
  let clis = null;
  let asked = false;
  let drawn = "";

  async function load() {
    asked = true;
    const answer = await app.api.clis().catch(() => null);
    asked = answer !== null;
    clis = answer?.available_clis ?? null;
    if (clis) app.update();
  }
  mode.addEventListener("change", () => tell(el, "setting", { name: "permission_mode", value: mode.value }));
  model.addEventListener("click", () => tell(el, "chooseModel"));

  function update(worker, conv) {
    el.hidden = !worker;
    if (!worker) return;
    if (!asked) load();
    const session = conv?.session ?? {};
    const cli = clis?.find((entry) => entry.type === worker.ai_cli_type);
    const current = session.permission_mode ?? worker.permission_mode ?? worker.options?.permission_mode ?? "";
    const name = session.model ?? worker.model ?? worker.options?.model ?? "";
    const share = conv?.context?.window ? Math.min(1, conv.context.tokens / conv.context.window) : null;
    const sign = JSON.stringify([worker.id, current, name, clis !== null, share]);
    if (sign === drawn) return;
    drawn = sign;
    const choices = choicesOf(cli, "permission_mode");
    if (!choices.some((choice) => choice.value === current)) choices.unshift({ value: current, label: current ? WORDS[current] ?? plain(current) : "Permission mode" });
    const offered = choices.length > 1;
    arrange(mode, choices.map(({ value, label }) => h("option", { value }, label)));
    mode.value = current;
    mode.hidden = !offered && !current;
    model.textContent = name ? plain(name) : "model";
    model.hidden = !name && !cli?.config_options?.some((entry) => entry.name === "model");
    context.hidden = share === null;
    if (share !== null) {
      const text = `${Math.round(share * 100)} % of the context is used`;
      context.title = text;
      context.setAttribute("aria-label", text);
      context.firstChild.style.width = `${share * 100}%`;
      context.classList.toggle("high", share > 0.8);
    }
  }

  return { el, update };
}
