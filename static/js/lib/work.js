// The REST calls of the work loop: review, turns, files, landing, hand-over. Loaded with the views that need them.

import { ApiError, at, call } from "./api.js";

// Longest text of a file that is shown, in characters.
export const SHOWN_MAX = 500_000;

const query = (fields) => {
  const given = Object.entries(fields).filter(([, value]) => value !== undefined && value !== null && value !== "");
  return given.length ? `?${new URLSearchParams(given)}` : "";
};
const comment = (id, name) => at(id, `/review/${encodeURIComponent(name)}`);

/**
 * The beginning of a file as text, with whether it is cut; `text` is null for what is not text. `size` in bytes is
 * null where the answer is compressed and not read to its end.
 */
async function fileBeginning(path) {
  const response = await fetch(new URL(path, document.baseURI), { credentials: "same-origin" }).catch(() => null);
  if (!response?.ok) {
    const answer = await response?.json().catch(() => null);
    throw new ApiError(response?.status ?? 0, answer?.detail, answer?.code);
  }
  const type = response.headers.get("content-type") ?? "";
  const isPacked = response.headers.has("content-encoding");
  const size = isPacked ? null : Number(response.headers.get("content-length") ?? 0) || null;
  if (!/^text\//.test(type)) {
    await response.body?.cancel();
    return { type, size, text: null, cut: false };
  }
  const reader = response.body.getReader();
  const decoder = new TextDecoder();
  let text = "";
  let read = 0;
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return { type, size: read, text: text + decoder.decode(), cut: false };
    read += value.length;
    text += decoder.decode(value, { stream: true });
    if (text.length > SHOWN_MAX) {
      await reader.cancel();
      return { type, size, text: text.slice(0, SHOWN_MAX), cut: true };
    }
  }
}

/** @type {import("page").WorkApi} */
export const work = {
  diff: (id, scope = {}) => call("GET", at(id, `/diff${query(scope)}`)),
  review: (id) => call("GET", at(id, "/review")),
  addComment: (id, fields) => call("POST", at(id, "/review"), fields),
  changeComment: (id, name, fields) => call("PATCH", comment(id, name), fields),
  removeComment: (id, name) => call("DELETE", comment(id, name)),
  sendReview: (id, fields) => call("POST", at(id, "/review/send"), fields),
  setViewed: (id, fields) => call("PUT", at(id, "/review/viewed"), fields),
  landing: (id, into) => call("GET", at(id, `/land${query({ into })}`)),
  commit: (id, fields) => call("POST", at(id, "/commit"), fields),
  bringUp: (id, fields) => call("POST", at(id, "/update"), fields),
  land: (id, fields) => call("POST", at(id, "/land"), fields),
  push: (id, fields) => call("POST", at(id, "/push"), fields),
  pullRequest: (id, fields) => call("POST", at(id, "/pull-request"), fields),
  restorable: (id, turn, file) => call("GET", at(id, `/restore${query({ turn, file })}`)),
  restore: (id, fields) => call("POST", at(id, "/restore"), fields),
  discard: (id, fields) => call("POST", at(id, "/discard"), fields),
  tree: (id, path) => call("GET", at(id, `/tree${query({ path })}`)),
  fileHistory: (id, path) => call("GET", at(id, `/file-history${query({ path })}`)),
  handOver: (id, fields) => call("POST", at(id, "/handover"), fields),
  file: (id, path) => fileBeginning(at(id, `/blob${query({ path })}`)),
};
