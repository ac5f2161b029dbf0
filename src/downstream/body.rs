//! Reading a request body within bounds.

use std::error::Error as StdError;

use bytes::{Bytes, BytesMut};
use http::StatusCode;
use http_body::Body;
use http_body_util::BodyExt;
use tokio::time::{Instant, timeout_at};

/// The most to reserve on the word of a `Content-Length`, in bytes. A client that claims more has
/// to send it.
const TRUSTED_CLAIM: u64 = 64 * 1024;

/// Why a body was not read.
#[derive(Debug, thiserror::Error)]
pub enum BodyError {
    /// It is, or says it is, longer than the limit in bytes.
    #[error("the body is longer than {limit} bytes")]
    TooLarge {
        /// The limit it went over.
        limit: usize,
    },
    /// It had not arrived wholly by the deadline.
    #[error("the body did not arrive in time")]
    TooSlow,
    /// The connection broke, or the framing of the body did.
    #[error("the body broke off")]
    Broken(#[source] Box<dyn StdError + Send + Sync>),
}

// === impl BodyError ===

impl BodyError {
    /// The status that tells the client: 413, 408 or 400.
    pub fn status(&self) -> StatusCode {
        match self {
            Self::TooLarge { .. } => StatusCode::PAYLOAD_TOO_LARGE,
            Self::TooSlow => StatusCode::REQUEST_TIMEOUT,
            Self::Broken(_) => StatusCode::BAD_REQUEST,
        }
    }
}

/// Reads a body of at most `limit` bytes, all of it before `deadline`. A body that came in one
/// piece is not copied; trailers are dropped, so they can never pass for headers.
///
/// After an error the rest of the body is unread. Drop it with the request: the listener then
/// closes the connection after the response.
///
/// # Errors
/// See [`BodyError`]. A body whose `Content-Length` is over the limit is refused before it is read.
pub async fn read_body<B>(body: B, limit: usize, deadline: Instant) -> Result<Bytes, BodyError>
where
    B: Body<Data = Bytes> + Unpin,
    B::Error: Into<Box<dyn StdError + Send + Sync>>,
{
    match timeout_at(deadline, read(body, limit)).await {
        Ok(read) => read,
        Err(_) => Err(BodyError::TooSlow),
    }
}

async fn read<B>(mut body: B, limit: usize) -> Result<Bytes, BodyError>
where
    B: Body<Data = Bytes> + Unpin,
    B::Error: Into<Box<dyn StdError + Send + Sync>>,
{
    let claim = body.size_hint().lower();
    if claim > limit as u64 {
        return Err(BodyError::TooLarge { limit });
    }
    let Some(first) = next(&mut body).await? else {
        return Ok(Bytes::new());
    };
    if first.len() > limit {
        return Err(BodyError::TooLarge { limit });
    }
    let Some(second) = next(&mut body).await? else {
        return Ok(first);
    };
    let mut whole = BytesMut::with_capacity(usize::try_from(claim.min(TRUSTED_CLAIM)).unwrap_or(0));
    whole.extend_from_slice(&first);
    let mut piece = Some(second);
    while let Some(bytes) = piece {
        if bytes.len() > limit - whole.len() {
            return Err(BodyError::TooLarge { limit });
        }
        whole.extend_from_slice(&bytes);
        piece = next(&mut body).await?;
    }
    Ok(whole.freeze())
}

/// The next piece of data, empty ones and trailers skipped.
async fn next<B>(body: &mut B) -> Result<Option<Bytes>, BodyError>
where
    B: Body<Data = Bytes> + Unpin,
    B::Error: Into<Box<dyn StdError + Send + Sync>>,
{
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|error| BodyError::Broken(error.into()))?;
        if let Ok(data) = frame.into_data()
            && !data.is_empty()
        {
            return Ok(Some(data));
        }
    }
    Ok(None)
}
