//! The legacy era.

use std::sync::Arc;

use http::Response;

use crate::{hub::Mount, jsonrpc::Payload};

use super::{
    Body,
    endpoint::{Context, Settings},
    reply,
};

pub(super) struct Legacy;

impl Legacy {
    pub(super) fn new(_: &Arc<dyn Mount>, _: &Settings) -> Self {
        Self
    }

    pub(super) async fn post(&self, context: &Context<'_>, _: Payload) -> Response<Body> {
        let _ = (context.mount, context.settings, context.headers, context.accept, context.principal);
        reply::empty(http::StatusCode::NOT_IMPLEMENTED)
    }

    pub(super) fn get(&self, _: &Context<'_>) -> Response<Body> {
        reply::empty(http::StatusCode::NOT_IMPLEMENTED)
    }

    pub(super) fn delete(&self, _: &Context<'_>) -> Response<Body> {
        reply::empty(http::StatusCode::NOT_IMPLEMENTED)
    }
}
