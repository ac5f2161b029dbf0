//! The demo, used by clients of every revision.

use serde_json::{Value, json};

use super::{K3, K4, K5, K8, OLDEST, client::Client, process::Rialto};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn clients_of_every_revision_use_the_demo() {
    let rialto = Rialto::demo().await;
    for revision in [OLDEST, K3, K4, K5, K8] {
        let client = Client::connect_answering(&rialto.mount("docs"), revision, json!({ "role": "operator" })).await;
        use_all(&client, revision).await;
        client.close().await;
    }
}

async fn use_all(client: &Client, revision: &str) {
    let tools = client.request("tools/list", json!({})).await.result();
    let names: Vec<_> = tools["tools"].as_array().unwrap().iter().map(|t| t["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["search", "list_pages", "read_page", "index_pages", "recommend"], "{revision}");

    let found = client.call("search", json!({ "query": "revision" })).await;
    let found: Value = serde_json::from_str(&found.said()).unwrap();
    let uri = found["hits"][0]["uri"].as_str().unwrap().to_owned();
    let page = client.request("resources/read", json!({ "uri": uri })).await.result();
    assert!(page["contents"][0]["text"].as_str().is_some_and(|text| !text.is_empty()), "{revision}: {page}");
    for (method, member) in [
        ("resources/list", "resources"),
        ("resources/templates/list", "resourceTemplates"),
        ("prompts/list", "prompts"),
    ] {
        let list = client.request(method, json!({})).await.result();
        assert!(list[member].as_array().is_some_and(|l| !l.is_empty()), "{revision}: {list}");
    }

    let token = json!("indexing");
    let indexed = client.call_collecting("index_pages", json!({ "pause_ms": 1 }), &token).await;
    let progress = indexed.progress(&token);
    assert!(progress.len() > 1 && progress.windows(2).all(|w| w[0] < w[1]), "{revision}: {progress:?}");

    let recommended = client.call("recommend", json!({})).await;
    let asks = revision >= K4;
    assert_eq!(recommended.asked, usize::from(asks), "{revision}: {}", recommended.text);
    let pages = recommended.said();
    assert!(!asks || pages.contains("operator"), "{revision}: {pages}");

    let error = client.call("no_such_tool", json!({})).await.error();
    assert_eq!(error["code"], -32602, "{revision}");
    let error = client.request("resources/read", json!({ "uri": "rialto://docs/nothing" })).await.error();
    assert!([-32602, -32002].contains(&error["code"].as_i64().unwrap()), "{revision}: {error}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_is_not_asked_what_its_revision_has_no_words_for() {
    let rialto = Rialto::demo().await;
    for revision in [OLDEST, K3] {
        let never = std::sync::Arc::new(|method: &str, _: &Value| panic!("asked {method}"));
        let declares = json!({ "elicitation": {} });
        let client = Client::connect_with(&rialto.mount("docs"), revision, declares, never).await;
        let recommended = client.call("recommend", json!({})).await;
        assert_eq!(recommended.asked, 0, "{revision}: {}", recommended.text);
        assert!(!recommended.said().is_empty(), "{revision}");
        client.close().await;
    }
}
