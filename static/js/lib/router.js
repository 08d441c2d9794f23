// The page's addresses: `#/`, `#/overview`, `#/inbox`, `#/w/<worker>`, `#/w/<worker>/m/<seq>`; `#/docs` and `#/redoc`
// lead away to the pages of these names, after a login if there must be one. Pure but for `navigate`.

/** What an address's fragment means. */
export function route(hash) {
  const parts = hash.replace(/^#\/?/, "").split("/");
  if (parts[0] === "inbox" || parts[0] === "overview") return { view: parts[0] };
  if (parts[0] === "docs" || parts[0] === "redoc") return { view: "home", away: parts[0] };
  if (parts[0] === "w" && parts[1]) {
    const seq = parts[2] === "m" && /^\d+$/.test(parts[3] ?? "") ? Number(parts[3]) : null;
    return { view: "worker", worker: decode(parts[1]), seq };
  }
  return { view: "home" };
}

function decode(text) {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}

/** The address of a worker, or of the list. */
export const addressOf = (worker) => (worker ? `#/w/${encodeURIComponent(worker)}` : "#/");

/** Goes to an address; `replace` leaves no entry to go back to. */
export function navigate(hash, replace = false) {
  if (location.hash === hash) return;
  if (replace) {
    history.replaceState(null, "", hash);
    window.dispatchEvent(new HashChangeEvent("hashchange"));
  } else location.hash = hash;
}
