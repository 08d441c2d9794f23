// The look that this reader has chosen: theme, text size, density, fonts. `pages/theme.js` shows it before anything is
// drawn.

import { memory } from "./dom.js";

/** The choices, with the words for them. */
export const CHOICES = {
  theme: { system: "System", light: "Light", dark: "Dark" },
  size: { small: "Small", normal: "Normal", large: "Large", largest: "Largest" },
  density: { comfortable: "Comfortable", compact: "Compact" },
};

/** The values that hold without a choice. */
export const USUAL = { theme: "system", size: "normal", density: "comfortable" };

let chosen = null;
// Another tab has changed it.
globalThis.addEventListener?.("storage", () => {
  chosen = null;
});

/** The choices in force: `theme`, `size`, `density`, and the names of fonts, `font` and `mono`. */
export function look() {
  chosen ??= { theme: memory.get("theme") ?? undefined, ...memory.get("look", {}) };
  return chosen;
}

/** Changes some of them, here and for the next time. */
export function setLook(change) {
  chosen = { ...look(), ...change };
  const { theme, ...others } = chosen;
  memory.set("theme", theme === "system" ? null : (theme ?? null));
  memory.set("look", others);
  document.dispatchEvent(new CustomEvent("look", { detail: chosen }));
}

/** Changes between light and dark; back at the system's own theme, the system is followed again. */
export function switchTheme() {
  const isDark = matchMedia("(prefers-color-scheme: dark)").matches;
  const { theme } = look();
  const now = theme === "light" || theme === "dark" ? theme : isDark ? "dark" : "light";
  const next = now === "dark" ? "light" : "dark";
  setLook({ theme: (next === "dark") === isDark ? "system" : next });
}
