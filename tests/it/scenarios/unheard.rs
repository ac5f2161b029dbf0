//! Progress that no client asked for.

use rialto::upstream::lines::LineSettings;

use super::{
    old::{Arrived, Like, Old, text},
    *,
};
use crate::{lines::played, support::wait::SOON};

fn terms() -> Terms {
    Terms { synthetic_progress: true, ..Terms::default() }
}

/// The token that a request was sent with.
fn token(message: &Value) -> &Value {
    &message["params"]["_meta"]["progressToken"]
}

fn progress(token: &Value, progress: f64, total: f64) -> Value {
    let params = json!({"progressToken": token, "progress": progress, "total": total});
    json!({"jsonrpc": "2.0", "method": "notifications/progress", "params": params})
}

#[tokio::test(start_paused = true)]
async fn a_long_call_whose_client_wants_no_progress_is_seen_to_go_on() {
    for is_modern in [true, false] {
        for (terms, lives) in [(terms(), true), (Terms::default(), false)] {
            let (connector, mut started) = played(LineSettings::default());
            let settings = Settings::default();
            let gateway = Gateway::around(Arc::new(mount(connector, terms, &settings)), settings);
            let serving = async {
                let mut server = soon("a server", started.recv()).await.unwrap();
                match is_modern {
                    true => server.modern().await,
                    false => drop(server.legacy().await),
                }
                while let Some(message) = server.heard().await {
                    if message["method"] == "tools/list" {
                        let list = json!({"tools": [], "resultType": "complete", "ttlMs": 0, "cacheScope": "private"});
                        assert!(token(&message).is_null(), "lists are none of these");
                        server.result(&message, list).await;
                    }
                    if message["method"] != "tools/call" {
                        continue;
                    }
                    assert_eq!(token(&message).is_string(), lives, "{message}");
                    // Longer than a call may be silent, and nothing is said but how far it is.
                    for n in 1..=5 {
                        tokio::time::sleep(Duration::from_secs(9 * 60)).await;
                        if lives {
                            server.send(progress(token(&message), f64::from(n), 5.0)).await;
                        }
                    }
                    let content = json!([{"type": "text", "text": "done"}]);
                    server.result(&message, json!({"resultType": "complete", "content": content})).await;
                }
            };
            let call = tool("t", json!({}));
            let whole = tokio::select! {
                whole = call.send(&gateway) => whole,
                () = serving => panic!("the server is gone"),
            };
            assert!(whole.notifications().is_empty(), "{:?}", whole.messages);
            match lives {
                true => assert_eq!(said(&whole.response()), "done"),
                false => assert_eq!(whole.response()["error"]["data"]["reason"], "timeout"),
            }
        }
    }
}

/// Says the token of the call, after it said how far it is.
async fn reports(call: Arrived) -> Result<Value, Value> {
    let own = token(&call.seen.body).clone();
    for n in [0.5, 1.0] {
        call.say("notifications/progress", json!({"progressToken": own, "progress": n})).await;
    }
    call.log("info", "half way").await;
    text(own)
}

#[tokio::test]
async fn it_is_shown_to_nobody_and_progress_that_was_asked_for_is() {
    let old = Old::start(Like::default(), reports).await;
    let new = new(json!({"tools": {}}), |seen| async move {
        let own = token(&seen.body).clone();
        match seen.method() {
            "tools/list" => listed(&seen, &json!([plain("t")])),
            _ => {
                let content = json!([{"type": "text", "text": own.to_string()}]);
                let result = seen.result(json!({"resultType": "complete", "content": content}));
                Reply::messages(&[progress(&own, 0.5, 1.0), progress(&own, 1.0, 1.0), result])
            }
        }
    })
    .await;
    for server in [&old.scripted, &new] {
        let settings = Settings::default();
        let mount = mount(at(&server.url(), quick()), terms(), &settings);
        let gateway = Gateway::around(Arc::new(mount), settings).listen().await;
        let reported = |messages: &[Value]| messages.iter().filter(|m| m["method"] == "notifications/progress").count();

        let unasked = tool("t", json!({})).send(&gateway).await;
        assert!(said(&unasked.response()).contains('p'), "the server was asked for progress");
        assert_eq!(reported(&unasked.messages), 0);
        let asked = tool("t", json!({})).token("mine").send(&gateway).await;
        assert_eq!(reported(&asked.messages), 2, "{:?}", asked.messages);
        assert!(asked.notifications().iter().all(|n| n["params"]["progressToken"] == "mine"));

        let client = legacy(&gateway, LEGACY, json!({})).await;
        for (meta, expected) in [(json!({"x": 1}), 0), (json!({"progressToken": 7}), 2)] {
            let params = json!({"name": "t", "arguments": {}, "_meta": meta});
            let reply = tokio::time::timeout(SOON, client.ask(1, "tools/call", params)).await.unwrap();
            let talk = converse(&client, reply, |_| panic!("nothing is asked")).await;
            assert!(said(&talk.response).contains('p'));
            assert_eq!(reported(&talk.notifications), expected, "{:?}", talk.notifications);
        }
        assert!(server.seen().iter().all(|seen| seen.method() == "tools/call" || token(&seen.body).is_null()));
        // What else the client says about the request stays beside it.
        let calls: Vec<_> = server.seen().into_iter().filter(|seen| seen.method() == "tools/call").collect();
        assert_eq!(calls[2].body["params"]["_meta"]["x"], 1);
    }
}
