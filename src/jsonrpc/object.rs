//! A JSON object one level deep: keys and raw values, in the order they came.

use std::{borrow::Cow, ops::Range};

use bytes::Bytes;

use super::{
    Raw,
    scan::{self, Place},
};

/// A key with its quotes, as it was written.
#[derive(Clone)]
enum Key {
    /// A part of the text that the object was split from. Most keys are never looked at again, so they share nothing.
    Split(Range<usize>),
    /// Put in by us.
    Set(Bytes),
}

#[derive(Clone)]
struct Member {
    key: Key,
    /// Whether the key is spelled with escapes.
    is_escaped: bool,
    value: Raw,
}

impl Member {
    /// A member that we put in.
    fn new(name: &str, value: Raw) -> Self {
        let key = Raw::from(name).bytes();
        Self { is_escaped: memchr::memchr(b'\\', &key).is_some(), key: Key::Set(key), value }
    }

    fn key<'a>(&'a self, text: &'a [u8]) -> &'a [u8] {
        match &self.key {
            Key::Split(place) => &text[place.clone()],
            Key::Set(key) => key,
        }
    }

    /// The key without its quotes and escapes.
    fn name<'a>(&'a self, text: &'a [u8]) -> Cow<'a, [u8]> {
        let key = self.key(text);
        let inner = &key[1..key.len() - 1];
        if self.is_escaped { scan::unescape(inner) } else { Cow::Borrowed(inner) }
    }

    fn is(&self, text: &[u8], name: &str) -> bool {
        *self.name(text) == *name.as_bytes()
    }
}

/// An object split one level deep. It is edited by key; what nobody touches stays byte for byte, and an object that
/// nobody edited at all is written as it came.
///
/// ```
/// use rialto::jsonrpc::{Raw, RawObject};
///
/// let mut arguments = RawObject::from([("path", Raw::from("/etc/motd")), ("lines", Raw::of(&10))]);
/// if arguments.get("lines").is_some_and(|lines| lines.parse::<u32>().is_ok_and(|lines| lines > 5)) {
///     arguments.set("lines", Raw::of(&5));
/// }
/// arguments.remove("path");
/// assert_eq!(arguments.to_raw().as_bytes(), br#"{"lines":5}"#);
/// ```
#[derive(Clone, Default)]
pub struct RawObject {
    /// The text it came from; empty where there is none.
    text: Bytes,
    /// Whether it still is what the text says.
    untouched: bool,
    members: Vec<Member>,
}

impl RawObject {
    /// An object without members.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Splits a scanned text that is an object.
    pub(super) fn split(text: &Bytes) -> Self {
        Self::at(text, scan::members(text))
    }

    /// The object in a scanned text whose members stand at these places.
    pub(super) fn at(text: &Bytes, places: Vec<Place>) -> Self {
        let member = |Place { key, is_escaped, value }| Member {
            key: Key::Split(key),
            is_escaped,
            value: Raw::slice_of(text, value.start, value.end),
        };
        Self { text: text.clone(), untouched: true, members: places.into_iter().map(member).collect() }
    }

    /// The value at `name`.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&Raw> {
        self.members.iter().find(|m| m.is(&self.text, name)).map(|m| &m.value)
    }

    /// The object at `name`, split.
    #[must_use]
    pub fn get_object(&self, name: &str) -> Option<Self> {
        self.get(name).and_then(Raw::to_object)
    }

    /// Whether there is a member `name`.
    #[must_use]
    pub fn has(&self, name: &str) -> bool {
        self.members.iter().any(|m| m.is(&self.text, name))
    }

    /// Replaces the value at `name` where it stands, or adds it at the end.
    pub fn set(&mut self, name: &str, value: Raw) {
        self.untouched = false;
        match self.members.iter_mut().find(|m| m.is(&self.text, name)) {
            Some(member) => member.value = value,
            None => self.members.push(Member::new(name, value)),
        }
    }

    /// Takes the member `name` out.
    pub fn remove(&mut self, name: &str) -> Option<Raw> {
        let at = self.members.iter().position(|m| m.is(&self.text, name))?;
        self.untouched = false;
        Some(self.members.remove(at).value)
    }

    /// Keeps the members whose decoded name passes.
    pub fn retain(&mut self, mut keep: impl FnMut(&str) -> bool) {
        let before = self.members.len();
        let text = &self.text;
        self.members.retain(|m| std::str::from_utf8(&m.name(text)).map_or(true, &mut keep));
        if self.members.len() != before {
            self.untouched = false;
        }
    }

    /// The members in order, their names decoded.
    pub fn iter(&self) -> impl Iterator<Item = (Cow<'_, str>, &Raw)> {
        self.members.iter().map(|m| {
            let name = match m.name(&self.text) {
                Cow::Borrowed(bytes) => String::from_utf8_lossy(bytes),
                Cow::Owned(bytes) => String::from_utf8_lossy(&bytes).into_owned().into(),
            };
            (name, &m.value)
        })
    }

    /// How many members there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.members.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.members.is_empty()
    }

    /// The object as one value; the very bytes it came in when nothing was edited.
    #[must_use]
    pub fn to_raw(&self) -> Raw {
        if self.untouched {
            return Raw::trusted(self.text.clone());
        }
        let mut text = Vec::with_capacity(self.written_length());
        self.write(&mut text);
        Raw::trusted(Bytes::from(text))
    }

    /// Appends the object to `out`.
    pub fn write(&self, out: &mut Vec<u8>) {
        if self.untouched {
            out.extend_from_slice(&self.text);
            return;
        }
        out.push(b'{');
        for (n, member) in self.members.iter().enumerate() {
            if n > 0 {
                out.push(b',');
            }
            out.extend_from_slice(member.key(&self.text));
            out.push(b':');
            out.extend_from_slice(member.value.as_bytes());
        }
        out.push(b'}');
    }

    /// About how many bytes [`RawObject::write`] appends.
    #[must_use]
    pub fn written_length(&self) -> usize {
        if self.untouched {
            return self.text.len();
        }
        2 + self.members.iter().map(|m| m.key(&self.text).len() + m.value.as_bytes().len() + 2).sum::<usize>()
    }
}

impl std::fmt::Debug for RawObject {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.to_raw().fmt(f)
    }
}

impl PartialEq for RawObject {
    fn eq(&self, other: &Self) -> bool {
        self.to_raw() == other.to_raw()
    }
}

/// Takes members whose names differ; a name that comes twice stands twice.
impl FromIterator<(String, Raw)> for RawObject {
    fn from_iter<I: IntoIterator<Item = (String, Raw)>>(members: I) -> Self {
        let member = |(name, value): (String, Raw)| Member::new(&name, value);
        Self { members: members.into_iter().map(member).collect(), ..Self::default() }
    }
}

impl<const N: usize> From<[(&str, Raw); N]> for RawObject {
    fn from(members: [(&str, Raw); N]) -> Self {
        let members = members.into_iter().map(|(name, value)| Member::new(name, value)).collect();
        Self { members, ..Self::default() }
    }
}
