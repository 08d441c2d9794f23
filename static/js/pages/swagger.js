// Starts Swagger UI. "Try it out" sends the login's cookie by itself, and the token that "Authorize" is given.

import { apiDocument, failed, place } from "./document.js";

try {
  const spec = await apiDocument();
  globalThis.SwaggerUIBundle({
    spec,
    domNode: place(),
    deepLinking: true,
    displayRequestDuration: true,
    docExpansion: "list",
    showCommonExtensions: true,
    tryItOutEnabled: true,
    // Else it asks a service on the internet whether the document is valid.
    validatorUrl: null,
  });
} catch (error) {
  failed(error);
}
