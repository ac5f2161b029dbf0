//! Server-sent events, read piece by piece (WHATWG HTML, server-sent events, "interpreting an event stream").

use std::{collections::VecDeque, time::Duration};

use bytes::{Bytes, BytesMut};

/// The longest event id that is remembered.
const MAX_ID: usize = 1024;

/// An event with data.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Event {
    /// The data, its lines joined by line feeds; never empty.
    pub(super) data: Bytes,
    /// Whether it is a `message`, which is what an event without a name is.
    pub(super) is_message: bool,
}

/// An event is larger than allowed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct TooLarge;

/// Decodes a stream. The data of an event that arrives in one piece and on one line is a slice of that piece.
#[derive(Debug)]
pub(super) struct Decoder {
    most: usize,
    ready: VecDeque<Event>,
    /// The beginning of a line whose end has not arrived.
    partial: BytesMut,
    after_return: bool,
    begun: bool,
    data: Data,
    other_name: bool,
    id: Option<Bytes>,
    last_id: Option<Bytes>,
    retry: Option<Duration>,
}

#[derive(Debug)]
enum Data {
    None,
    One(Bytes),
    Many(BytesMut),
}

impl Data {
    fn len(&self) -> usize {
        match self {
            Self::None => 0,
            Self::One(line) => line.len(),
            Self::Many(lines) => lines.len(),
        }
    }
}

impl Decoder {
    /// A decoder that takes events of at most `most` bytes.
    pub(super) fn new(most: usize) -> Self {
        Self {
            most,
            ready: VecDeque::new(),
            partial: BytesMut::new(),
            after_return: false,
            begun: false,
            data: Data::None,
            other_name: false,
            id: None,
            last_id: None,
            retry: None,
        }
    }

    /// Takes the next piece of the stream.
    pub(super) fn push(&mut self, mut chunk: Bytes) -> Result<(), TooLarge> {
        if !chunk.is_empty() && std::mem::take(&mut self.after_return) && chunk[0] == b'\n' {
            chunk = chunk.slice(1..);
        }
        let mut at = 0;
        while let Some(length) = memchr::memchr2(b'\r', b'\n', &chunk[at..]) {
            let end = at + length;
            if self.partial.is_empty() {
                self.line(chunk.slice(at..end))?;
            } else {
                self.fits(length)?;
                self.partial.extend_from_slice(&chunk[at..end]);
                let line = self.partial.split().freeze();
                self.line(line)?;
            }
            at = end + 1;
            if chunk[end] == b'\r' {
                match chunk.get(at) {
                    Some(b'\n') => at += 1,
                    Some(_) => {}
                    None => self.after_return = true,
                }
            }
        }
        self.fits(chunk.len() - at)?;
        self.partial.extend_from_slice(&chunk[at..]);
        Ok(())
    }

    fn fits(&self, more: usize) -> Result<(), TooLarge> {
        if self.partial.len() + self.data.len() + more > self.most { Err(TooLarge) } else { Ok(()) }
    }

    /// The next event that is complete.
    pub(super) fn next(&mut self) -> Option<Event> {
        self.ready.pop_front()
    }

    /// The stream ended in order: an event that only lacks its blank line counts as complete. The standard would drop it,
    /// but some servers close right after the last line, and half a message is found out when it is parsed.
    pub(super) fn end(&mut self) {
        if !self.partial.is_empty() {
            let line = self.partial.split().freeze();
            let _ = self.line(line);
        }
        self.dispatch();
    }

    /// The id of the last event that had one, with or without data: where a resumed stream goes on.
    pub(super) fn last_id(&self) -> Option<&Bytes> {
        self.last_id.as_ref().filter(|id| !id.is_empty())
    }

    /// How long to wait before resuming, where the server said so.
    pub(super) fn retry(&self) -> Option<Duration> {
        self.retry
    }

    fn line(&mut self, mut line: Bytes) -> Result<(), TooLarge> {
        if !self.begun {
            self.begun = true;
            if line.starts_with(b"\xef\xbb\xbf") {
                line = line.slice(3..);
            }
        }
        if line.is_empty() {
            self.dispatch();
            return Ok(());
        }
        let colon = memchr::memchr(b':', &line).unwrap_or(line.len());
        let mut start = (colon + 1).min(line.len());
        if line.get(start) == Some(&b' ') {
            start += 1;
        }
        match &line[..colon] {
            b"data" => self.append(line.slice(start..))?,
            b"event" => self.other_name = !matches!(&line[start..], b"" | b"message"),
            b"id" if line.len() - start <= MAX_ID && !line[start..].contains(&0) => {
                self.id = Some(Bytes::copy_from_slice(&line[start..]));
            }
            b"retry" => {
                let digits = std::str::from_utf8(&line[start..]).ok().filter(|t| t.bytes().all(|b| b.is_ascii_digit()));
                if let Some(retry) = digits.and_then(|t| t.parse().ok()) {
                    self.retry = Some(Duration::from_millis(retry));
                }
            }
            // A comment, or a field that nobody knows.
            _ => {}
        }
        Ok(())
    }

    fn append(&mut self, line: Bytes) -> Result<(), TooLarge> {
        self.fits(line.len() + 1)?;
        match &mut self.data {
            Data::None => self.data = Data::One(line),
            Data::One(first) => {
                let mut lines = BytesMut::with_capacity(first.len() + line.len() + 1);
                lines.extend_from_slice(first);
                lines.extend_from_slice(b"\n");
                lines.extend_from_slice(&line);
                self.data = Data::Many(lines);
            }
            Data::Many(lines) => {
                lines.extend_from_slice(b"\n");
                lines.extend_from_slice(&line);
            }
        }
        Ok(())
    }

    fn dispatch(&mut self) {
        if let Some(id) = self.id.take() {
            self.last_id = Some(id);
        }
        let data = match std::mem::replace(&mut self.data, Data::None) {
            Data::None => Bytes::new(),
            Data::One(line) => line,
            Data::Many(lines) => lines.freeze(),
        };
        let is_message = !std::mem::take(&mut self.other_name);
        // Without data it only carries an id: a place to resume from (MCP 2025-11-25, polling streams).
        if !data.is_empty() {
            self.ready.push_back(Event { data, is_message });
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn decode<'a>(pieces: impl IntoIterator<Item = &'a [u8]>) -> (Vec<Event>, Option<Bytes>, Option<Duration>) {
        let mut decoder = Decoder::new(1 << 20);
        for piece in pieces {
            decoder.push(Bytes::copy_from_slice(piece)).unwrap();
        }
        decoder.end();
        let events = std::iter::from_fn(|| decoder.next()).collect();
        (events, decoder.last_id().cloned(), decoder.retry())
    }

    fn texts(stream: &str) -> Vec<String> {
        decode([stream.as_bytes()]).0.into_iter().map(|e| String::from_utf8_lossy(&e.data).into_owned()).collect()
    }

    #[test]
    fn era_426_streams_are_read_as_the_standard_has_it() {
        for (stream, expected) in [
            ("data: a\n\n", vec!["a"]),
            ("data:a\r\n\r\ndata:  b\r\rdata\n\n", vec!["a", " b"]),
            ("\u{feff}data: a\n\n", vec!["a"]),
            ("\u{feff}\u{feff}data: a\n\n", vec![]),
            (": hello\n:\ndata: a\ndata:\ndata: b\n\n", vec!["a\n\nb"]),
            ("id: 1\ndata:\n\ndata: x\n\n", vec!["x"]),
            ("data: last", vec!["last"]),
            ("data: last\n", vec!["last"]),
            ("datax: a\n data: b\n\n", vec![]),
            ("foo\nevent: message\ndata: a\n\n\n\n", vec!["a"]),
            ("", vec![]),
        ] {
            assert_eq!(texts(stream), expected, "{stream:?}");
        }
    }

    #[test]
    fn names_ids_and_pauses_are_kept_apart() {
        let (events, id, retry) = decode([
            &b"event: endpoint\ndata: /x\n\nid: 7\nretry: 500\ndata: y\n\nid: a\0b\nretry: 5s\ndata: z\n\n"[..],
        ]);
        assert_eq!(events.iter().map(|e| e.is_message).collect::<Vec<_>>(), [false, true, true]);
        assert_eq!(id.as_deref(), Some(&b"7"[..]));
        assert_eq!(retry, Some(Duration::from_millis(500)));
        let (events, id, _) = decode([&b"id: 3\n\n"[..]]);
        assert!(events.is_empty());
        assert_eq!(id.as_deref(), Some(&b"3"[..]));
    }

    #[test]
    fn era_427_too_large_an_event_is_refused_before_it_is_kept() {
        for stream in
            ["data: 0123456789012345\n\n", "data: 01234\ndata: 56789\ndata: 0123\n\n", ": a comment without end"]
        {
            let mut decoder = Decoder::new(16);
            let pushed = stream.as_bytes().chunks(3).try_for_each(|c| decoder.push(Bytes::copy_from_slice(c)));
            assert_eq!(pushed, Err(TooLarge), "{stream:?}");
        }
        let mut decoder = Decoder::new(16);
        for _ in 0..100 {
            decoder.push(Bytes::from_static(b"data: 12345\n\n")).unwrap();
            assert!(decoder.next().is_some());
        }
    }

    #[test]
    fn one_line_in_one_piece_is_not_copied() {
        let piece = Bytes::from_static(b"data: {\"a\":1}\n\n");
        let mut decoder = Decoder::new(1024);
        decoder.push(piece.clone()).unwrap();
        assert_eq!(decoder.next().unwrap().data.as_ptr(), piece[6..].as_ptr());
    }

    proptest! {
        #[test]
        fn pieces_do_not_matter(
            lines in prop::collection::vec(
                prop_oneof!["data: ?[a-z\u{e9}]{0,6}", "id:[0-9]{0,2}", "event: ?(message|x)?", ":.{0,3}", "retry:[0-9]{1,3}", ""],
                0..24,
            ),
            ends in prop::collection::vec(prop_oneof![Just("\n"), Just("\r\n"), Just("\r")], 24),
            bom in any::<bool>(),
            cuts in prop::collection::vec(1usize..5, 0..80),
        ) {
            let mut stream = if bom { "\u{feff}".to_owned() } else { String::new() };
            for (line, end) in lines.iter().zip(&ends) {
                stream.push_str(line);
                stream.push_str(end);
            }
            let mut rest = stream.as_bytes();
            let mut pieces = Vec::new();
            for cut in cuts {
                let (piece, after) = rest.split_at(cut.min(rest.len()));
                pieces.push(piece);
                rest = after;
            }
            pieces.push(rest);
            prop_assert_eq!(decode(pieces), decode([stream.as_bytes()]));
        }
    }
}
