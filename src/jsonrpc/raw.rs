//! One JSON value, kept as the bytes it arrived in.

use std::borrow::Cow;

use bytes::Bytes;
use serde::{Serialize, de::DeserializeOwned};

use super::{
    RawObject,
    scan::{self, Outline, Place, ScanError, ScanLimits},
};

/// What a JSON value is, by its first byte.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// `{…}`
    Object,
    /// `[…]`
    Array,
    /// `"…"`
    String,
    /// A number.
    Number,
    /// `true` or `false`
    Bool,
    /// `null`
    Null,
}

/// One JSON value as text that has been scanned, without white space around it. Cloning shares the bytes.
///
/// ```
/// use rialto::jsonrpc::Raw;
/// use serde_json::json;
///
/// let value = Raw::of(&json!({ "city": "Venice", "bridges": 435 }));
/// assert_eq!(value.as_bytes(), br#"{"city":"Venice","bridges":435}"#);
///
/// let city = value.to_object().and_then(|object| object.get("city").cloned());
/// assert!(city.is_some_and(|city| city.is_text("Venice")));
/// ```
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Raw(Bytes);

impl Raw {
    /// Scans `bytes` and keeps them.
    ///
    /// # Errors
    /// What [`scan::scan`] finds.
    pub fn scan(bytes: Bytes, limits: ScanLimits) -> Result<Self, ScanError> {
        Self::outlined(&bytes, limits).map(|(value, _)| value)
    }

    /// The same, with the members of the object that it may be.
    pub(super) fn outlined(bytes: &Bytes, limits: ScanLimits) -> Result<(Self, Vec<Place>), ScanError> {
        let Outline { value, members } = scan::outline(bytes, limits)?;
        Ok((Self(bytes.slice(value)), members))
    }

    /// A part of a text that was scanned as a whole.
    pub(super) fn slice_of(whole: &Bytes, start: usize, end: usize) -> Self {
        Self(whole.slice(start..end))
    }

    /// The same value in memory of its own: without keeping the text it was a part of.
    #[must_use]
    pub fn detached(&self) -> Self {
        Self(Bytes::copy_from_slice(&self.0))
    }

    /// What `value` serialises to; `null` for what has no JSON form.
    #[must_use]
    pub fn of<T: Serialize + ?Sized>(value: &T) -> Self {
        serde_json::to_vec(value).map_or_else(|_| Self::null(), |text| Self(Bytes::from(text)))
    }

    /// A constant that is valid JSON; anything else becomes `null`.
    #[must_use]
    pub fn constant(text: &'static str) -> Self {
        Self::scan(Bytes::from_static(text.as_bytes()), ScanLimits::REQUEST).unwrap_or_else(|_| Self::null())
    }

    /// `null`
    #[must_use]
    pub const fn null() -> Self {
        Self(Bytes::from_static(b"null"))
    }

    /// Text that this crate has just written from scanned parts.
    pub(super) fn trusted(bytes: Bytes) -> Self {
        Self(bytes)
    }

    /// The bytes of the value.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// The bytes of the value, shared.
    #[must_use]
    pub fn bytes(&self) -> Bytes {
        self.0.clone()
    }

    /// What the value is.
    #[must_use]
    pub fn kind(&self) -> Kind {
        match self.0.first() {
            Some(b'{') => Kind::Object,
            Some(b'[') => Kind::Array,
            Some(b'"') => Kind::String,
            Some(b't' | b'f') => Kind::Bool,
            Some(b'n') | None => Kind::Null,
            Some(_) => Kind::Number,
        }
    }

    /// Whether the value is `null`.
    #[must_use]
    pub fn is_null(&self) -> bool {
        self.kind() == Kind::Null
    }

    /// The text of a string value, without quotes and escapes.
    #[must_use]
    pub fn as_text(&self) -> Option<Cow<'_, str>> {
        if self.kind() != Kind::String {
            return None;
        }
        match scan::unescape(self.0.get(1..self.0.len() - 1)?) {
            Cow::Borrowed(bytes) => std::str::from_utf8(bytes).ok().map(Cow::Borrowed),
            Cow::Owned(bytes) => String::from_utf8(bytes).ok().map(Cow::Owned),
        }
    }

    /// Whether the value is the string `text`.
    #[must_use]
    pub fn is_text(&self, text: &str) -> bool {
        self.as_text().is_some_and(|own| own == text)
    }

    /// The value of a boolean.
    #[must_use]
    pub fn as_bool(&self) -> Option<bool> {
        match &self.0[..] {
            b"true" => Some(true),
            b"false" => Some(false),
            _ => None,
        }
    }

    /// The members of an object value.
    #[must_use]
    pub fn to_object(&self) -> Option<RawObject> {
        (self.kind() == Kind::Object).then(|| RawObject::split(&self.0))
    }

    /// The elements of an array value.
    #[must_use]
    pub fn to_array(&self) -> Option<Vec<Self>> {
        if self.kind() != Kind::Array {
            return None;
        }
        let text = &self.0;
        let mut elements = Vec::new();
        let mut at = scan::skip_space(text, 1);
        while at < text.len() && text[at] != b']' {
            let end = scan::value_end(text, at);
            elements.push(Self::slice_of(text, at, end));
            at = scan::skip_space(text, end);
            if text.get(at) == Some(&b',') {
                at = scan::skip_space(text, at + 1);
            }
        }
        Some(elements)
    }

    /// Writes an array of `elements`.
    #[must_use]
    pub fn array(elements: &[Self]) -> Self {
        let mut text = Vec::with_capacity(2 + elements.iter().map(|e| e.0.len() + 1).sum::<usize>());
        text.push(b'[');
        for (n, element) in elements.iter().enumerate() {
            if n > 0 {
                text.push(b',');
            }
            text.extend_from_slice(&element.0);
        }
        text.push(b']');
        Self(Bytes::from(text))
    }

    /// Reads the value into `T`.
    ///
    /// # Errors
    /// When the value does not have that shape.
    pub fn parse<T: DeserializeOwned>(&self) -> serde_json::Result<T> {
        serde_json::from_slice(&self.0)
    }
}

impl std::fmt::Debug for Raw {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&String::from_utf8_lossy(&self.0))
    }
}

impl From<&str> for Raw {
    fn from(text: &str) -> Self {
        Self::of(text)
    }
}
