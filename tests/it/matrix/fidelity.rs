//! What nobody knows the meaning of passes through as it is, and nothing else reaches the server than its revision allows.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::{Value, json, value::RawValue};

use super::{
    Cell,
    client::{Ask, Client, MODERN},
    wire,
};

const ARGUMENTS: &str =
    r#"{"zeta":1.0,"alpha":[1e400,-0.0,123456789012345678901234567890.50],"text":"\u0041\/é","nested":{"b":1,"a":2}}"#;
const VENDOR: &str = r#"{"z":[1.0,1e400],"a":12345678901234567890123,"m":null}"#;

const ODD: &str = r#""zebra":{"z":1,"a":[1.0,1e400,-0.0,12345678901234567890,123456789012345678901234567890.50]},"content":[{"type":"text","vendor":{"b":1,"a":2},"text":"kept \u00e9\/é"}],"apple":null,"isError":false"#;
const OWN: &str = r#""com.example/z":100000000000000000000000000000,"com.example/a":"\u0041""#;
const LAST: &str = r#""last":"\ud83d\ude00""#;

type Members<'m> = BTreeMap<String, &'m RawValue>;

#[derive(Deserialize)]
struct Request<'m> {
    #[serde(borrow, default)]
    params: Members<'m>,
}

/// Members and numbers that no revision knows, in both directions.
pub(super) async fn run(cell: &Cell, client: &Client) {
    let params = format!(r#"{{"name":"unknown_fields","vendor":{VENDOR},"arguments":{ARGUMENTS}}}"#);
    let reply = client.ask(Ask { id: client.id(), method: "tools/call", params, token: None, headers: &[] }).await;
    let result = reply.raw_result();
    if cell.is_same() {
        let info = r#"{"name":"fixture","version":"1.0.0","title":"Fixture server"}"#;
        let expected = if client.is_modern() {
            let meta = format!(r#"{{{OWN},"io.modelcontextprotocol/serverInfo":{info}}}"#);
            format!(r#"{{{ODD},"resultType":"complete","_meta":{meta},{LAST}}}"#)
        } else {
            format!(r#"{{{ODD},"_meta":{{{OWN}}},{LAST}}}"#)
        };
        assert_eq!(result, expected);
    }
    // What belongs to one era is taken out or put in; everything else is as it was.
    let expected = format!("{{{ODD},{LAST}}}");
    let expected: Members<'_> = serde_json::from_str(&expected).unwrap();
    let mut members: Members<'_> = serde_json::from_str(result).unwrap();
    let meta: Members<'_> = serde_json::from_str(members.remove("_meta").expect("_meta").get()).unwrap();
    members.remove("resultType");
    let texts = |members: Members<'_>| -> BTreeMap<String, String> {
        members.into_iter().map(|(name, value)| (name, value.get().to_owned())).collect()
    };
    assert_eq!(texts(members), texts(expected));
    let own = format!("{{{OWN}}}");
    for (key, value) in serde_json::from_str::<Members<'_>>(&own).unwrap() {
        assert_eq!(meta.get(&key).map(|v| v.get()), Some(value.get()), "_meta {key}");
    }

    let bodies = recorded(client).await;
    let body = bodies.iter().map(|r| r["body"].as_str().unwrap()).find(|b| b.contains("unknown_fields")).unwrap();
    let request: Request<'_> = serde_json::from_str(body).unwrap();
    assert_eq!(request.params["arguments"].get(), ARGUMENTS);
    assert_eq!(request.params["vendor"].get(), VENDOR);
}

/// What the server was sent, in its order.
async fn recorded(client: &Client) -> Vec<Value> {
    serde_json::from_str(&client.call("recorded", json!({})).await.said()).unwrap()
}

/// Everything that reached the server is something that a client of its revision may send.
pub(super) async fn upstream(cell: &Cell, client: &Client) {
    let revision = cell.upstream();
    for record in recorded(client).await {
        let body = record["body"].as_str().unwrap();
        // Numbers that this parser cannot read were looked at above.
        let Ok(message) = serde_json::from_str::<Value>(body) else { continue };
        // The question which era it is may be put to everybody.
        if revision != MODERN && message["method"] == "server/discover" {
            continue;
        }
        wire::check_sent(revision, &message);
        assert!(!body.contains('\n'), "{body}");
    }
    let who: Value = serde_json::from_str(&client.call("whoami", json!({})).await.said()).unwrap();
    assert_eq!(who["violations"], json!([]));
    assert_eq!(who["revision"], revision);
}
