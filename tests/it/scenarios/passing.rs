//! Servers that are shown a credential of each caller, and whose own states therefore need not be sealed (2026-07-28,
//! basic/patterns/mrtr#server-requirements: a server binds its state to its caller).

use http::{HeaderName, HeaderValue};
use rialto::hub::{Forwarding, Layered, Verdict, before_forward};

use super::{
    answers::{ask, needs, server},
    old::{Like, Old, text},
    *,
};

/// A state as a server writes it: its escapes are its own.
const STATE: &str = r#""st\u0065p=2;us\/er=é""#;
/// What it says.
const MEANT: &str = "step=2;us/er=é";

/// A server that asks once with this state, as JSON text. It says who sent what it got back.
async fn asks_with(state: &'static str) -> Scripted {
    server(move |seen| async move {
        let params = &seen.body["params"];
        match params.get("requestState") {
            None => {
                let asked = needs(&seen, json!({"form": ask("elicitation/create", form("Who?"))}), json!("@"));
                asked.replacing(r#""@""#, state)
            }
            Some(state) => says(&seen, &json!([seen.header("x-key"), state]).to_string()),
        }
    })
    .await
}

fn terms() -> Terms {
    let forward_headers = ["x-key", "traceparent"].map(HeaderName::from_static).to_vec();
    Terms { forward_headers, pass_request_state: true, ..Terms::default() }
}

/// A gateway in front of what is at a URL.
async fn passing(url: &str, terms: Terms) -> Gateway {
    let settings = Settings::default();
    Gateway::around(Arc::new(mount(at(url, quick()), terms, &settings)), settings).listen().await
}

fn call() -> Sent {
    tool("t", json!({"a": 1})).answering()
}

fn of(key: &str) -> Sent {
    call().header("x-key", key)
}

fn state(response: &Value) -> &str {
    response["result"]["requestState"].as_str().unwrap_or_else(|| panic!("no state: {response}"))
}

fn calls(server: &Scripted) -> Vec<Seen> {
    server.seen().into_iter().filter(|seen| seen.method() == "tools/call").collect()
}

#[tokio::test]
async fn a_servers_state_goes_to_those_whom_it_knows_and_back_byte_for_byte() {
    let server = asks_with(STATE).await;
    let gateway = passing(&server.url(), terms()).await;
    let whole = of("alice").send(&gateway).await;
    assert!(whole.text.contains(&format!(r#""requestState":{STATE}"#)), "{}", whole.text);
    let asked = whole.response();
    assert_eq!(state(&asked), MEANT);
    let retry = of("alice").retry(&asked, json!({"form": {"action": "decline"}}));
    let body = retry.body().to_string().replace(&json!(MEANT).to_string(), STATE);
    let done = retry.clone().text(body).response(&gateway, 200).await;
    assert_eq!(said(&done), json!(["alice", MEANT]).to_string());
    let seen = calls(&server).pop().unwrap();
    assert!(seen.text.contains(&format!(r#""requestState":{STATE}"#)), "{}", seen.text);
    assert_eq!(seen.body["params"]["inputResponses"], json!({"form": {"action": "decline"}}));
    // Another caller's credential goes along with another caller's retry: the server knows whose state it is not.
    let done = retry.header("x-key", "bob").principal("bob").response(&gateway, 200).await;
    assert_eq!(said(&done), json!(["bob", MEANT]).to_string());
    // A gateway that knows nothing of the first leg takes it as well.
    let other = passing(&server.url(), terms()).await;
    let done = of("alice").retry(&asked, json!({})).response(&other, 200).await;
    assert_eq!(said(&done), json!(["alice", MEANT]).to_string());
}

#[tokio::test]
async fn sec_030_who_sends_no_credential_along_gets_a_sealed_state_and_none_other_is_taken() {
    let server = asks_with(STATE).await;
    let gateway = passing(&server.url(), terms()).await;
    let traced = || call().header("traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01");
    for sender in [call(), traced()] {
        let asked = sender.response(&gateway, 200).await;
        assert!(state(&asked).starts_with("g1."), "{asked}");
        let before = calls(&server).len();
        for made_up in [MEANT, "", "anything"] {
            let error = sender.clone().param("requestState", json!(made_up)).error(&gateway, 200, -32602).await;
            assert_eq!(error["data"]["reason"], "invalid_request_state", "{made_up}");
        }
        assert_eq!(calls(&server).len(), before, "the server hears nothing of it");
        let done = sender.retry(&asked, json!({})).response(&gateway, 200).await;
        assert_eq!(said(&done), json!([null, MEANT]).to_string());
    }
    // Nor where the operator did not ask for it.
    let gateway = passing(&server.url(), Terms { pass_request_state: false, ..terms() }).await;
    let asked = of("alice").response(&gateway, 200).await;
    assert!(state(&asked).starts_with("g1."), "{asked}");
    of("alice").param("requestState", json!(MEANT)).error(&gateway, 200, -32602).await;
}

/// A hook that shows the server another credential than the client's: the same for everybody, so that it tells nobody apart.
#[tokio::test]
async fn sec_030_a_credential_that_a_hook_puts_in_its_place_tells_nobody_apart() {
    let server = asks_with(STATE).await;
    let settings = Settings::default();
    let below = Arc::new(mount(at(&server.url(), quick()), terms(), &settings));
    let hook = before_forward("docs", async |mut forwarding: Forwarding| {
        forwarding.call.headers = vec![(HeaderName::from_static("x-key"), HeaderValue::from_static("ours"))];
        Ok(Verdict::Forward(forwarding.call))
    });
    let gateway = Gateway::around(Arc::new(Layered::new(below, &hook)), settings).listen().await;
    let asked = of("alice").response(&gateway, 200).await;
    assert!(state(&asked).starts_with("g1."), "{asked}");
    let retry = of("alice").retry(&asked, json!({}));
    let before = calls(&server).len();
    retry.clone().header("x-key", "bob").principal("bob").error(&gateway, 200, -32602).await;
    let error = of("bob").param("requestState", json!(MEANT)).error(&gateway, 200, -32602).await;
    assert_eq!(error["data"]["reason"], "invalid_request_state");
    assert_eq!(calls(&server).len(), before, "the server hears nothing of it");
    assert_eq!(said(&retry.response(&gateway, 200).await), json!(["ours", MEANT]).to_string());
}

#[tokio::test]
async fn sec_030_a_state_that_looks_like_one_of_ours_is_sealed_and_opened_as_ever() {
    for own in [r#""g1.AAAA""#, r#""\u00671.AAAA""#, "{\"s\":1.0}"] {
        let server = asks_with(own).await;
        let gateway = passing(&server.url(), terms()).await;
        let asked = of("alice").response(&gateway, 200).await;
        assert!(state(&asked).starts_with("g1.") && state(&asked) != "g1.AAAA", "{asked}");
        let retry = of("alice").retry(&asked, json!({}));
        let meant: Value = serde_json::from_str(own).unwrap();
        assert_eq!(said(&retry.response(&gateway, 200).await), json!(["alice", meant]).to_string());
        assert!(calls(&server)[1].text.contains(&format!(r#""requestState":{own}"#)));
        // Sealed is sealed: for this caller, this call and nobody's own words.
        let before = calls(&server).len();
        retry.clone().principal("bob").error(&gateway, 200, -32602).await;
        let other = tool("t", json!({"a": 2})).answering().header("x-key", "alice");
        other.retry(&asked, json!({})).error(&gateway, 200, -32602).await;
        for made_up in [json!("g1.AAAA"), json!({"s": 1.0}), json!(7)] {
            of("alice").param("requestState", made_up).error(&gateway, 200, -32602).await;
        }
        assert_eq!(calls(&server).len(), before);
    }
}

#[tokio::test]
async fn gateways_in_a_row_take_each_others_states() {
    let server = asks_with(STATE).await;
    let sealing = Terms { pass_request_state: false, ..terms() };
    for (inner, outer, is_bare) in
        [(terms(), terms(), true), (sealing.clone(), terms(), false), (terms(), sealing.clone(), false)]
    {
        let inner = passing(&server.url(), inner).await;
        let outer = passing(&inner.url("docs"), outer).await;
        let asked = of("alice").response(&outer, 200).await;
        assert_eq!(state(&asked) == MEANT, is_bare, "{asked}");
        let done = of("alice").retry(&asked, json!({"form": {"action": "decline"}})).response(&outer, 200).await;
        assert_eq!(said(&done), json!(["alice", MEANT]).to_string());
    }
}

#[tokio::test]
async fn a_state_that_no_server_can_have_given_out_runs_nothing() {
    let server = Old::start(Like::default(), |_| async { text("ran") }).await;
    let gateway = passing(&server.scripted.url(), terms()).await;
    let error = of("alice").param("requestState", json!("mine")).error(&gateway, 200, -32602).await;
    assert_eq!(error["data"]["reason"], "invalid_request_state");
    assert!(server.calls().is_empty());
    assert_eq!(said(&of("alice").response(&gateway, 200).await), "ran");
}

#[tokio::test]
async fn legacy_clients_are_asked_as_ever() {
    let server = asks_with(STATE).await;
    let gateway = passing(&server.url(), terms()).await;
    let client = legacy(&gateway, LEGACY, able()).await.sending("x-key", "alice");
    let reply = client.ask(1, "tools/call", json!({"name": "t", "arguments": {}})).await;
    let talk = converse(&client, reply, |_| Ok(json!({"action": "decline"}))).await;
    assert_eq!(said(&talk.response), json!(["alice", MEANT]).to_string());
}
