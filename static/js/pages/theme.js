// Runs before the page is drawn, so that the chosen theme, text size, density and fonts do not flash, and has an open
// worker's files requested at once.
(() => {
  const root = document.documentElement;
  const FONTS = { font: "--sans", mono: "--mono" };
  const KEYS = { theme: ["light", "dark"], size: ["small", "large", "largest"], density: ["compact"] };

  function read(key) {
    try {
      return JSON.parse(localStorage.getItem(`rs-worker.${key}`));
    } catch {
      // Nothing is remembered: all is as it is without a choice.
      return null;
    }
  }

  function show(look) {
    for (const [key, values] of Object.entries(KEYS)) {
      if (values.includes(look[key])) root.dataset[key] = look[key];
      else delete root.dataset[key];
    }
    for (const [key, variable] of Object.entries(FONTS)) {
      const name = String(look[key] ?? "").replace(/[^\p{L}\p{N} ._-]/gu, "");
      if (name) root.style.setProperty(variable, `"${name}", var(${variable}-own)`);
      else root.style.removeProperty(variable);
    }
  }

  const remembered = () => ({ ...read("look"), theme: read("theme") });
  document.addEventListener("look", (event) => show(/** @type {CustomEvent} */ (event).detail));
  // Another tab has changed it.
  addEventListener("storage", ({ key }) => {
    if (key === "rs-worker.look" || key === "rs-worker.theme") show(remembered());
  });
  show(remembered());
  // The code of a conversation is requested beside that of the list: the server, which does not see the address's
  // fragment, can't know that one is opened.
  if (location.hash.startsWith("#/w/")) {
    for (const el of document.querySelectorAll('link[rel="later"]')) {
      const link = /** @type {HTMLLinkElement} */ (el);
      link.rel = link.dataset.rel ?? "modulepreload";
    }
  }
  // In a frame, beside another worker.
  if (parent !== window) root.dataset.pane = "";
})();
