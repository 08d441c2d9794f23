// The REST calls about tokens with scopes, loaded with their dialog.

import { call } from "./api.js";

const at = (id, rest = "") => `api/tokens/${encodeURIComponent(id)}${rest}`;

/** @type {import("page").TokenApi} */
export const tokens = {
  tokens: () => call("GET", "api/tokens"),
  createToken: (fields) => call("POST", "api/tokens", fields),
  endToken: (id) => call("DELETE", at(id)),
  pair: (id, page) => call("POST", at(id, "/pair"), { page }),
};
