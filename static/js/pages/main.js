// Entry: takes the code of a login link out of the address and exchanges it for a login, then starts the page.

import { api } from "../lib/api.js";
import { mountApp } from "./app.js";

const secret = /^#(code|token)=(.+)$/.exec(location.hash);
if (secret) {
  history.replaceState(null, "", location.pathname + location.search);
  // Links with the token itself are of old, and only taken out of the address.
  if (secret[1] === "code") await api.loginByCode(secret[2]).catch((failure) => api.linkFailed(failure.message));
}
mountApp(document.getElementById("app"));
