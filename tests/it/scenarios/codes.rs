//! What becomes of the errors and failures of a server, over HTTP and on a pipe.

use std::sync::Mutex;

use rialto::upstream::lines::LineSettings;

use super::*;
use crate::lines::{Server, played};

/// What a server on a pipe does with a call.
enum Does {
    /// It writes these lines.
    Writes(Vec<String>),
    /// It writes these bytes as lines.
    Spits(Vec<Vec<u8>>),
    /// It ends.
    Ends,
}

/// What a server on a pipe heard.
type Record = Arc<Mutex<Vec<Value>>>;

/// A server of either era on a pipe.
fn pipe(is_modern: bool, call: fn(&Value) -> Does) -> (Arc<dyn Connector>, Record) {
    pipe_with(LineSettings::default(), is_modern, call)
}

/// A server of either era on a pipe that answers calls with any lines.
pub(super) fn play_lines(is_modern: bool, lines: fn(&Value) -> Vec<Vec<u8>>) -> Arc<dyn Connector> {
    // None of them shall end it for what it writes.
    let patient = LineSettings { bad_lines: u32::MAX, ..LineSettings::default() };
    pipe_with(patient, is_modern, move |message| Does::Spits(lines(message))).0
}

fn pipe_with(
    settings: LineSettings,
    is_modern: bool,
    call: impl Fn(&Value) -> Does + Copy + Send + Sync + 'static,
) -> (Arc<dyn Connector>, Record) {
    let (connector, mut started) = played(settings);
    let record = Record::default();
    let heard = record.clone();
    tokio::spawn(async move {
        while let Some(server) = started.recv().await {
            tokio::spawn(play(server, is_modern, call, heard.clone()));
        }
    });
    (connector, record)
}

async fn play(mut server: Server, is_modern: bool, call: impl Fn(&Value) -> Does, record: Record) {
    while let Some(message) = server.heard().await {
        record.lock().unwrap().push(message.clone());
        match (message["method"].as_str().unwrap_or_default(), is_modern) {
            ("server/discover", true) => server.discovered(&message).await,
            ("initialize", false) => {
                let info = json!({"name": "played", "version": "1"});
                let hello = json!({"protocolVersion": LEGACY, "capabilities": {"tools": {}}, "serverInfo": info});
                server.result(&message, hello).await;
            }
            ("tools/list", _) => {
                let list =
                    json!({"resultType": "complete", "tools": [plain("t")], "ttlMs": 60_000, "cacheScope": "private"});
                server.result(&message, list).await;
            }
            ("tools/call", _) => match call(&message) {
                Does::Writes(lines) => {
                    for line in lines {
                        server.write(format!("{line}\n").as_bytes()).await;
                    }
                }
                Does::Spits(lines) => {
                    for mut line in lines {
                        line.push(b'\n');
                        server.write(&line).await;
                    }
                }
                Does::Ends => return,
            },
            _ if message.get("id").is_some() => server.error(&message, -32601).await,
            _ => {}
        }
    }
}

fn calls_in(record: &Record) -> usize {
    record.lock().unwrap().iter().filter(|message| message["method"] == "tools/call").count()
}

/// The error that a call asks for.
fn wished(arguments: &Value) -> Value {
    json!({"code": arguments["code"], "message": "as it was said", "data": {"d": 1, "e": [null]}})
}

/// What a client hears.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Hears {
    /// Code, message and data as they were said.
    Same,
    /// A resource that is not there, in the words of the modern era.
    NotFound,
    /// The code is not for the server to use: it is told in the data.
    Reserved,
    /// A failure between the gateway and the server.
    Reason(&'static str),
}

fn assert_hears(error: &Value, code: i64, hears: Hears, what: &str) {
    let data = &error["data"];
    match hears {
        Hears::Same => assert_eq!(*error, wished(&json!({"code": code})), "{what}"),
        Hears::NotFound => {
            assert_eq!((&error["code"], &error["message"]), (&json!(-32602), &json!("as it was said")), "{what}");
            assert_eq!(data["d"], 1, "{what}: {error}");
        }
        Hears::Reserved => {
            assert_eq!((&error["code"], &error["message"]), (&json!(-32603), &json!("as it was said")), "{what}");
            let expected = json!({"source": "upstream", "code": code, "data": {"d": 1, "e": [null]}});
            assert_eq!(*data, expected, "{what}");
        }
        Hears::Reason(reason) => {
            assert_eq!((&error["code"], &data["reason"]), (&json!(-32603), &json!(reason)), "{what}: {error}");
            assert_eq!((&data["source"], &data["retryable"]), (&json!("gateway"), &json!(false)), "{what}: {error}");
            assert!(data["upstream"].is_string(), "{what}: {error}");
        }
    }
}

/// Which status an error has that a modern client gets before anything else.
fn status_of(error: &Value) -> u16 {
    match error["code"].as_i64() {
        Some(-32601) => 404,
        Some(-32022..=-32020) => 400,
        _ => 200,
    }
}

/// One server, and how many calls it got.
type Case = (&'static str, bool, Gateway, Box<dyn Fn() -> usize>);

/// A server of each era that answers calls with the error they ask for, over HTTP and on a pipe.
async fn failing() -> Vec<Case> {
    fn answer(seen: &Seen) -> Reply {
        let arguments = &seen.body["params"]["arguments"];
        let frame = json!({"jsonrpc": "2.0", "id": seen.body["id"], "error": wished(arguments)});
        Reply::json(arguments["status"].as_u64().unwrap().try_into().unwrap(), &frame)
    }
    fn answer_line(message: &Value) -> Does {
        let error = wished(&message["params"]["arguments"]);
        Does::Writes(vec![json!({"jsonrpc": "2.0", "id": message["id"], "error": error}).to_string()])
    }
    let new_server = new(json!({"tools": {}}), |seen| async move {
        if seen.method() == "tools/list" { listed(&seen, &json!([plain("t")])) } else { answer(&seen) }
    })
    .await;
    let old_server = Scripted::start(|seen| async move {
        match (seen.verb.as_str(), seen.method()) {
            ("GET", _) => Reply::empty(405),
            (_, "tools/call") => answer(&seen),
            (_, "tools/list") => Reply::json(200, &seen.result(json!({"tools": [plain("t")]}))),
            _ => crate::upstream_http::housekeeping(&seen, LEGACY, Some("s-1")).unwrap(),
        }
    })
    .await;
    let mut cases: Vec<Case> = Vec::new();
    for (server, is_modern) in [(new_server, true), (old_server, false)] {
        let over_http = gateway_at(&server).await;
        cases.push(("HTTP", is_modern, over_http, Box::new(move || server.count("tools/call"))));
        let (connector, record) = pipe(is_modern, answer_line);
        cases.push(("a pipe", is_modern, gateway(connector).await, Box::new(move || calls_in(&record))));
    }
    cases
}

#[tokio::test]
async fn era_410_416_every_code_of_a_server_has_its_meaning_for_either_era() {
    use Hears::{NotFound, Reason, Reserved, Same};
    // The code; what clients of the modern and of the legacy era hear of it from a modern server, and from a legacy one.
    let mut rows = vec![
        (-32002, [NotFound, Same], [NotFound, Same]),
        (-32020, [Reason("upstream_header_mismatch"); 2], [Reserved, Same]),
        // It does not say which capability it misses.
        (-32021, [Reason("upstream_protocol"), Same], [Reserved, Same]),
        (-32022, [Reason("upstream_version"); 2], [Reserved, Same]),
    ];
    rows.extend([-32023, -32050, -32099].map(|code| (code, [Reserved, Same], [Reserved, Same])));
    let own = [-32700, -32600, -32601, -32602, -32603, -32000, -32001, -32003, -32004, -32019, -32100, -1, 0, 1001];
    rows.extend(own.map(|code| (code, [Same; 2], [Same; 2])));
    for (wire, is_modern, gateway, count) in failing().await {
        let client = legacy(&gateway, LEGACY, json!({})).await;
        // On a pipe there are no statuses.
        let statuses: &[u16] = if wire == "HTTP" { &[200, 400] } else { &[200] };
        for (code, of_modern, of_legacy) in &rows {
            let [to_modern, to_legacy] = if is_modern { *of_modern } else { *of_legacy };
            for status in statuses {
                let what = format!("{code} with {status} from a server on {wire}, modern: {is_modern}");
                // What a modern server refuses for its headers or its version it has not run.
                let times = match (is_modern, code) {
                    (true, -32020) => 2,
                    (true, -32022) if wire == "HTTP" => 2,
                    _ => 1,
                };
                let arguments = json!({"code": code, "status": status});
                let before = count();
                let whole = tool("t", arguments.clone()).send(&gateway).await;
                let response = whole.response();
                assert_hears(&response["error"], *code, to_modern, &format!("{what}, to a modern client"));
                assert_eq!(whole.status, status_of(&response["error"]), "{what}: {response}");
                assert_eq!(count(), before + times, "{what}");
                let reply = client.ask(1, "tools/call", json!({"name": "t", "arguments": arguments})).await;
                assert_eq!(reply.status, 200, "{what}");
                assert_hears(&reply.json()["error"], *code, to_legacy, &format!("{what}, to a legacy client"));
                assert_eq!(count(), before + 2 * times, "{what}");
            }
        }
    }
}

/// What the server on a pipe writes, by the name of the tool.
fn misbehave(message: &Value) -> Does {
    let id = &message["id"];
    let content = |text: &str| json!({"resultType": "complete", "content": [{"type": "text", "text": text}]});
    let answer = |id: &Value, text: &str| json!({"jsonrpc": "2.0", "id": id, "result": content(text)}).to_string();
    Does::Writes(match message["params"]["name"].as_str().unwrap() {
        "ends" => return Does::Ends,
        "fine" => vec![answer(id, "fine")],
        "garbage" => vec![format!("{{\"jsonrpc\":\"2.0\",\"id\":{id},\"result\":{{")],
        "twice" => vec![answer(id, "first"), answer(id, "second")],
        "foreign" => vec![answer(&json!(999_999_999), "foreign"), answer(&json!("x"), "foreign"), answer(id, "own")],
        "string" => vec![answer(&json!(id.to_string()), "own")],
        "large" => vec![answer(id, &"x".repeat(17 << 20))],
        "both" => vec![format!(r#"{{"jsonrpc":"2.0","id":{id},"result":{{}},"error":{{"code":1,"message":""}}}}"#)],
        "neither" => vec![json!({"jsonrpc": "2.0", "id": id}).to_string()],
        "no_object" => vec![json!({"jsonrpc": "2.0", "id": id, "result": 7}).to_string()],
        "kind" => {
            let mut result = content("kind");
            result["resultType"] = json!("acme");
            vec![json!({"jsonrpc": "2.0", "id": id, "result": result}).to_string()]
        }
        "more" => {
            let mut frame: Value = serde_json::from_str(&answer(id, "more")).unwrap();
            frame["x"] = json!({"y": 1});
            vec![frame.to_string()]
        }
        odd => panic!("{odd}"),
    })
}

#[tokio::test]
async fn era_422_427_428_429_what_a_server_on_a_pipe_does_wrong_costs_its_own_call() {
    for is_modern in [true, false] {
        let (connector, _record) = pipe(is_modern, misbehave);
        let gateway = gateway(connector).await;
        let mut client = legacy(&gateway, LEGACY, json!({})).await;
        for (name, outcome) in [
            ("garbage", "upstream_protocol"),
            ("twice", "first"),
            ("foreign", "own"),
            ("string", "own"),
            ("large", "limit"),
            ("both", "upstream_protocol"),
            ("neither", "upstream_protocol"),
            ("kind", if is_modern { "upstream_protocol" } else { "kind" }),
            ("more", "more"),
            ("ends", "upstream_exited"),
            ("fine", "fine"),
        ] {
            let whole = tool(name, json!({})).id("mine").send(&gateway).await;
            let reply = client.ask(7, "tools/call", json!({"name": name, "arguments": {}})).await;
            let answers =
                [(whole.status, whole.response(), json!("mine")), (reply.status.as_u16(), reply.json(), json!(7))];
            for (status, response, id) in answers {
                assert_eq!((status, &response["id"]), (200, &id), "{name}, modern: {is_modern}: {response}");
                let ending = match &response["error"]["data"]["reason"] {
                    Value::String(reason) => reason.clone(),
                    _ => said(&response),
                };
                assert_eq!(ending, outcome, "{name}, modern: {is_modern}: {response}");
                // The frame is the gateway's own: there are clients that take nothing more.
                assert_eq!(response.as_object().unwrap().len(), 3, "{response}");
            }
            if name == "ends" {
                // A session of its own ends with its process, and another one can be had.
                client = legacy(&gateway, LEGACY, json!({})).await;
            }
        }
    }
}

/// A server that answers calls, and nothing else.
fn fine(message: &Value) -> Does {
    let result = json!({"resultType": "complete", "content": []});
    Does::Writes(vec![json!({"jsonrpc": "2.0", "id": message["id"], "result": result}).to_string()])
}

#[tokio::test]
async fn what_no_revision_defines_is_told_to_servers_on_a_pipe_alone() {
    let note = |method: &str, envelope: bool| {
        let mut sent = json!({"jsonrpc": "2.0", "method": method, "params": {"n": 1}});
        if envelope {
            sent["params"]["_meta"] = tool("t", json!({})).body()["params"]["_meta"].clone();
        }
        modern(method, json!({})).text(sent.to_string())
    };
    let posted = async |gateway: &Gateway| {
        tool("t", json!({})).response(gateway, 200).await;
        for sent in [
            note("acme/said", true),
            // Nobody is named who says it; an id that a client chose; and what the era does not have.
            note("acme/unnamed", false),
            note("notifications/cancelled", true),
            note("notifications/roots/list_changed", true),
            note("notifications/initialized", true),
        ] {
            let answer = sent.send(gateway).await;
            assert_eq!((answer.status, answer.text.as_str()), (202, ""));
        }
        // What was said before this call was sent before it.
        tool("t", json!({})).response(gateway, 200).await;
    };
    for is_modern in [true, false] {
        let (connector, record) = pipe(is_modern, fine);
        let gateway = gateway(connector).await;
        posted(&gateway).await;
        let heard = record.lock().unwrap().clone();
        let ours = |m: &&Value| m.get("id").is_none() && m["method"] != "notifications/initialized";
        let [said] = &heard.iter().filter(ours).collect::<Vec<_>>()[..] else { panic!("{heard:?}") };
        assert_eq!((&said["method"], &said["params"]["n"]), (&json!("acme/said"), &json!(1)));
        let version = &said["params"]["_meta"]["io.modelcontextprotocol/protocolVersion"];
        assert_eq!(*version, if is_modern { json!(MODERN) } else { Value::Null });
    }
    let server = new(json!({"tools": {}}), |seen| async move {
        if seen.method() == "tools/list" { listed(&seen, &json!([plain("t")])) } else { says(&seen, "ran") }
    })
    .await;
    posted(&gateway_at(&server).await).await;
    assert_eq!((server.count("acme/said"), server.count("acme/unnamed")), (0, 0));
}
