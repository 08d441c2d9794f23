// The REST calls of presets and groups. Loaded with the views that need them.

import { call } from "./api.js";

const preset = (name) => `api/presets/${encodeURIComponent(name)}`;
const group = (id, rest = "") => `api/groups/${encodeURIComponent(id)}${rest}`;

/** @type {import("page").SeveralApi} */
export const several = {
  presets: () => call("GET", "api/presets"),
  savePreset: (name, fields, from) =>
    call("PUT", preset(name) + (from ? `?from=${encodeURIComponent(from)}` : ""), fields),
  removePreset: (name) => call("DELETE", preset(name)),
  groups: () => call("GET", "api/groups"),
  group: (id) => call("GET", group(id)),
  makeGroup: (fields) => call("POST", "api/groups", fields),
  checkGroup: (id) => call("POST", group(id, "/check")),
  diffInGroup: (id, from, to) => call("GET", group(id, `/diff?${new URLSearchParams({ from, to })}`)),
  keepInGroup: (id, worker, force) => call("POST", group(id, "/keep"), { worker, force }),
  projectOf: (path) => call("GET", `api/projects?path=${encodeURIComponent(path)}`),
};
