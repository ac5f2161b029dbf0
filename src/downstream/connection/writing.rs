//! Writing what waits to the client.

use std::{io, sync::Arc};

use bytes::BytesMut;
use tokio::{
    io::{AsyncWrite, AsyncWriteExt},
    task::JoinError,
};

use crate::{downstream::outbox::Outbox, jsonrpc::lines::push_line};

/// How much is put into one write, in bytes.
const BATCH: usize = 64 * 1024;

/// How the writer ended.
pub(super) fn ended(written: Option<Result<io::Result<()>, JoinError>>) -> io::Result<()> {
    tolerated(written.unwrap_or(Ok(Ok(()))).unwrap_or_else(|error| Err(io::Error::other(error))))
}

/// A client that is gone is no error, however it went.
pub(super) fn tolerated(ended: io::Result<()>) -> io::Result<()> {
    use io::ErrorKind::{BrokenPipe, ConnectionAborted, ConnectionReset, NotConnected, UnexpectedEof};
    match ended {
        Err(error)
            if matches!(
                error.kind(),
                BrokenPipe | ConnectionAborted | ConnectionReset | NotConnected | UnexpectedEof
            ) =>
        {
            Ok(())
        }
        ended => ended,
    }
}

/// Writes what waits, as long as anything may.
pub(super) async fn write(line: Arc<Outbox>, mut writer: impl AsyncWrite + Unpin) -> io::Result<()> {
    // Whatever ends this, nothing will be read any more.
    let _closed = Closes(line.clone());
    let mut text = BytesMut::new();
    while let Some(first) = line.next().await {
        push_line(&mut text, &first.into_bytes());
        while text.len() < BATCH
            && let Some(message) = line.take()
        {
            push_line(&mut text, &message.into_bytes());
        }
        writer.write_all(&text).await?;
        writer.flush().await?;
        text.clear();
        if text.capacity() > 4 * BATCH {
            text = BytesMut::new();
        }
    }
    Ok(())
}

struct Closes(Arc<Outbox>);

impl Drop for Closes {
    fn drop(&mut self) {
        self.0.close();
    }
}
