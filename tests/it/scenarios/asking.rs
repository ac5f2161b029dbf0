//! A modern client in front of a legacy server that asks in the middle of a call (2026-07-28, basic/patterns/mrtr).

use std::sync::atomic::{AtomicUsize, Ordering};

use rialto::upstream::lines::LineSettings;

use super::*;
use crate::lines::played;

/// A server whose tool asks for a form outside every call, and says what it was answered.
async fn asks_outside() -> Old {
    Old::start(Like::default(), |call: Arrived| async move {
        let answer = call.outside.ask("elicitation/create", form(call.argument("who").as_str().unwrap_or("?"))).await;
        text(&answer["result"])
    })
    .await
}

#[tokio::test]
async fn era_224_a_question_on_the_get_stream_is_asked_in_the_call() {
    let server = asks_outside().await;
    let gateway = gateway_at(&server.scripted).await;
    let call = tool("t", json!({"who": "you"})).answering();
    let response = call.response(&gateway, 200).await;
    let (_, question) = asked(&response);
    assert_eq!(question["params"]["message"], "you");
    let done = answer(&gateway, &call, &response, accept(json!({"name": "Ada"}))).await;
    assert_eq!(said(&done), accept(json!({"name": "Ada"})).to_string());
    assert_eq!(server.calls().len(), 1, "it ran once");
}

#[tokio::test]
async fn era_225_questions_of_parallel_calls_on_one_get_stream_are_answered_by_their_ids() {
    let server = asks_outside().await;
    let gateway = gateway_at(&server.scripted).await;
    let calls = [tool("t", json!({"who": "a"})).answering(), tool("t", json!({"who": "b"})).answering().id(50)];
    let [first, second] = &calls;
    // Which of the two calls carries which question does not matter; the server that asked has to get the answer to it.
    let answer_all = async |call: &Sent| {
        let mut response = call.send(&gateway).await.response();
        while response["result"]["resultType"] == "input_required" {
            let mut answers = json!({});
            for (key, question) in response["result"]["inputRequests"].as_object().unwrap() {
                answers[key] = accept(json!({"to": question["params"]["message"]}));
            }
            response = call.clone().retry(&response, answers).response(&gateway, 200).await;
        }
        said(&response)
    };
    let (a, b) = tokio::join!(answer_all(first), answer_all(second));
    assert_eq!(a, accept(json!({"to": "a"})).to_string());
    assert_eq!(b, accept(json!({"to": "b"})).to_string());
    assert_eq!(server.scripted.count("initialize"), 1);
}

#[tokio::test]
async fn era_226_362_365_369_sessions_and_questions_are_of_one_principal() {
    let counts: Arc<std::sync::Mutex<std::collections::HashMap<String, usize>>> = Arc::default();
    let own = counts.clone();
    let server = Old::start(Like::default(), move |call: Arrived| {
        let counts = own.clone();
        async move {
            if call.name() == "ask" {
                let answer = call.outside.ask("elicitation/create", form(call.argument("who").as_str().unwrap())).await;
                return text(&answer["result"]["content"]["name"]);
            }
            let mut counts = counts.lock().unwrap();
            let count = counts.entry(call.outside.session.clone()).or_default();
            *count += 1;
            text(*count)
        }
    })
    .await;
    let gateway = gateway_at(&server.scripted).await;

    // At the same time, on the streams of two sessions.
    let ask = |who: &str| tool("ask", json!({"who": who})).answering().principal(who);
    let (alice, bob) = (ask("alice"), ask("bob"));
    let (of_alice, of_bob) = tokio::join!(alice.response(&gateway, 200), bob.response(&gateway, 200));
    assert_eq!(asked(&of_alice).1["params"]["message"], "alice");
    assert_eq!(asked(&of_bob).1["params"]["message"], "bob");
    // Nobody answers for somebody else.
    bob.clone().retry(&of_alice, json!({"i1": accept(json!({"name": "Eve"}))})).error(&gateway, 200, -32602).await;
    let done = answer(&gateway, &alice, &of_alice, accept(json!({"name": "Ada"}))).await;
    assert_eq!(said(&done), "\"Ada\"");
    let done = answer(&gateway, &bob, &of_bob, accept(json!({"name": "Bob"}))).await;
    assert_eq!(said(&done), "\"Bob\"");
    assert_eq!(server.scripted.count("initialize"), 2);

    // Each has a session that goes on, however its requests come.
    let count =
        async |who: &str| said(&tool("count", json!({})).answering().principal(who).response(&gateway, 200).await);
    assert_eq!((count("alice").await, count("alice").await, count("bob").await), ("1".into(), "2".into(), "1".into()));
    assert_eq!(server.scripted.count("initialize"), 2);

    // Legacy clients have one each, even of the same principal.
    let first = legacy(&gateway, LEGACY, json!({})).await;
    let second = legacy(&gateway, LEGACY, json!({})).await;
    for (client, expected) in [(&first, "1"), (&second, "1"), (&first, "2")] {
        let reply = client.call(1, "count").await.unwrap().json();
        assert_eq!(said(&reply), expected);
    }
}

#[tokio::test]
async fn era_227_364_a_session_of_everybody_can_ask_nobody() {
    let count = Arc::new(AtomicUsize::new(0));
    let server = Old::start(Like::default(), move |call: Arrived| {
        let count = count.clone();
        async move {
            if call.name() == "count" {
                return text(count.fetch_add(1, Ordering::SeqCst) + 1);
            }
            let mut codes = Vec::new();
            for method in ["elicitation/create", "sampling/createMessage", "roots/list"] {
                codes.push(call.outside.ask(method, form("?")).await["error"]["code"].clone());
                codes.push(call.ask(method, form("?")).await["error"]["code"].clone());
            }
            text(json!(codes))
        }
    })
    .await;
    let gateway = gateway_with(at(&server.scripted.url(), quick()), Share::Everybody, Settings::default()).await;
    let response = tool("t", json!({})).answering().response(&gateway, 200).await;
    assert_eq!(said(&response), json!([-32602, -32602, -32601, -32601, -32601, -32601]).to_string());
    assert_eq!(server.scripted.wait_for("initialize").await.body["params"]["capabilities"], json!({}));
    // And it is one session.
    let counted = async |who: &str| said(&tool("count", json!({})).principal(who).response(&gateway, 200).await);
    assert_eq!((counted("alice").await, counted("bob").await), ("1".into(), "2".into()));
    let client = legacy(&gateway, LEGACY, json!({})).await;
    assert_eq!(said(&client.call(1, "count").await.unwrap().json()), "3");
    assert_eq!(server.scripted.count("initialize"), 1);
}

#[tokio::test]
async fn era_236_roots_that_a_server_asks_for_at_once_are_there_before_the_tool_runs() {
    for per_request in [false, true] {
        let roots: Arc<std::sync::Mutex<Value>> = Arc::default();
        let (asks, knows) = (roots.clone(), roots.clone());
        let server = Old::greeting(
            Like::default(),
            move |outside| {
                let roots = asks.clone();
                async move {
                    let answer = outside.ask("roots/list", Value::Null).await;
                    *roots.lock().unwrap() = answer["result"]["roots"].clone();
                }
            },
            move |_| {
                let roots = knows.lock().unwrap().clone();
                async move { text(roots) }
            },
        )
        .await;
        let gateway = gateway_at(&server.scripted).await;
        let mut call = tool("t", json!({})).capabilities(json!({"roots": {}}));
        if per_request {
            call = call.principal("");
        }
        let response = call.response(&gateway, 200).await;
        let (key, question) = asked(&response);
        assert_eq!((key.as_str(), &question), ("i1", &json!({"method": "roots/list"})));
        assert_eq!(server.calls().len(), 0, "the tool waits for the roots");
        let given = json!([{"uri": "file:///home/ada", "name": "home"}]);
        let done = answer(&gateway, &call, &response, json!({"roots": given})).await;
        assert_eq!(said(&done), given.to_string());
        // From now on there is nothing to ask.
        if !per_request {
            assert_eq!(said(&call.response(&gateway, 200).await), given.to_string());
            // Outside calls the server is told what is known.
            let session = server.sessions().pop().unwrap();
            let again = server.outside(&session).ask("roots/list", Value::Null).await;
            assert_eq!(again["result"]["roots"], given);
        }
    }
}

#[tokio::test]
async fn era_236_roots_are_asked_for_on_a_pipe_too() {
    let (connector, mut started) = played(LineSettings::default());
    let gateway = gateway(connector).await;
    let call = tool("t", json!({})).capabilities(json!({"roots": {}}));
    let serving = tokio::spawn(async move {
        let mut server = soon("a server", started.recv()).await.unwrap();
        assert_eq!(server.legacy().await["capabilities"], json!({"roots": {}}));
        server.send(json!({"jsonrpc": "2.0", "id": "r", "method": "roots/list"})).await;
        let mut given = Value::Null;
        loop {
            let message = server.next().await;
            match message["method"].as_str() {
                Some("ping") => server.result(&message, json!({})).await,
                Some("tools/list") => server.result(&message, json!({"tools": []})).await,
                Some("tools/call") => return server.result(&message, text(&given).unwrap()).await,
                _ => given = message["result"].clone(),
            }
        }
    });
    let response = call.response(&gateway, 200).await;
    let done = answer(&gateway, &call, &response, json!({"roots": []})).await;
    assert_eq!(said(&done), json!({"roots": []}).to_string());
    serving.await.unwrap();
}

#[tokio::test]
async fn era_237_238_what_a_server_asks_outside_every_call_and_nobody_can_be_asked() {
    let answers: Arc<std::sync::Mutex<Vec<Value>>> = Arc::default();
    let told = answers.clone();
    let server = Old::greeting(
        Like::default(),
        move |outside| {
            let answers = told.clone();
            async move {
                for method in ["roots/list", "sampling/createMessage", "elicitation/create"] {
                    let answer = outside.ask(method, form("?")).await;
                    answers.lock().unwrap().push(answer["error"]["code"].clone());
                }
            }
        },
        |_| async { text("ran") },
    )
    .await;
    let gateway = gateway_at(&server.scripted).await;
    // Without roots the server is told so at once, and works with what it has.
    assert_eq!(said(&tool("t", json!({})).response(&gateway, 200).await), "ran");
    let answered = async |count: usize| {
        crate::matrix::process::until("answers", || async { answers.lock().unwrap().len() >= count }).await;
        answers.lock().unwrap().split_off(count - 3)
    };
    assert_eq!(json!(answered(3).await), json!([-32601, -32601, -32602]));
    // A client that could answer is not asked while it calls nothing.
    let able = json!({"sampling": {}, "elicitation": {}});
    modern("tools/list", json!({})).capabilities(able).response(&gateway, 200).await;
    assert_eq!(json!(answered(3).await), json!([-32601, -32602, -32602]));
}

#[tokio::test]
async fn era_239_forms_pass_as_the_server_wrote_them() {
    let june = json!({"type": "object", "properties": {
        "color": {"type": "string", "enum": ["r", "g"], "enumNames": ["Red", "Green"]}}});
    let november = json!({"$schema": "https://json-schema.org/draft/2020-12/schema", "type": "object", "properties": {
        "colors": {"type": "array", "items": {"anyOf": [{"const": "r", "title": "Red"}]}, "minItems": 1},
        "size": {"type": "string", "oneOf": [{"const": "s", "title": "Small"}], "default": "s"}}});
    for (revision, schema) in [("2025-06-18", june), (LEGACY, november)] {
        let asks = schema.clone();
        let server = Old::start(Like { revision, ..Like::default() }, move |call| {
            let params = json!({"message": "Which?", "requestedSchema": asks});
            async move { text(&call.ask("elicitation/create", params).await["result"]) }
        })
        .await;
        let gateway = gateway_at(&server.scripted).await;
        let call = tool("t", json!({})).answering();
        let response = call.response(&gateway, 200).await;
        assert_eq!(asked(&response).1["params"]["requestedSchema"], schema, "{revision}");
        let done = answer(&gateway, &call, &response, json!({"action": "decline"})).await;
        assert_eq!(said(&done), json!({"action": "decline"}).to_string());
    }
}

#[tokio::test]
async fn era_242_a_server_that_could_not_hear_an_answer_is_told_that_there_is_none() {
    let like = Like { sessions: false, stands: false, ..Like::default() };
    let server = Old::start(like, |call: Arrived| async move {
        text(&call.ask("elicitation/create", form("?")).await["error"]["code"])
    })
    .await;
    let gateway = gateway_at(&server.scripted).await;
    let response = tool("t", json!({})).answering().response(&gateway, 200).await;
    assert_eq!(said(&response), "-32602");
    let hellos: Vec<_> = server.scripted.seen().into_iter().filter(|s| s.method() == "initialize").collect();
    assert_eq!(hellos.last().unwrap().body["params"]["capabilities"], json!({}));
}

#[tokio::test]
async fn era_243_a_question_that_is_lost_costs_its_call_and_nothing_else() {
    let like = Like { stands: false, ..Like::default() };
    let server = Old::start(like, |call: Arrived| async move {
        if call.name() == "asks" { std::future::pending().await } else { text("ran") }
    })
    .await;
    let limits = ServerLimits { silence: Duration::from_millis(300), ..ServerLimits::default() };
    let settings = Settings::from(Limits::from(limits));
    let gateway = gateway_with(at(&server.scripted.url(), quick()), Share::Principal, settings).await;
    let error = tool("asks", json!({})).answering().error(&gateway, 200, -32603).await;
    assert_eq!(error["data"]["reason"], "timeout");
    let cancelled = server.scripted.wait_for("notifications/cancelled").await;
    assert_eq!(cancelled.body["params"]["requestId"], server.calls()[0].body["id"]);
    assert_eq!(said(&tool("t", json!({})).answering().response(&gateway, 200).await), "ran");
    assert_eq!(gateway.settings.held.parked(), 0);
}

#[tokio::test(start_paused = true)]
async fn era_217_456_a_server_hears_that_its_question_is_worked_on_until_nobody_comes_back() {
    let (connector, mut started) = played(LineSettings::default());
    let settings = Settings::default();
    let gateway = Gateway::around(Arc::new(mount(connector, Share::Principal, &settings)), settings);
    let call = tool("t", json!({})).answering();
    let asking = |n: u64| {
        json!({"jsonrpc": "2.0", "id": format!("q{n}"), "method": "elicitation/create",
        "params": {"message": "?", "requestedSchema": {"type": "object", "properties": {}}, "_meta": {"progressToken": n}}})
    };
    let serving = async {
        let mut server = soon("a server", started.recv()).await.unwrap();
        server.legacy().await;
        loop {
            let message = server.next().await;
            match message["method"].as_str() {
                Some("ping") => server.result(&message, json!({})).await,
                Some("tools/list") => server.result(&message, json!({"tools": []})).await,
                _ => {
                    assert_eq!(message["method"], "tools/call");
                    server.send(asking(1)).await;
                    return (server, message);
                }
            }
        }
    };
    let (mut response, (mut server, sent)) = tokio::join!(call.response(&gateway, 200), serving);
    let (_, question) = asked(&response);
    assert!(question["params"].get("_meta").is_none(), "the token is not the client's: {question}");
    let begun = tokio::time::Instant::now();
    for n in 1..=3 {
        let alive = server.expect("notifications/progress").await;
        assert_eq!(alive["params"], json!({"progressToken": 1, "progress": n}));
        assert!(begun.elapsed() <= Duration::from_secs(15 * n + 1));
    }
    // A client gives up after ten rounds; the server asks eleven times.
    for round in 1..=10 {
        let answering = async { answer(&gateway, &call, &response, json!({"action": "decline"})).await };
        let serving = async {
            let reply = server.next().await;
            assert_eq!((&reply["id"], &reply["result"]["action"]), (&json!(format!("q{round}")), &json!("decline")));
            server.send(asking(round + 1)).await;
        };
        (response, _) = tokio::join!(answering, serving);
        asked(&response);
    }
    // Nobody comes back: signs of life, and then the end, in this order.
    let mut signs = 0;
    let cancelled = loop {
        let message = server.next().await;
        match message["method"].as_str() {
            Some("notifications/progress") => {
                assert_eq!(message["params"]["progressToken"], 11);
                signs += 1;
            }
            _ => break message,
        }
    };
    assert!((39..=40).contains(&signs), "{signs} signs in ten minutes");
    assert_eq!(cancelled["method"], "notifications/cancelled");
    assert_eq!(cancelled["params"]["requestId"], sent["id"]);
    assert_eq!(server.next().await, json!({"jsonrpc": "2.0", "id": "q11", "result": {"action": "cancel"}}));
    assert_eq!(gateway.settings.held.parked(), 0);
    let (key, _) = asked(&response);
    call.clone().retry(&response, json!({key: {"action": "decline"}})).error(&gateway, 200, -32602).await;
}

#[tokio::test]
async fn era_228_466_467_what_the_client_never_declared() {
    let server = Old::start(Like::default(), |call: Arrived| async move {
        let refused = call.ask("sampling/createMessage", json!({"messages": [], "maxTokens": 1})).await;
        assert_eq!(refused["error"]["code"], -32601);
        match call.name() {
            "fails" => Err(json!({"code": -32603, "message": "no model", "data": {"x": 1}})),
            "errs" => Ok(json!({"content": [{"type": "text", "text": "no model"}], "isError": true})),
            _ => text("did without"),
        }
    })
    .await;
    let gateway = gateway_at(&server.scripted).await;
    let error = tool("fails", json!({})).error(&gateway, 400, -32021).await;
    assert_eq!(error["data"]["requiredCapabilities"], json!({"sampling": {}}));
    assert_eq!(error["data"]["cause"], json!({"code": -32603, "message": "no model", "data": {"x": 1}}));
    let done = tool("errs", json!({})).response(&gateway, 200).await;
    assert_eq!((said(&done), &done["result"]["isError"]), ("no model".into(), &json!(true)));
    assert_eq!(said(&tool("falls-back", json!({})).response(&gateway, 200).await), "did without");
    // In the legacy era there is no such error: a client of it hears what the server says.
    let client = legacy(&gateway, LEGACY, json!({})).await;
    let reply = client.call(1, "fails").await.unwrap();
    assert_eq!(reply.json()["error"], json!({"code": -32603, "message": "no model", "data": {"x": 1}}));
    // What a server itself says in that code is its own, and nothing that the protocol defines.
    let server = Old::start(Like::default(), |_| async {
        Err(json!({"code": -32021, "message": "private", "data": {"requiredCapabilities": {"sampling": {}}}}))
    })
    .await;
    let gateway = gateway_at(&server.scripted).await;
    let error = tool("t", json!({})).error(&gateway, 200, -32603).await;
    assert_eq!(error["data"]["code"], -32021);
}
