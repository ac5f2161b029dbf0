//! Questions of legacy servers whose call is a guess, whose kind was never declared, or whose words belong to one era.

use tokio::sync::Notify;

use super::*;

#[tokio::test]
async fn era_225_a_question_outlives_the_call_that_carried_it_by_mistake() {
    let [began, asks, ends] = [(); 3].map(|()| Arc::new(Notify::new()));
    let gates = [began.clone(), asks.clone(), ends.clone()];
    let server = Old::start(Like::default(), move |call: Arrived| {
        let [began, asks, ends] = gates.clone();
        async move {
            if call.name() == "asks" {
                began.notify_one();
                asks.notified().await;
                let answer = call.outside.ask("elicitation/create", form("Who?")).await;
                return text(&answer["result"]);
            }
            // The newest call when the question comes.
            asks.notify_one();
            ends.notified().await;
            text("quick")
        }
    })
    .await;
    let gateway = gateway_at(&server.scripted).await;
    let asking = tool("asks", json!({})).answering();
    let quick = tool("quick", json!({})).answering().id(50);
    let mistaken = async {
        began.notified().await;
        let response = quick.response(&gateway, 200).await;
        assert_eq!(asked(&response).1["params"]["message"], "Who?");
        // It is over before anybody answers.
        ends.notify_one();
        response
    };
    let (first, second) = tokio::join!(asking.response(&gateway, 200), mistaken);
    assert_eq!(asked(&first).1["params"]["message"], "Who?");
    let done = answer(&gateway, &quick, &second, accept(json!({"name": "Eve"}))).await;
    assert_eq!(said(&done), "quick");
    let done = answer(&gateway, &asking, &first, accept(json!({"name": "Ada"}))).await;
    assert_eq!(said(&done), accept(json!({"name": "Ada"})).to_string());
    assert_eq!(gateway.settings.held.parked(), 0);
}

#[tokio::test]
async fn a_question_that_no_call_can_take_over_is_refused_when_its_call_ends() {
    let (ends, (told, mut tell)) = (Arc::new(Notify::new()), tokio::sync::mpsc::unbounded_channel());
    let gate = ends.clone();
    let server = Old::start(Like::default(), move |call: Arrived| {
        let (gate, told) = (gate.clone(), told.clone());
        async move {
            let asking = call.outside.clone();
            tokio::spawn(async move { told.send(asking.ask("elicitation/create", form("Who?")).await) });
            gate.notified().await;
            text("done")
        }
    })
    .await;
    let gateway = gateway_at(&server.scripted).await;
    let call = tool("t", json!({})).answering();
    let response = call.response(&gateway, 200).await;
    ends.notify_one();
    let reply = soon("a reply", tell.recv()).await.unwrap();
    assert_eq!(reply["result"], json!({"action": "cancel"}));
    let done = answer(&gateway, &call, &response, accept(json!({}))).await;
    assert_eq!(said(&done), "done", "an answer that comes too late is not missed");
}

#[tokio::test]
async fn era_227_466_only_what_a_client_did_not_declare_is_named_to_it() {
    let insists = |call: Arrived| async move {
        call.ask("elicitation/create", form("?")).await;
        Err(json!({"code": -32000, "message": "no form, no result"}))
    };
    let server = Old::start(Like::default(), insists).await;
    let gateway = gateway_with(at(&server.scripted.url(), quick()), Share::Everybody, Settings::default()).await;
    // It was withheld for the sake of the others: there is nothing that this client could declare beside.
    let error = tool("t", json!({})).answering().error(&gateway, 200, -32000).await;
    assert_eq!(error["message"], "no form, no result");
    let error = tool("t", json!({})).error(&gateway, 400, -32021).await;
    assert_eq!(error["data"]["requiredCapabilities"], json!({"elicitation": {"form": {}}}));
}

#[tokio::test]
async fn era_229_466_a_retry_that_declares_less_hears_what_it_lacks() {
    let server = Old::start(Like::default(), |call: Arrived| async move {
        let first = call.ask("elicitation/create", form("a")).await;
        assert_eq!(first["result"]["action"], "accept", "what was open is answered");
        let second = call.ask("elicitation/create", form("b")).await;
        assert_eq!(second["error"]["code"], -32602);
        Err(json!({"code": -32603, "message": "cannot go on"}))
    })
    .await;
    let gateway = gateway_at(&server.scripted).await;
    let call = tool("t", json!({})).capabilities(json!({"elicitation": {}}));
    let response = call.response(&gateway, 200).await;
    let (key, _) = asked(&response);
    let retry = call.clone().capabilities(json!({"roots": {}})).retry(&response, json!({key: accept(json!({}))}));
    let error = retry.error(&gateway, 400, -32021).await;
    assert_eq!(error["data"]["requiredCapabilities"], json!({"elicitation": {"form": {}}}));
    assert_eq!(error["data"]["cause"]["message"], "cannot go on");
}

#[tokio::test]
async fn era_240_241_a_page_in_the_middle_of_a_call_has_no_words_of_the_other_era() {
    let server = Old::start(Like::default(), |call: Arrived| async move {
        let page = json!({"mode": "url", "message": "Sign in", "url": "https://a.example/", "elicitationId": "e-1",
            "task": {"ttl": 1000}, "_meta": {"io.modelcontextprotocol/related-task": {"taskId": "none"}}});
        let answer = call.ask("elicitation/create", page).await;
        call.say("notifications/elicitation/complete", json!({"elicitationId": "e-1"})).await;
        call.say("notifications/message", json!({"level": "error", "data": "signed in"})).await;
        text(&answer["result"])
    })
    .await;
    let gateway = gateway_at(&server.scripted).await;
    let call = tool("t", json!({})).capabilities(json!({"elicitation": {"url": {}}})).level("info");
    let response = call.response(&gateway, 200).await;
    let (key, question) = asked(&response);
    let params = json!({"mode": "url", "message": "Sign in", "url": "https://a.example/"});
    assert_eq!(question, json!({"method": "elicitation/create", "params": params}));
    let whole = call.clone().retry(&response, json!({key: {"action": "accept"}})).send(&gateway).await;
    assert_eq!(said(&whole.response()), json!({"action": "accept"}).to_string());
    let told: Vec<_> = whole.notifications().iter().map(|n| n["method"].clone()).collect();
    assert_eq!(told, ["notifications/message"], "a modern client has no use for the rest");
}

#[tokio::test]
async fn that_a_page_was_visited_is_told_to_clients_that_can_be_sent_to_one() {
    let server = Old::start(Like::default(), |call: Arrived| async move {
        let id = call.argument("id").as_str().unwrap_or("e").to_owned();
        call.say("notifications/elicitation/complete", json!({"elicitationId": id})).await;
        call.outside.say("notifications/elicitation/complete", json!({"elicitationId": format!("{id}-outside")})).await;
        call.outside.say("notifications/tools/list_changed", Value::Null).await;
        text("ran")
    })
    .await;
    let gateway = gateway_at(&server.scripted).await;
    for (revision, hears) in [(LEGACY, true), ("2025-06-18", false), ("2025-03-26", false)] {
        let client = legacy(&gateway, revision, able()).await;
        let mut standing = client.get(None).await.events();
        let reply = client.ask(1, "tools/call", json!({"name": "t", "arguments": {"id": "e"}})).await;
        let talk = converse(&client, reply, |question| panic!("asked {question}")).await;
        let in_call: Vec<_> = talk.notifications.iter().map(|n| n["params"]["elicitationId"].clone()).collect();
        assert_eq!(in_call, if hears { vec![json!("e")] } else { vec![] }, "{revision}");
        let mut outside = soon("a notification", standing.message()).await.unwrap();
        if hears {
            assert_eq!(outside["params"]["elicitationId"], "e-outside");
            outside = soon("a notification", standing.message()).await.unwrap();
        }
        assert_eq!(outside["method"], "notifications/tools/list_changed", "{revision}");
    }
}
