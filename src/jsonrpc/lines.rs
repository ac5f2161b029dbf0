//! Messages as lines: none that is read is longer than the cap, and none that is written breaks.

use std::io;

use bytes::{Buf, Bytes, BytesMut};
use tokio::io::{AsyncRead, AsyncReadExt};

/// How much room a read has while no line is begun, and while one is.
const IDLE_READ: usize = 8 * 1024;
const BUSY_READ: usize = 64 * 1024;
/// Lines up to this length are copied out, so that a kept answer does not keep the whole read buffer.
const COPIED: usize = 16 * 1024;
/// How much of both ends of an oversized line is kept to find its id in.
const EDGE: usize = 512;

/// One line.
#[derive(Debug)]
pub(crate) enum Line {
    /// Its bytes, without the line end.
    Text(Bytes),
    /// It was longer than the cap and was thrown away.
    TooLong(Skipped),
}

/// The first and the last bytes of a line that was thrown away.
#[derive(Debug)]
pub(crate) struct Skipped {
    pub(crate) head: Vec<u8>,
    pub(crate) tail: Vec<u8>,
}

impl Skipped {
    fn begin(start: &[u8]) -> Self {
        let mut skipped = Self { head: start[..start.len().min(EDGE)].to_vec(), tail: Vec::with_capacity(2 * EDGE) };
        skipped.more(start);
        skipped
    }

    fn more(&mut self, part: &[u8]) {
        self.tail.extend_from_slice(&part[part.len().saturating_sub(EDGE)..]);
        if self.tail.len() > EDGE {
            self.tail.drain(..self.tail.len() - EDGE);
        }
    }
}

/// Splits what the other side writes into lines. Holds at most one line up to the cap.
pub(crate) struct LineReader<R> {
    from: R,
    buffer: BytesMut,
    /// How much of the buffer is known to hold no line end.
    scanned: usize,
    cap: usize,
    skipped: Option<Skipped>,
    ended: bool,
}

impl<R: AsyncRead + Unpin> LineReader<R> {
    pub(crate) fn new(from: R, cap: usize) -> Self {
        Self { from, buffer: BytesMut::new(), scanned: 0, cap, skipped: None, ended: false }
    }

    /// The next line that is not blank; `None` at the end. Cancel-safe.
    pub(crate) async fn next(&mut self) -> io::Result<Option<Line>> {
        loop {
            if let Some(line) = self.take() {
                return Ok(Some(line));
            }
            if self.ended {
                return Ok(None);
            }
            self.buffer.reserve(if self.buffer.is_empty() { IDLE_READ } else { BUSY_READ });
            if self.from.read_buf(&mut self.buffer).await? == 0 {
                self.ended = true;
                // A last message without its line end counts.
                if !self.buffer.is_empty() || self.skipped.is_some() {
                    self.buffer.extend_from_slice(b"\n");
                }
            }
        }
    }

    fn take(&mut self) -> Option<Line> {
        loop {
            let Some(at) = memchr::memchr(b'\n', &self.buffer[self.scanned..]) else {
                self.hold_back();
                return None;
            };
            let end = self.scanned + at;
            self.scanned = 0;
            if let Some(mut skipped) = self.skipped.take() {
                skipped.more(&self.buffer[..end]);
                self.buffer.advance(end + 1);
                return Some(Line::TooLong(skipped));
            }
            if end > self.cap {
                let skipped = Skipped::begin(&self.buffer[..end]);
                self.buffer.advance(end + 1);
                return Some(Line::TooLong(skipped));
            }
            let length = self.buffer[..end].trim_ascii_end().len();
            let line = if length <= COPIED {
                let line = Bytes::copy_from_slice(&self.buffer[..length]);
                self.buffer.advance(end + 1);
                line
            } else {
                let mut line = self.buffer.split_to(end + 1);
                line.truncate(length);
                line.freeze()
            };
            if self.buffer.is_empty() && self.buffer.capacity() > BUSY_READ {
                self.buffer = BytesMut::new();
            }
            if !line.is_empty() {
                return Some(Line::Text(line));
            }
        }
    }

    /// Notes that the buffer holds no line end, and throws away what has become too long.
    fn hold_back(&mut self) {
        self.scanned = self.buffer.len();
        if let Some(skipped) = &mut self.skipped {
            skipped.more(&self.buffer);
            self.buffer.clear();
            self.scanned = 0;
        } else if self.buffer.len() > self.cap {
            self.skipped = Some(Skipped::begin(&self.buffer));
            self.buffer = BytesMut::new();
            self.scanned = 0;
        }
    }

    /// The stream itself, for somebody who only wants to empty it.
    pub(crate) fn into_inner(self) -> R {
        self.from
    }
}

/// Appends one message as a line. A line end inside it can only be white space between tokens, which may be any other.
pub(crate) fn push_line(out: &mut BytesMut, frame: &[u8]) {
    let start = out.len();
    out.reserve(frame.len() + 1);
    out.extend_from_slice(frame);
    if memchr::memchr2(b'\n', b'\r', frame).is_some() {
        for byte in &mut out[start..] {
            if matches!(byte, b'\n' | b'\r') {
                *byte = b' ';
            }
        }
    }
    out.extend_from_slice(b"\n");
}
