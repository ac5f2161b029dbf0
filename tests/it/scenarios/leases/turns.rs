//! Who waits for a session, for how long, and who comes next: over pipes, and with a clock that the test moves.

use tokio::{task::JoinHandle, time::Instant};

use super::*;

/// What the servers of all sessions were told, with the number of the session.
type Told = Arc<Mutex<Vec<String>>>;

/// A server of which every session is a conversation over a pipe. Its tool `asks` asks for a form and says what it was
/// answered; `late` asks when it is cancelled; `logs` logs before and after its answer; any other is answered at once.
pub(super) fn piped() -> (Arc<dyn Connector>, Told) {
    let (connector, mut started) = played(of_old());
    let told = Told::default();
    let own = told.clone();
    tokio::spawn(async move {
        let mut number = 0;
        while let Some(mut server) = started.recv().await {
            number += 1;
            let told = own.clone();
            tokio::spawn(async move {
                let note = |what: String| told.lock().unwrap().push(format!("{number} {what}"));
                server.initialize(LEGACY).await;
                let mut asking = std::collections::HashMap::new();
                let ask = |id: &Value| json!({"jsonrpc": "2.0", "id": format!("q-{id}"), "method": ELICIT, "params": form("?")});
                while let Some(message) = server.heard().await {
                    let id = message["id"].clone();
                    match message["method"].as_str() {
                        Some("ping") => server.result(&message, json!({})).await,
                        Some("tools/list") => server.result(&message, json!({"tools": []})).await,
                        Some("tools/call") => {
                            let arguments = &message["params"]["arguments"];
                            note(format!("call {}", arguments["who"].as_str().unwrap_or_default()));
                            match message["params"]["name"].as_str() {
                                Some("asks") => {
                                    server.send(ask(&id)).await;
                                    asking.insert(format!("q-{id}"), message.clone());
                                }
                                Some("late") => {}
                                Some("logs") => {
                                    let said = json!({"level": "error", "data": "whose?"});
                                    let said =
                                        json!({"jsonrpc": "2.0", "method": "notifications/message", "params": said});
                                    server.send(said.clone()).await;
                                    server.result(&message, text(number).unwrap()).await;
                                    server.send(said).await;
                                }
                                _ => server.result(&message, text(number).unwrap()).await,
                            }
                        }
                        Some("notifications/cancelled") => {
                            note("cancelled".to_owned());
                            server.send(ask(&message["params"]["requestId"])).await;
                        }
                        Some(_) => {}
                        None => match asking.remove(id.as_str().unwrap_or_default()) {
                            Some(call) => server.result(&call, text(&message["result"]["content"]).unwrap()).await,
                            None => note(format!("answered {}", message["result"]["action"])),
                        },
                    }
                }
                note("ended".to_owned());
            });
        }
    });
    (connector, told)
}

pub(super) fn seen(told: &Told) -> Vec<String> {
    told.lock().unwrap().clone()
}

fn behind(connector: Arc<dyn Connector>, share: Share) -> Arc<Gateway> {
    let settings = Settings::default();
    Arc::new(Gateway::around(Arc::new(mount(connector, share, &settings)), settings))
}

fn call(what: &str, who: &str) -> Sent {
    tool(what, json!({"who": who})).principal(who).answering()
}

fn sends(gateway: &Arc<Gateway>, call: Sent) -> JoinHandle<Value> {
    let gateway = gateway.clone();
    tokio::spawn(async move { call.send(&gateway).await.response() })
}

async fn moment() {
    tokio::time::sleep(Duration::from_secs(1)).await;
}

#[tokio::test(start_paused = true)]
async fn calls_come_in_turn_and_wait_for_half_a_minute() {
    let (connector, told) = piped();
    let gateway = behind(connector, Share::LEASED);
    let alice = call("asks", "alice");
    let hers = alice.response(&gateway, 200).await;
    asked(&hers);
    let begun = Instant::now();
    let bob = sends(&gateway, call("t", "bob"));
    moment().await;
    let error = bob.await.unwrap();
    assert_eq!(begun.elapsed(), Duration::from_secs(30));
    let error = &error["error"];
    assert_eq!((&error["code"], &error["data"]["reason"]), (&json!(-32603), &json!("busy")), "{error}");
    assert_eq!((&error["data"]["retryable"], &error["data"]["retryAfterMs"]), (&json!(true), &json!(1000)));
    assert_eq!(seen(&told), ["1 call alice"]);
    // In the order in which they came.
    let mut waiting = Vec::new();
    for who in ["carol", "bob", "dave"] {
        waiting.push(sends(&gateway, call("t", who)));
        moment().await;
    }
    // Whoever leaves gives up the turn.
    waiting.remove(1).abort();
    moment().await;
    answer(&gateway, &alice, &hers, accept(json!({}))).await;
    for call in waiting {
        assert_eq!(said(&call.await.unwrap()), "1");
    }
    assert_eq!(seen(&told), ["1 call alice", "1 call carol", "1 call dave"]);
}

#[tokio::test(start_paused = true)]
async fn nobody_fills_the_queue_for_the_others() {
    let (connector, _) = piped();
    let gateway = behind(connector, Share::LEASED);
    let alice = call("asks", "alice");
    let hers = alice.response(&gateway, 200).await;
    let of = |who: &'static str, count: usize| (0..count).map(move |n| call("t", who).id(n + 100));
    let mut waiting: Vec<_> = of("bob", 16).map(|call| sends(&gateway, call)).collect();
    moment().await;
    let begun = Instant::now();
    let error = sends(&gateway, call("t", "bob")).await.unwrap();
    assert_eq!((&error["error"]["data"]["reason"], begun.elapsed()), (&json!("busy"), Duration::ZERO), "{error}");
    waiting.extend(of("carol", 16).map(|call| sends(&gateway, call)));
    moment().await;
    answer(&gateway, &alice, &hers, accept(json!({}))).await;
    for call in waiting {
        assert_eq!(said(&call.await.unwrap()), "1");
    }
    // Altogether they are bounded as well.
    let hers = alice.response(&gateway, 200).await;
    let names: Vec<String> = (0..16).map(|n| format!("p{n}")).collect();
    let many = names.iter().flat_map(|who| (0..16).map(move |n| call("t", who).id(n + 100)));
    let many: Vec<_> = many.map(|call| sends(&gateway, call)).collect();
    moment().await;
    let error = sends(&gateway, call("t", "zoe")).await.unwrap();
    assert_eq!(error["error"]["data"]["reason"], "busy", "{error}");
    answer(&gateway, &alice, &hers, accept(json!({}))).await;
    for call in many {
        assert_eq!(said(&call.await.unwrap()), "1");
    }
}

#[tokio::test(start_paused = true)]
async fn a_late_question_never_reaches_the_next_one() {
    let (connector, told) = piped();
    let gateway = behind(connector, Share::LEASED);
    let late = sends(&gateway, call("late", "alice"));
    moment().await;
    let bob = sends(&gateway, call("t", "bob"));
    moment().await;
    assert_eq!(seen(&told), ["1 call alice"]);
    late.abort();
    // It is the server's first question that would be put to whoever has the session.
    assert_eq!(said(&bob.await.unwrap()), "2");
    moment().await;
    let mut told = seen(&told);
    told.sort();
    assert_eq!(told, ["1 call alice", "1 cancelled", "1 ended", "2 call bob"]);
}

/// A call that is parked has the session until somebody comes back, or nobody does.
#[tokio::test(start_paused = true)]
async fn a_parked_call_that_nobody_comes_back_for_takes_its_session_along() {
    let (connector, told) = piped();
    let gateway = behind(connector, at_most(2));
    asked(&call("asks", "alice").response(&gateway, 200).await);
    assert_eq!(said(&sends(&gateway, call("t", "bob")).await.unwrap()), "2");
    tokio::time::sleep(Duration::from_secs(301)).await;
    assert_eq!(said(&sends(&gateway, call("t", "bob")).await.unwrap()), "2");
    tokio::time::sleep(Duration::from_secs(300)).await;
    assert_eq!(gateway.settings.held.parked(), 0);
    let seen_now = seen(&told);
    assert!(seen_now.contains(&"1 ended".to_owned()) && !seen_now.contains(&"2 ended".to_owned()), "{seen_now:?}");
    // The first is opened again for the list, which the call needs.
    assert_eq!(said(&sends(&gateway, call("t", "bob")).await.unwrap()), "3");
}

#[tokio::test(start_paused = true)]
async fn a_session_that_is_not_lent_for_long_is_closed() {
    let (connector, told) = piped();
    let gateway = behind(connector, at_most(2));
    let alice = call("asks", "alice");
    let hers = alice.response(&gateway, 200).await;
    assert_eq!(said(&sends(&gateway, call("t", "bob")).await.unwrap()), "2");
    answer(&gateway, &alice, &hers, accept(json!({}))).await;
    tokio::time::sleep(Duration::from_secs(11 * 60)).await;
    let mut told = seen(&told);
    told.retain(|what| what.ends_with("ended"));
    told.sort();
    assert_eq!(told, ["1 ended", "2 ended"]);
    assert_eq!(said(&sends(&gateway, call("t", "bob")).await.unwrap()), "3");
}

/// On one pipe nobody can say whose a log message is: what is left of one call must not be told the next.
#[tokio::test(start_paused = true)]
async fn log_messages_on_one_pipe_are_nobodys_where_several_share_it() {
    for (share, heard) in [(Share::Principal, 1), (Share::LEASED, 0), (Share::Everybody, 0)] {
        // Those who can be asked nothing share a session as well.
        for capabilities in [able(), json!({})] {
            let (connector, _) = piped();
            let gateway = behind(connector, share);
            for who in ["alice", "bob"] {
                let call = call("logs", who).capabilities(capabilities.clone());
                let whole = call.level("debug").send(&gateway).await;
                said(&whole.response());
                assert_eq!(whole.notifications().len(), heard, "{share:?} {who}: {:?}", whole.notifications());
            }
        }
    }
}
