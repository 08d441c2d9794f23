// Entry: takes the token out of the address, then starts the page.

import { api } from "./api.js";
import { mountApp } from "./app.js";

const token = /^#token=(.+)$/.exec(location.hash);
if (token) {
  history.replaceState(null, "", location.pathname + location.search);
  await api.login(decodeURIComponent(token[1])).catch(() => {});
}
mountApp(document.getElementById("app"));
