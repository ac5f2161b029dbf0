//! The modern era.

use std::sync::Arc;

use http::Response;

use crate::{hub::Mount, jsonrpc::Message};

use super::{
    Body,
    endpoint::{Context, Settings},
    reply,
};

pub(super) struct Modern;

impl Modern {
    pub(super) fn new(_: &Arc<dyn Mount>, _: &Settings) -> Self {
        Self
    }

    pub(super) async fn post(&self, context: &Context<'_>, _: Message) -> Response<Body> {
        let _ = (context.mount, context.settings, context.headers, context.accept, context.principal);
        reply::empty(http::StatusCode::NOT_IMPLEMENTED)
    }
}
