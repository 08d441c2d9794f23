// Entry: takes the code of a login link out of the address and exchanges it for a login, then starts the page.

import { api } from "../lib/api.js";
import { mountApp } from "./app.js";

async function useLink(code) {
  try {
    await api.loginByCode(code);
    api.linkFailed("");
  } catch (failure) {
    // A code that the server has refused stays refused; one that it has not seen can be sent again.
    const isLost = failure.status === 0 || failure.status >= 500;
    api.linkFailed(failure.message, isLost ? () => api.loginByCode(code) : undefined);
  }
}

const secret = /^#(code|token)=(.+)$/.exec(location.hash);
if (secret) {
  history.replaceState(null, "", location.pathname + location.search);
  // Links with the token itself are of old, and only taken out of the address.
  if (secret[1] === "code") await useLink(secret[2]);
}
mountApp(document.getElementById("app"));
