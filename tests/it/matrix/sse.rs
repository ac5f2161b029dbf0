//! Server-sent events, as far as a client of the protocol has to read them.

use std::collections::VecDeque;

use futures_util::{StreamExt, stream::BoxStream};
use reqwest::Response;

use super::client::MODERN;

/// The messages of a stream of events.
pub(crate) struct Events {
    chunks: BoxStream<'static, Option<Vec<u8>>>,
    buffer: Vec<u8>,
    ready: VecDeque<String>,
    revision: &'static str,
    seen: usize,
}

impl Events {
    /// Reads the body of `response`, to its end or until it breaks.
    pub(crate) fn of(response: Response, revision: &'static str) -> Self {
        let chunks = response.bytes_stream().map(|chunk| chunk.map(|c| c.to_vec()).ok()).boxed();
        Self { chunks, buffer: Vec::new(), ready: VecDeque::new(), revision, seen: 0 }
    }

    /// The next message; comments and empty events are passed over where the revision has them.
    pub(crate) async fn next(&mut self) -> Option<String> {
        loop {
            if let Some(message) = self.ready.pop_front() {
                return Some(message);
            }
            let chunk = self.chunks.next().await.flatten()?;
            self.buffer.extend(chunk.into_iter().filter(|b| *b != b'\r'));
            while let Some(end) = self.buffer.windows(2).position(|w| w == b"\n\n") {
                let event: Vec<u8> = self.buffer.drain(..end + 2).collect();
                self.event(&String::from_utf8(event).expect("UTF-8"));
            }
        }
    }

    fn event(&mut self, event: &str) {
        let (mut data, mut has_data, mut has_id) = (String::new(), false, false);
        for line in event.lines().filter(|line| !line.is_empty() && !line.starts_with(':')) {
            let (field, value) = line.split_once(':').unwrap_or((line, ""));
            let value = value.strip_prefix(' ').unwrap_or(value);
            match field {
                "data" => {
                    has_data = true;
                    data.push_str(value);
                }
                "event" => assert_eq!(value, "message"),
                "id" => has_id = true,
                "retry" => assert!(value.parse::<u64>().is_ok(), "{event:?}"),
                other => panic!("an unknown field {other:?} in {event:?}"),
            }
        }
        assert!(!(has_id && self.revision == MODERN), "modern streams cannot be resumed, so their events have no ids");
        if has_data && data.is_empty() {
            // Older clients try to read the empty data as JSON.
            assert!(self.revision == "2025-11-25" && has_id && self.seen == 0, "an empty event: {event:?}");
        } else if has_data {
            self.ready.push_back(data);
        }
        self.seen += usize::from(has_data);
    }
}
