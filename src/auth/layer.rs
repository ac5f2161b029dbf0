//! The layer that asks every request for its key, before anything is read of it but its head.

use std::{
    convert::Infallible,
    future::{Ready, ready},
    sync::Arc,
    task::{Context, Poll},
};

use bytes::Bytes;
use futures_util::future::Either;
use http::{HeaderMap, Request, Response, Uri, header::AUTHORIZATION};
use tower::{Layer, Service};

use super::{
    access::Access,
    complaints::Complaints,
    credential::{self, Shown, X_API_KEY},
    doors::{Door, Doors},
    key::Auth,
    refusal::Refusal,
};

/// A tower layer that lets requests in by their keys. What it lets in carries an [`Access`] in its extensions, and no
/// credentials any more. Clones share everything.
#[derive(Clone, Debug)]
pub struct Authenticate {
    shared: Arc<Shared>,
}

/// A service behind [`Authenticate`].
#[derive(Clone, Debug)]
pub struct Authenticated<S> {
    shared: Arc<Shared>,
    inner: S,
}

#[derive(Debug)]
struct Shared {
    auth: Auth,
    doors: Doors,
    complaints: Complaints,
}

// === impl Authenticate ===

impl Authenticate {
    /// Asks for one of the keys of `auth`, as `doors` says.
    #[must_use]
    pub fn new(auth: Auth, doors: Doors) -> Self {
        Self { shared: Arc::new(Shared { auth, doors, complaints: Complaints::default() }) }
    }
}

impl<S> Layer<S> for Authenticate {
    type Service = Authenticated<S>;

    fn layer(&self, inner: S) -> Authenticated<S> {
        Authenticated { shared: self.shared.clone(), inner }
    }
}

// === impl Shared ===

impl Shared {
    /// Decides on a request head at a door.
    fn admit(&self, door: Door, uri: &Uri, headers: &HeaderMap) -> Result<Access, Refusal> {
        let refused = match credential::read(headers, uri, door == Door::Browser) {
            Ok(Shown::Key(key)) => match self.auth.find(&key) {
                Some(access) => return Ok(access.clone()),
                None => Refusal::WrongKey,
            },
            Ok(Shown::Unreadable) => Refusal::WrongKey,
            Ok(Shown::Nothing) => Refusal::NoKey,
            Err(malformed) => Refusal::Malformed(malformed),
        };
        if refused != Refusal::NoKey {
            self.complain(refused, uri);
        }
        match door {
            // A key that does not fit opens nothing more than none does, and nothing less: who watches over the health of
            // the process must not be told that it is dead because a key was changed.
            Door::Public => Ok(Access::nobody()),
            Door::Nowhere => Err(Refusal::Nowhere),
            Door::Key | Door::Browser => Err(refused),
        }
    }

    fn complain(&self, refused: Refusal, uri: &Uri) {
        const MOST: usize = 120;
        let Some(left_out) = self.complaints.next() else { return };
        // The path without its query, where a token may be.
        let path = uri.path().as_bytes();
        let path = path[..path.len().min(MOST)].escape_ascii();
        let what = match refused {
            Refusal::Malformed(_) => "credentials that cannot be a key",
            _ => "a key that is none of ours",
        };
        tracing::warn!(%path, left_out, "a request shows {what}");
    }
}

// === impl Authenticated ===

impl<S, B, R> Service<Request<B>> for Authenticated<S>
where
    S: Service<Request<B>, Response = Response<R>, Error = Infallible>,
    R: From<Bytes>,
{
    type Response = Response<R>;
    type Error = Infallible;
    type Future = Either<S::Future, Ready<Result<Response<R>, Infallible>>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, mut request: Request<B>) -> Self::Future {
        let door = self.shared.doors.of(request.uri().path()).to(request.method());
        match self.shared.admit(door, request.uri(), request.headers()) {
            Ok(access) => {
                let headers = request.headers_mut();
                headers.remove(AUTHORIZATION);
                headers.remove(X_API_KEY);
                request.extensions_mut().insert(access);
                Either::Left(self.inner.call(request))
            }
            // The body is dropped unread, however long it says it is.
            Err(refusal) => Either::Right(ready(Ok(refusal.answer(door == Door::Browser)))),
        }
    }
}

#[cfg(test)]
mod tests {
    use http::Method;

    use super::*;
    use crate::auth::{Key, fresh_key};

    /// A key opens the same door for every method, and a page's door takes a password for looking only.
    #[test]
    fn doors_open_by_method() {
        let looks = [Method::GET, Method::HEAD];
        let acts = [Method::POST, Method::PUT, Method::DELETE, Method::OPTIONS, Method::TRACE, Method::PATCH];
        for method in looks {
            assert_eq!(Door::Public.to(&method), Door::Public);
            assert_eq!(Door::Browser.to(&method), Door::Browser);
        }
        for method in acts {
            assert_eq!(Door::Public.to(&method), Door::Key);
            assert_eq!(Door::Browser.to(&method), Door::Key);
            assert_eq!(Door::Nowhere.to(&method), Door::Nowhere);
        }
    }

    #[test]
    fn who_is_let_in_is_known_at_every_door() {
        let key = fresh_key();
        let auth = Auth::keys([Key::new("ci", &key).unwrap()]).unwrap();
        let shared = Authenticate::new(auth, Doors::default()).shared;
        let uri = Uri::from_static("/readyz");
        let shown = |value: String| HeaderMap::from_iter([(X_API_KEY, value.parse().unwrap())]);
        for door in [Door::Public, Door::Key, Door::Browser, Door::Nowhere] {
            let access = shared.admit(door, &uri, &shown(key.clone())).unwrap();
            assert_eq!(access.principal().as_str(), "ci", "{door:?}");
        }
        let nobody = shared.admit(Door::Public, &uri, &shown(fresh_key())).unwrap();
        assert!(nobody.principal().is_anonymous() && !nobody.may_use("docs"));
    }
}
