// Starts ReDoc.

import { apiDocument, failed, place } from "./document.js";

try {
  document.body.style.margin = "0";
  globalThis.Redoc.init(await apiDocument(), { nativeScrollbars: true }, place());
} catch (error) {
  failed(error);
}
