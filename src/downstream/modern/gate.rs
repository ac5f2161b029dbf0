//! What a request has to pass before it becomes a call: the method, the extensions, the headers of the tool.

use std::sync::Arc;

use crate::{
    downstream::endpoint::Context,
    hub::{Caller, Description, Fault},
    jsonrpc::{ErrorObject, Raw, RawObject, code},
    protocol::{Era, Family, Method, headers::ToolHeaders, tasks},
};

use super::{envelope, refused::Refused};

/// What was learnt about a request on its way through.
#[derive(Default)]
pub(super) struct Admitted {
    /// The description of the mount, where it was needed.
    pub(super) description: Option<Arc<Description>>,
    /// The headers that the tool's callers mirror arguments in, for the call of a tool that is known.
    pub(super) tool: Option<Arc<ToolHeaders>>,
}

/// Lets a request pass.
pub(super) async fn admit(
    context: &Context<'_>,
    caller: &Arc<Caller>,
    method: &Method,
    params: &RawObject,
) -> Result<Admitted, Refused> {
    if !method.exists_in(Era::Modern) || method.as_str().starts_with("notifications/") {
        return Err(unknown(method));
    }
    if needs_tasks(method, params) && !caller.capabilities.extends(tasks::EXTENSION) {
        let missing = Raw::constant(r#"{"requiredCapabilities":{"extensions":{"io.modelcontextprotocol/tasks":{}}}}"#);
        let message = format!("the client did not declare `{}`", tasks::EXTENSION);
        let error = ErrorObject::new(code::MISSING_CAPABILITY, message);
        return Err(Refused::envelope(error.with_data(missing)));
    }
    let description = match method.family() {
        // A server of 2024-11-05 completes without saying so.
        None | Some(Family::Completions)
            if !matches!(method, Method::Discover | Method::Listen) && !method.is_about_tasks() =>
        {
            None
        }
        _ => Some(context.mount.describe(caller).await?),
    };
    if method.is_about_tasks() && !description.as_ref().is_some_and(|d| tasks::extended(&d.capabilities)) {
        return Err(unknown(method));
    }
    if let (Some(family), Some(description)) = (method.family(), &description)
        && !description.offers(family)
    {
        return Err(Refused::from(Fault::method_not_found(method.as_str())));
    }
    let tool = match method {
        Method::ToolsCall if context.is_mirrored => mirrored_arguments(context, caller, params).await?,
        _ => None,
    };
    Ok(Admitted { description, tool })
}

fn unknown(method: &Method) -> Refused {
    let mut error = Fault::method_not_found(method.as_str()).to_error();
    if *method == Method::Initialize {
        let supported = envelope::supported();
        error.message.push_str(". This revision has no handshake; served without one: ");
        error.message.push_str(&String::from_utf8_lossy(supported.as_bytes()));
        error = error.with_data(RawObject::from([("supported", supported)]).to_raw());
    }
    Refused::from(error)
}

fn needs_tasks(method: &Method, params: &RawObject) -> bool {
    match method {
        Method::TasksGet | Method::TasksUpdate | Method::TasksCancel => true,
        Method::Listen => params.get_object("notifications").is_some_and(|n| n.has("taskIds")),
        _ => false,
    }
}

/// A tool whose headers nobody can tell is not called: the check must not be passed by making the server unreachable. A tool
/// that nobody knows has none, and the server says so itself.
async fn mirrored_arguments(
    context: &Context<'_>,
    caller: &Arc<Caller>,
    params: &RawObject,
) -> Result<Option<Arc<ToolHeaders>>, Refused> {
    let Some(tool) = params.get("name").and_then(Raw::as_text) else { return Ok(None) };
    let expected = context.mount.tool_headers(caller, &tool).await?;
    if let Some(expected) = expected.as_ref().filter(|expected| !expected.is_empty()) {
        expected.check(context.headers, params.get_object("arguments").as_ref())?;
    }
    Ok(expected)
}
