// Folders to choose a project from, as its path is typed.

import { api } from "../lib/api.js";
import { arrange, h } from "../lib/dom.js";

const SUGGEST_AFTER_MS = 120;

let ids = 0;

/** Suggests folders within the allowed roots at a field, from the server. */
export function suggestPaths(input) {
  ids += 1;
  const list = h("datalist", { id: `paths-${ids}` });
  const failed = h("p", { class: "muted", role: "status", hidden: true });
  input.after(list);
  input.closest("label").after(failed);
  input.setAttribute("list", list.id);
  let timer = 0;
  input.addEventListener("input", () => {
    clearTimeout(timer);
    timer = setTimeout(async () => {
      let paths = [];
      failed.hidden = true;
      try {
        ({ paths } = await api.paths(input.value));
      } catch (failure) {
        failed.textContent = `Folders could not be listed (${failure.message}). Type on to try again.`;
        failed.hidden = false;
      }
      arrange(
        list,
        paths.map((value) => h("option", { value })),
      );
    }, SUGGEST_AFTER_MS);
  });
}
