// The REST calls of the page. Every failure is an `ApiError` with the server's own words.

import { heardDate } from "./clock.js";

/** Events that a conversation opens with. */
export const RECENT = 200;
// Longest file that is fetched to find an edit in it, in characters.
const TEXT_MAX = 1_000_000;

export class ApiError extends Error {
  constructor(status, detail, code, field, answer) {
    super(
      typeof detail === "string"
        ? detail
        : status === 0
          ? "The server cannot be reached."
          : `The server answered ${status}.`,
    );
    this.status = status;
    this.detail = detail;
    this.code = code;
    this.field = field;
    // All that the server has said.
    this.answer = answer;
  }
}

/** @type {(why?: string, again?: () => Promise<unknown>) => void} */
let onUnauthorized = () => {};
// The reason why a login link failed, and a retry, if that may help; for the login that then comes up.
/** @type {{ why: string, again?: () => Promise<unknown> }} */
let linkFailure = { why: "" };

/** Sets what is called when the server asks for a login, with the server's words. */
export function whenUnauthorized(act) {
  onUnauthorized = act;
}

/** Makes a request; its answer, or an `ApiError`. */
export async function call(method, path, body) {
  /** @type {RequestInit & { headers: Record<string, string> }} */
  const init = { method, headers: { accept: "application/json" }, credentials: "same-origin" };
  if (method !== "GET") {
    init.headers["content-type"] = "application/json";
    init.body = JSON.stringify(body ?? {});
  }
  const sent = Date.now();
  let response;
  try {
    response = await fetch(new URL(path, document.baseURI), init);
  } catch {
    throw new ApiError(0);
  }
  heardDate(response.headers.get("date"), sent);
  const answer = await response.json().catch(() => undefined);
  if (response.ok && answer !== undefined) return answer;
  // Its connection broke off.
  if (response.ok) throw new ApiError(0);
  if (response.status === 401 && path !== "api/login")
    onUnauthorized(linkFailure.why || answer?.detail, linkFailure.again);
  throw new ApiError(response.status, answer?.detail, answer?.code, answer?.field, answer);
}

/** A file's text; null where it is none, or is longer than an edit of it is looked for in. */
async function textOf(path) {
  const response = await fetch(new URL(path, document.baseURI), { credentials: "same-origin" });
  if (response.status === 404) return "";
  if (!response.ok || !/^text\//.test(response.headers.get("content-type") ?? "")) {
    await response.body?.cancel();
    return null;
  }
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  let text = "";
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return text;
    text += value;
    if (text.length > TEXT_MAX) {
      await reader.cancel();
      return null;
    }
  }
}

/** The address of something of a worker. */
export const at = (id, rest = "") => `api/workers/${encodeURIComponent(id)}${rest}`;

/** @type {import("page").PageApi} */
export const api = {
  login: (token) => call("POST", "api/login", { token }),
  loginByCode: (code) => call("POST", "api/login", { code }),
  linkFailed: (why, again) => {
    linkFailure = { why, again };
  },
  health: () => call("GET", "api/health"),
  logins: () => call("GET", "api/logins"),
  endLogin: (id) => call("DELETE", `api/logins/${encodeURIComponent(id)}`),
  endOtherLogins: () => call("DELETE", "api/logins"),
  logout: () => call("POST", "api/logout"),
  workers: () => call("GET", "api/workers"),
  worker: (id) => call("GET", at(id)),
  create: (fields) => call("POST", "api/workers", fields),
  change: (id, fields) => call("PATCH", at(id), fields),
  remove: (id, force) => call("DELETE", at(id, force ? "?force=true" : "")),
  clis: () => call("GET", "api/ai-clis"),
  permissions: () => call("GET", "api/permissions"),
  history: (id, limit, before) =>
    call("GET", at(id, `/messages?types=all&blocks=1&limit=${limit}${before ? `&before=${before}` : ""}`)),
  resultBlocks: async (id, seq) => {
    const { messages } = await call(
      "GET",
      at(id, `/messages?types=tool_result&blocks=all&limit=1&before=${seq + 1}`),
    );
    return messages[0]?.seq === seq ? (messages[0].blocks ?? null) : null;
  },
  planBlocks: async (id, seq) => {
    const { messages } = await call(
      "GET",
      at(id, `/messages?types=permission_request,tool_call&blocks=1&limit=1&before=${seq + 1}`),
    );
    return messages[0]?.seq === seq ? (messages[0].blocks ?? null) : null;
  },
  wholeText: async (id, seq) => {
    const response = await fetch(new URL(at(id, `/messages/${seq}/text`), document.baseURI)).catch(() => null);
    if (response?.ok) return response.text();
    const answer = await response?.json().catch(() => null);
    throw new ApiError(response?.status ?? 0, answer?.detail, answer?.code);
  },
  sessionFacts: (id) => call("GET", at(id, "/messages?types=session&limit=20")),
  message: (id, message) => call("POST", at(id, "/messages"), message),
  queue: (id) => call("GET", at(id, "/queue")),
  editQueued: (id, message, content) => call("PATCH", at(id, `/queue/${encodeURIComponent(message)}`), { content }),
  removeQueued: (id, message) => call("DELETE", at(id, `/queue/${encodeURIComponent(message)}`)),
  act: (id, action, body) => call("POST", at(id, `/${action}`), body),
  options: (id) => call("GET", at(id, "/options")),
  files: (id, q) => call("GET", at(id, `/files?q=${encodeURIComponent(q)}`)),
  usage: (by, from) => call("GET", `api/usage?by=${by}&from=${from}`),
  push: () => call("GET", "api/push"),
  subscribePush: (subscription) => call("POST", "api/push/subscriptions", subscription),
  removePush: (id) => call("DELETE", `api/push/subscriptions/${encodeURIComponent(id)}`),
  testPush: (id) => call("POST", "api/push/test", { id }),
  sessions: () => call("GET", "api/sessions"),
  paths: (prefix) => call("GET", `api/paths?prefix=${encodeURIComponent(prefix)}`),
  search: (q, cursor) =>
    call("GET", `api/search?q=${encodeURIComponent(q)}${cursor ? `&cursor=${encodeURIComponent(cursor)}` : ""}`),
  imageUrl: (id, seq, index, time) =>
    new URL(at(id, `/images/${seq}/${index}?at=${encodeURIComponent(time ?? "")}`), document.baseURI).href,
  fileUrl: (id, path) => new URL(at(id, `/blob?path=${encodeURIComponent(path)}`), document.baseURI).href,
  fileText: (id, path) => textOf(at(id, `/blob?path=${encodeURIComponent(path)}`)),
  exportUrl: (id, format) => new URL(at(id, `/export?format=${format}`), document.baseURI).href,
};
