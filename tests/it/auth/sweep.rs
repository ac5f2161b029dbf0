//! Every route and every method, without a key: the table of routes is taken from the application itself.

use axum::body::Body;
use http::{HeaderMap, Method, Request, StatusCode};
use rialto::app::table::{Door, Route};
use tower::ServiceExt;

use super::kit::{App, basic, bearer};

/// Every route of Rialto's own, and what it asks for. A route that is not here fails the tests: whoever adds one says here,
/// too, who may come.
const KNOWN: &[(&str, Door)] = &[
    ("/mcp/docs", Door::Key),
    ("/mcp/docs/", Door::Key),
    ("/mcp/finance", Door::Key),
    ("/mcp/finance/", Door::Key),
    ("/mcp/{*path}", Door::Nowhere),
    ("/.well-known/oauth-protected-resource", Door::Nowhere),
    ("/.well-known/oauth-protected-resource/{*path}", Door::Nowhere),
    ("/.well-known/oauth-authorization-server", Door::Nowhere),
    ("/.well-known/oauth-authorization-server/{*path}", Door::Nowhere),
    ("/.well-known/openid-configuration", Door::Nowhere),
    ("/.well-known/openid-configuration/{*path}", Door::Nowhere),
    ("/healthz", Door::Public),
    ("/readyz", Door::Public),
    ("/api/mounts", Door::Key),
    ("/api/mounts/{mount}", Door::Key),
    ("/api/mounts/{mount}/tools", Door::Key),
    ("/api/mounts/{mount}/resources", Door::Key),
    ("/api/mounts/{mount}/resources/read", Door::Key),
    ("/api/mounts/{mount}/prompts", Door::Key),
    ("/api/mounts/{mount}/tools/{tool}", Door::Key),
    ("/api/mounts/{mount}/prompts/{prompt}", Door::Key),
    ("/api/mounts/{mount}/{*path}", Door::Key),
    ("/openapi.json", Door::Browser),
    ("/api/mounts/{mount}/openapi.json", Door::Browser),
    ("/docs", Door::Browser),
    ("/docs/", Door::Browser),
    ("/docs/assets/{stamp}/{file}", Door::Browser),
    ("/api/mounts/{mount}/docs", Door::Browser),
    ("/api/mounts/{mount}/docs/", Door::Browser),
    ("/", Door::Browser),
    ("/metrics", Door::Key),
    // The looks of the page, which say nothing of what is here; their names hold a digest of what they are.
    ("/assets/style-*.css", Door::Public),
    ("/assets/icon-*.svg", Door::Public),
    ("/favicon.ico", Door::Public),
];

/// What `KNOWN` says about a path.
fn known(path: &str) -> Option<Door> {
    let is = |known: &str| match known.split_once("-*.") {
        Some((start, end)) => path.strip_prefix(start).is_some_and(|rest| !rest.contains('/') && rest.ends_with(end)),
        None => path == known,
    };
    let door = KNOWN.iter().find(|(path, _)| is(path)).map(|(_, door)| *door);
    // A slash at the end of a path below `/api` changes nothing.
    door.or_else(|| path.strip_suffix('/').filter(|path| path.starts_with("/api/")).and_then(known))
}

const METHODS: [&str; 13] =
    ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "CONNECT", "PROPFIND", "BREW", "get", "X-Y"];

/// Paths that an application of ours adds, and some that nobody has.
const OTHERS: [&str; 16] = [
    "/custom",
    "/custom/1",
    "/mcp/custom",
    "/.well-known/custom",
    "/nested",
    "/nested/a",
    "/nested/b",
    "/",
    "",
    "*",
    "/mcp",
    "/mcp/",
    "/mcp/nobody",
    "/api",
    "/favicon.ico",
    "/.well-known/oauth-protected-resource/mcp/docs",
];

/// A path, and others that may be taken for it.
fn variants(route: &str) -> Vec<String> {
    // Something stands for a parameter.
    let path: String =
        route.split('/').map(|part| if part.starts_with('{') { "x" } else { part }).collect::<Vec<_>>().join("/");
    let bare = path.trim_end_matches('/').to_owned();
    let first = bare.chars().nth(1).unwrap_or('x');
    vec![
        path.clone(),
        format!("{bare}/"),
        format!("{bare}//"),
        format!("{bare}/child"),
        format!("{bare}/../healthz"),
        format!("{bare}%2f"),
        format!("{bare};x=1"),
        format!("{bare}%00"),
        format!("{bare}?x=1"),
        format!("/{path}"),
        format!("/.{path}"),
        format!("/x/..{path}"),
        bare.replacen(first, &format!("%{:02x}", first as u32), 1),
        bare.to_uppercase(),
    ]
}

fn is_open(path: &str, method: &Method) -> bool {
    let path = path.split('?').next().unwrap_or_default();
    let looks = matches!(*method, Method::GET | Method::HEAD);
    looks && known(path) == Some(Door::Public)
}

/// Asks for a path past every socket, and gives the status.
async fn status(app: &App, method: &Method, path: &str, headers: &HeaderMap) -> Option<StatusCode> {
    let mut request = Request::builder().method(method).uri(path).header("host", "localhost");
    request.headers_mut()?.extend(headers.clone());
    let request = request.body(Body::empty()).ok()?;
    Some(app.router.clone().oneshot(request).await.unwrap().status())
}

fn headers(lines: &str) -> HeaderMap {
    let lines = lines.lines().filter_map(|line| line.split_once(": "));
    lines.map(|(name, value)| (name.parse::<http::HeaderName>().unwrap(), value.parse().unwrap())).collect()
}

fn paths(routes: &[Route]) -> Vec<String> {
    let own = routes.iter().flat_map(|route| variants(&route.path));
    own.chain(OTHERS.iter().flat_map(|path| [vec![(*path).to_owned()], variants(path)].concat())).collect()
}

#[tokio::test]
async fn sec_010_every_route_is_classified() {
    let app = App::start().await;
    for route in &app.routes {
        let door = known(&route.path).unwrap_or_else(|| panic!("`{}` is new: say in `KNOWN` who may come", route.path));
        assert_eq!(door, route.door, "{}", route.path);
        // Routes of the application around ours may lie below a path with parameters, and must not become public by it.
        assert!(route.door != Door::Public || !route.path.contains('{'), "`{}` is public", route.path);
    }
}

#[tokio::test]
async fn sec_010_without_a_key_there_is_nothing() {
    let app = App::start().await;
    let nothing = [
        String::new(),
        bearer("wrong"),
        bearer(""),
        "x-api-key: wrong\r\n".to_owned(),
        basic("wrong"),
        format!("cookie: key={0}; authorization={0}\r\n", app.alice),
        "x-original-url: /healthz\r\nx-http-method-override: GET\r\nx-forwarded-user: alice\r\nx-principal: alice\r\n"
            .to_owned(),
        format!("x-api-key: {0}\r\nauthorization: Bearer {0}\r\n", app.alice),
    ];
    let mut asked = 0;
    for path in paths(&app.routes) {
        for method in METHODS {
            let method = Method::from_bytes(method.as_bytes()).unwrap();
            for lines in &nothing {
                let Some(status) = status(&app, &method, &path, &headers(lines)).await else { continue };
                asked += 1;
                let said = format!("{method} {path:?} {lines:?}: {status}");
                if is_open(&path, &method) {
                    assert_eq!(status, 200, "{said}");
                } else {
                    assert!(matches!(status.as_u16(), 400 | 401 | 404), "{said}");
                    // Malformed credentials, or a target that names another host.
                    assert!(status != 400 || lines.contains("Bearer") || !path.starts_with('/'), "{said}");
                }
            }
        }
    }
    assert!(asked > 10_000, "only {asked} requests could be made");
    assert!(app.is_untouched());
}

/// What is not there says so only to those with a key, but for the paths around the mounts.
#[tokio::test]
async fn sec_010_what_is_not_there_looks_like_what_is() {
    let app = App::start().await;
    let nothing = HeaderMap::new();
    for path in ["/custom", "/custom/9", "/nested/a", "/no/such", "/api/mounts", "/mcp", "/", "/mcp/docs"] {
        assert_eq!(status(&app, &Method::GET, path, &nothing).await.unwrap(), 401, "{path}");
    }
    let around = [
        "/mcp/nobody",
        "/mcp/docs/below",
        "/mcp/custom",
        "/mcp/docs/.well-known/openid-configuration",
        "/.well-known/oauth-authorization-server",
        "/.well-known/oauth-protected-resource/mcp/docs",
    ];
    for path in around {
        for lines in [String::new(), bearer("wrong")] {
            assert_eq!(status(&app, &Method::POST, path, &headers(&lines)).await.unwrap(), 404, "{path}");
        }
    }
}

#[tokio::test]
async fn sec_010_with_a_key_nothing_asks_for_one() {
    let app = App::start().await;
    for path in paths(&app.routes) {
        for method in METHODS {
            let method = Method::from_bytes(method.as_bytes()).unwrap();
            for lines in [bearer(&app.alice), format!("x-api-key: {}\r\n", app.alice)] {
                if let Some(status) = status(&app, &method, &path, &headers(&lines)).await {
                    assert!(!matches!(status.as_u16(), 401 | 403), "{method} {path:?}: {status}");
                }
            }
        }
    }
}

/// The same over a real socket for targets that no `Uri` of ours can hold.
#[tokio::test]
async fn sec_010_odd_targets_on_the_wire() {
    let app = App::start().await;
    for line in [
        "OPTIONS *",
        "CONNECT localhost:80",
        "GET http://localhost/mcp/docs",
        "GET http://localhost",
        "POST http://localhost/healthz",
        "GET //healthz",
        "GET /mcp/docs#x",
        "GET /%2e%2e/healthz",
        "GET /mcp\\docs",
        "GET mcp/docs",
    ] {
        let request = format!("{line} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n");
        let request = request.replace(
            "CONNECT localhost:80 HTTP/1.1\r\nhost: localhost",
            "CONNECT localhost:80 HTTP/1.1\r\nhost: localhost:80",
        );
        let answer = app.send(request).await;
        assert!(matches!(answer.status, 400 | 401 | 404), "{line}: {answer:?}");
    }
    assert!(app.is_untouched());
}
