//! Bodies on their way through: never held, never waited for without end.

use std::{
    pin::Pin,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    task::{Context, Poll},
    time::Duration,
};

use axum::body::Body;
use bytes::Bytes;
use http_body::{Frame, SizeHint};
use tokio::{
    sync::OwnedSemaphorePermit,
    time::{Instant, Sleep, sleep_until},
};
use tokio_util::sync::{CancellationToken, WaitForCancellationFutureOwned};

/// How long a client may take to send anything more of a body.
const STALL: Duration = Duration::from_secs(30);
/// How fast a body has to come on the whole, in bytes a second, once [`STALL`] is over.
const PACE: u64 = 16 * 1024;
/// How long a server may take to send anything more of a body: long enough for streams that have little to say.
const SILENCE: Duration = Duration::from_secs(5 * 60);
/// The same when the gateway stops: what is being sent gets to its end, what only waits does not.
const LAST: Duration = Duration::from_secs(1);

/// Why the body of a request did not get through.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum UploadError {
    /// It is longer than the route allows.
    #[error("the body is too large")]
    TooLarge,
    /// It does not come, or not fast enough.
    #[error("the body comes too slowly")]
    TooSlow,
    /// The client is gone.
    #[error("the body broke off")]
    Broken,
}

/// How far a body has got, for whoever waits for the answer meanwhile.
#[derive(Debug)]
pub(super) struct Progress {
    started: Instant,
    /// Milliseconds after the start at which something came last.
    last: AtomicU64,
    /// Whether it is the client that everybody waits for.
    is_starved: AtomicBool,
    failed: Mutex<Option<UploadError>>,
}

/// The body of a request.
pub(super) struct Upload {
    /// Only ever reached through an exclusive reference: the lock makes it a type that threads may share, as the client
    /// wants it.
    body: Mutex<Body>,
    left: u64,
    received: u64,
    alarm: Mutex<Pin<Box<Sleep>>>,
    progress: Arc<Progress>,
}

/// The body of an answer.
pub(super) struct Download {
    body: reqwest::Body,
    alarm: Pin<Box<Sleep>>,
    draining: Pin<Box<WaitForCancellationFutureOwned>>,
    silence: Duration,
    _seat: OwnedSemaphorePermit,
}

/// Why the body of an answer ended early. The client sees its connection break, as it must.
#[derive(Debug, thiserror::Error)]
pub(super) enum DownloadError {
    #[error("the server broke off")]
    Broken(#[source] reqwest::Error),
    #[error("the server says nothing any more")]
    Silent,
}

// === impl Progress ===

impl Progress {
    fn touch(&self) {
        let now = u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.last.store(now, Ordering::Relaxed);
    }

    fn last(&self) -> Instant {
        self.started + Duration::from_millis(self.last.load(Ordering::Relaxed))
    }

    fn fail(&self, error: UploadError) -> UploadError {
        *self.failed.lock().unwrap_or_else(PoisonError::into_inner) = Some(error);
        error
    }

    /// Why the body did not get through, if it did not.
    pub(super) fn failed(&self) -> Option<UploadError> {
        *self.failed.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits for an answer for as long as `time` after the last of the body was taken. While it is the client that has to
    /// send more, its own time runs and not the server's. `None` when the time is over.
    pub(super) async fn wait<T>(&self, time: Duration, answer: impl Future<Output = T>) -> Option<T> {
        let mut answer = std::pin::pin!(answer);
        let mut until = self.last() + time;
        loop {
            tokio::select! {
                biased;
                answered = &mut answer => return Some(answered),
                () = sleep_until(until) => {
                    let now = Instant::now();
                    until = match self.is_starved.load(Ordering::Relaxed) {
                        true => now + time,
                        false => self.last() + time,
                    };
                    if until <= now {
                        return None;
                    }
                }
            }
        }
    }
}

// === impl Upload ===

impl Upload {
    /// Takes a body of at most `most` bytes. One that says beforehand that it is longer is refused at once.
    pub(super) fn new(body: Body, most: u64) -> Result<Self, UploadError> {
        if http_body::Body::size_hint(&body).lower() > most {
            return Err(UploadError::TooLarge);
        }
        let started = Instant::now();
        let progress =
            Progress { started, last: AtomicU64::new(0), is_starved: AtomicBool::new(false), failed: Mutex::default() };
        let alarm = Mutex::new(Box::pin(sleep_until(started + STALL)));
        Ok(Self { body: Mutex::new(body), left: most, received: 0, alarm, progress: Arc::new(progress) })
    }

    pub(super) fn progress(&self) -> Arc<Progress> {
        self.progress.clone()
    }

    /// The latest moment at which something has to come: thirty seconds after the last piece, and not so slowly on the
    /// whole that a few clients could hold many connections.
    fn deadline(&self) -> Instant {
        let whole = self.progress.started + STALL + Duration::from_secs(self.received / PACE);
        whole.min(Instant::now() + STALL)
    }
}

impl http_body::Body for Upload {
    type Data = Bytes;
    type Error = UploadError;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, UploadError>>> {
        let this = &mut *self;
        loop {
            let body = this.body.get_mut().unwrap_or_else(PoisonError::into_inner);
            let alarm = this.alarm.get_mut().unwrap_or_else(PoisonError::into_inner);
            let Poll::Ready(next) = Pin::new(body).poll_frame(cx) else {
                this.progress.is_starved.store(true, Ordering::Relaxed);
                let late = alarm.as_mut().poll(cx).is_ready();
                return if late {
                    Poll::Ready(Some(Err(this.progress.fail(UploadError::TooSlow))))
                } else {
                    Poll::Pending
                };
            };
            this.progress.is_starved.store(false, Ordering::Relaxed);
            this.progress.touch();
            let Some(frame) = next else { return Poll::Ready(None) };
            let Ok(frame) = frame else { return Poll::Ready(Some(Err(this.progress.fail(UploadError::Broken)))) };
            // Trailers are not passed on: no check of the head has seen them.
            let Ok(chunk) = frame.into_data() else { continue };
            let size = chunk.len() as u64;
            if size > this.left {
                return Poll::Ready(Some(Err(this.progress.fail(UploadError::TooLarge))));
            }
            this.left -= size;
            this.received += size;
            let deadline = this.deadline();
            this.alarm.get_mut().unwrap_or_else(PoisonError::into_inner).as_mut().reset(deadline);
            return Poll::Ready(Some(Ok(Frame::data(chunk))));
        }
    }

    fn is_end_stream(&self) -> bool {
        self.body.lock().unwrap_or_else(PoisonError::into_inner).is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.lock().unwrap_or_else(PoisonError::into_inner).size_hint()
    }
}

// === impl Download ===

impl Download {
    pub(super) fn new(body: reqwest::Body, draining: &CancellationToken, seat: OwnedSemaphorePermit) -> Self {
        Self {
            body,
            alarm: Box::pin(sleep_until(Instant::now() + SILENCE)),
            draining: Box::pin(draining.clone().cancelled_owned()),
            silence: SILENCE,
            _seat: seat,
        }
    }
}

impl http_body::Body for Download {
    type Data = Bytes;
    type Error = DownloadError;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, DownloadError>>> {
        let this = &mut *self;
        loop {
            match Pin::new(&mut this.body).poll_frame(cx) {
                Poll::Ready(None) => return Poll::Ready(None),
                Poll::Ready(Some(Err(error))) => return Poll::Ready(Some(Err(DownloadError::Broken(error)))),
                Poll::Ready(Some(Ok(frame))) => {
                    let Ok(chunk) = frame.into_data() else { continue };
                    this.alarm.as_mut().reset(Instant::now() + this.silence);
                    return Poll::Ready(Some(Ok(Frame::data(chunk))));
                }
                Poll::Pending => {}
            }
            if this.silence != LAST && this.draining.as_mut().poll(cx).is_ready() {
                this.silence = LAST;
                this.alarm.as_mut().reset(Instant::now() + LAST);
            }
            return match this.alarm.as_mut().poll(cx) {
                Poll::Ready(()) => Poll::Ready(Some(Err(DownloadError::Silent))),
                Poll::Pending => Poll::Pending,
            };
        }
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use std::{convert::Infallible, pin::pin};

    use futures_util::{StreamExt, stream};
    use http_body_util::BodyExt;
    use tokio::sync::Semaphore;

    use super::*;

    /// A body that comes in pieces of a size, one every so often.
    fn dripping(size: usize, every: Duration) -> Body {
        let piece = Bytes::from(vec![b'x'; size]);
        Body::from_stream(stream::repeat(piece).then(move |piece| async move {
            tokio::time::sleep(every).await;
            Ok::<_, Infallible>(piece)
        }))
    }

    async fn taken(body: Body, most: u64) -> (Option<UploadError>, Duration, u64) {
        let begun = Instant::now();
        let mut upload = pin!(Upload::new(body, most).unwrap());
        loop {
            match upload.frame().await {
                Some(Ok(_)) => {}
                Some(Err(error)) => {
                    assert_eq!(upload.progress.failed(), Some(error));
                    return (Some(error), begun.elapsed(), upload.received);
                }
                None => return (None, begun.elapsed(), upload.received),
            }
        }
    }

    #[tokio::test(start_paused = true)]
    async fn sec_053_a_body_that_stalls_or_drips_is_given_up() {
        let stalled = Body::from_stream(stream::pending::<Result<Bytes, Infallible>>());
        let (error, after, _) = taken(stalled, 1000).await;
        assert_eq!((error, after.as_secs()), (Some(UploadError::TooSlow), 30));

        let (error, after, received) = taken(dripping(1, Duration::from_secs(1)), 1 << 20).await;
        assert_eq!((error, after.as_secs()), (Some(UploadError::TooSlow), 30));
        assert!(received < 31, "{received}");

        // A slow line is slow, and gets there.
        let (error, after, received) = taken(dripping(32 << 10, Duration::from_secs(1)), 4 << 20).await;
        assert_eq!((error, received), (Some(UploadError::TooLarge), 4 << 20));
        assert_eq!(after.as_secs(), 129);
    }

    #[tokio::test(start_paused = true)]
    async fn the_end_of_a_body_that_was_fast_may_not_take_for_ever() {
        let whole = stream::iter([Ok::<_, Infallible>(Bytes::from(vec![b'x'; 64 << 20]))]).chain(stream::pending());
        let (error, after, _) = taken(Body::from_stream(whole), 1 << 30).await;
        assert_eq!((error, after.as_secs()), (Some(UploadError::TooSlow), 30));
    }

    async fn download(body: reqwest::Body, draining: &CancellationToken) -> Download {
        let seats = std::sync::Arc::new(Semaphore::new(1));
        Download::new(body, draining, seats.acquire_owned().await.unwrap())
    }

    #[tokio::test(start_paused = true)]
    async fn an_answer_that_falls_silent_is_given_up() {
        let silent = || reqwest::Body::wrap_stream(stream::pending::<Result<Bytes, Infallible>>());
        let begun = Instant::now();
        let mut body = pin!(download(silent(), &CancellationToken::new()).await);
        assert!(matches!(body.frame().await, Some(Err(DownloadError::Silent))));
        assert_eq!(begun.elapsed(), SILENCE);

        // When the gateway stops, it is given up much sooner.
        let (begun, draining) = (Instant::now(), CancellationToken::new());
        let mut body = pin!(download(silent(), &draining).await);
        let (ended, ()) = tokio::join!(body.frame(), async {
            tokio::time::sleep(Duration::from_secs(10)).await;
            draining.cancel();
        });
        assert!(matches!(ended, Some(Err(DownloadError::Silent))));
        assert_eq!(begun.elapsed().as_secs(), 11);
    }

    #[tokio::test(start_paused = true)]
    async fn an_answer_that_goes_on_gets_to_its_end_while_the_gateway_stops() {
        let draining = CancellationToken::new();
        draining.cancel();
        let pieces = stream::iter(0..10).then(|n| async move {
            tokio::time::sleep(Duration::from_millis(900)).await;
            Ok::<_, Infallible>(Bytes::from(vec![n]))
        });
        let body = download(reqwest::Body::wrap_stream(pieces), &draining).await;
        assert_eq!(body.collect().await.unwrap().to_bytes().len(), 10);
    }
}
