//! A strict check of a JSON text before anything is read from it.
//!
//! `serde_json` lets through what gateways must not: duplicate keys inside raw values, lone surrogates, nesting of any
//! depth. Two parsers that disagree about such a text are how requests are smuggled past a policy, so one iterative
//! pass refuses them all and everybody after it may rely on the result.

mod walk;

use std::{borrow::Cow, collections::HashSet, ops::Range};

pub(super) use walk::{Place, members, plain_length, skip_space, unescape, value_end};

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
    outline(text, limits).map(drop)
}

/// Where the value of a text stands, and the members of the object that it may be.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Outline {
    /// The value without white space around it.
    pub(super) value: Range<usize>,
    /// In the order they come; none where the value is no object.
    pub(super) members: Vec<Place>,
}

/// The same as [`scan`], with what it saw on the way.
pub(super) fn outline(text: &[u8], limits: ScanLimits) -> Result<Outline, ScanError> {
    if let Err(e) = std::str::from_utf8(text) {
        return Err(ScanError::Syntax(e.valid_up_to()));
    }
    let (open, keys, members) = (Vec::with_capacity(8), Vec::with_capacity(16), Vec::with_capacity(4));
    let start = skip_space(text, 0);
    let mut scanner = Scanner { text, start, at: start, nodes: 0, limits, open, keys, members };
    let end = scanner.run()?;
    Ok(Outline { value: start..end, members: scanner.members })
}

/// Few enough keys to be compared one by one; above it a set pays.
const FEW_KEYS: usize = 12;

struct Frame<'a> {
    object: bool,
    /// Where the keys of this object begin in `Scanner::keys`.
    first_key: usize,
    many: Option<HashSet<Cow<'a, [u8]>>>,
}

struct Scanner<'a> {
    text: &'a [u8],
    start: usize,
    at: usize,
    nodes: usize,
    limits: ScanLimits,
    open: Vec<Frame<'a>>,
    /// The keys of the open objects, without quotes and escapes.
    keys: Vec<Cow<'a, [u8]>>,
    /// The members of the outermost value.
    members: Vec<Place>,
}

impl Scanner<'_> {
    /// Runs to the end of the text, and returns where the value ends.
    fn run(&mut self) -> Result<usize, ScanError> {
        'value: loop {
            self.space();
            if self.open.len() == 1
                && let Some(member) = self.members.last_mut()
            {
                member.value.start = self.at - self.start;
            }
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
                Some(b'"') => drop(self.string()?),
                Some(b't') => self.literal(b"true")?,
                Some(b'f') => self.literal(b"false")?,
                Some(b'n') => self.literal(b"null")?,
                Some(b'-' | b'0'..=b'9') => self.number()?,
                _ => return Err(ScanError::Syntax(self.at)),
            }
            // A value has ended: what follows it?
            loop {
                let end = self.at;
                if self.open.len() == 1
                    && let Some(member) = self.members.last_mut()
                {
                    member.value.end = end - self.start;
                }
                self.space();
                let Some(frame) = self.open.last() else {
                    return if self.at == self.text.len() { Ok(end) } else { Err(ScanError::Syntax(self.at)) };
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
        let start = self.at;
        let is_escaped = self.string()?;
        if self.open.len() <= self.limits.unique_depth {
            self.unique(start + 1..self.at - 1, is_escaped)?;
        }
        if self.open.len() == 1 {
            let key = start - self.start..self.at - self.start;
            self.members.push(Place { key, is_escaped, value: 0..0 });
        }
        self.space();
        if self.peek() != Some(b':') {
            return Err(ScanError::Syntax(self.at));
        }
        self.at += 1;
        Ok(())
    }

    fn unique(&mut self, key: Range<usize>, is_escaped: bool) -> Result<(), ScanError> {
        let Some(frame) = self.open.last_mut() else { return Ok(()) };
        let (text, start) = (self.text, key.start);
        let key = if is_escaped { unescape(&text[key]) } else { Cow::Borrowed(&text[key]) };
        if let Some(many) = &mut frame.many {
            return if many.insert(key) { Ok(()) } else { Err(ScanError::DuplicateKey(start)) };
        }
        let known = &self.keys[frame.first_key..];
        if known.contains(&key) {
            return Err(ScanError::DuplicateKey(start));
        }
        if known.len() < FEW_KEYS {
            self.keys.push(key);
        } else {
            frame.many = Some(self.keys.drain(frame.first_key..).chain([key]).collect());
        }
        Ok(())
    }

    /// Passes over a string, its quotes included, and returns whether there are escapes in it.
    fn string(&mut self) -> Result<bool, ScanError> {
        let mut is_escaped = false;
        self.at += 1;
        loop {
            self.at += plain_length(&self.text[self.at..]);
            match self.peek() {
                Some(b'"') => {
                    self.at += 1;
                    return Ok(is_escaped);
                }
                Some(b'\\') => {
                    is_escaped = true;
                    self.escape()?;
                }
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
