// The OpenAPI document for the pages that show it.

/** The document; its server is where this page came from: a proxy may have a prefix that the server does not know. */
export async function apiDocument() {
  const url = new URL("openapi.json", document.baseURI);
  const response = await fetch(url);
  if (!response.ok) throw new Error(`openapi.json: the server answered ${response.status}`);
  return { ...(await response.json()), servers: [{ url: new URL(".", url).href.replace(/\/$/, "") }] };
}

/** The place that the document is drawn into. */
export const place = () => document.getElementById("document");

/** Shows in the place why there is no document. */
export function failed(error) {
  place().textContent = `The document cannot be shown: ${error.message}. Please load the page again.`;
}
