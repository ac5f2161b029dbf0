//! An endpoint has no paths below it.

use std::{
    convert::Infallible,
    task::{Context, Poll},
};

use axum::{body::Body, extract::OriginalUri};
use futures_util::future::{Either, Ready, ready};
use http::{Request, Response, StatusCode};
use tower::Service;

/// A service that answers at the root of its path, and nowhere below it.
#[derive(Clone)]
pub(super) struct AtRoot<S>(pub(super) S);

impl<S> Service<Request<Body>> for AtRoot<S>
where
    S: Service<Request<Body>, Response = Response<Body>, Error = Infallible>,
{
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Either<Ready<Result<Response<Body>, Infallible>>, S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.0.poll_ready(cx)
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        // axum takes two slashes for one where it strips the path of what is nested.
        let is_doubled = request.extensions().get::<OriginalUri>().is_some_and(|uri| uri.0.path().ends_with("//"));
        if matches!(request.uri().path(), "" | "/") && !is_doubled {
            return Either::Right(self.0.call(request));
        }
        let mut response = Response::new(Body::from("there is nothing below an MCP endpoint\n"));
        *response.status_mut() = StatusCode::NOT_FOUND;
        Either::Left(ready(Ok(response)))
    }
}
