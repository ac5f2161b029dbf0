//! The one place where faults become problems.

use crate::{
    app::{
        problem::{Kind, Problem},
        schema::Violation,
    },
    hub::{Fault, GatewayFault, Reason},
    jsonrpc::{ErrorObject, Raw, RawObject, code},
};

/// What was asked for.
#[derive(Clone, Copy, Debug)]
pub(super) enum Wish<'a> {
    /// What a mount is, or what it lists.
    Mount,
    /// A tool's run, or a prompt filled in.
    Call,
    /// A resource's contents.
    Resource(&'a str),
}

/// A fault in the words of REST.
pub(super) fn problem(fault: &Fault, mount: &str, wish: Wish<'_>) -> Problem {
    match fault {
        Fault::Answered(error) => answered(error, mount, wish),
        Fault::Undeclared { .. } => answered(&fault.to_error(), mount, wish),
        Fault::Gateway(fault) => gateway(fault),
    }
}

/// Arguments that are not what a tool or prompt takes.
pub(super) fn invalid_arguments<P: AsRef<str>, D: AsRef<str>>(errors: impl IntoIterator<Item = (P, D)>) -> Problem {
    let errors: Vec<Raw> = errors
        .into_iter()
        .map(|(pointer, detail)| {
            RawObject::from([("pointer", Raw::from(pointer.as_ref())), ("detail", Raw::from(detail.as_ref()))]).to_raw()
        })
        .collect();
    let detail = "the arguments are not what the schema asks for; `errors` says where";
    Problem::new(Kind::InvalidArguments, detail).with("errors", Raw::array(&errors))
}

/// The same for what a check against the schema found.
pub(super) fn violations(violations: Vec<Violation>) -> Problem {
    invalid_arguments(violations.into_iter().map(|v| (v.pointer, v.detail)))
}

/// A tool that nobody lists.
pub(super) fn unknown_tool(mount: &str, tool: &str) -> Problem {
    let detail = format!("the mount lists no such tool; /api/mounts/{mount}/tools lists those there are");
    Problem::new(Kind::UnknownTool, detail).with("mount", Raw::from(mount)).with("tool", Raw::from(tool))
}

/// A prompt that nobody lists.
pub(super) fn unknown_prompt(mount: &str, prompt: &str) -> Problem {
    let detail = format!("the mount lists no such prompt; /api/mounts/{mount}/prompts lists those there are");
    Problem::new(Kind::UnknownPrompt, detail).with("mount", Raw::from(mount)).with("prompt", Raw::from(prompt))
}

/// A question that nobody can be asked.
pub(super) fn input_required() -> Problem {
    let detail = "the server wants to ask the user something before it goes on, which REST callers cannot be asked; \
        call it with an MCP client";
    Problem::new(Kind::InputRequired, detail)
}

fn answered(error: &ErrorObject, mount: &str, wish: Wish<'_>) -> Problem {
    let with_error = |kind| Problem::new(kind, error.message.clone()).with("error", error.to_raw());
    match (error.code, wish) {
        (code::MISSING_CAPABILITY | code::URL_ELICITATION_REQUIRED, _) => {
            input_required().with("error", error.to_raw())
        }
        (code::INVALID_PARAMS | code::LEGACY_RESOURCE_NOT_FOUND, Wish::Resource(uri)) => {
            with_error(Kind::UnknownResource).with("mount", Raw::from(mount)).with("uri", Raw::from(uri))
        }
        (code::INVALID_PARAMS, Wish::Call) => with_error(Kind::InvalidArguments),
        _ => with_error(Kind::UpstreamError),
    }
}

fn gateway(fault: &GatewayFault) -> Problem {
    let kind = match fault.reason {
        Reason::ConnectFailed
        | Reason::TlsFailed
        | Reason::UpstreamExited
        | Reason::UpstreamAuth
        | Reason::UpstreamVersion => Kind::UpstreamUnreachable,
        Reason::Timeout => Kind::UpstreamTimeout,
        Reason::StreamLost
        | Reason::SessionLost
        | Reason::SuspensionLost
        | Reason::UpstreamProtocol
        | Reason::UpstreamHttp
        | Reason::UpstreamHeaderMismatch
        | Reason::InputRoundsExceeded
        | Reason::Limit => Kind::UpstreamFailed,
        Reason::Busy => Kind::Busy,
        Reason::Policy => Kind::Refused,
        Reason::Internal => Kind::Internal,
    };
    let mut problem = Problem::new(kind, fault.to_string())
        .with("reason", Raw::from(fault.reason.as_str()))
        .with("retryable", Raw::of(&fault.retryable));
    if let Some(upstream) = &fault.upstream {
        problem = problem.with("upstream", Raw::from(&**upstream));
    }
    match fault.when_to_retry() {
        Some(time) => problem.retry_after(time),
        None => problem,
    }
}
