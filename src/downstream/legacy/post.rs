//! One POST: it is answered with JSON when the answer comes first, and with a stream when there is something to say before.

use std::{
    future::poll_fn,
    pin::pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError, Weak},
    task::Poll,
    time::Duration,
};

use bytes::Bytes;
use futures_util::task::AtomicWaker;
use http::{Response, StatusCode};

use crate::{
    hub::{BoxFuture, Fault, Reason},
    jsonrpc::{Encoded, RequestId, encode_error},
};

use super::{
    super::{
        Body,
        outbox::Outbox,
        reply,
        way::{Way, Weight},
    },
    log::{BYTES, Place, Reader, StreamLog},
    pulse::Pulse,
    session::Session,
};

/// After this time without an answer the stream is opened, so that it can be kept alive.
const PATIENCE: Duration = Duration::from_secs(15);

/// What a POST held, and so what its answer is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Shape {
    /// A message.
    One,
    /// A batch: the answer is an array.
    Batch,
}

/// The answer to one POST while it comes together.
pub(super) struct Post {
    /// Not held: a server's side may keep a call's peer for longer than the session lives.
    session: Weak<Session>,
    pulse: Arc<Pulse>,
    shape: Shape,
    /// Whether the client reads streams.
    can_stream: bool,
    /// Where everything goes for a client on one connection.
    line: Option<Arc<Outbox>>,
    inner: Mutex<Inner>,
    upgraded: AtomicWaker,
}

#[derive(Default)]
struct Inner {
    answers: Vec<Encoded>,
    stream: Option<Arc<StreamLog>>,
    /// The client was gone before it heard of a stream: there is no way to it any more.
    is_lost: bool,
    /// The stream was handed to a reader, who may be gone by now.
    was_handed: bool,
}

impl Post {
    pub(super) fn new(session: &Arc<Session>, shape: Shape, can_stream: bool) -> Arc<Self> {
        Arc::new(Self {
            session: Arc::downgrade(session),
            pulse: session.pulse().clone(),
            shape,
            can_stream,
            line: None,
            inner: Mutex::default(),
            upgraded: AtomicWaker::new(),
        })
    }

    /// What a client sent on its connection.
    pub(super) fn on(line: &Arc<Outbox>, session: &Arc<Session>, shape: Shape) -> Arc<Self> {
        Arc::new(Self {
            session: Arc::downgrade(session),
            pulse: session.pulse().clone(),
            shape,
            can_stream: true,
            line: Some(line.clone()),
            inner: Mutex::default(),
            upgraded: AtomicWaker::new(),
        })
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether the client reads a stream in answer to this POST.
    pub(super) fn can_stream(&self) -> bool {
        self.can_stream
    }

    /// Where the client hears of the calls before they are answered, opened if need be; `None` when it reads no stream.
    pub(super) fn stream(&self) -> Option<Arc<dyn Way>> {
        if let Some(line) = &self.line {
            return Some(line.clone());
        }
        let mut inner = self.lock();
        if inner.stream.is_none() && self.can_stream && !inner.is_lost {
            let stream = self.session.upgrade()?.open_stream();
            for answer in inner.answers.drain(..) {
                stream.push(Weight::Heavy, answer.into_bytes());
            }
            inner.stream = Some(stream);
            self.upgraded.wake();
        }
        inner.stream.clone().map(|stream| stream as Arc<dyn Way>)
    }

    /// The answer to request `id`.
    pub(super) fn answer(&self, id: Option<&RequestId>, text: Encoded) {
        if let (Some(line), Shape::One) = (&self.line, self.shape) {
            line.answer(id, text);
            return;
        }
        let mut inner = self.lock();
        match &inner.stream {
            Some(stream) if inner.was_handed && text.len() > BYTES && !stream.has_reader() => {
                let fault =
                    Fault::gateway(Reason::Limit, "the answer is too large to be kept for a client that is away");
                stream.push(Weight::Heavy, encode_error(id, &fault.to_error()));
            }
            Some(stream) => {
                stream.push(Weight::Heavy, text.into_bytes());
            }
            None if inner.is_lost => {}
            None => inner.answers.push(text),
        }
    }

    /// Nothing more comes. A stream on which a request stays unanswered was cut.
    fn finish(&self, was_answered: bool) {
        if let Some(stream) = &self.lock().stream {
            if was_answered { stream.end() } else { stream.cut() }
        }
    }

    /// Nobody waits for the answer any more.
    fn lose(&self) {
        let mut inner = self.lock();
        inner.is_lost = inner.stream.is_none();
        inner.was_handed = true;
        inner.answers.clear();
    }

    fn reader(&self) -> Option<Reader> {
        let mut inner = self.lock();
        inner.was_handed = true;
        inner.stream.as_ref()?.attach(Place::Unread, self.pulse.open())
    }

    /// What was answered so far, if anything was.
    pub(super) fn gathered(&self) -> Option<Encoded> {
        let mut answers = std::mem::take(&mut self.lock().answers);
        let last = answers.pop()?;
        if self.shape == Shape::One {
            return Some(last);
        }
        let mut text = Vec::with_capacity(answers.iter().map(|a| a.len() + 1).sum::<usize>() + last.len() + 2);
        text.push(b'[');
        for answer in answers.iter().chain([&last]) {
            text.extend(answer.pieces().flatten());
            text.push(b',');
        }
        text.pop();
        text.push(b']');
        Some(Bytes::from(text).into())
    }

    /// The same as one body.
    fn whole(&self) -> Response<Body> {
        match self.gathered() {
            Some(answer) => reply::json(StatusCode::OK, answer),
            // Cancelled before anything was said: the client wants no answer, and gets a stream that holds none.
            None if self.can_stream => reply::events(futures_util::stream::empty()),
            None => reply::empty(StatusCode::ACCEPTED),
        }
    }
}

/// The calls of one POST on their way. The handler of the POST drives them itself; when the client is gone, or is served
/// from a stream, they go on as a task of their own: a disconnect is no cancellation (2025-11-25, basic/transports).
pub(super) struct Running {
    post: Arc<Post>,
    /// Says whether every request was answered.
    work: Option<BoxFuture<bool>>,
}

enum First {
    /// Everything is answered.
    Done,
    /// Something has to be said before.
    Stream,
}

impl Running {
    pub(super) fn new(post: Arc<Post>, work: BoxFuture<bool>) -> Self {
        Self { post, work: Some(work) }
    }

    /// Answers the POST.
    pub(super) async fn answer(mut self) -> Response<Body> {
        let mut patience = pin!(tokio::time::sleep(PATIENCE));
        let first = poll_fn(|cx| {
            if let Some(work) = &mut self.work
                && let Poll::Ready(was_answered) = work.as_mut().poll(cx)
            {
                self.work = None;
                self.post.finish(was_answered);
            }
            self.post.upgraded.register(cx.waker());
            if self.post.lock().stream.is_some() {
                return Poll::Ready(First::Stream);
            }
            if self.work.is_none() {
                return Poll::Ready(First::Done);
            }
            if self.post.can_stream && patience.as_mut().poll(cx).is_ready() && self.post.stream().is_some() {
                return Poll::Ready(First::Stream);
            }
            Poll::Pending
        })
        .await;
        match first {
            First::Done => self.post.whole(),
            First::Stream => {
                let reader = self.post.reader();
                self.detach();
                reader.map_or_else(|| reply::empty(StatusCode::ACCEPTED), reply::events)
            }
        }
    }

    /// Goes on without the handler.
    fn detach(&mut self) {
        let Some(work) = self.work.take() else { return };
        let post = self.post.clone();
        let drive = async move {
            let was_answered = work.await;
            post.finish(was_answered);
        };
        // Without a runtime the process is ending, and the calls with it.
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            runtime.spawn(drive);
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if self.work.is_some() {
            self.post.lose();
            self.detach();
        }
    }
}

#[cfg(test)]
mod tests {
    use futures_util::StreamExt;

    use crate::{
        hub::{Principal, Scope, SilentPeer},
        protocol::Revision,
    };

    use super::*;

    #[tokio::test]
    async fn a_large_answer_is_not_kept_for_a_client_that_is_away() {
        let scope = Scope::shared(Arc::new(SilentPeer));
        let session = Session::passing(&Principal::local(), "docs", Revision::NEWEST_LEGACY, scope);
        let large = Encoded::from(Bytes::from("1".repeat(BYTES + 1)));
        for (is_away, is_kept) in [(false, true), (true, false)] {
            let post = Post::new(&session, Shape::One, true);
            post.stream().unwrap();
            let stream = post.lock().stream.clone().unwrap();
            let reader = post.reader();
            if is_away {
                drop(reader);
            }
            post.answer(Some(&RequestId::number(1)), large.clone());
            post.finish(true);
            let reader = stream.attach(Place::Unread, session.pulse().open()).unwrap();
            let events: Vec<_> = reader.collect().await;
            assert_eq!(events.last().unwrap().len() > BYTES, is_kept);
        }
    }
}
