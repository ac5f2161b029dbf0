//! Ambiguous and broken framing (SEC-047, by recipe). Whatever is sent, a smuggled second request
//! never runs.

use super::raw::Gateway;

const SMUGGLED: &str = "POST /mcp/docs HTTP/1.1\r\nhost: localhost\r\ncontent-length: 8\r\n\r\nsmuggled";

/// Sends a head and what follows it, and asserts that at most one request ran and the connection
/// was closed.
async fn at_most_one(gateway: &Gateway, request: impl AsRef<[u8]>) -> String {
    let before = gateway.calls();
    let answers = gateway.exchange(request).await;
    assert!(answers.count() <= 1, "{answers:?}");
    assert!(gateway.calls() <= before + 1, "{answers:?}");
    assert!(!answers.text().contains("body=smuggled"), "{answers:?}");
    answers.text().to_owned()
}

#[tokio::test]
async fn sec_047_r1_length_and_chunks_together() {
    let gateway = Gateway::start().await;
    for order in
        ["content-length: 4\r\ntransfer-encoding: chunked\r\n", "transfer-encoding: chunked\r\ncontent-length: 4\r\n"]
    {
        let request =
            format!("POST /mcp/docs HTTP/1.1\r\nhost: localhost\r\n{order}\r\n2\r\n{{}}\r\n0\r\n\r\n{SMUGGLED}");
        let answer = at_most_one(&gateway, request).await;
        // Read by its chunks, as RFC 9112 section 6.3 has it, with the length gone.
        assert!(answer.contains("body={}\n"), "{answer}");
        assert!(!answer.contains("content-length=4"), "{answer}");
    }
}

#[tokio::test]
async fn sec_047_r2_r3_two_lengths() {
    let gateway = Gateway::start().await;
    for lengths in [
        "content-length: 4\r\ncontent-length: 5\r\n",
        "content-length: 2, 2\r\n",
        "content-length: +2\r\n",
        "content-length: 2x\r\n",
        "content-length: -1\r\n",
    ] {
        let request = format!("POST /mcp/docs HTTP/1.1\r\nhost: localhost\r\n{lengths}\r\n{{}}{SMUGGLED}");
        let answer = at_most_one(&gateway, request).await;
        assert!(answer.starts_with("HTTP/1.1 400"), "{lengths:?}: {answer}");
    }
    let equal = "POST /mcp/docs HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\
                 content-length: 2\r\ncontent-length: 2\r\n\r\n{}";
    let answer = at_most_one(&gateway, equal).await;
    assert!(answer.contains("body={}\n"), "{answer}");
}

#[tokio::test]
async fn sec_047_r4_encodings_that_are_none() {
    let gateway = Gateway::start().await;
    for (encoding, version) in
        [("chunked, identity", "1.1"), ("xchunked", "1.1"), ("identity", "1.1"), ("chunked", "1.0")]
    {
        let request = format!(
            "POST /mcp/docs HTTP/{version}\r\nhost: localhost\r\ntransfer-encoding: {encoding}\r\n\r\n\
             2\r\n{{}}\r\n0\r\n\r\n{SMUGGLED}"
        );
        let answer = at_most_one(&gateway, request).await;
        assert!(answer[8..].starts_with(" 400"), "{encoding}: {answer}");
    }
    assert_eq!(gateway.calls(), 0);
}

#[tokio::test]
async fn sec_047_r5_bare_line_feeds() {
    let gateway = Gateway::start().await;
    // In the head they end a line (RFC 9112, section 2.2); between chunks they end the connection.
    let head = "POST /mcp/docs HTTP/1.1\nhost: localhost\nconnection: close\ncontent-length: 2\n\n{}";
    let answer = at_most_one(&gateway, head).await;
    assert!(answer.contains("body={}\n"), "{answer}");

    let chunks = format!(
        "POST /mcp/docs HTTP/1.1\r\nhost: localhost\r\ntransfer-encoding: chunked\r\n\r\n2\n{{}}\n0\n\n{SMUGGLED}"
    );
    let answer = at_most_one(&gateway, chunks).await;
    assert!(answer.starts_with("HTTP/1.1 400"), "{answer}");
}

#[tokio::test]
async fn sec_047_r6_broken_header_lines() {
    let gateway = Gateway::start().await;
    for line in [
        "mcp-name : x\r\n",
        "mcp-name: a\r\n folded\r\n",
        "mcp-name: a\0b\r\n",
        "mcp-name: a\rb\r\n",
        "mcp name: x\r\n",
        ": x\r\n",
        "no colon\r\n",
    ] {
        let request =
            format!("POST /mcp/docs HTTP/1.1\r\nhost: localhost\r\n{line}content-length: 2\r\n\r\n{{}}{SMUGGLED}");
        let answer = at_most_one(&gateway, request).await;
        assert!(answer.starts_with("HTTP/1.1 400"), "{line:?}: {answer}");
    }
    assert_eq!(gateway.calls(), 0);
}

#[tokio::test]
async fn sec_047_r10_connection_cannot_hide_a_header() {
    let gateway = Gateway::start().await;
    let nominated = "POST /mcp/docs HTTP/1.1\r\nhost: localhost\r\nmcp-name: tool\r\nauthorization: Bearer t\r\n\
                     connection: close, mcp-name, authorization, host\r\ncontent-length: 0\r\n\r\n";
    let answer = at_most_one(&gateway, nominated).await;
    assert!(answer.contains("mcp-name=tool\n"), "{answer}");
    assert!(answer.contains("authorization=Bearer t\n"), "{answer}");

    let hidden = "POST /mcp/docs HTTP/1.1\r\nhost: evil.example\r\nconnection: close, host\r\n\r\n";
    let answer = at_most_one(&gateway, hidden).await;
    assert!(answer.starts_with("HTTP/1.1 403"), "{answer}");
}

#[tokio::test]
async fn sec_047_r11_trailers_are_not_headers() {
    let gateway = Gateway::start().await;
    let request = "POST /mcp/docs HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\
                   transfer-encoding: chunked\r\ntrailer: authorization, mcp-name\r\n\r\n\
                   2;ext=1\r\n{}\r\n0\r\nauthorization: Bearer other\r\nmcp-name: x\r\n\r\n";
    let answer = at_most_one(&gateway, request).await;
    assert!(answer.contains("body={}\n"), "{answer}");
    assert!(!answer.contains("Bearer other"), "{answer}");
    assert!(!answer.contains("mcp-name="), "{answer}");
}
