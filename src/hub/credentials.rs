//! What a client's own headers tell the server about who it is.

use std::sync::Arc;

use http::{HeaderName, HeaderValue};

use crate::protocol::headers;

/// The headers of a client that go on to the server with everything that is sent on its behalf: with its calls, and with
/// the handshakes, streams and notifications that its calls need. Callers whose headers differ in any of this share nothing
/// at the server and nothing that was learnt from it, whoever they are to the gateway.
///
/// Headers that name one request and say nothing about its sender, as those of a trace do, are not among them.
#[derive(Clone, Default, PartialEq, Eq, Hash)]
pub struct Credentials(Option<Arc<[(HeaderName, HeaderValue)]>>);

impl Credentials {
    /// Of a request with these headers, which the operator lets pass. Nothing in the result prints a value.
    #[must_use]
    pub fn of(forwarded: &[(HeaderName, HeaderValue)]) -> Self {
        let lasting = forwarded.iter().filter(|(name, _)| !headers::names_a_request(name));
        let own = lasting.map(|(name, value)| {
            let mut value = value.clone();
            value.set_sensitive(true);
            (name.clone(), value)
        });
        let own: Arc<[_]> = own.collect();
        Self((!own.is_empty()).then_some(own))
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_none()
    }

    /// The headers, in the order in which the operator names them.
    #[must_use]
    pub fn headers(&self) -> &[(HeaderName, HeaderValue)] {
        self.0.as_deref().unwrap_or_default()
    }
}

impl std::fmt::Debug for Credentials {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list().entries(self.headers().iter().map(|(name, _)| name)).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(headers: &[(&'static str, &'static str)]) -> Credentials {
        let headers: Vec<_> = headers
            .iter()
            .map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value)))
            .collect();
        Credentials::of(&headers)
    }

    #[test]
    fn every_value_counts_but_those_that_change_with_each_request() {
        let key = of(&[("x-api-key", "a"), ("traceparent", "1"), ("x-request-id", "7")]);
        assert_eq!(key, of(&[("x-api-key", "a"), ("traceparent", "2")]));
        assert_eq!(key.headers().len(), 1);
        for other in [&[("x-api-key", "b")][..], &[("x-tenant", "a")], &[("x-api-key", "a"), ("x-api-key", "b")], &[]] {
            assert_ne!(key, of(other), "{other:?}");
        }
        assert_eq!(of(&[("traceparent", "1")]), Credentials::default());
        assert!(!format!("{key:?}").contains("\"a\""));
    }
}
