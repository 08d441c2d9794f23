// The REST calls of terminals. Loaded with the view of one.

import { at, call } from "./api.js";

/** @type {import("page").TerminalsApi} */
export const terminals = {
  list: (id) => call("GET", at(id, "/terminals")),
  open: (id, fields) => call("POST", at(id, "/terminals"), fields),
  end: (id, terminal) => call("DELETE", at(id, `/terminals/${encodeURIComponent(terminal)}`)),
};
