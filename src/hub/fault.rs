//! What can go wrong with a call. Layers return faults; only the downstream edge turns them into words on the wire.

use std::{sync::Arc, time::Duration};

use crate::jsonrpc::{ErrorObject, Raw, RawObject, code};

/// Why a call has no outcome.
#[derive(Clone, Debug, thiserror::Error)]
pub enum Fault {
    /// The server answered with an error, or the gateway answers with one the protocol defines.
    #[error("{0}")]
    Answered(ErrorObject),
    /// The server asked for something that the client never declared, was refused, and answered with an error.
    #[error("{cause}")]
    Undeclared {
        /// What the client would have had to declare, as an object of capabilities.
        required: Raw,
        /// What the server answered.
        cause: ErrorObject,
    },
    /// Something failed between the client and the server.
    #[error("{0}")]
    Gateway(GatewayFault),
}

/// What failed between client and server.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{}{message}", upstream.as_deref().map(|u| format!("upstream `{u}`: ")).unwrap_or_default())]
pub struct GatewayFault {
    /// The kind of failure, stable for programs.
    pub reason: Reason,
    /// The server concerned.
    pub upstream: Option<Arc<str>>,
    /// What happened, for people. Never holds addresses, paths or text of third parties.
    pub message: String,
    /// After which time trying again makes sense, where it is known.
    pub retry_after: Option<Duration>,
    /// Whether the same call may succeed later, without harm from an earlier run.
    pub retryable: bool,
    /// The status of the server's answer, where that is what went wrong.
    pub status: Option<u16>,
    /// Anything a program may want to know beside it.
    pub cause: Option<Raw>,
}

macro_rules! reasons {
    ($($(#[$doc:meta])* $name:ident = $text:literal, retryable $retryable:literal;)*) => {
        /// The kinds of failure, as `data.reason` names them.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum Reason { $($(#[$doc])* $name,)* }

        impl Reason {
            /// All of them.
            pub const ALL: &[Self] = &[$(Self::$name,)*];

            /// The word on the wire.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$name => $text,)* }
            }

            /// Whether the same call may succeed later, without harm from an earlier run, as far as the kind of failure tells.
            #[must_use]
            pub const fn is_retryable(self) -> bool {
                match self { $(Self::$name => $retryable,)* }
            }
        }
    };
}

reasons! {
    /// No connection, or the program could not be started.
    ConnectFailed = "connect_failed", retryable true;
    /// No TLS.
    TlsFailed = "tls_failed", retryable true;
    /// No answer in time.
    Timeout = "timeout", retryable false;
    /// The stream ended before the answer came.
    StreamLost = "stream_lost", retryable true;
    /// The server forgot the session while the call ran.
    SessionLost = "session_lost", retryable true;
    /// The parked call is gone.
    SuspensionLost = "suspension_lost", retryable true;
    /// The server broke the protocol.
    UpstreamProtocol = "upstream_protocol", retryable false;
    /// The server answered with an HTTP error.
    UpstreamHttp = "upstream_http", retryable true;
    /// The server's process ended.
    UpstreamExited = "upstream_exited", retryable true;
    /// The server does not accept our credentials.
    UpstreamAuth = "upstream_auth", retryable false;
    /// No revision in common.
    UpstreamVersion = "upstream_version", retryable false;
    /// The server disputes the headers.
    UpstreamHeaderMismatch = "upstream_header_mismatch", retryable false;
    /// The server asks and asks.
    InputRoundsExceeded = "input_rounds_exceeded", retryable false;
    /// Too much at once.
    Busy = "busy", retryable true;
    /// The operator does not allow it.
    Policy = "policy", retryable false;
    /// Larger than allowed.
    Limit = "limit", retryable false;
    /// A defect of the gateway.
    Internal = "internal", retryable false;
}

impl GatewayFault {
    /// After which time trying again makes sense: where nothing better is known, a second after there was too much at once.
    #[must_use]
    pub fn when_to_retry(&self) -> Option<Duration> {
        self.retry_after.or((self.reason == Reason::Busy).then_some(Duration::from_secs(1)))
    }

    /// A fault that concerns no server, and of which nothing is known but this.
    #[must_use]
    pub fn new(reason: Reason, message: impl Into<String>) -> Self {
        let (message, retryable) = (message.into(), reason.is_retryable());
        Self { reason, upstream: None, message, retry_after: None, retryable, status: None, cause: None }
    }
}

impl Fault {
    /// A gateway fault at an upstream.
    pub fn upstream(reason: Reason, upstream: &Arc<str>, message: impl Into<String>) -> Self {
        Self::Gateway(GatewayFault { upstream: Some(upstream.clone()), ..GatewayFault::new(reason, message) })
    }

    /// A gateway fault that concerns no upstream.
    pub fn gateway(reason: Reason, message: impl Into<String>) -> Self {
        Self::Gateway(GatewayFault::new(reason, message))
    }

    /// The same fault where it is known that the server has run nothing.
    #[must_use]
    pub fn before_anything_ran(mut self) -> Self {
        if let Self::Gateway(fault) = &mut self {
            fault.retryable = true;
        }
        self
    }

    /// An error that the protocol defines.
    pub fn error(code: i64, message: impl Into<String>) -> Self {
        Self::Answered(ErrorObject::new(code, message))
    }

    /// The operator of the gateway does not allow it: a [`Reason::Policy`] with these words for the client.
    pub fn refused(message: impl Into<String>) -> Self {
        Self::gateway(Reason::Policy, message)
    }

    /// No such method.
    #[must_use]
    pub fn method_not_found(method: &str) -> Self {
        Self::error(code::METHOD_NOT_FOUND, format!("Method not found: {}", printable(method)))
    }

    /// The kind of failure, for one that happened between client and server.
    #[must_use]
    pub fn reason(&self) -> Option<Reason> {
        match self {
            Self::Gateway(fault) => Some(fault.reason),
            Self::Answered(_) | Self::Undeclared { .. } => None,
        }
    }

    /// The JSON-RPC error that a client gets.
    #[must_use]
    pub fn to_error(&self) -> ErrorObject {
        match self {
            Self::Answered(error) => error.clone(),
            // 2026-07-28, basic/index#error-codes. Older revisions know no such error: where one is spoken, the mount has made
            // this the server's own answer.
            Self::Undeclared { required, cause } => {
                let data = [("requiredCapabilities", required.clone()), ("cause", cause.to_raw())];
                let message = "the server needs a capability that the client did not declare";
                ErrorObject::new(code::MISSING_CAPABILITY, message).with_data(RawObject::from(data).to_raw())
            }
            Self::Gateway(fault) => {
                let mut data = RawObject::from([
                    ("source", Raw::from("gateway")),
                    ("reason", Raw::from(fault.reason.as_str())),
                    ("retryable", Raw::of(&fault.retryable)),
                ]);
                if let Some(upstream) = &fault.upstream {
                    data.set("upstream", Raw::from(&**upstream));
                }
                if let Some(status) = fault.status {
                    data.set("status", Raw::of(&status));
                }
                if let Some(after) = fault.when_to_retry() {
                    data.set("retryAfterMs", Raw::of(&u64::try_from(after.as_millis()).unwrap_or(u64::MAX)));
                }
                if let Some(cause) = &fault.cause {
                    data.set("cause", cause.clone());
                }
                ErrorObject::new(code::INTERNAL, fault.to_string()).with_data(data.to_raw())
            }
        }
    }
}

/// Text of a client that may be shown in a message: short, and nothing but printable ASCII.
pub(crate) fn printable(text: &str) -> String {
    text.chars().take(64).map(|c| if c.is_ascii_graphic() || c == ' ' { c } else { '?' }).collect()
}
