//! Which hosts an application of a program answers.

use std::{
    io,
    sync::{Arc, Mutex},
};

use axum::Router;
use rialto::{Rialto, config::HostName};
use serde_json::json;

use super::{answer, in_process, serve, tool_by_hand};

fn hosts() -> Vec<HostName> {
    vec!["gw.example".parse().unwrap()]
}

/// The answer to a call under a host.
async fn under(url: &str, host: &str) -> (u16, String) {
    let call = tool_by_hand(url, "echo", json!({ "text": "hi" }));
    let (status, answer) = answer(call.header("host", host)).await;
    (status, answer.to_string())
}

#[tokio::test]
async fn sec_001_a_program_says_which_hosts_are_its_own() {
    let builder = || Rialto::builder().mount("docs", in_process());
    let nested = |proxy: rialto::Proxy| Router::new().nest_service("/mcp/docs", proxy.into_service());
    let strict = [nested(in_process()), builder().build()];
    let named = [nested(in_process().hosts(hosts())), builder().hosts(hosts()).build()];
    let open = [nested(in_process().any_host()), builder().any_host().build()];
    for (apps, gw, evil) in [(strict, 403, 403), (named, 200, 403), (open, 200, 200)] {
        for app in apps {
            let served = serve(app).await;
            let url = served.at("/mcp/docs");
            for host in ["localhost", "127.0.0.1:1", "[::1]"] {
                assert_eq!(under(&url, host).await.0, 200, "{host}");
            }
            assert_eq!(under(&url, "gw.example").await.0, gw);
            let (status, words) = under(&url, "evil.example").await;
            assert_eq!(status, evil, "{words}");
            if evil == 403 {
                assert!(words.contains("hosts are allowed with `.hosts(…)`"), "{words}");
                assert!(!words.contains("evil"), "{words}");
            }
        }
    }
}

#[tokio::test]
async fn sec_003_a_page_of_the_public_address_is_no_stranger() {
    let url = || "https://gw.example".parse().unwrap();
    let nested = Router::new().nest_service("/mcp/docs", in_process().public_url(url()).into_service());
    let built = Rialto::builder().mount("docs", in_process()).public_url(url()).build();
    for app in [nested, built] {
        let served = serve(app).await;
        for (origin, expected) in
            [("https://gw.example", 200), ("http://gw.example", 403), ("https://evil.example", 403)]
        {
            let call = tool_by_hand(&served.at("/mcp/docs"), "echo", json!({ "text": "hi" }));
            let call = call.header("host", "gw.example").header("origin", origin);
            assert_eq!(answer(call).await.0, expected, "{origin}");
        }
    }
}

/// What is logged on this thread.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[tokio::test]
async fn the_log_names_what_a_program_can_do_about_a_refused_host() {
    let log = Log::default();
    let writer = log.clone();
    let subscriber = tracing_subscriber::fmt().with_writer(move || writer.clone()).with_ansi(false).finish();
    let _logging = crate::support::log::listen(subscriber);
    let served = serve(Rialto::builder().mount("docs", in_process()).build()).await;
    assert_eq!(under(&served.at("/mcp/docs"), "evil.example").await.0, 403);
    let written = String::from_utf8(log.0.lock().unwrap().clone()).unwrap();
    let expected = "refused a request for a host that is not ours; if it is, allow it with `.hosts(…)`";
    assert!(written.contains(expected) && written.contains("evil.example"), "{written}");
}
