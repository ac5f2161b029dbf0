//! Wrong limits.

use serde_json::{Value, json};

use super::*;

fn fault(rialto: &Value) -> String {
    match parse(rialto) {
        Ok(_) => panic!("no fault: {rialto}"),
        Err(faults) => faults.to_string(),
    }
}

#[test]
fn a_fault_says_where_it_is_and_what_would_be_right() {
    let told = fault(&json!({ "limits": { "question": "10" } }));
    assert_eq!(
        told,
        "mcp.json:9:19: error: rialto.limits.question: not a duration from `1s` to `30d`
  hint: write a whole number with its unit, such as `500ms`, `60s`, `5m`, `24h` or `7d`"
    );
}

#[test]
fn values_have_a_kind_and_a_range() {
    let range = "not a duration from `1s` to `30d`";
    for (key, value, expected) in [
        ("question", json!("0s"), range),
        ("question", json!("31d"), range),
        ("question", json!("soon"), range),
        ("question", json!(600), range),
        ("reattach", json!("2h"), "not a duration from `0s` to `1h`"),
        ("silence", json!("0s"), "not a duration from `1ms` to `30d`"),
        ("message", json!("16"), "not a size from `64KiB` to `1GiB`"),
        ("message", json!("1KiB"), "not a size from `64KiB` to `1GiB`"),
        ("message", json!("2GiB"), "not a size from `64KiB` to `1GiB`"),
        ("message", json!(16), "not a size from `64KiB` to `1GiB`"),
        ("parked_each", json!("16MiB"), "not a number from 0 to 1000000"),
        ("parked_each", json!(1_000_001), "not a number from 0 to 1000000"),
        ("parked_each", json!(-1), "not a number from 0 to 1000000"),
        ("parked_each", json!(1.5), "not a number from 0 to 1000000"),
        ("parked_each", json!([]), "not a number from 0 to 1000000"),
        ("sessions", json!(0), "not a number from 1 to 1000000"),
        ("parkd", json!(1), "unknown key\n  hint: did you mean `parked`?"),
        ("sesion_idle", json!("1m"), "unknown key\n  hint: did you mean `session_idle`?"),
    ] {
        let told = fault(&json!({ "limits": { key: value } }));
        assert!(told.contains(&format!("error: rialto.limits.{key}: {expected}")), "{value}: {told}");
    }
    assert!(fault(&json!({ "limits": [] })).contains("rialto.limits: must be a map, but is a list"));
    assert_eq!(limits(&json!({ "parked_each": "${NUMBER}" })).parked_each, 12);
    assert_eq!(limits(&json!({})), Limits::default());
}

#[test]
fn what_would_never_be_reached_is_told() {
    for (given, at, expected) in [
        (
            json!({ "question": "2h" }),
            "question",
            "`question` (2h) is more than `parked_total` (1h), and would never be reached\n  hint: raise `parked_total` as well",
        ),
        (
            json!({ "parked_total": "5m" }),
            "parked_total",
            "`question` (10m) is more than `parked_total` (5m), and would never be reached\n  hint: lower `question` as well",
        ),
        (json!({ "gather": "1s" }), "gather", "`gather` (1s) is more than `gather_total` (100ms)"),
        (json!({ "session_idle": "2d" }), "session_idle", "`session_idle` (2d) is more than `session_total` (1d)"),
        (json!({ "sessions": 10 }), "sessions", "`sessions_each` (1000) is more than `sessions` (10)"),
        (json!({ "parked_each": 9, "parked": 8 }), "parked_each", "`parked_each` (9) is more than `parked` (8)"),
        (json!({ "listens": 1 }), "listens", "`listens_each` (64) is more than `listens` (1)"),
        (json!({ "silence": "90m" }), "silence", "`silence` (90m) is more than `call` (1h)"),
    ] {
        let told = fault(&json!({ "limits": given }));
        assert!(told.contains(&format!("error: rialto.limits.{at}: {expected}")), "{told}");
    }
    // Both are said: fine.
    assert_eq!(limits(&json!({ "question": "2h", "parked_total": "3h" })).question.as_secs(), 7200);
}

#[test]
fn a_server_has_the_general_limits_and_its_own() {
    let config = parse(&json!({
        "servers": { "docs": { "limits": { "silence": "5m", "message": "64MiB" } } },
        "limits": { "silence": "30m", "rounds": 3 },
    }))
    .unwrap();
    let own = config.servers[0].terms.limits.unwrap();
    let general = config.limits.servers;
    assert_eq!((own.silence.as_secs(), general.silence.as_secs()), (300, 1800));
    assert_eq!((own.message, general.message), (64 << 20, 16 << 20));
    assert_eq!((own.rounds, own.call), (3, general.call));

    let of_docs = |limits: Value| json!({ "servers": { "docs": { "limits": limits } }, "limits": { "call": "20m" } });
    for (given, expected) in [
        (json!({ "silence": "30m" }), "silence: `silence` (30m) is more than `call` (20m)"),
        (
            json!({ "question": "30m" }),
            "question: this concerns clients, and is the same for all servers\n  hint: say it under `rialto.limits.question`",
        ),
        (json!({ "mesage": "1MiB" }), "mesage: unknown key\n  hint: did you mean `message`?"),
    ] {
        let told = fault(&of_docs(given));
        assert!(told.contains(&format!("error: rialto.servers.docs.limits.{expected}")), "{told}");
    }
}
