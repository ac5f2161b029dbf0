//! The page at `/`: what it says, to whom, and what no text of others makes of it.

use std::time::{Duration, Instant};

use axum::{Router, body::Body, extract::Request, middleware::Next, response::Response};
use http::{HeaderMap, StatusCode};
use http_body_util::BodyExt;
use rialto::{
    Proxy, Rialto,
    auth::Access,
    hub::{Forwarding, Outcome, Principal, Verdict},
    jsonrpc::Raw,
    protocol::Method,
};
use rmcp::{
    ServerHandler, ServiceExt,
    model::{Implementation, ServerCapabilities, ServerConfig},
};
use serde_json::{Value, json};
use tower::ServiceExt as _;

use crate::{matrix::process::until, server_kit::soon};

/// What hostile servers say, in every place where they can say something.
const CORPUS: &[&str] = &[
    "<script>alert(1)</script>",
    "</script><script>alert(1)</script>",
    "\"><img src=x onerror=alert(1)>",
    "'><svg onload=alert(1)>",
    "javascript:alert(1)",
    "{{7*7}} {% raw %} ${ENV} $(id) `id`",
    "</bdi></h3></code></pre></title></style>",
    "&lt;script&gt;",
    "\r\nX-Evil: 1",
    "\u{0}\u{2028}\u{202e}\u{e0041}\u{1b}[2J",
    "=cmd|' /C calc'!A0",
    "../../etc/passwd %2e%2e%2f",
    "\u{ff21}\u{ff22}\u{ff23} s\u{435}arch",
    "",
    " ",
];

/// A server that calls itself whatever the test says.
#[derive(Clone)]
struct Named(String);

impl ServerHandler for Named {
    fn get_info(&self) -> ServerConfig {
        let capabilities = ServerCapabilities::builder().enable_tools().enable_prompts().build();
        let info = Implementation::new(self.0.clone(), self.0.clone()).with_title(self.0.clone());
        ServerConfig::new(capabilities).with_server_info(info)
    }
}

fn named(name: &str) -> Proxy {
    let server = Named(name.to_owned());
    Proxy::in_process(move |io| {
        let server = server.clone();
        async move {
            if let Ok(running) = server.serve(io).await {
                let _ = running.waiting().await;
            }
        }
    })
}

/// A server with lists of this many tools and prompts.
fn listing(tools: usize, prompts: usize) -> Proxy {
    named("lister").before_forward(move |forwarding: Forwarding| async move {
        let (member, count) = match forwarding.call.method {
            Method::ToolsList => ("tools", tools),
            Method::PromptsList => ("prompts", prompts),
            _ => return Ok(Verdict::Forward(forwarding.call)),
        };
        let items = vec![json!({}); count];
        Ok(Verdict::Answer(Outcome::Complete(Raw::of(&json!({ "resultType": "complete", member: items })))))
    })
}

struct Got {
    status: StatusCode,
    headers: HeaderMap,
    text: String,
}

async fn send(router: &Router, request: http::request::Builder) -> Got {
    let has_host = request.headers_ref().is_some_and(|headers| headers.contains_key("host"));
    let request = if has_host { request } else { request.header("host", "localhost:8000") };
    let response = router.clone().oneshot(request.body(Body::empty()).unwrap()).await.unwrap();
    let (status, headers) = (response.status(), response.headers().clone());
    let text = response.into_body().collect().await.unwrap().to_bytes();
    Got { status, headers, text: String::from_utf8(text.to_vec()).unwrap() }
}

async fn page(router: &Router) -> String {
    let got = send(router, Request::get("/")).await;
    assert_eq!(got.status, StatusCode::OK);
    got.text
}

/// The page, once every server is known to be up or down.
async fn settled(router: &Router) -> String {
    until("every server to be tried", || async { !page(router).await.contains("Not tried yet") }).await;
    page(router).await
}

/// The text of the element that `opening` begins, without what is marked up in it.
fn section<'p>(page: &'p str, opening: &str, closing: &str) -> &'p str {
    let (_, rest) = page.split_once(opening).unwrap_or_else(|| panic!("no {opening:?} in {page}"));
    rest.split_once(closing).unwrap_or_else(|| panic!("no {closing:?} in {rest}")).0
}

fn mount<'p>(page: &'p str, name: &str) -> &'p str {
    section(page, &format!("id=\"mount-{name}\""), "</article>")
}

#[tokio::test]
async fn the_page_says_what_is_mounted_and_how_to_reach_it() {
    let router = Rialto::builder()
        .mount("docs", listing(5, 1).title("The documentation"))
        .mount("gone", Proxy::to("http://127.0.0.1:9/mcp"))
        .mount("odd", Proxy::to("ftp://files.example/"))
        .local()
        .build();
    let text = settled(&router).await;
    assert!(text.contains("3 servers: 1 up, 2 down"), "{text}");
    assert!(text.contains(env!("CARGO_PKG_VERSION")), "{text}");
    let docs = mount(&text, "docs");
    for expected in [
        "<bdi>The documentation</bdi>",
        "</span>Up</p>",
        "<code>http://localhost:8000/mcp/docs</code>",
        "<strong>5</strong> tools",
        "<strong>1</strong> prompt<",
        "<dd>inside Rialto</dd>",
        "<dd>2026-07-28, modern era</dd>",
        "lister",
    ] {
        assert!(docs.contains(expected), "{expected} in {docs}");
    }
    assert!(!docs.contains("resource"), "it offers none: {docs}");
    let gone = mount(&text, "gone");
    assert!(gone.contains("</span>Down</p>") && gone.contains("refused the connection"), "{gone}");
    let odd = mount(&text, "odd");
    assert!(odd.contains("not an `http` or `https` URL") && !odd.contains("Transport"), "{odd}");

    assert!(text.contains("href=\"/readyz\"") && text.contains("href=\"/metrics\""), "{text}");
    assert!(
        text.contains("href=\"/docs\"") && text.contains("href=\"/openapi.json\"") && text.contains("curl"),
        "{text}"
    );

    // What people copy is what clients read.
    let entries = section(&text, "<pre><code>", "</code>");
    let entries: Value = serde_json::from_str(&entries.replace("&#34;", "\"")).unwrap();
    assert_eq!(entries["mcpServers"]["docs"], json!({ "type": "http", "url": "http://localhost:8000/mcp/docs" }));
    assert_eq!(entries["mcpServers"].as_object().unwrap().len(), 3);
    assert!(text.contains("claude mcp add --transport http docs http://localhost:8000/mcp/docs"), "{text}");
}

#[tokio::test]
async fn addresses_are_those_that_clients_use() {
    let build = |public: Option<&str>| {
        let builder = Rialto::builder().mount("docs", named("docs")).local();
        match public {
            Some(url) => builder.public_url(url.parse().unwrap()).build(),
            None => builder.build(),
        }
    };
    let got = send(&build(None), Request::get("/").header("host", "127.0.0.1:4321")).await;
    assert!(got.text.contains("<code>http://127.0.0.1:4321/mcp/docs</code>"), "{}", got.text);
    let got = send(&build(Some("https://gw.example/")), Request::get("/").header("host", "gw.example")).await;
    assert!(got.text.contains("<code>https://gw.example/mcp/docs</code>"), "{}", got.text);
    // A host that is not ours gets no page that repeats it.
    let got = send(&build(None), Request::get("/").header("host", "evil.example")).await;
    assert_eq!(got.status, StatusCode::FORBIDDEN);
    assert!(!got.text.contains("evil.example"), "{}", got.text);
}

#[tokio::test]
async fn a_server_that_hangs_does_not_hold_up_the_page() {
    let asked = std::sync::Arc::new(std::sync::atomic::AtomicUsize::new(0));
    let counted = asked.clone();
    let hanging = named("slow").before_forward(move |forwarding: Forwarding| {
        let asked = counted.clone();
        async move {
            if forwarding.call.method == Method::ToolsList {
                asked.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
                std::future::pending::<()>().await;
            }
            Ok(Verdict::Forward(forwarding.call))
        }
    });
    let router = Rialto::builder().mount("slow", hanging).mount("docs", listing(7, 0)).local().build();
    settled(&router).await;
    let began = Instant::now();
    for _ in 0..5 {
        let text = soon("the page", page(&router)).await;
        assert!(mount(&text, "docs").contains("<strong>7</strong> tools"), "{text}");
        assert!(mount(&text, "slow").contains("</span>Up</p>") && !mount(&text, "slow").contains("tools"), "{text}");
    }
    assert!(began.elapsed() < Duration::from_secs(5), "{:?}", began.elapsed());
    assert_eq!(asked.load(std::sync::atomic::Ordering::Relaxed), 1, "it is asked once, not for every page");
}

/// Middleware that does what the authentication layer does.
async fn sign_in(mut request: Request, next: Next) -> Response {
    let access = match request.headers().get("x-key").and_then(|key| key.to_str().ok()) {
        Some("all") => Access::to_all(Principal::new("olga <b>the</b> operator")),
        Some(mount) => Access::only(Principal::new("robin"), [mount]),
        None => return axum::response::IntoResponse::into_response(StatusCode::UNAUTHORIZED),
    };
    request.extensions_mut().insert(access);
    next.run(request).await
}

#[tokio::test]
async fn a_key_sees_the_mounts_that_it_opens() {
    let builder = Rialto::builder().mount("docs", listing(5, 1)).mount("files", listing(2, 2));
    let router = builder.layer(axum::middleware::from_fn(sign_in)).build();
    let as_key = async |key: &str| send(&router, Request::get("/").header("x-key", key)).await.text;
    let all = as_key("all").await;
    assert!(
        all.contains("olga &#60;b&#62;the&#60;/b&#62; operator") && all.contains("who may use every server"),
        "{all}"
    );
    assert!(all.contains("id=\"mount-docs\"") && all.contains("id=\"mount-files\""), "{all}");
    assert!(all.contains("Bearer YOUR_KEY"), "{all}");
    let docs = as_key("docs").await;
    assert!(docs.contains("robin") && docs.contains("1 server:"), "{docs}");
    assert!(!docs.contains("files"), "{docs}");
    let none = as_key("nothing").await;
    assert!(none.contains("Your key opens none of the servers here"), "{none}");
    assert!(!none.contains("mcp/docs") && !none.contains("mount-docs") && !none.contains("files"), "{none}");
}

#[tokio::test]
async fn sec_120_text_of_servers_stays_text() {
    for (at, text) in CORPUS.iter().enumerate() {
        let router = Rialto::builder()
            .mount("named", named(text))
            .mount("titled", named("plain").title(*text))
            .mount("missing", Proxy::command(format!("rialto-none {text}")))
            .local()
            .build();
        let page = settled(&router).await;
        let lower = page.to_lowercase();
        for never in [
            "<script",
            "<img src=x",
            "<svg",
            "href=\"javascript",
            "onerror=alert(1)>",
            "onload=alert(1)>",
            "x-evil: 1\n",
        ] {
            assert!(!lower.contains(never), "{at}: {never} in {page}");
        }
        assert!(!page.contains(['\u{0}', '\u{1b}', '\u{202e}', '\u{e0041}', '\u{2028}', '\r']), "{at}: {page}");
        // The page is as it is without: no element more, and none less.
        for element in ["<li class=\"mount ", "</article>", "</h3>", "</main>", "</body>"] {
            let expected = if element.starts_with("</m") || element.starts_with("</b") { 1 } else { 3 };
            assert_eq!(page.matches(element).count(), expected, "{at}: {element} in {page}");
        }
    }
}

#[tokio::test]
async fn sec_121_the_page_forbids_everything_that_it_does_not_need() {
    let router = Rialto::builder().mount("docs", named("docs")).local().build();
    settled(&router).await;
    let got = send(&router, Request::get("/")).await;
    let header = |name: &str| got.headers[name].to_str().unwrap();
    assert_eq!(header("content-type"), "text/html; charset=utf-8");
    assert_eq!(
        header("content-security-policy"),
        "default-src 'none'; style-src 'self'; img-src 'self' data:; frame-ancestors 'none'; base-uri 'none'; \
         form-action 'self'"
    );
    assert_eq!(header("x-content-type-options"), "nosniff");
    assert_eq!(header("referrer-policy"), "no-referrer");
    assert_eq!(header("cache-control"), "private, no-cache");
    let vary: Vec<_> = got.headers.get_all("vary").iter().collect();
    assert_eq!(vary, ["host", "authorization, x-api-key"]);
    // Nothing inline, and nothing from elsewhere.
    let lower = got.text.to_lowercase();
    for never in ["<script", "<style", " style=", " onclick", "javascript:", "src=\"http", "href=\"http", "@import"] {
        assert!(!lower.contains(never), "{never} in {}", got.text);
    }

    // The same page is not sent twice, and a HEAD has no body.
    let again = send(&router, Request::get("/").header("if-none-match", header("etag"))).await;
    assert_eq!((again.status, &*again.text), (StatusCode::NOT_MODIFIED, ""));
    assert_eq!(again.headers["etag"], got.headers["etag"]);
    let head = send(&router, Request::head("/")).await;
    assert_eq!((head.status, &*head.text), (StatusCode::OK, ""));
    assert_eq!(head.headers["content-length"], got.text.len().to_string());
    assert_eq!(send(&router, Request::post("/")).await.status, StatusCode::METHOD_NOT_ALLOWED);
}

#[tokio::test]
async fn assets_are_kept_for_ever_under_a_name_of_their_own() {
    let router = Rialto::builder().mount("docs", named("docs")).local().build();
    let page = page(&router).await;
    for (before, kind) in
        [("stylesheet\" href=\"", "text/css; charset=utf-8"), ("image/svg+xml\" href=\"", "image/svg+xml")]
    {
        let path = section(&page, before, "\"").to_owned();
        assert!(path.starts_with("/assets/"), "{path}");
        let got = send(&router, Request::get(&path)).await;
        assert_eq!(got.status, StatusCode::OK, "{path}");
        assert_eq!(got.headers["content-type"], kind);
        assert_eq!(got.headers["cache-control"], "public, max-age=31536000, immutable");
        assert_eq!(got.headers["x-content-type-options"], "nosniff");
        assert!(!got.text.contains("@import") && !got.text.contains("<script"), "{path}");
        let again = send(&router, Request::get(&path).header("if-none-match", &got.headers["etag"])).await;
        assert_eq!((again.status, &*again.text), (StatusCode::NOT_MODIFIED, ""));
    }
    assert_eq!(send(&router, Request::get("/favicon.ico")).await.headers["content-type"], "image/svg+xml");
    assert_eq!(send(&router, Request::get("/assets/none.css")).await.status, StatusCode::NOT_FOUND);
}
