//! `rialto.routes`: plain HTTP routes to servers elsewhere.

use std::time::Duration;

use super::{parse, settings_faults};

#[test]
fn routes_are_read_in_the_order_of_the_file() {
    let config = parse(
        r#"{ "mcpServers": {}, "rialto": { "routes": {
            "/reports": "http://127.0.0.1:9000/reports",
            "/api/files": {
                "url": "https://${HOST}/v2",
                "headers": { "X-Token": "${TOKEN}", "authorization": "Bearer ${TOKEN}", "Host": "other" },
                "timeout": "10s",
                "body_limit": "64MiB"
            }
        } } }"#,
    );
    let [reports, files] = &config.routes[..] else { panic!("{:?}", config.routes) };
    assert_eq!((reports.path.as_str(), reports.url.as_str()), ("/reports", "http://127.0.0.1:9000/reports"));
    assert_eq!((reports.headers.len(), reports.timeout, reports.body_limit), (0, None, None));
    assert_eq!((files.path.as_str(), files.url.as_str()), ("/api/files", "https://docs.example/v2"));
    assert_eq!((files.timeout, files.body_limit), (Some(Duration::from_secs(10)), Some(64 << 20)));
    let names: Vec<_> = files.headers.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, ["x-token", "authorization"]);
    assert!(files.headers.iter().all(|(_, value)| value.is_sensitive()));
    assert!(!format!("{config:?}").contains("CANARY"), "{config:?}");
    assert_eq!(config.warnings.len(), 2, "{:?}", config.warnings);
    assert!(config.warnings[1].contains("rialto.routes.\"/api/files\".headers.Host"), "{:?}", config.warnings);
}

#[test]
fn routes_are_checked() {
    let cases = [
        (r#""routes": []"#, "rialto.routes: must be a map, but is a list"),
        (r#""routes": { "reports": "http://a/" }"#, "does not begin with `/`\n  hint: write the path as `/reports`"),
        (r#""routes": { "/": "http://a/" }"#, "`/` is a page of Rialto's own\n  hint: choose a path below it"),
        (r#""routes": { "/reports/": "http://a/" }"#, "ends with `/`\n  hint: leave the slash out"),
        (r#""routes": { "/a//b": "http://a/" }"#, "has a segment that is empty, `.` or `..`"),
        (r#""routes": { "/a/../b": "http://a/" }"#, "has a segment that is empty, `.` or `..`"),
        (r#""routes": { "/a%2fb": "http://a/" }"#, "has characters that the path of a route cannot have"),
        (r#""routes": { "/${TOKEN}": "http://a/" }"#, "has characters that the path of a route cannot have"),
        (r#""routes": { "/{a}": "http://a/" }"#, "has characters that the path of a route cannot have"),
        (
            r#""routes": { "/mcp": "http://a/" }"#,
            "overlaps with `/mcp`, a path of Rialto's own\n  hint: choose another",
        ),
        (r#""routes": { "/mcp/docs": "http://a/" }"#, "overlaps with `/mcp`"),
        (r#""routes": { "/api": "http://a/" }"#, "overlaps with `/api/mounts`"),
        (r#""routes": { "/api/mounts/x": "http://a/" }"#, "overlaps with `/api/mounts`"),
        (r#""routes": { "/docs": "http://a/" }"#, "overlaps with `/docs`"),
        (r#""routes": { "/openapi.json": "http://a/" }"#, "overlaps with `/openapi.json`"),
        (r#""routes": { "/healthz": "http://a/" }"#, "overlaps with `/healthz`"),
        (r#""routes": { "/readyz": "http://a/" }"#, "overlaps with `/readyz`"),
        (r#""routes": { "/metrics": "http://a/" }"#, "overlaps with `/metrics`"),
        (r#""routes": { "/assets/x": "http://a/" }"#, "overlaps with `/assets`"),
        (r#""routes": { "/.well-known/x": "http://a/" }"#, "overlaps with `/.well-known`"),
        (r#""routes": { "/r": 1 }"#, "must be a URL or a map, but is a number"),
        (r#""routes": { "/r": "reports" }"#, "not a URL: relative URL without a base\n  hint: write the whole address"),
        (r#""routes": { "/r": "ftp://a/" }"#, "not an `http` or `https` URL"),
        (r#""routes": { "/r": "ws://a/" }"#, "not an `http` or `https` URL"),
        (r#""routes": { "/r": "http://u:p@a/" }"#, "put an `Authorization` header into `headers`"),
        (r#""routes": { "/r": "http://a/?x=1" }"#, "a query or a fragment cannot be part of it"),
        (r#""routes": { "/r": "http://${UNSET}/" }"#, "the environment variable `UNSET` is not set"),
        (r#""routes": { "/r": {} }"#, "rialto.routes.\"/r\": `url` is missing"),
        (
            r#""routes": { "/r": { "url": "http://a/", "timout": "1s" } }"#,
            "unknown key\n  hint: did you mean `timeout`?",
        ),
        (r#""routes": { "/r": { "url": "http://a/", "timeout": "1" } }"#, "write a number with its unit"),
        (r#""routes": { "/r": { "url": "http://a/", "timeout": "0s" } }"#, "not a duration that fits here"),
        (
            r#""routes": { "/r": { "url": "http://a/", "body_limit": "10" } }"#,
            "not a size\n  hint: write a whole number",
        ),
        (r#""routes": { "/r": { "url": "http://a/", "headers": { "a": "x\ny" } } }"#, "cannot carry"),
        (r#""routes": { "/r": "http://a/", "/r": "http://b/" }"#, "this key is there twice"),
        (r#""route": {}"#, "did you mean `routes`?"),
    ];
    for (settings, expected) in cases {
        let message = settings_faults(settings);
        assert!(message.contains(expected), "{settings}: {message}");
        assert!(message.starts_with("mcp.json:2:"), "{message}");
    }
}
