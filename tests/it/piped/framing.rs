//! Lines: what counts as one, what is wrong with some, and batches.

use rialto::{Limits, downstream::Settings};
use serde_json::{Value, json};

use super::{
    NEWEST, Pipe,
    kit::{code, done, text_of, tool},
    modern, request,
};
use crate::{legacy_support::Scripted, support::wait::soon};

fn ping(id: impl Into<Value>) -> Value {
    request(id, "ping", json!({}))
}

#[tokio::test]
async fn era_135_a_line_that_is_no_message_costs_nothing_but_itself() {
    let mount = Scripted::new("docs");
    let (mut client, serving) = Pipe::at(&mount);
    let deep = format!(
        r#"{{"jsonrpc":"2.0","id":1,"method":"ping","params":{}1{}}}"#,
        r#"{"a":"#.repeat(5000),
        "}".repeat(5000)
    );
    let cases: [(&[u8], i64, Value); 14] = [
        (b"{", -32700, Value::Null),
        (b"nonsense", -32700, Value::Null),
        (b"{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"ping\"", -32700, Value::Null),
        (b"{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"ping\"}}", -32700, Value::Null),
        (b"{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"p\xffng\"}", -32700, Value::Null),
        (b"\x00\x01\x02", -32700, Value::Null),
        (b"42", -32600, Value::Null),
        (b"[]", -32600, Value::Null),
        (b"{\"jsonrpc\":\"2.0\",\"id\":null,\"method\":\"ping\"}", -32600, Value::Null),
        (b"{\"jsonrpc\":\"1.0\",\"id\":1,\"method\":\"ping\"}", -32600, json!(1)),
        (b"{\"jsonrpc\":\"2.0\",\"id\":\"a\",\"method\":\"\"}", -32600, json!("a")),
        (b"{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"ping\",\"params\":[]}", -32600, json!(1)),
        (b"{\"jsonrpc\":\"2.0\",\"id\":1,\"id\":2,\"method\":\"ping\"}", -32600, Value::Null),
        (deep.as_bytes(), -32600, Value::Null),
    ];
    for round in 0..2 {
        for (line, expected, id) in &cases {
            let shown = String::from_utf8_lossy(&line[..line.len().min(80)]).into_owned();
            client.write([line, &b"\n"[..]].concat()).await;
            let answer = client.next().await;
            assert_eq!((code(&answer), &answer["id"]), (*expected, id), "{shown}: {answer}");
            assert_eq!(answer.get("id").is_none(), id.is_null(), "{shown}: {answer}");
        }
        if round == 0 {
            client.handshake(NEWEST).await;
        }
    }
    // Two members of one name are two things to two readers, wherever they are.
    let twice =
        r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"echo","arguments":{"a":1,"\u0061":2}}}"#;
    client.text(twice).await;
    assert_eq!(code(&client.next().await), -32600);
    assert!(mount.seen().is_empty());
    client.nothing().await;
    client.close().await;
    done(serving).await;
}

#[tokio::test]
async fn lines_end_as_they_do_everywhere() {
    let mount = Scripted::new("docs");
    let (mut client, serving) = Pipe::at(&mount);
    client.write(format!("\n\r\n  \n{}\r\n \t{} \n\n", ping(1), ping(2))).await;
    assert_eq!(client.next().await["id"], 1);
    assert_eq!(client.next().await["id"], 2);
    // In pieces, and several in one.
    for byte in format!("{}\n", ping(3)).bytes() {
        client.write([byte]).await;
    }
    assert_eq!(client.next().await["id"], 3);
    client.write(format!("{}\n{}\n{}\n", ping(4), ping(5), ping(6))).await;
    for id in 4..=6 {
        assert_eq!(client.next().await["id"], id);
    }
    // The last one may lack its end.
    client.write(ping(7).to_string()).await;
    client.close().await;
    assert_eq!(client.rest().await, [json!({"jsonrpc": "2.0", "id": 7, "result": {}})]);
    done(serving).await;
}

#[tokio::test]
async fn a_line_that_is_too_long_is_passed_over() {
    let mount = Scripted::new("docs");
    let (mut client, serving) = Pipe::with(&mount, Settings::from(Limits { body: 10_000, ..Limits::default() }));
    client.handshake(NEWEST).await;
    let call = |id: Value, length: usize| {
        let mut call = request(id, "tools/call", tool("echo"));
        call["params"]["arguments"]["text"] = "x".repeat(length).into();
        call
    };
    assert!(text_of(&client.ask(&call(json!(1), 9000)).await).contains("xxx"));
    for length in [10_001, 300_000] {
        // Somebody waits for its answer, so that it is said whose it is where that can be read at either end.
        for (line, id) in [
            (call(json!(2), length).to_string(), json!(2)),
            (
                format!(
                    r#"{{"method":"tools/call","params":{{"id":7,"x":"{}"}},"jsonrpc":"2.0","id":"b"}}"#,
                    "x".repeat(length)
                ),
                json!("b"),
            ),
            (
                format!(
                    r#"{{"method":"tools/call","params":{{"id":7,"x":"{}"}},"jsonrpc":"2.0"}}"#,
                    "x".repeat(length)
                ),
                Value::Null,
            ),
            ("x".repeat(length), Value::Null),
        ] {
            client.text(&line).await;
            let refused = client.next().await;
            assert_eq!((code(&refused), &refused["id"]), (-32600, &id), "{refused}");
            assert!(refused["error"]["message"].as_str().unwrap().contains("10000 bytes"), "{refused}");
        }
        assert!(text_of(&client.ask(&call(json!(3), 1)).await).contains('x'));
    }
    assert_eq!(mount.seen().iter().filter(|(method, _)| method == "tools/call").count(), 3);
    client.close().await;
    done(serving).await;
}

#[tokio::test]
async fn batches_belong_to_their_revision() {
    let mount = Scripted::new("docs");
    let (mut client, serving) = Pipe::at(&mount);
    let echo = |id: Value| request(id, "tools/call", tool("echo"));
    // Before there is a session there is nobody to answer them to.
    client.text(&json!([ping(1)]).to_string()).await;
    assert_eq!(code(&client.next().await), -32600);
    client.initialize("2025-03-26").await;
    // The client says that it is ready by whatever it says.
    let initialized = json!({"jsonrpc": "2.0", "method": "notifications/initialized"});
    let batch =
        json!([initialized, echo(json!(1)), {"jsonrpc": "2.0"}, ping("p"), request(2, "tools/call", tool("hold"))]);
    client.text(&batch.to_string()).await;
    let held = soon("a call", mount.next()).await;
    mount
        .last_caller()
        .scope
        .peer()
        .notify(crate::support::mount::notification("notifications/tools/list_changed", Value::Null));
    assert_eq!(client.next().await["method"], "notifications/tools/list_changed");
    // Nothing else waits for it.
    assert!(text_of(&client.ask(&echo(json!(3))).await).contains("echo"));
    held.progress(&json!(1));
    held.say("held");
    let answers = client.next().await;
    let mut ids: Vec<_> = answers.as_array().unwrap().iter().map(|a| a["id"].to_string()).collect();
    ids.sort();
    assert_eq!(ids, ["\"p\"", "1", "2", "null"], "{answers}");
    // One is a batch too, and what wants no answer has none.
    client.text(&json!([ping(4)]).to_string()).await;
    assert_eq!(client.next().await, json!([{"jsonrpc": "2.0", "id": 4, "result": {}}]));
    client.text(&json!([initialized]).to_string()).await;
    client.nothing().await;
    // A batch whose requests are all cancelled is not answered.
    client.text(&json!([request(5, "tools/call", tool("hold"))]).to_string()).await;
    let mut held = soon("a call", mount.next()).await;
    client.cancel(5).await;
    soon("the end of the call", held.dropped()).await;
    client.nothing().await;
    for wrong in [json!([modern(6, "tools/list", json!({})), ping(7)]), json!([super::kit::initialize(8, NEWEST)])] {
        client.text(&wrong.to_string()).await;
        let refused = client.next().await;
        assert_eq!((code(&refused), refused.get("id")), (-32600, None), "{refused}");
    }
    client.close().await;
    done(serving).await;

    for revision in ["2025-06-18", NEWEST] {
        let (mut client, serving) = Pipe::at(&Scripted::new("docs"));
        client.handshake(revision).await;
        client.text(&json!([ping(1)]).to_string()).await;
        assert_eq!(code(&client.next().await), -32600);
        client.close().await;
        done(serving).await;
    }
}
