"use strict";

// Shows the document that the page names. Nothing is asked of any other host: no validator, no document from the address bar.
window.addEventListener("DOMContentLoaded", () => {
  const page = document.getElementById("swagger-ui");
  window.ui = SwaggerUIBundle({
    url: page.dataset.document,
    dom_id: "#swagger-ui",
    presets: [SwaggerUIBundle.presets.apis],
    layout: "BaseLayout",
    deepLinking: true,
    displayRequestDuration: true,
    docExpansion: "list",
    defaultModelsExpandDepth: 0,
    filter: true,
    persistAuthorization: false,
    queryConfigEnabled: false,
    showExtensions: false,
    tryItOutEnabled: true,
    validatorUrl: null,
  });
});
