// The page's addresses: `#/`, `#/overview`, `#/inbox`, `#/w/<worker>`, `#/w/<worker>/m/<seq>`, the last two also
// with `/with/<worker>/<worker>…` for those beside it; `#/docs` and `#/redoc` lead away to the pages of these names,
// after a login if there must be one. Pure but for `navigate`.

/** Workers that can be beside the open one. */
export const BESIDE_MAX = 3;

/** Parses an address's fragment. */
export function route(hash) {
  const parts = hash.replace(/^#\/?/, "").split("/");
  if (parts[0] === "inbox" || parts[0] === "overview") return { view: parts[0] };
  if (parts[0] === "docs" || parts[0] === "redoc") return { view: "home", away: parts[0] };
  if (parts[0] === "w" && parts[1]) {
    const seq = parts[2] === "m" && /^\d+$/.test(parts[3] ?? "") ? Number(parts[3]) : null;
    const at = parts.indexOf("with", 2);
    const beside = at < 0 ? [] : parts.slice(at + 1, at + 1 + BESIDE_MAX).filter(Boolean);
    return { view: "worker", worker: decode(parts[1]), seq, beside: beside.map(decode) };
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

/** The address of a worker, with those beside it and one of its messages, or of the list. */
export function addressOf(worker, beside = [], seq = null) {
  if (!worker) return "#/";
  const [first, ...others] = [worker, ...beside].map(encodeURIComponent);
  return `#/w/${first}${seq === null ? "" : `/m/${seq}`}${others.length ? `/with/${others.join("/")}` : ""}`;
}

/** Goes to an address; `replace` leaves no entry to go back to. */
export function navigate(hash, replace = false) {
  if (location.hash === hash) return;
  if (replace) {
    history.replaceState(null, "", hash);
    window.dispatchEvent(new HashChangeEvent("hashchange"));
  } else location.hash = hash;
}
