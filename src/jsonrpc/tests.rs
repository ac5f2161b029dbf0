use bytes::Bytes;
use proptest::prelude::*;

use super::{
    Limits, Message, ParseFault, Payload, Raw, RawObject, RequestId, encode_request,
    scan::{ScanError, ScanLimits, scan},
};

fn check(text: &str) -> Result<(), ScanError> {
    scan(text.as_bytes(), ScanLimits::REQUEST)
}

#[test]
fn accepts_what_json_is() {
    for text in [
        "{}",
        "[]",
        "null",
        " true ",
        "-0",
        "0.5e-3",
        "1E400",
        "12345678901234567890123",
        "\"\\u00e9\\ud83d\\ude00\"",
        "{\"a\":[1,{\"b\":null}],\"c\":\"x\"}",
        "[[],[[]],{}]",
        "\"\u{2028}\"",
    ] {
        assert_eq!(check(text), Ok(()), "{text}");
    }
}

#[test]
fn refuses_what_json_is_not() {
    for text in [
        "",
        "{",
        "[1,]",
        "{\"a\":1,}",
        "{a:1}",
        "01",
        "1.",
        ".5",
        "+1",
        "NaN",
        "tru",
        "\"\u{1}\"",
        "\"\\x\"",
        "1 2",
        "{}{}",
        "[1 2]",
        "{\"a\" 1}",
        "\"\\u12g4\"",
        "\u{feff}{}",
    ] {
        assert!(check(text).is_err_and(ScanError::is_syntax), "{text}");
    }
    assert!(scan(b"\"\xff\"", ScanLimits::REQUEST).is_err_and(ScanError::is_syntax));
}

#[test]
fn sec_063_duplicate_keys_are_found_at_any_depth_and_spelling() {
    assert!(matches!(check("{\"a\":1,\"a\":2}"), Err(ScanError::DuplicateKey(_))));
    assert!(matches!(check("{\"name\":1,\"na\\u006de\":2}"), Err(ScanError::DuplicateKey(_))));
    assert!(matches!(check("{\"x\":[{\"b\":{\"c\":1,\"c\":1}}]}"), Err(ScanError::DuplicateKey(_))));
    let many: Vec<String> = (0..100).map(|n| format!("\"k{n}\":0")).collect();
    assert_eq!(check(&format!("{{{}}}", many.join(","))), Ok(()));
    assert!(matches!(check(&format!("{{{},\"k50\":1}}", many.join(","))), Err(ScanError::DuplicateKey(_))));
    // A server's answer is checked at its envelope and the top of its result only.
    let inner = b"{\"result\":{\"x\":{\"a\":1,\"a\":2}}}";
    assert_eq!(scan(inner, ScanLimits::ANSWER), Ok(()));
    assert!(scan(b"{\"result\":{\"a\":1,\"a\":2}}", ScanLimits::ANSWER).is_err());
}

#[test]
fn sec_064_depth_and_width_are_bounded() {
    let deep = |n: usize| format!("{}{}", "[".repeat(n), "]".repeat(n));
    assert_eq!(check(&deep(64)), Ok(()));
    assert!(matches!(check(&deep(65)), Err(ScanError::TooDeep(_))));
    assert!(matches!(check(&deep(100_000)), Err(ScanError::TooDeep(_))));
    let wide = format!("[{}1]", "1,".repeat(200_000));
    assert_eq!(check(&wide), Err(ScanError::TooManyNodes));
}

#[test]
fn sec_065_lone_surrogates_are_refused() {
    for text in ["\"\\ud800\"", "\"\\udc00\"", "\"\\ud800\\u0041\"", "\"\\ud800x\""] {
        assert!(matches!(check(text), Err(ScanError::LoneSurrogate(_))), "{text}");
    }
}

#[test]
fn sec_067_ids_are_strings_or_integers() {
    let read = |id: &str| {
        Payload::parse(Bytes::from(format!("{{\"jsonrpc\":\"2.0\",\"id\":{id},\"method\":\"m\"}}")), Limits::DOWNSTREAM)
    };
    for id in ["1", "-1", "\"\"", "\"1\"", "18446744073709551616", "\"a\\u0062\""] {
        assert!(matches!(read(id), Ok(Payload::One(Message::Request(_)))), "{id}");
    }
    for id in ["1.0", "1e3", "null", "true", "{}", "[]"] {
        assert!(read(id).is_err_and(|e| e.fault == ParseFault::Id), "{id}");
    }
    assert!(read(&format!("\"{}\"", "x".repeat(10_240))).is_err());
    let number = RequestId::new(&Raw::constant("1")).unwrap();
    let text = RequestId::new(&Raw::constant("\"1\"")).unwrap();
    assert_ne!(number, text);
}

#[test]
fn an_untouched_object_is_written_as_it_came_and_an_edited_one_keeps_its_neighbours() {
    let text = "{ \"a\" : 1.10, \"n\\u0061me\":\"x\", \"big\":123456789012345678901234567890 , \"e\":1E5 }";
    let raw = Raw::scan(Bytes::from(text), ScanLimits::REQUEST).unwrap();
    let mut object = raw.to_object().unwrap();
    assert_eq!(object.to_raw().as_bytes(), text.as_bytes());
    assert!(object.get("name").unwrap().is_text("x"));
    object.remove("a");
    object.set("new", Raw::constant("[]"));
    let edited = "{\"n\\u0061me\":\"x\",\"big\":123456789012345678901234567890,\"e\":1E5,\"new\":[]}";
    assert_eq!(object.to_raw().as_bytes(), edited.as_bytes());
}

#[test]
fn batches_report_each_element() {
    let text = "[{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"a\"},5,{\"jsonrpc\":\"2.0\",\"method\":\"b\"}]";
    let Ok(Payload::Batch(elements)) = Payload::parse(Bytes::from(text), Limits::DOWNSTREAM) else { panic!("a batch") };
    assert!(elements[0].is_ok() && elements[1].is_err() && elements[2].is_ok());
    assert!(Payload::parse(Bytes::from("[]"), Limits::DOWNSTREAM).is_err());
}

#[test]
fn what_ends_a_plain_string_is_found_wherever_it_stands() {
    for length in 0..300 {
        for special in [b'"', b'\\', b'\n', 0x1f] {
            let mut text = vec![b'x'; 300];
            text[length] = special;
            // Bytes above ASCII are plain.
            text[length / 2] = if length > 1 { 0xe9 } else { text[length / 2] };
            assert_eq!(super::scan::plain_length(&text), length);
        }
        assert_eq!(super::scan::plain_length(&vec![b'x'; length]), length);
    }
}

proptest! {
    #[test]
    fn agrees_with_serde_json(text in "[\\[\\]{}:,\"\\\\ a0-9.eE+-tfnulrs]{0,40}") {
        let ours = scan(text.as_bytes(), ScanLimits { unique_depth: 0, ..ScanLimits::REQUEST }).is_ok();
        let theirs = serde_json::from_str::<serde_json::Value>(&text);
        // serde_json refuses numbers that overflow a double; we keep their spelling.
        prop_assert!(ours == theirs.is_ok() || theirs.is_err_and(|e| e.to_string().contains("out of range")), "{}", text);
    }

    #[test]
    fn never_panics_and_splits_what_it_accepts(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        if let Ok(raw) = Raw::scan(Bytes::from(bytes), ScanLimits::REQUEST) {
            let _ = raw.to_object();
            let _ = raw.to_array();
            let _ = raw.as_text();
        }
    }

    #[test]
    fn requests_survive_a_round_trip(key in "\\PC{0,12}", value in "\\PC{0,40}", id in any::<u64>()) {
        let params = RawObject::from([(&*key, Raw::from(&*value))]);
        let text = encode_request(&RequestId::number(id), "m/x", Some(&params));
        let Ok(Payload::One(Message::Request(request))) = Payload::parse(text, Limits::DOWNSTREAM) else {
            return Err(TestCaseError::fail("no request"));
        };
        prop_assert_eq!(request.id.as_u64(), Some(id));
        prop_assert!(request.params.unwrap().get(&key).unwrap().is_text(&value));
    }
}
