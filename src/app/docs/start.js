"use strict";

// Descriptions are of servers that nobody vouches for. Swagger UI would make HTML of the Markdown in them, and load what it
// names; here they are text, as they were written.
const plainText = () => ({
  wrapComponents: {
    Markdown: (_, system) => ({ source, className = "" }) =>
      source ? system.React.createElement("div", { className: `markdown plain ${className}` }, source) : null,
  },
});

// Shows the document that the page names. Nothing is asked of any other host: no validator, no document from the address bar.
window.addEventListener("DOMContentLoaded", () => {
  const page = document.getElementById("swagger-ui");
  window.ui = SwaggerUIBundle({
    url: page.dataset.document,
    dom_id: "#swagger-ui",
    presets: [SwaggerUIBundle.presets.apis],
    plugins: [plainText],
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
