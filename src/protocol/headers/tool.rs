//! The headers of one tool: its arguments, mirrored.

use http::{HeaderMap, HeaderName, HeaderValue};

use crate::jsonrpc::{Kind, Raw, RawObject};

use super::{
    Mismatch,
    annotations::{Annotation, Scalar},
    encoding::{decode_value, header_value},
    standard::only,
};

/// The largest integer that every implementation reads exactly, 2^53 − 1.
const MAX_SAFE: f64 = 9_007_199_254_740_991.0;

/// The arguments of one tool that are mirrored in `Mcp-Param-*` headers, as its input schema annotates them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ToolHeaders(Vec<Annotation>);

impl ToolHeaders {
    pub(super) fn of(annotations: Vec<Annotation>) -> Self {
        Self(annotations)
    }

    /// Whether no argument is mirrored.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether one of the arguments is mirrored in this header.
    #[must_use]
    pub fn mirrors(&self, header: &HeaderName) -> bool {
        self.0.iter().any(|annotation| annotation.header == *header)
    }

    /// The headers of a call with these arguments. What is absent or null has none, nor has what no header can hold.
    #[must_use]
    pub fn encode(&self, arguments: &RawObject) -> Vec<(HeaderName, HeaderValue)> {
        let header = |annotation: &Annotation| {
            let value = annotation.value(arguments)?;
            let text = match (value.kind(), integer(&value)) {
                (Kind::String, _) => header_value(&value.as_text()?),
                (Kind::Number, Some(n)) if annotation.scalar == Scalar::Integer => header_value(&n.to_string()),
                (Kind::Number | Kind::Bool, _) => header_value(std::str::from_utf8(value.as_bytes()).ok()?),
                _ => return None,
            };
            Some((annotation.header.clone(), text))
        };
        self.0.iter().filter_map(header).collect()
    }

    /// Checks the headers of a client's call against its arguments. Headers that no annotation names are not looked at.
    ///
    /// # Errors
    /// The first header that is missing, unexpected, repeated, malformed or different.
    pub fn check(&self, headers: &HeaderMap, arguments: Option<&RawObject>) -> Result<(), Mismatch> {
        self.0.iter().try_for_each(|annotation| annotation.check(headers, arguments))
    }
}

impl Annotation {
    /// The annotated value; what is null counts as absent.
    fn value(&self, arguments: &RawObject) -> Option<Raw> {
        let (first, rest) = self.path.split_first()?;
        let mut value = arguments.get(first)?.clone();
        for name in rest {
            value = value.to_object()?.get(name)?.clone();
        }
        (!value.is_null()).then_some(value)
    }

    fn check(&self, headers: &HeaderMap, arguments: Option<&RawObject>) -> Result<(), Mismatch> {
        let header = only(headers, &self.header)?;
        let argument = arguments.and_then(|arguments| self.value(arguments));
        let (header, argument) = match (header, argument) {
            (Some(header), Some(argument)) => (header, argument),
            (None, None) => return Ok(()),
            // The argument is not what the schema says and no header can hold it: the server refuses it for that.
            (None, Some(argument)) if matches!(argument.kind(), Kind::Object | Kind::Array) => return Ok(()),
            (None, Some(_)) => return Err(Mismatch::Missing(self.header.clone())),
            (Some(_), None) => return Err(Mismatch::Unexpected(self.header.clone())),
        };
        let text = decode_value(header.as_bytes()).map_err(|_| Mismatch::Malformed(self.header.clone()))?;
        if self.agree(&text, &argument) { Ok(()) } else { Err(Mismatch::Differs(self.header.clone())) }
    }

    fn agree(&self, header: &str, argument: &Raw) -> bool {
        match argument.kind() {
            Kind::String => argument.is_text(header),
            Kind::Number if self.scalar == Scalar::Integer => {
                let number = serde_json::from_str(header).ok().and_then(whole);
                argument.as_bytes() == header.as_bytes() || (number.is_some() && number == integer(argument))
            }
            Kind::Number | Kind::Bool => argument.as_bytes() == header.as_bytes(),
            _ => false,
        }
    }
}

/// The integer that a JSON number is, however it is spelled.
fn integer(value: &Raw) -> Option<i64> {
    value.parse().ok().and_then(whole)
}

#[expect(clippy::cast_possible_truncation, reason = "within the bounds checked here every whole double is an i64")]
fn whole(number: f64) -> Option<i64> {
    (number.fract() == 0.0 && number.abs() <= MAX_SAFE).then_some(number as i64)
}
