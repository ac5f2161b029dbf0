//! What the answer to a POST or GET means: messages, or a refusal.

use std::{collections::VecDeque, time::Duration};

use bytes::Bytes;
use http::{HeaderMap, StatusCode, header};

use crate::{
    hub::{Fault, Reason},
    jsonrpc::{ErrorObject, Limits, Message, Payload, Response},
};

use super::{
    client::{Answer, Body, CollectError},
    server::Server,
    sse::Decoder,
};

/// How much of a refusal is read.
const REFUSAL: usize = 64 * 1024;
/// How long reading a refusal may take.
const REFUSAL_TIME: Duration = Duration::from_secs(5);
/// The longest pause that a server may ask for.
const LONGEST_PAUSE: Duration = Duration::from_secs(3600);

/// An answer.
pub(super) enum Reply {
    /// Messages, one or a stream of them.
    Messages(Messages),
    /// An HTTP error, or a redirect.
    Refused(Refused),
    /// A success without messages.
    Empty,
}

/// An answer that is an HTTP error.
pub(super) struct Refused {
    pub(super) status: StatusCode,
    /// The JSON-RPC error in its body, where there is one.
    pub(super) error: Option<ErrorObject>,
    /// Whether that error names a request id.
    pub(super) names_request: bool,
    text: Bytes,
    after: Option<Duration>,
}

/// The messages of an answer, one after the other.
pub(super) struct Messages {
    body: Body,
    form: Form,
    queue: VecDeque<Message>,
    most: usize,
    /// Whether a stream of events came to its end.
    ended: bool,
    /// Whether something was skipped that could not be read, or does not belong here.
    faulty: bool,
}

enum Form {
    Json,
    Events(Decoder),
    Over,
}

/// Why there are no more messages.
#[derive(Clone, Copy, Debug)]
pub(super) enum Stopped {
    /// The connection broke.
    Broken,
    /// A message is too large.
    TooLarge,
}

impl Reply {
    /// Reads the head of an answer, and the body of a refusal.
    pub(super) async fn read(answer: Answer, most: usize) -> Self {
        let Answer { head, body } = answer;
        if !head.status.is_success() {
            return Self::Refused(Box::pin(Refused::read(head.status, head.headers, body)).await);
        }
        let form = match media_type(&head.headers) {
            Some(MediaType::Json) if head.status != StatusCode::ACCEPTED => Form::Json,
            Some(MediaType::Events) => Form::Events(Decoder::new(most)),
            _ => {
                Box::pin(dispose(body)).await;
                return Self::Empty;
            }
        };
        Self::Messages(Messages { body, form, queue: VecDeque::new(), most, ended: false, faulty: false })
    }
}

/// Reads what is of no interest, so that the connection can be used again.
async fn dispose(mut body: Body) {
    if matches!(tokio::time::timeout(REFUSAL_TIME, body.collect(REFUSAL)).await, Ok(Ok(_))) {
        body.finish();
    }
}

enum MediaType {
    Json,
    Events,
}

fn media_type(headers: &HeaderMap) -> Option<MediaType> {
    let value = headers.get(header::CONTENT_TYPE)?.as_bytes();
    let essence = value.split(|b| *b == b';').next()?.trim_ascii();
    if essence.eq_ignore_ascii_case(b"application/json") {
        Some(MediaType::Json)
    } else if essence.eq_ignore_ascii_case(b"text/event-stream") {
        Some(MediaType::Events)
    } else {
        None
    }
}

impl Refused {
    async fn read(status: StatusCode, headers: HeaderMap, mut body: Body) -> Self {
        let seconds = headers.get(header::RETRY_AFTER).and_then(|v| v.to_str().ok()?.trim().parse().ok());
        let after = seconds.map(|s| Duration::from_secs(s).min(LONGEST_PAUSE));
        let text = match tokio::time::timeout(REFUSAL_TIME, body.collect(REFUSAL)).await {
            Ok(Ok(text)) => {
                body.finish();
                text
            }
            _ => Bytes::new(),
        };
        let payload = Payload::parse(text.clone(), Limits::UPSTREAM).ok();
        let error = payload.into_iter().flat_map(Payload::into_messages).find_map(|message| match message {
            Message::Response(Response { id, outcome: Err(error) }) => Some((id.is_some(), error)),
            _ => None,
        });
        let names_request = error.as_ref().is_some_and(|(named, _)| *named);
        Self { status, error: error.map(|(_, error)| error), names_request, text, after }
    }

    /// Whether the text of the answer speaks of one of `words`, which are lower case.
    pub(super) fn mentions(&self, words: &[&str]) -> bool {
        let text = match &self.error {
            Some(error) => error.message.to_ascii_lowercase(),
            None => String::from_utf8_lossy(&self.text).to_ascii_lowercase(),
        };
        words.iter().any(|word| text.contains(word))
    }

    /// Whether something is wrong with the server that may be over by the next request. One that says that it is overloaded is
    /// not asked again.
    pub(super) fn is_outage(&self) -> bool {
        self.error.is_none() && self.status.is_server_error() && self.status != StatusCode::SERVICE_UNAVAILABLE
    }

    /// Whether the server or somebody before it wants other credentials.
    pub(super) fn is_auth(&self) -> bool {
        matches!(self.status.as_u16(), 401 | 403 | 407)
    }

    /// What the refusal means for the call that was refused.
    pub(super) fn into_fault(self, server: &Server) -> Fault {
        // The challenge and the text are for the gateway's operator, not for its clients.
        if self.is_auth() {
            let fault = server.fault(
                Reason::UpstreamAuth,
                "it does not accept the gateway's credentials; check the `headers` of this server in the configuration",
            );
            server.fails(&fault);
            return fault;
        }
        if let Some(error) = self.error {
            server.works();
            return Fault::Answered(error);
        }
        let status = self.status.as_u16();
        let message = match status {
            300..400 => format!(
                "it redirects (HTTP {status}), and redirects are not followed; configure the address that it points to"
            ),
            429 | 503 => format!("it is overloaded or not available at the moment (HTTP {status})"),
            404 | 405 => {
                format!("there is no MCP endpoint (HTTP {status}); check the `url` of this server in the configuration")
            }
            _ => format!("it answered with HTTP {status}"),
        };
        let fault = server.status_fault(status, message, self.after);
        server.fails(&fault);
        fault
    }
}

impl Messages {
    /// The next message; `None` when the answer ended in order. What cannot be read as a message is skipped. Cancel-safe for a
    /// stream of events.
    pub(super) async fn next(&mut self) -> Result<Option<Message>, Stopped> {
        loop {
            if let Some(message) = self.queue.pop_front() {
                return Ok(Some(message));
            }
            let text = match &mut self.form {
                Form::Over => return Ok(None),
                Form::Json => {
                    let text = self.body.collect(self.most).await?;
                    self.form = Form::Over;
                    text
                }
                Form::Events(decoder) => match decoder.next() {
                    Some(event) if event.is_message => event.data,
                    Some(_) => continue,
                    None if self.ended => return Ok(None),
                    None => {
                        match self.body.chunk().await {
                            Some(Ok(chunk)) => decoder.push(chunk).map_err(|_| Stopped::TooLarge)?,
                            Some(Err(_)) => return Err(Stopped::Broken),
                            None => {
                                decoder.end();
                                self.ended = true;
                            }
                        }
                        continue;
                    }
                },
            };
            match Payload::parse(text, Limits::UPSTREAM) {
                Ok(Payload::One(message)) => return Ok(Some(message)),
                Ok(batch) => self.queue.extend(batch.into_messages()),
                Err(error) => {
                    tracing::debug!(%error, "skipped something that is no message");
                    self.faulty = true;
                }
            }
        }
    }

    /// Notes that a message was none of those that may come here.
    pub(super) fn note_stray(&mut self) {
        self.faulty = true;
    }

    /// Gives the connection back, when the message that was wanted has been read.
    pub(super) fn finish(self) {
        self.body.finish();
    }

    /// Whether they come as a stream of events.
    pub(super) fn is_stream(&self) -> bool {
        matches!(self.form, Form::Events(_))
    }

    /// Where the stream can be resumed, by the last event id.
    pub(super) fn last_id(&self) -> Option<Bytes> {
        match &self.form {
            Form::Events(decoder) => decoder.last_id().cloned(),
            _ => None,
        }
    }

    /// How long to wait before resuming, where the server said so.
    pub(super) fn retry(&self) -> Option<Duration> {
        match &self.form {
            Form::Events(decoder) => decoder.retry(),
            _ => None,
        }
    }

    /// Why there is no answer, when the messages ended without one.
    pub(super) fn without_answer(&self, server: &Server) -> Fault {
        match &self.form {
            Form::Events(_) if !self.faulty => server.lost(),
            _ => unreadable(server),
        }
    }
}

/// The fault for an answer that is none.
pub(super) fn unreadable(server: &Server) -> Fault {
    server.fault(Reason::UpstreamProtocol, "it did not answer as the protocol wants it")
}

impl From<CollectError> for Stopped {
    fn from(error: CollectError) -> Self {
        match error {
            CollectError::Broken => Self::Broken,
            CollectError::TooLarge => Self::TooLarge,
        }
    }
}

impl Stopped {
    pub(super) fn into_fault(self, server: &Server) -> Fault {
        match self {
            Self::Broken => server.lost(),
            Self::TooLarge => server.too_large(),
        }
    }
}
