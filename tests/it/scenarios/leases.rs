//! Sessions that several principals share, one at a time, so that each can be asked something in it.

use std::{
    num::NonZeroUsize,
    sync::{
        Mutex,
        atomic::{AtomicUsize, Ordering},
    },
};

use rialto::upstream::{EraChoice, lines::LineSettings};
use tokio::sync::Semaphore;

use super::*;
use crate::{lines::played, rmcp_client::server::RmcpServer};

mod pings;
mod turns;

const ELICIT: &str = "elicitation/create";

async fn leased(server: &Old) -> Gateway {
    gateway_with(at(&server.scripted.url(), quick()), Share::LEASED, Settings::default()).await
}

fn at_most(sessions: usize) -> Share {
    Share::Leased { at_most: NonZeroUsize::new(sessions).unwrap() }
}

/// A server whose tool `asks` asks for a name, where it is told to, and says what it was answered, and in which session.
async fn asking() -> Old {
    Old::start(Like::default(), |call: Arrived| async move {
        let question = form(call.argument("who").as_str().unwrap_or("?"));
        let answer = match (call.name(), call.argument("astray") == &json!(true)) {
            ("asks", true) => call.outside.ask(ELICIT, question).await,
            ("asks", false) => call.ask(ELICIT, question).await,
            _ => return text(&call.outside.session),
        };
        text(format!("{} {}", call.outside.session, answer["result"]["content"]["name"]))
    })
    .await
}

fn asks(who: &str, astray: bool) -> Sent {
    tool("asks", json!({"who": who, "astray": astray})).principal(who).answering()
}

/// Servers that are known to be legacy ones.
fn of_old() -> LineSettings {
    LineSettings { era: EraChoice::Legacy, ..LineSettings::default() }
}

fn name(name: &str) -> Value {
    accept(json!({"name": name}))
}

/// Waits until so many calls of tools have arrived.
async fn until_calls(server: &Old, count: usize) {
    crate::matrix::process::until("calls", || async { server.calls().len() >= count }).await;
}

#[tokio::test]
async fn who_has_the_session_is_asked_and_the_next_one_waits() {
    for astray in [false, true] {
        let server = asking().await;
        let gateway = &leased(&server).await;
        let (alice, bob) = (asks("alice", astray), asks("bob", astray));
        let hers = alice.response(gateway, 200).await;
        assert_eq!(asked(&hers).1["params"]["message"], "alice");
        let waiting = async {
            let his = bob.response(gateway, 200).await;
            assert_eq!(asked(&his).1["params"]["message"], "bob");
            his
        };
        let meanwhile = async {
            // What cannot ask anything passes, in the same session; and so does whoever cannot be asked, in one that says so.
            let list = modern("tools/list", json!({})).principal("bob").answering().response(gateway, 200).await;
            assert_eq!(list["result"]["tools"][0]["name"], "t");
            for method in ["completion/complete", "server/discover"] {
                let reference =
                    json!({"ref": {"type": "ref/prompt", "name": "p"}, "argument": {"name": "a", "value": ""}});
                modern(method, reference).principal("bob").answering().response(gateway, 200).await;
            }
            let plain = tool("t", json!({})).principal("carol").response(gateway, 200).await;
            assert_ne!(said(&plain), "s-1");
            assert_eq!(server.calls().iter().filter(|call| call.body["params"]["name"] == "asks").count(), 1);
            answer(gateway, &alice, &hers, name("Ada")).await
        };
        let (his, done) = tokio::join!(waiting, meanwhile);
        assert_eq!(said(&done), "s-1 \"Ada\"");
        let done = answer(gateway, &bob, &his, name("Bob")).await;
        assert_eq!(said(&done), "s-1 \"Bob\"", "it is the same session");
        assert_eq!(server.sessions().len(), 2);
        let declared: Vec<_> =
            server.scripted.seen().into_iter().filter(|seen| seen.method() == "initialize").collect();
        let declared: Vec<_> = declared.iter().map(|seen| seen.body["params"]["capabilities"].clone()).collect();
        assert_eq!(declared, [able(), json!({})]);
    }
}

#[tokio::test]
async fn legacy_clients_take_turns_as_well() {
    let server = asking().await;
    let gateway = &leased(&server).await;
    let forms = json!({"elicitation": {}});
    let (alice, bob) = (legacy(gateway, LEGACY, forms.clone()).await, legacy(gateway, "2025-06-18", forms).await);
    let call = async |client: &Client, who: &'static str| {
        let reply =
            client.ask(1, "tools/call", json!({"name": "asks", "arguments": {"who": who, "astray": true}})).await;
        let talk = converse(client, reply, |question| {
            assert_eq!(question["params"]["message"], who);
            Ok(name(who))
        })
        .await;
        assert_eq!(talk.questions.len(), 1);
        said(&talk.response)
    };
    let modern = asks("carol", true).capabilities(json!({"elicitation": {}}));
    let first = modern.response(gateway, 200).await;
    let both = async { tokio::join!(call(&alice, "alice"), call(&bob, "bob")) };
    let (both, done) = tokio::join!(both, answer(gateway, &modern, &first, name("carol")));
    assert_eq!(said(&done), "s-1 \"carol\"");
    assert_eq!(both, ("s-1 \"alice\"".to_owned(), "s-1 \"bob\"".to_owned()));
    assert_eq!(server.scripted.count("initialize"), 1);
}

#[tokio::test]
async fn further_sessions_are_opened_where_all_are_lent_and_no_more_than_allowed() {
    let server = asking().await;
    let gateway = &gateway_with(at(&server.scripted.url(), quick()), at_most(2), Settings::default()).await;
    let all = ["alice", "bob", "carol"].map(|who| asks(who, true));
    let [alice, bob, carol] = &all;
    let hers = alice.response(gateway, 200).await;
    let his = bob.response(gateway, 200).await;
    assert_eq!(asked(&hers).1["params"]["message"], "alice");
    assert_eq!(asked(&his).1["params"]["message"], "bob");
    let (third, done) = tokio::join!(carol.response(gateway, 200), async {
        let list = modern("tools/list", json!({})).principal("carol").answering();
        list.response(gateway, 200).await;
        assert_eq!((server.calls().len(), server.scripted.count("initialize")), (2, 2));
        answer(gateway, bob, &his, name("Bob")).await
    });
    let sessions: Vec<_> =
        server.calls().iter().map(|call| call.header("mcp-session-id").unwrap().to_owned()).collect();
    let [first, second, ..] = &sessions[..] else { panic!("{sessions:?}") };
    let in_which = |done: Value| said(&done).split(' ').next().unwrap().to_owned();
    assert_eq!(in_which(done), *second);
    assert_eq!(asked(&third).1["params"]["message"], "carol");
    assert_eq!(in_which(answer(gateway, carol, &third, name("Carol")).await), *second);
    // While the second is free, a call finds it; when both are, the first.
    let dave = asks("dave", true);
    let fourth = dave.response(gateway, 200).await;
    assert_eq!(in_which(answer(gateway, &dave, &fourth, name("Dave")).await), *second);
    assert_eq!(in_which(answer(gateway, alice, &hers, name("Ada")).await), *first);
    let fourth = dave.response(gateway, 200).await;
    assert_eq!(in_which(answer(gateway, &dave, &fourth, name("Dave")).await), *first);
    assert_eq!(server.scripted.count("initialize"), 2);
}

#[tokio::test]
async fn a_session_is_never_lent_to_clients_that_declare_something_else() {
    let server = asking().await;
    let gateway = &leased(&server).await;
    let set = |capabilities: Value| tool("t", json!({})).capabilities(capabilities);
    let sets = [json!({"elicitation": {}}), json!({"elicitation": {"url": {}}}), json!({"sampling": {}}), able()];
    let mut sessions = std::collections::HashMap::new();
    for who in ["alice", "bob"] {
        for capabilities in &sets {
            let session = said(&set(capabilities.clone()).principal(who).response(gateway, 200).await);
            let known = sessions.entry(capabilities.to_string()).or_insert_with(|| session.clone());
            assert_eq!(*known, session, "whoever declares the same shares it");
        }
        // What nobody can be asked for needs no session of its own.
        for capabilities in [json!({}), json!({"extensions": {"a/b": {}}})] {
            let session = said(&set(capabilities).principal(who).response(gateway, 200).await);
            assert_eq!(*sessions.entry(String::new()).or_insert_with(|| session.clone()), session);
        }
    }
    let different: std::collections::HashSet<_> = sessions.values().collect();
    assert_eq!((different.len(), server.scripted.count("initialize")), (5, 5));
}

#[tokio::test]
async fn whoever_invents_capabilities_gets_no_more_sessions_that_are_lent_than_of_its_own() {
    let server = asking().await;
    let gateway = &leased(&server).await;
    let of = async |who: &str, n: usize| {
        let capabilities = json!({"roots": {}, "extensions": {"a/b": {"n": n}}});
        said(&tool("t", json!({})).principal(who).capabilities(capabilities).response(gateway, 200).await)
    };
    let bob = of("bob", 0).await;
    for n in 1..40 {
        of("alice", n).await;
        assert!(server.sessions().len() <= 1 + 16 + 1, "one more while it is ended");
    }
    server.until_sessions(1 + 16).await;
    assert_eq!(of("bob", 0).await, bob);
    assert_eq!(of("alice", 0).await, bob, "his is theirs");
}

#[tokio::test]
async fn a_call_that_the_server_did_not_answer_takes_its_session_along() {
    let server = Old::start(Like::default(), |call: Arrived| async move {
        match call.name() {
            "hangs" => std::future::pending().await,
            _ => text(&call.outside.session),
        }
    })
    .await;
    let gateway = &leased(&server).await;
    let t = async |who: &str| said(&tool("t", json!({})).principal(who).answering().response(gateway, 200).await);
    assert_eq!((t("alice").await, t("bob").await), ("s-1".to_owned(), "s-1".to_owned()));
    let hangs = tool("hangs", json!({})).principal("alice").answering();
    let (_, after) = tokio::join!(
        async {
            tokio::select! {
                _ = hangs.send(gateway) => panic!("nobody answers it"),
                () = until_calls(&server, 3) => {}
            }
        },
        async {
            until_calls(&server, 3).await;
            t("bob").await
        }
    );
    assert_eq!(after, "s-2");
    server.scripted.wait_for("notifications/cancelled").await;
    crate::matrix::process::until("the end", || async { server.sessions() == ["s-2"] }).await;
    // A call that ends with an error of the server has ended.
    assert_eq!(t("alice").await, "s-2");
}

#[tokio::test]
async fn what_a_server_asks_when_nobody_has_the_session_is_asked_nobody() {
    let server = asking().await;
    let gateway = &leased(&server).await;
    let t = async |who: &str| {
        let call = tool("t", json!({})).principal(who).capabilities(able());
        said(&call.response(gateway, 200).await)
    };
    assert_eq!(t("alice").await, "s-1");
    let outside = server.outside("s-1");
    // Roots it may ask for whenever it likes; there are none that hold for everybody.
    let answer = outside.ask("roots/list", Value::Null).await;
    assert_eq!(answer["error"]["code"], -32603, "{answer}");
    assert_eq!(t("bob").await, "s-1");
    // Anything else is about a call that is over, of which more may come.
    for method in [ELICIT, "sampling/createMessage"] {
        let last = server.sessions().pop().unwrap();
        let asked = form("late");
        let answer = server.outside(&last).ask(method, asked).await;
        assert_eq!(answer["error"]["code"], -32602, "{answer}");
        assert_ne!(t("bob").await, last);
        crate::matrix::process::until("the end", || async { !server.sessions().contains(&last) }).await;
    }
    assert_eq!(server.scripted.count("initialize"), 3);
}

#[tokio::test]
async fn a_question_that_its_call_left_behind_ends_the_session() {
    let (ends, (sender, mut told)) = (Arc::new(Semaphore::new(0)), tokio::sync::mpsc::unbounded_channel());
    let gate = ends.clone();
    let server = Old::start(Like::default(), move |call: Arrived| {
        let (gate, told) = (gate.clone(), sender.clone());
        async move {
            if call.name() == "leaves" {
                let outside = call.outside.clone();
                tokio::spawn(async move { told.send(outside.ask(ELICIT, form("?")).await) });
                let _ = gate.acquire().await;
            }
            text(&call.outside.session)
        }
    })
    .await;
    let gateway = &leased(&server).await;
    let call = |what: &str, who: &str| tool(what, json!({})).principal(who).answering();
    let first = call("leaves", "alice");
    let response = first.response(gateway, 200).await;
    ends.close();
    let refused = soon("an answer", told.recv()).await.unwrap();
    assert_eq!(refused["result"]["action"], "cancel", "it can be of nobody else: {refused}");
    let hers = said(&answer(gateway, &first, &response, accept(json!({}))).await);
    assert_ne!(said(&call("t", "bob").response(gateway, 200).await), hers);
    assert_eq!(server.scripted.count("initialize"), 2);
}

#[tokio::test]
async fn roots_of_one_are_not_the_roots_of_the_next() {
    let server = Old::start(Like::default(), |call: Arrived| async move {
        let answer = match call.name() {
            "roots" => call.outside.ask("roots/list", Value::Null).await["result"]["roots"].clone(),
            _ => Value::Null,
        };
        text(format!("{} {answer}", call.outside.session))
    })
    .await;
    let gateway = &leased(&server).await;
    let call = |what: &str, who: &str| tool(what, json!({})).principal(who).capabilities(json!({"roots": {}}));
    let hers = call("roots", "alice");
    let response = hers.response(gateway, 200).await;
    let done = answer(gateway, &hers, &response, json!({"roots": [{"uri": "file:///alice"}]})).await;
    assert_eq!(said(&done), "s-1 [{\"uri\":\"file:///alice\"}]");
    // The server may take them for the roots of the session.
    let next = said(&call("t", "bob").response(gateway, 200).await);
    assert!(next.ends_with(" null") && !next.starts_with("s-1 "), "{next}");
    // And nobody else's are told him.
    let his = call("roots", "bob");
    asked(&his.response(gateway, 200).await);
}

#[tokio::test]
async fn log_messages_and_levels_are_of_the_one_who_has_the_session() {
    let server = Old::start(Like::default(), |call: Arrived| async move {
        call.log("debug", "on its own stream").await;
        call.outside.say("notifications/message", json!({"level": "error", "data": "of nobody knows whom"})).await;
        call.say(
            "notifications/progress",
            json!({"progressToken": call.seen.body["params"]["_meta"]["progressToken"],
            "progress": 1}),
        )
        .await;
        text("done")
    })
    .await;
    let gateway = &leased(&server).await;
    let call = |who: &str| tool("t", json!({})).principal(who).answering().token("mine");
    let heard = async |call: Sent| {
        let whole = call.send(gateway).await;
        assert_eq!(said(&whole.response()), "done");
        let heard = whole.notifications().iter().map(|n| n["params"]["data"].as_str().unwrap_or("progress").to_owned());
        heard.collect::<Vec<_>>()
    };
    assert_eq!(heard(call("alice").level("debug")).await, ["on its own stream", "progress"]);
    assert_eq!(heard(call("bob")).await, ["progress"]);
    assert_eq!(heard(call("carol").level("warning")).await, ["progress"]);
    let levels: Vec<_> =
        server.scripted.seen().into_iter().filter(|seen| seen.method() == "logging/setLevel").collect();
    let levels: Vec<_> = levels.iter().map(|seen| seen.body["params"]["level"].as_str().unwrap().to_owned()).collect();
    assert_eq!(levels, ["debug", "info", "warning"]);
}

/// Whoever listens in a session that is closed hears of what changes in the next one.
#[tokio::test]
async fn subscriptions_move_on_when_a_session_is_not_lent_again() {
    let capabilities = json!({"tools": {}, "resources": {"subscribe": true}});
    let server = Old::start(Like { capabilities, ..Like::default() }, |call: Arrived| async move {
        match (call.seen.method(), call.name()) {
            ("tools/call", "hangs") => std::future::pending().await,
            _ => Ok(json!({})),
        }
    })
    .await;
    let gateway = &leased(&server).await;
    let listen = modern("subscriptions/listen", json!({"notifications": {"resourceSubscriptions": ["a:x"]}}));
    let mut events = listen.principal("alice").answering().open(gateway).await;
    let honoured = soon("an acknowledgement", events.next()).await.unwrap();
    assert_eq!(honoured["params"]["notifications"]["resourceSubscriptions"], json!(["a:x"]));
    let hangs = tool("hangs", json!({})).principal("bob").answering();
    tokio::select! {
        _ = hangs.send(gateway) => panic!("nobody answers it"),
        () = until_calls(&server, 1) => {}
    }
    // What was missed meanwhile nobody knows; and then it goes on.
    for _ in 0..2 {
        let told = soon("an update", events.next()).await.unwrap();
        assert_eq!(
            (&told["method"], &told["params"]["uri"]),
            (&json!("notifications/resources/updated"), &json!("a:x"))
        );
        crate::matrix::process::until("the end of the first", || async { server.sessions().len() == 1 }).await;
        server.outside(&server.sessions()[0]).say("notifications/resources/updated", json!({"uri": "a:x"})).await;
    }
    assert_eq!(server.scripted.count("initialize"), 2);
    assert_eq!((server.scripted.count("resources/subscribe"), server.scripted.count("resources/unsubscribe")), (2, 1));
}

/// A server without sessions can ask nobody, and needs none that is lent.
#[tokio::test]
async fn nobody_waits_for_a_server_that_keeps_no_sessions() {
    let (began, ends) = (Arc::new(AtomicUsize::new(0)), Arc::new(Semaphore::new(0)));
    let gates = (began.clone(), ends.clone());
    let server = Old::start(Like { sessions: false, ..Like::default() }, move |_| {
        let (began, ends) = gates.clone();
        async move {
            began.fetch_add(1, Ordering::SeqCst);
            let _ = ends.acquire().await;
            text("ran")
        }
    })
    .await;
    let gateway = &leased(&server).await;
    let calls = ["alice", "bob"].map(|who| tool("t", json!({})).principal(who).answering());
    let all = futures_util::future::join_all(calls.iter().map(|call| call.response(gateway, 200)));
    let (all, ()) = tokio::join!(all, async {
        crate::matrix::process::until("both", || async { began.load(Ordering::SeqCst) == 2 }).await;
        ends.close();
    });
    assert!(all.iter().all(|response| said(response) == "ran"));
}

/// A server by another maker, over a socket, whose questions come on the stream of the session.
#[tokio::test]
async fn a_server_on_rmcp_asks_who_has_the_session() {
    let server = RmcpServer::start().await;
    let settings = HttpSettings { era: EraChoice::Legacy, ..quick() };
    let gateway = &gateway_with(at(&server.url, settings), Share::LEASED, Settings::default()).await;
    let calls = ["alice", "bob"].map(|who| tool("ask", json!({})).principal(who).answering());
    let [alice, bob] = &calls;
    let hers = alice.response(gateway, 200).await;
    asked(&hers);
    let echo = tool("echo", json!({"text": "beside"})).principal("carol").response(gateway, 200).await;
    assert_eq!(said(&echo), "beside");
    let (his, done) = tokio::join!(bob.response(gateway, 200), async {
        answer(gateway, alice, &hers, accept(json!({"color": "red"}))).await
    });
    assert!(said(&done).contains("red"), "{done}");
    let done = answer(gateway, bob, &his, accept(json!({"color": "blue"}))).await;
    assert!(said(&done).contains("blue"), "{done}");
}
