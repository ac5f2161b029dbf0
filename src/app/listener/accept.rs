//! What happens to connections that are not served, and to an accept that fails.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::Semaphore;
use tokio::time::timeout;

const FIRST_PAUSE: Duration = Duration::from_millis(5);
const LONGEST_PAUSE: Duration = Duration::from_secs(1);

/// Pauses between failing accepts: 5 ms, doubling up to one second.
#[derive(Debug)]
pub(super) struct Backoff {
    pause: Duration,
}

// === impl Backoff ===

impl Backoff {
    pub(super) fn new() -> Self {
        Self { pause: Duration::ZERO }
    }

    /// Says how long to wait before the next accept; `None` when the error was the client's alone.
    pub(super) fn failed(&mut self, error: &io::Error) -> Option<Duration> {
        // The client hung up between its handshake and our accept. The next one in the queue is
        // fine.
        if matches!(
            error.kind(),
            io::ErrorKind::ConnectionAborted
                | io::ErrorKind::ConnectionReset
                | io::ErrorKind::ConnectionRefused
                | io::ErrorKind::Interrupted
        ) {
            return None;
        }
        if self.pause.is_zero() {
            tracing::error!(%error, "cannot accept connections; open ones go on, trying again");
        }
        self.pause = (self.pause * 2).clamp(FIRST_PAUSE, LONGEST_PAUSE);
        Some(self.pause)
    }

    pub(super) fn succeeded(&mut self) {
        if !self.pause.is_zero() {
            tracing::info!("accepting connections again");
            self.pause = Duration::ZERO;
        }
    }
}

/// The whole answer to a connection above the cap.
const FULL: &[u8] = b"HTTP/1.1 503 Service Unavailable\r\n\
    content-type: text/plain\r\ncontent-length: 21\r\nretry-after: 1\r\nconnection: close\r\n\r\ntoo many connections\n";

/// Time to get rid of one refused connection.
const REFUSAL: Duration = Duration::from_secs(1);

/// Refusals under way at once. Above it a connection is just closed.
const REFUSALS: usize = 64;

/// Answers connections above the cap with 503.
#[derive(Debug)]
pub(super) struct Refuser {
    slots: Arc<Semaphore>,
}

// === impl Refuser ===

impl Refuser {
    pub(super) fn new() -> Self {
        Self { slots: Arc::new(Semaphore::new(REFUSALS)) }
    }

    pub(super) fn refuse(&self, mut stream: TcpStream) {
        let Ok(slot) = Arc::clone(&self.slots).try_acquire_owned() else {
            return;
        };
        tokio::spawn(async move {
            // A failure here is the refused client's, and it is gone either way.
            let _ = timeout(REFUSAL, async {
                stream.write_all(FULL).await?;
                stream.shutdown().await?;
                // Closing with the request unread would reset the connection, and the client would
                // never see the 503.
                let mut unread = [0; 4096];
                while stream.read(&mut unread).await? > 0 {}
                io::Result::Ok(())
            })
            .await;
            drop(slot);
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `EMFILE` and `ENFILE` must slow the loop down; a client that hung up must not.
    #[test]
    fn sec_165_accept_backs_off_when_descriptors_run_out() {
        let mut backoff = Backoff::new();
        let too_many_files = io::Error::from_raw_os_error(24);
        let pauses: Vec<_> = (0..10).filter_map(|_| backoff.failed(&too_many_files)).collect();
        assert_eq!(pauses[0], FIRST_PAUSE);
        assert_eq!(pauses[1], FIRST_PAUSE * 2);
        assert_eq!(pauses[9], LONGEST_PAUSE);

        backoff.succeeded();
        let hung_up = io::Error::from(io::ErrorKind::ConnectionAborted);
        assert_eq!(backoff.failed(&hung_up), None);
        assert_eq!(backoff.failed(&too_many_files), Some(FIRST_PAUSE));
    }

    #[test]
    fn the_answer_to_a_full_house_counts_its_own_bytes() {
        let text = std::str::from_utf8(FULL).unwrap();
        let (head, body) = text.split_once("\r\n\r\n").unwrap();
        assert!(head.contains(&format!("content-length: {}\r\n", body.len())));
    }
}
