//! Servers that answer anything: whatever it is, the call ends with an answer, and the next one is served.

use super::{codes::play_lines, crowd::Dice, *};
use crate::matrix::client::http_client;

/// An answer to request `id` that is nearly one.
fn nearly(dice: &mut Dice, id: &Value) -> Vec<u8> {
    let mut message = json!({"jsonrpc": "2.0", "id": id});
    match dice.below(4) {
        0 => message["result"] = dice.value(4),
        1 => {
            message["error"] = json!({"code": dice.one(&[-32601, -32042, -32021, -32002, 0]), "message": dice.value(1), "data": dice.value(3)})
        }
        2 => {
            message["result"] = json!({"resultType": dice.one(&["complete", "complete", "acme", ""]), "content": dice.value(3),
                "structuredContent": dice.value(2), "inputRequests": dice.value(3), "requestState": dice.value(1), "task": dice.value(2),
                "taskId": dice.value(1), "ttlMs": dice.value(1), "cacheScope": dice.value(1), "_meta": dice.value(2)});
        }
        _ => {
            message["method"] =
                json!(dice.one(&["notifications/progress", "notifications/message", "elicitation/create", "ping", ""]));
            message["params"] = dice.value(3);
        }
    }
    for _ in 0..dice.below(3) {
        let name = dice.one(&["jsonrpc", "id", "method", "result", "error", "params"]);
        message[name] = dice.value(3);
    }
    let mut text = message.to_string().into_bytes();
    dice.spoil(&mut text);
    text
}

fn seed(arguments: &Value) -> Option<u64> {
    arguments["seed"].as_u64()
}

fn answer(seen: &Seen) -> Reply {
    let Some(seed) = seed(&seen.body["params"]["arguments"]) else { return says(seen, "fine") };
    let mut dice = Dice::new(seed);
    let text = nearly(&mut dice, &seen.body["id"]);
    let text = String::from_utf8_lossy(&text).into_owned();
    let status = dice.one(&[200, 200, 200, 202, 400, 404, 500]);
    match dice.below(3) {
        0 => {
            let line = dice.one(&["\n", "\r\n", "\r"]);
            let ending = dice.one(&["\n\n", "\n", "", ":x\n\ndata\n\nevent: x\ndata: {}\n\nretry: x\n\n"]);
            let lead = dice.one(&["", "\u{feff}", ": c\n", "id: 1\ndata:\n\n"]);
            Reply::text(200, "text/event-stream", format!("{lead}data: {}{ending}", text.replace('\n', line)))
        }
        1 => Reply::text(status, dice.one(&["text/html", "application/json; charset=latin1", ""]), text),
        _ => Reply::text(status, "application/json", text),
    }
}

/// Calls, with one seed after the other, as clients of both eras that can be asked nothing. What a server makes of its own
/// results is passed on, so that nothing is checked but that there is an answer, which comes in one piece.
async fn outlives(what: &str, gateway: &Gateway) {
    let client = legacy(gateway, LEGACY, json!({})).await.accepting("application/json");
    for seed in 1..200 {
        let told = format!("{what}, seed {seed}");
        let call = tool("t", json!({"seed": seed})).header("accept", "application/json");
        let request =
            http_client().post(gateway.url("docs")).headers(call.headers().clone()).body(call.body().to_string());
        let answer = soon(&told, request.send()).await.unwrap();
        assert!(matches!(answer.status().as_u16(), 200 | 400 | 404), "{told}: {answer:?}");
        let text = soon(&told, answer.text()).await.unwrap();
        assert_answers(&text, &told);
        let call = json!({"name": "t", "arguments": {"seed": seed}});
        let reply = soon(&told, client.ask(1, "tools/call", call)).await;
        assert_eq!(reply.status, 200, "{told}");
        assert_answers(reply.text(), &told);
    }
    assert_eq!(said(&tool("t", json!({})).response(gateway, 200).await), "fine", "{what}");
    let reply = client.ask(2, "tools/call", json!({"name": "t", "arguments": {}})).await;
    assert_eq!(said(&reply.json()), "fine", "{what}");
}

fn assert_answers(text: &str, told: &str) {
    let response: Value = serde_json::from_str(text).unwrap_or_else(|error| panic!("{told}: {error}: {text}"));
    assert!(response.get("result").is_some() != response.get("error").is_some(), "{told}: {response}");
    assert!(response["id"] == 1 && response.as_object().unwrap().len() == 3, "{told}: {response}");
}

#[tokio::test]
async fn sec_096_101_answers_of_servers_over_http_that_are_nearly_some() {
    let new_server = new(json!({"tools": {}}), |seen| async move {
        if seen.method() == "tools/list" { listed(&seen, &json!([plain("t")])) } else { answer(&seen) }
    })
    .await;
    let old_server = Scripted::start(|seen| async move {
        match (seen.verb.as_str(), seen.method()) {
            ("GET", _) => Reply::empty(405),
            (_, "tools/call") => answer(&seen),
            (_, "tools/list") => Reply::json(200, &seen.result(json!({"tools": [plain("t")]}))),
            _ => crate::upstream_http::housekeeping(&seen, LEGACY, Some("s-1")).unwrap_or_else(|| Reply::empty(202)),
        }
    })
    .await;
    for (what, server) in [("modern", new_server), ("legacy", old_server)] {
        outlives(what, &gateway_at(&server).await).await;
    }
}

#[tokio::test]
async fn sec_096_101_answers_of_servers_on_a_pipe_that_are_nearly_some() {
    fn lines(message: &Value) -> Vec<Vec<u8>> {
        let id = &message["id"];
        let fine = json!({"jsonrpc": "2.0", "id": id,
            "result": {"resultType": "complete", "content": [{"type": "text", "text": "fine"}]}});
        let mut lines = vec![fine.to_string().into_bytes()];
        if let Some(seed) = seed(&message["params"]["arguments"]) {
            let mut dice = Dice::new(seed);
            for _ in 0..=dice.below(3) {
                // In one line, so that what comes after it is read.
                let mut line = nearly(&mut dice, id);
                line.retain(|b| *b != b'\n');
                lines.insert(0, line);
            }
        }
        lines
    }
    for (what, is_modern) in [("modern", true), ("legacy", false)] {
        let connector = play_lines(is_modern, lines);
        outlives(what, &gateway(connector).await).await;
    }
}
