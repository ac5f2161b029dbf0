//! A strict check of a JSON text before anything is read from it.
//!
//! `serde_json` lets through what gateways must not: duplicate keys inside raw values, lone surrogates, nesting of any
//! depth. Two parsers that disagree about such a text are how requests are smuggled past a policy, so one iterative
//! pass refuses them all and everybody after it may rely on the result.

use std::{borrow::Cow, collections::HashSet};

/// How much a text may hold, and where a repeated key is an error.
#[derive(Clone, Copy, Debug)]
pub struct ScanLimits {
    /// The deepest nesting of arrays and objects.
    pub depth: usize,
    /// The number of values, counting every scalar, array and object.
    pub nodes: usize,
    /// Objects nested at most this deep may not repeat a key (1 is the outermost object).
    pub unique_depth: usize,
}

impl ScanLimits {
    /// For what a client sends: everything is checked.
    pub const REQUEST: Self = Self { depth: 64, nodes: 200_000, unique_depth: usize::MAX };
    /// For what a server answers: the envelope and the top level of the result are checked for repeated keys.
    pub const ANSWER: Self = Self { depth: 128, nodes: 10_000_000, unique_depth: 2 };
}

/// Why a text was refused. The offset is in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ScanError {
    /// Not UTF-8, or not JSON as RFC 8259 has it.
    #[error("not valid JSON at byte {0}")]
    Syntax(usize),
    /// `\ud800` without its other half: stacks disagree about what it means.
    #[error("a lone surrogate at byte {0}")]
    LoneSurrogate(usize),
    /// Nested deeper than the limit.
    #[error("nested too deeply at byte {0}")]
    TooDeep(usize),
    /// More values than the limit.
    #[error("too many values")]
    TooManyNodes,
    /// A key that its object already has.
    #[error("a repeated key at byte {0}")]
    DuplicateKey(usize),
}

impl ScanError {
    /// Whether the text is no JSON at all, rather than JSON that is not accepted.
    #[must_use]
    pub fn is_syntax(self) -> bool {
        matches!(self, Self::Syntax(_) | Self::LoneSurrogate(_))
    }
}

/// Checks one JSON text, white space around it allowed.
///
/// # Errors
/// The first thing that is wrong, with its place.
pub fn scan(text: &[u8], limits: ScanLimits) -> Result<(), ScanError> {
    if let Err(e) = std::str::from_utf8(text) {
        return Err(ScanError::Syntax(e.valid_up_to()));
    }
    let mut scanner =
        Scanner { text, at: 0, nodes: 0, limits, open: Vec::with_capacity(8), keys: Vec::with_capacity(16) };
    scanner.run()
}

/// Few enough keys to be compared one by one; above it a set pays.
const FEW_KEYS: usize = 12;

struct Frame {
    object: bool,
    /// Where the keys of this object begin in `Scanner::keys`.
    first_key: usize,
    many: Option<HashSet<Vec<u8>>>,
}

struct Scanner<'a> {
    text: &'a [u8],
    at: usize,
    nodes: usize,
    limits: ScanLimits,
    open: Vec<Frame>,
    /// Where the keys of the open objects begin and end, without their quotes.
    keys: Vec<(usize, usize)>,
}

impl Scanner<'_> {
    fn run(&mut self) -> Result<(), ScanError> {
        'value: loop {
            self.space();
            self.nodes += 1;
            if self.nodes > self.limits.nodes {
                return Err(ScanError::TooManyNodes);
            }
            match self.peek() {
                Some(b'{') => {
                    self.enter(true)?;
                    self.space();
                    if self.peek() == Some(b'}') {
                        self.at += 1;
                        self.leave();
                    } else {
                        self.key()?;
                        continue 'value;
                    }
                }
                Some(b'[') => {
                    self.enter(false)?;
                    self.space();
                    if self.peek() == Some(b']') {
                        self.at += 1;
                        self.leave();
                    } else {
                        continue 'value;
                    }
                }
                Some(b'"') => {
                    self.string()?;
                }
                Some(b't') => self.literal(b"true")?,
                Some(b'f') => self.literal(b"false")?,
                Some(b'n') => self.literal(b"null")?,
                Some(b'-' | b'0'..=b'9') => self.number()?,
                _ => return Err(ScanError::Syntax(self.at)),
            }
            // A value has ended: what follows it?
            loop {
                self.space();
                let Some(frame) = self.open.last() else {
                    return if self.at == self.text.len() { Ok(()) } else { Err(ScanError::Syntax(self.at)) };
                };
                match (self.peek(), frame.object) {
                    (Some(b','), object) => {
                        self.at += 1;
                        if object {
                            self.space();
                            self.key()?;
                        }
                        continue 'value;
                    }
                    (Some(b'}'), true) | (Some(b']'), false) => {
                        self.at += 1;
                        self.leave();
                    }
                    _ => return Err(ScanError::Syntax(self.at)),
                }
            }
        }
    }

    fn peek(&self) -> Option<u8> {
        self.text.get(self.at).copied()
    }

    fn space(&mut self) {
        while matches!(self.peek(), Some(b' ' | b'\t' | b'\n' | b'\r')) {
            self.at += 1;
        }
    }

    fn enter(&mut self, object: bool) -> Result<(), ScanError> {
        if self.open.len() >= self.limits.depth {
            return Err(ScanError::TooDeep(self.at));
        }
        self.open.push(Frame { object, first_key: self.keys.len(), many: None });
        self.at += 1;
        Ok(())
    }

    fn leave(&mut self) {
        if let Some(frame) = self.open.pop() {
            self.keys.truncate(frame.first_key);
        }
    }

    fn key(&mut self) -> Result<(), ScanError> {
        if self.peek() != Some(b'"') {
            return Err(ScanError::Syntax(self.at));
        }
        let start = self.at + 1;
        self.string()?;
        let end = self.at - 1;
        if self.open.len() <= self.limits.unique_depth {
            self.unique(start, end)?;
        }
        self.space();
        if self.peek() != Some(b':') {
            return Err(ScanError::Syntax(self.at));
        }
        self.at += 1;
        Ok(())
    }

    fn unique(&mut self, start: usize, end: usize) -> Result<(), ScanError> {
        let text = self.text;
        let Some(frame) = self.open.last_mut() else { return Ok(()) };
        let key = unescape(&text[start..end]);
        if let Some(many) = &mut frame.many {
            return if many.insert(key.into_owned()) { Ok(()) } else { Err(ScanError::DuplicateKey(start)) };
        }
        let known = &self.keys[frame.first_key..];
        if known.iter().any(|&(s, e)| unescape(&text[s..e]) == key) {
            return Err(ScanError::DuplicateKey(start));
        }
        if known.len() >= FEW_KEYS {
            let mut many: HashSet<Vec<u8>> = known.iter().map(|&(s, e)| unescape(&text[s..e]).into_owned()).collect();
            many.insert(key.into_owned());
            frame.many = Some(many);
        }
        self.keys.push((start, end));
        Ok(())
    }

    /// Passes over a string, its quotes included.
    fn string(&mut self) -> Result<(), ScanError> {
        self.at += 1;
        loop {
            self.at += plain_length(&self.text[self.at..]);
            match self.peek() {
                Some(b'"') => {
                    self.at += 1;
                    return Ok(());
                }
                Some(b'\\') => self.escape()?,
                _ => return Err(ScanError::Syntax(self.at)),
            }
        }
    }

    fn escape(&mut self) -> Result<(), ScanError> {
        let start = self.at;
        match self.text.get(self.at + 1) {
            Some(b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't') => {
                self.at += 2;
                Ok(())
            }
            Some(b'u') => {
                let first = self.hex(start + 2)?;
                self.at += 6;
                match first {
                    0xD800..=0xDBFF => {
                        if self.text.get(self.at..self.at + 2) != Some(b"\\u") {
                            return Err(ScanError::LoneSurrogate(start));
                        }
                        let second = self.hex(self.at + 2)?;
                        if !(0xDC00..=0xDFFF).contains(&second) {
                            return Err(ScanError::LoneSurrogate(start));
                        }
                        self.at += 6;
                        Ok(())
                    }
                    0xDC00..=0xDFFF => Err(ScanError::LoneSurrogate(start)),
                    _ => Ok(()),
                }
            }
            _ => Err(ScanError::Syntax(start)),
        }
    }

    fn hex(&self, at: usize) -> Result<u32, ScanError> {
        let digits = self.text.get(at..at + 4).ok_or(ScanError::Syntax(at))?;
        digits.iter().try_fold(0, |value, &digit| {
            char::from(digit).to_digit(16).map(|d| value * 16 + d).ok_or(ScanError::Syntax(at))
        })
    }

    fn literal(&mut self, word: &[u8]) -> Result<(), ScanError> {
        if self.text[self.at..].starts_with(word) {
            self.at += word.len();
            Ok(())
        } else {
            Err(ScanError::Syntax(self.at))
        }
    }

    fn number(&mut self) -> Result<(), ScanError> {
        if self.peek() == Some(b'-') {
            self.at += 1;
        }
        match self.peek() {
            Some(b'0') => self.at += 1,
            Some(b'1'..=b'9') => self.digits()?,
            _ => return Err(ScanError::Syntax(self.at)),
        }
        if self.peek() == Some(b'.') {
            self.at += 1;
            self.digits()?;
        }
        if matches!(self.peek(), Some(b'e' | b'E')) {
            self.at += 1;
            if matches!(self.peek(), Some(b'+' | b'-')) {
                self.at += 1;
            }
            self.digits()?;
        }
        Ok(())
    }

    fn digits(&mut self) -> Result<(), ScanError> {
        let start = self.at;
        while matches!(self.peek(), Some(b'0'..=b'9')) {
            self.at += 1;
        }
        if self.at == start { Err(ScanError::Syntax(start)) } else { Ok(()) }
    }
}

/// The text of a string without its escapes. Works on text that was scanned; anything else is returned as it is.
pub(super) fn unescape(inner: &[u8]) -> Cow<'_, [u8]> {
    if memchr::memchr(b'\\', inner).is_none() {
        return Cow::Borrowed(inner);
    }
    let mut quoted = Vec::with_capacity(inner.len() + 2);
    quoted.push(b'"');
    quoted.extend_from_slice(inner);
    quoted.push(b'"');
    match serde_json::from_slice::<String>(&quoted) {
        Ok(text) => Cow::Owned(text.into_bytes()),
        Err(_) => Cow::Borrowed(inner),
    }
}

/// How many bytes of a string are looked at word by word before it counts as long.
const SHORT: usize = 32;
/// How many bytes of a long string are looked at together.
const WIDE: usize = 64;

/// How many bytes from the start need no attention inside a string: no quote, no backslash, no control character.
pub(super) fn plain_length(text: &[u8]) -> usize {
    let (start, rest) = text.split_at(text.len().min(SHORT));
    let at = plain_words(start);
    if at < start.len() || rest.is_empty() {
        return at;
    }
    // In wide steps, which the compiler turns into vector instructions.
    let wide = rest
        .chunks_exact(WIDE)
        .take_while(|chunk| !chunk.iter().fold(false, |hit, &b| hit | (b < 0x20) | (b == b'"') | (b == b'\\')));
    let at = SHORT + wide.count() * WIDE;
    at + plain_words(&text[at..])
}

/// The same, eight bytes at a time.
fn plain_words(text: &[u8]) -> usize {
    const ONES: u64 = u64::from_ne_bytes([1; 8]);
    const HIGH: u64 = ONES << 7;
    let mut at = 0;
    let mut chunks = text.chunks_exact(8);
    for chunk in &mut chunks {
        let mut word = [0; 8];
        word.copy_from_slice(chunk);
        let word = u64::from_le_bytes(word);
        let quote = word ^ (ONES * u64::from(b'"'));
        let slash = word ^ (ONES * u64::from(b'\\'));
        // The classic "has a byte less than n" trick, exact for its lowest hit.
        let hits = (word.wrapping_sub(ONES * 0x20) & !word
            | quote.wrapping_sub(ONES) & !quote
            | slash.wrapping_sub(ONES) & !slash)
            & HIGH;
        if hits != 0 {
            return at + (hits.trailing_zeros() / 8) as usize;
        }
        at += 8;
    }
    at + chunks.remainder().iter().take_while(|&&b| b >= 0x20 && b != b'"' && b != b'\\').count()
}

/// Where the value that begins at `at` ends. The text must have been scanned.
pub(super) fn value_end(text: &[u8], at: usize) -> usize {
    let mut depth = 0_usize;
    let mut at = at;
    while let Some(&byte) = text.get(at) {
        match byte {
            b'"' => {
                at = string_end(text, at);
                if depth == 0 {
                    return at;
                }
                continue;
            }
            b'{' | b'[' => depth += 1,
            b'}' | b']' => {
                depth = depth.saturating_sub(1);
                if depth == 0 {
                    return at + 1;
                }
            }
            _ if depth == 0 => {
                let rest = &text[at..];
                return at
                    + rest
                        .iter()
                        .position(|b| matches!(b, b',' | b'}' | b']' | b':' | b' ' | b'\t' | b'\n' | b'\r'))
                        .unwrap_or(rest.len());
            }
            _ => {}
        }
        at += 1;
    }
    text.len()
}

/// Where the string that begins with the quote at `at` ends, its closing quote included.
pub(super) fn string_end(text: &[u8], at: usize) -> usize {
    let mut at = at + 1;
    while at < text.len() {
        at += plain_length(&text[at..]);
        match text.get(at) {
            Some(b'"') => return at + 1,
            Some(b'\\') => at += 2,
            Some(_) => at += 1,
            None => break,
        }
    }
    text.len()
}

/// The first byte at or after `at` that is not white space.
pub(super) fn skip_space(text: &[u8], mut at: usize) -> usize {
    while matches!(text.get(at), Some(b' ' | b'\t' | b'\n' | b'\r')) {
        at += 1;
    }
    at
}
