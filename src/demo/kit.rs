//! What both servers of the demo need around the SDK.

use rmcp::{
    ErrorData, RoleServer,
    model::{
        CallToolRequestParams, CallToolResponse, CallToolResult, ContentBlock, PaginatedRequestParams, ProtocolVersion,
    },
    service::{RequestContext, ServerInitializeError},
};
use serde::{
    Deserialize, Deserializer, Serialize,
    de::{DeserializeOwned, Error},
};
use serde_json::{Number, Value};

/// How long a client may keep what changes only with the program, in milliseconds.
pub(super) const TTL_MS: u64 = 300_000;

/// Why a session with a server of the demo failed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ServeError {
    /// The client did not open the session as MCP asks for.
    #[error("the session could not be opened")]
    Opening(#[source] Box<ServerInitializeError>),
    /// The task that serves the session panicked or was aborted.
    #[error("the session ended unexpectedly")]
    Crashed(#[source] tokio::task::JoinError),
}

/// Whether the request is one of the modern era, where nothing may be asked by a request of the server's own.
pub(super) fn is_modern(context: &RequestContext<RoleServer>) -> bool {
    context.protocol_version().is_some_and(|revision| !revision.has_initialize())
}

/// Whether the client's revision has `resource_link`, which came with 2025-06-18.
pub(super) fn knows_links(context: &RequestContext<RoleServer>) -> bool {
    context.protocol_version().is_some_and(|revision| revision >= ProtocolVersion::V_2025_06_18)
}

/// Lists that fit on one page give out no cursors, so every cursor is one that this server never gave out.
pub(super) fn refuse_cursor(request: Option<&PaginatedRequestParams>) -> Result<(), ErrorData> {
    match request.and_then(|request| request.cursor.as_deref()) {
        None => Ok(()),
        Some(_) => {
            Err(ErrorData::invalid_params("unknown cursor: this list has one page, ask for it without a cursor", None))
        }
    }
}

/// Adds the caching hints of the modern era to a result that changes only with the program; legacy results have no such
/// fields.
macro_rules! cacheable {
    ($result:expr, $context:expr) => {
        if crate::demo::kit::is_modern(&$context) {
            $result.with_ttl_ms(crate::demo::kit::TTL_MS).with_cache_scope(rmcp::model::CacheScope::Public)
        } else {
            $result
        }
    };
}

pub(super) use cacheable;

/// A result with the value both as structured content and, for older clients, as JSON text.
pub(super) fn structured(value: &impl Serialize) -> Result<CallToolResponse, ErrorData> {
    Ok(structured_result(value)?.into())
}

/// The same as a result that more can be added to.
pub(super) fn structured_result(value: &impl Serialize) -> Result<CallToolResult, ErrorData> {
    let value = serde_json::to_value(value).map_err(|error| ErrorData::internal_error(error.to_string(), None))?;
    Ok(CallToolResult::structured(value))
}

/// A result that tells the model what it did wrong.
pub(super) fn refusal(message: impl Into<String>) -> CallToolResult {
    CallToolResult::error(vec![ContentBlock::text(message)])
}

/// The arguments of a call, or what is wrong with them.
pub(super) fn arguments<T: DeserializeOwned>(request: &CallToolRequestParams) -> Result<T, String> {
    let arguments = Value::Object(request.arguments.clone().unwrap_or_default());
    serde_json::from_value(arguments).map_err(|error| format!("wrong arguments for `{}`: {error}", request.name))
}

/// A whole number. JSON Schema counts `5.0` among them, and some clients write them so; what has a fraction is refused.
pub(super) fn whole<'de, D: Deserializer<'de>, T: TryFrom<i64>>(deserializer: D) -> Result<T, D::Error> {
    /// Up to here every whole number is exact as a floating point number.
    const EXACT: f64 = 9_007_199_254_740_992.0;

    let number = Number::deserialize(deserializer)?;
    let fractionless = |f: &f64| f.fract() == 0.0 && f.abs() <= EXACT;
    let whole = number.as_i64().or_else(|| number.as_f64().filter(fractionless).map(|f| f as i64));
    let whole = whole.and_then(|whole| T::try_from(whole).ok());
    whole.ok_or_else(|| D::Error::custom(format_args!("{number} is not a whole number within the bounds")))
}

/// Values that begin with what was typed, then those that have it somewhere else.
pub(super) fn best_first<T: AsRef<str>>(values: Vec<T>, typed: &str) -> Vec<T> {
    let typed = typed.trim().to_lowercase();
    let containing = values.into_iter().filter(|value| value.as_ref().contains(&typed));
    let (mut first, rest): (Vec<_>, Vec<_>) = containing.partition(|value| value.as_ref().starts_with(&typed));
    first.extend(rest);
    first
}
