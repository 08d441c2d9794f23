// Runs before the page is drawn, so that a chosen theme does not flash: `light`, `dark`, or the system's.
(() => {
  let theme = null;
  try {
    theme = JSON.parse(localStorage.getItem("rs-worker.theme"));
  } catch {
    // Nothing is remembered: the system's theme it is.
  }
  if (theme === "light" || theme === "dark") document.documentElement.dataset.theme = theme;
})();
