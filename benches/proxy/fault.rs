//! What went wrong, in words for the person who started the benchmark.

use std::{error::Error, fmt::Display};

/// A failure, told in one line.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{0}")]
pub(crate) struct Fault(String);

/// A result whose error is a [`Fault`].
pub(crate) type Result<T> = std::result::Result<T, Fault>;

impl Fault {
    /// A fault with this text.
    pub(crate) fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The same fault with what was being done put before it.
    #[must_use]
    pub(crate) fn while_doing(self, what: impl Display) -> Self {
        Self(format!("{what}: {}", self.0))
    }
}

/// Turns errors of libraries into faults, with their causes.
pub(crate) trait Doing<T> {
    /// Puts what was being done before the error.
    ///
    /// # Errors
    ///
    /// The error of `self`, told as a fault.
    fn doing(self, what: impl Display) -> Result<T>;
}

impl<T, E: Error> Doing<T> for std::result::Result<T, E> {
    fn doing(self, what: impl Display) -> Result<T> {
        self.map_err(|error| {
            let mut text = format!("{what}: {error}");
            let mut source = error.source();
            while let Some(cause) = source {
                text.push_str(": ");
                text.push_str(&cause.to_string());
                source = cause.source();
            }
            Fault(text)
        })
    }
}

/// Fails with a formatted fault unless the condition holds.
macro_rules! require {
    ($condition:expr, $($text:tt)+) => {
        if !$condition {
            return Err($crate::fault::Fault::new(format!($($text)+)));
        }
    };
}
pub(crate) use require;

/// The beginning of a body, for a message.
pub(crate) fn excerpt(body: &[u8]) -> String {
    const SHOWN: usize = 300;
    let shown = String::from_utf8_lossy(&body[..body.len().min(SHOWN)]).into_owned();
    match body.len() {
        0 => "(empty)".to_owned(),
        n if n > SHOWN => format!("{shown}… ({n} bytes)"),
        _ => shown,
    }
}
