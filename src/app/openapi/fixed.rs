//! The part of the document that does not depend on what servers list: Rialto's own routes, and those of the application
//! around it.

use std::sync::LazyLock;

use serde_json::{Map, Value, json};
use url::Url;
use utoipa::OpenApi;

use crate::app::rest;

/// Rialto's REST routes, as their handlers document them.
#[derive(OpenApi)]
#[openapi(
    info(
        title = "Rialto",
        description = "MCP servers over REST: every tool of every mount as an operation of its own, with the schemas that \
            its server lists.\n\nErrors are `application/problem+json` (RFC 9457) with a `type` that never changes."
    ),
    paths(
        rest::list_mounts,
        rest::describe_mount,
        rest::list_tools,
        rest::list_resources,
        rest::read_resource,
        rest::list_prompts,
        rest::call_tool,
        rest::get_prompt,
    ),
    // No mount has a name with a space in it.
    tags((name = "the gateway", description = "What is mounted, what it offers, and calling it by name."))
)]
struct Own;

/// The hand-written parts: components, and the errors by status with their names.
static PARTS: LazyLock<Value> =
    LazyLock::new(|| serde_json::from_str(include_str!("components.json")).unwrap_or_default());
/// The names of the methods of a path item.
const METHODS: [&str; 8] = ["get", "put", "post", "delete", "options", "head", "patch", "trace"];

/// The errors that an operation of Rialto's may end with.
const LOOKING: &[&str] = &["403", "404", "406", "429", "500", "502", "503", "504"];
const READING: &[&str] = &["400", "403", "404", "406", "422", "429", "500", "502", "503", "504"];
/// Those of calling something.
pub(super) const CALLING: &[&str] =
    &["400", "403", "404", "406", "408", "413", "415", "422", "429", "500", "502", "503", "504"];

/// What an application says about itself.
#[derive(Default)]
pub(in crate::app) struct About {
    /// The documents of custom routes.
    pub(in crate::app) custom: Vec<utoipa::openapi::OpenApi>,
    /// The address that clients see.
    pub(in crate::app) public_url: Option<Url>,
    /// Whether every route but the public ones asks for a key.
    pub(in crate::app) asks_for_keys: bool,
}

/// The document without anything that servers list, with these documents of custom routes.
pub(super) fn document(about: &About, custom: &[utoipa::openapi::OpenApi]) -> Value {
    let mut document = value(&Own::openapi());
    document["info"]["version"] = json!(env!("CARGO_PKG_VERSION"));
    // The words of the package are about the program, and the API is somebody's servers.
    if let Some(info) = document["info"].as_object_mut() {
        info.retain(|name, _| matches!(&**name, "title" | "description" | "version"));
    }
    document["servers"] = servers(about.public_url.as_ref(), "");
    for (name, schema) in members(&PARTS["schemas"]) {
        document["components"]["schemas"][name] = schema.clone();
    }
    for (status, error) in members(&PARTS["errors"]) {
        document["components"]["responses"][error[0].as_str().unwrap_or_default()] = response(status, &error[1]);
    }
    for (path, item) in paths(&mut document) {
        for (_, operation) in operations(item) {
            let errors = match &*path {
                "/api/mounts" => &["406", "429", "500"],
                path if path.ends_with("/read") => READING,
                path if path.ends_with('}') && path != "/api/mounts/{mount}" => CALLING,
                _ => LOOKING,
            };
            add_errors(operation, errors);
        }
    }
    add_health(&mut document);
    for custom in custom {
        merge(&mut document, value(custom));
    }
    match about.asks_for_keys {
        true => ask_for_keys(&mut document),
        false => {
            if let Some(responses) = document["components"]["responses"].as_object_mut() {
                responses.remove("Unauthenticated");
            }
        }
    }
    document
}

/// The same document for one mount alone: its paths with the name filled in.
pub(super) fn of_mount(document: &Value, mount: &str, title: &str) -> Value {
    let mut own = document.clone();
    own["info"]["title"] = json!(title);
    let mut paths = Map::new();
    for (path, item) in members(&document["paths"]) {
        let Some(rest) = path.strip_prefix("/api/mounts/{mount}").filter(|rest| *rest != "/tools/{tool}") else {
            continue;
        };
        let mut item = item.clone();
        for (_, operation) in operations(&mut item) {
            if let Some(parameters) = operation["parameters"].as_array_mut() {
                parameters.retain(|parameter| parameter["name"] != "mount");
            }
            operation["tags"] = json!([mount]);
        }
        paths.insert(format!("/api/mounts/{mount}{rest}"), item);
    }
    own["paths"] = Value::Object(paths);
    own["tags"] = json!([]);
    own
}

/// References to the errors of these statuses, for the responses of an operation.
pub(super) fn errors(statuses: &[&str], asks_for_keys: bool) -> Map<String, Value> {
    let all = members(&PARTS["errors"]);
    all.filter(|(status, _)| statuses.contains(&status.as_str()) || (asks_for_keys && *status == "401"))
        .map(|(status, error)| {
            let name = error[0].as_str().unwrap_or_default();
            (status.clone(), json!({"$ref": format!("#/components/responses/{name}")}))
        })
        .collect()
}

/// The ids of all operations.
pub(super) fn operation_ids(document: &Value) -> impl Iterator<Item = &str> {
    members(&document["paths"]).flat_map(|(_, item)| {
        members(item).filter_map(|(_, operation)| operation.get("operationId").and_then(Value::as_str))
    })
}

fn value(document: &utoipa::openapi::OpenApi) -> Value {
    serde_json::to_value(document).unwrap_or_default()
}

fn members(object: &Value) -> impl Iterator<Item = (&String, &Value)> {
    object.as_object().into_iter().flatten()
}

fn paths(document: &mut Value) -> impl Iterator<Item = (String, &mut Value)> {
    document["paths"].as_object_mut().into_iter().flatten().map(|(path, item)| (path.clone(), item))
}

fn operations(item: &mut Value) -> impl Iterator<Item = (String, &mut Value)> {
    let all = item.as_object_mut().into_iter().flatten().map(|(name, member)| (name.clone(), member));
    all.filter(|(name, _)| METHODS.contains(&name.as_str()))
}

/// Where requests go. Never from what a request says about itself, since whoever reads the document later is somebody else;
/// below which path of its host the application is nested, the host says.
pub(super) fn servers(public_url: Option<&Url>, nested: &str) -> Value {
    let here = json!({"url": if nested.is_empty() { "/" } else { nested }, "description": "The host that this document came from"});
    match public_url {
        Some(url) => json!([{"url": url.as_str().trim_end_matches('/')}, here]),
        None => json!([here]),
    }
}

fn response(status: &str, description: &Value) -> Value {
    let mut response = json!({
        "description": description,
        "content": {"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}},
    });
    if matches!(status, "429" | "503") {
        response["headers"] = json!({"Retry-After": {
            "description": "When to come back, in seconds.",
            "schema": {"type": "integer", "minimum": 1},
        }});
    }
    response
}

fn add_errors(operation: &mut Value, statuses: &[&str]) {
    for (status, reference) in errors(statuses, false) {
        operation["responses"][status] = reference;
    }
}

/// What is asked before anybody has a key.
fn add_health(document: &mut Value) {
    let route = |id: &str, summary: &str, responses: Value| {
        json!({"get": {
            "tags": ["the gateway"], "operationId": id, "summary": summary, "security": [], "responses": responses,
        }})
    };
    let status = json!({"type": "object", "properties": {"status": {"type": "string"}, "reason": {"type": "string"}},
        "required": ["status"]});
    // Strangers, and those whose key opens no mount, hear of no mounts.
    let answer = |description: &str, word: &str| {
        let schema = json!({"type": "object", "properties": {
            "status": {"const": word},
            "mounts": {"type": "object", "additionalProperties": status},
        }, "required": ["status"]});
        json!({"description": description, "content": {"application/json": {"schema": schema}}})
    };
    let lives = json!({"description": "It does", "content": {"text/plain": {"schema": {"type": "string"}}}});
    document["paths"]["/healthz"] = route("rialto.health", "Whether the process lives", json!({"200": lives}));
    document["paths"]["/readyz"] = route(
        "rialto.readiness",
        "Whether requests are served; servers that are down are listed",
        json!({"200": answer("They are", "ready"), "503": answer("The process is about to end", "stopping")}),
    );
}

/// Adds the routes and components of somebody else's document; what is there already stays.
fn merge(document: &mut Value, custom: Value) {
    for (path, item) in members(&custom["paths"]) {
        for (name, member) in members(item) {
            let known = &mut document["paths"][path][name];
            if known.is_null() {
                *known = member.clone();
            }
        }
    }
    for (kind, named) in members(&custom["components"]) {
        for (name, component) in members(named) {
            let known = &mut document["components"][kind][name];
            if known.is_null() {
                *known = component.clone();
            }
        }
    }
    for tag in custom["tags"].as_array().into_iter().flatten() {
        if let Some(tags) = document["tags"].as_array_mut().filter(|tags| tags.iter().all(|t| t["name"] != tag["name"]))
        {
            tags.push(tag.clone());
        }
    }
}

/// Says how to bring a key, and that every route wants one that does not say otherwise.
fn ask_for_keys(document: &mut Value) {
    document["components"]["securitySchemes"]["bearer"] =
        json!({"type": "http", "scheme": "bearer", "description": "A key or a token, as `Authorization: Bearer …`."});
    document["components"]["securitySchemes"]["apiKey"] =
        json!({"type": "apiKey", "in": "header", "name": "X-Api-Key", "description": "A key."});
    document["security"] = json!([{"bearer": []}, {"apiKey": []}]);
    for (_, item) in paths(document) {
        for (_, operation) in operations(item) {
            let is_public = operation["security"].as_array().is_some_and(Vec::is_empty);
            // No key, a wrong one, two at once, and one that does not open this.
            let said = ["400", "401", "403"].into_iter().filter(|status| operation["responses"].get(status).is_none());
            let said: Vec<_> = said.filter(|_| !is_public).collect();
            add_errors(operation, &said);
        }
    }
}
