//! What a server writes, as messages; what is no message is skipped and counted.

use std::{collections::VecDeque, sync::Arc, time::Duration};

use bytes::Bytes;
use tokio::time::Instant;

use crate::{
    hub::{BoxFuture, Fault, Reason},
    jsonrpc::{
        Limits, Message, ParseError, Payload, RequestId, id_guess,
        lines::{Line, LineReader},
    },
    upstream::lines::escape::printable,
};

use super::{LineSettings, Reader};

/// How long what a server that is gone has written before is still read.
const LAST_WORDS: Duration = Duration::from_millis(200);
/// How long the end of the output waits to hear why it ended.
const OBITUARY: Duration = Duration::from_millis(500);
/// The time over which bad lines are counted.
const MINUTE: Duration = Duration::from_secs(60);
/// How much of a bad line the log shows, in bytes.
const SHOWN: usize = 200;

/// What comes from a server.
#[derive(Debug)]
pub(super) enum Event {
    /// A message.
    Message(Message),
    /// Something that is no message, but seems to answer the call of this id.
    Broken(u64, Reason, &'static str),
    /// Nothing will come any more.
    End(Fault),
}

/// Reads a server's output.
pub(super) struct Inbound {
    upstream: Arc<str>,
    lines: LineReader<Reader>,
    queue: VecDeque<Event>,
    gone: BoxFuture<Fault>,
    bad: BadLines,
}

impl Inbound {
    pub(super) fn new(upstream: &Arc<str>, reader: Reader, gone: BoxFuture<Fault>, settings: &LineSettings) -> Self {
        let gone = Box::pin(async move {
            let fault = gone.await;
            tokio::time::sleep(LAST_WORDS).await;
            fault
        });
        Self {
            upstream: upstream.clone(),
            lines: LineReader::new(reader, settings.line_cap),
            queue: VecDeque::new(),
            gone,
            bad: BadLines { limit: settings.bad_lines, since: Instant::now(), count: 0, spoken: false },
        }
    }

    /// The next event; [`Event::End`] again and again once it came. Cancel-safe.
    pub(super) async fn next(&mut self) -> Event {
        loop {
            if let Some(event) = self.queue.pop_front() {
                return event;
            }
            let line = tokio::select! {
                biased;
                // First, so that a grandchild that floods an inherited pipe cannot hide the end of its parent.
                fault = &mut self.gone => return self.end(fault),
                line = self.lines.next() => line,
            };
            match line {
                Ok(Some(Line::Text(line))) => self.text(line),
                Ok(Some(Line::TooLong(line))) => {
                    tracing::warn!(upstream = %self.upstream, "skipped a line of the server that is longer than the cap");
                    self.broken(
                        id_guess::in_ends(&line.head, &line.tail).as_ref().and_then(RequestId::as_u64_lenient),
                        Reason::Limit,
                        "the answer is longer than the cap for one message",
                    );
                }
                Ok(None) | Err(_) => {
                    let fault = match tokio::time::timeout(OBITUARY, &mut self.gone).await {
                        Ok(fault) => fault,
                        Err(_) => Fault::upstream(
                            Reason::UpstreamExited,
                            &self.upstream,
                            "the server closed its output without ending",
                        ),
                    };
                    return self.end(fault);
                }
            }
            if self.bad.too_many() {
                let fault = Fault::upstream(
                    Reason::UpstreamProtocol,
                    &self.upstream,
                    "the server writes too much that is not MCP",
                );
                return self.end(fault);
            }
        }
    }

    fn end(&mut self, fault: Fault) -> Event {
        let again = fault.clone();
        self.gone = Box::pin(std::future::ready(again));
        Event::End(fault)
    }

    fn text(&mut self, line: Bytes) {
        match Payload::parse(line.clone(), Limits::UPSTREAM) {
            Ok(Payload::One(message)) => self.message(message),
            Ok(Payload::Batch(elements)) => {
                for element in elements {
                    match element {
                        Ok(message) => self.message(message),
                        Err(error) => self.no_message(&line, &error),
                    }
                }
            }
            Err(error) => self.no_message(&line, &error),
        }
    }

    fn message(&mut self, message: Message) {
        self.bad.begun();
        self.queue.push_back(Event::Message(message));
    }

    fn no_message(&mut self, line: &[u8], error: &ParseError) {
        if self.bad.note() {
            let shown = printable(&line[..line.len().min(SHOWN)]);
            tracing::warn!(
                upstream = %self.upstream,
                "the server writes lines that are no MCP messages, they are skipped ({error}): {shown}"
            );
        }
        let id = error.id.as_ref().and_then(crate::jsonrpc::RequestId::as_u64_lenient);
        let id = id.or_else(|| id_guess::in_line(line)?.as_u64_lenient());
        self.broken(id, Reason::UpstreamProtocol, "the server's answer is no valid message");
    }

    fn broken(&mut self, id: Option<u64>, reason: Reason, message: &'static str) {
        if let Some(id) = id {
            self.queue.push_back(Event::Broken(id, reason, message));
        }
    }

    /// Reads and forgets what the server still writes, until it is gone.
    pub(super) async fn drain(self) {
        let (mut reader, mut sink) = (self.lines.into_inner(), tokio::io::sink());
        tokio::select! {
            _ = self.gone => {}
            _ = tokio::io::copy(&mut reader, &mut sink) => {}
        }
    }
}

/// Lines that are no messages. What comes before the first message does not count towards the limit: banners are common,
/// and the time to start is bounded anyway.
struct BadLines {
    limit: u32,
    since: Instant,
    count: u32,
    /// Whether a message was seen.
    spoken: bool,
}

impl BadLines {
    fn begun(&mut self) {
        if !self.spoken {
            self.spoken = true;
            self.count = 0;
        }
    }

    /// Counts one; whether it is the first of its minute.
    fn note(&mut self) -> bool {
        if self.since.elapsed() >= MINUTE {
            self.since = Instant::now();
            self.count = 0;
        }
        self.count = self.count.saturating_add(1);
        self.count == 1
    }

    fn too_many(&self) -> bool {
        self.spoken && self.count > self.limit
    }
}
