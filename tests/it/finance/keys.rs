//! The demo behind keys, beside nothing else.

use rialto::auth::{Key, fresh_key};
use serde_json::json;

use crate::{
    matrix::{client::http_client, process::Rialto},
    server_kit::soon,
};

#[tokio::test]
async fn a_config_adds_keys_to_the_demo() {
    let [all, docs, books] = [fresh_key(), fresh_key(), fresh_key()];
    let hash = |key: &str| Key::parse("anybody", key).unwrap().to_hash();
    let keys = json!([
        { "principal": "all", "key": hash(&all) },
        { "principal": "docs", "key": hash(&docs), "mounts": ["docs"] },
        { "principal": "books", "key": hash(&books), "mounts": ["finance"], "routes": true },
    ]);
    let config = json!({ "rialto": { "demo": true, "auth": { "keys": keys } } }).to_string();
    let rialto = Rialto::run_with(Some(("mcp.json", &config)), |command| command.args(["--listen", "127.0.0.1:0"]));
    let rialto = rialto.await.unwrap();
    let http = http_client();
    let status = |path: &'static str, key: &str| {
        let request = http.get(format!("{}{path}", rialto.base)).header("x-api-key", key);
        async move { soon("an answer", request.send()).await.unwrap().status().as_u16() }
    };
    let (books_route, docs_mount, books_mount) =
        ("/api/finance/invoices", "/api/mounts/docs/tools", "/api/mounts/finance/tools");
    for (key, expected) in [(&all, [200, 200, 200]), (&docs, [403, 200, 403]), (&books, [200, 403, 200])] {
        let got = [status(books_route, key).await, status(docs_mount, key).await, status(books_mount, key).await];
        assert_eq!(got, expected);
    }
    assert_eq!(status(books_route, "wrong-key-0123456789").await, 401);
}
