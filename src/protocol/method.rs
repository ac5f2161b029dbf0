//! The methods of MCP, and what each of them may do.

use super::{Era, capabilities::Family};

macro_rules! methods {
    ($($(#[$doc:meta])* $name:ident = $text:literal,)*) => {
        /// A request method. What no revision defines is [`Method::Other`] and passes through.
        #[derive(Clone, Debug, PartialEq, Eq, Hash)]
        pub enum Method {
            $($(#[$doc])* $name,)*
            /// A method that no revision defines.
            Other(Box<str>),
        }

        impl Method {
            /// Those that some revision defines.
            pub const KNOWN: &[Self] = &[$(Self::$name,)*];

            /// The method as it stands on the wire.
            #[must_use]
            pub fn as_str(&self) -> &str {
                match self {
                    $(Self::$name => $text,)*
                    Self::Other(text) => text,
                }
            }

            /// The method that `text` names.
            #[must_use]
            pub fn parse(text: &str) -> Self {
                match text {
                    $($text => Self::$name,)*
                    _ => Self::Other(text.into()),
                }
            }
        }
    };
}

methods! {
    /// The legacy handshake.
    Initialize = "initialize",
    /// A sign of life, legacy.
    Ping = "ping",
    /// Who the server is and what it offers, modern.
    Discover = "server/discover",
    /// The tools.
    ToolsList = "tools/list",
    /// A tool call.
    ToolsCall = "tools/call",
    /// The prompts.
    PromptsList = "prompts/list",
    /// One prompt, filled in.
    PromptsGet = "prompts/get",
    /// The resources.
    ResourcesList = "resources/list",
    /// The resource templates.
    TemplatesList = "resources/templates/list",
    /// One resource.
    ResourcesRead = "resources/read",
    /// Asks for updates of a resource, legacy.
    ResourcesSubscribe = "resources/subscribe",
    /// Takes that back, legacy.
    ResourcesUnsubscribe = "resources/unsubscribe",
    /// Completion of an argument.
    Complete = "completion/complete",
    /// The log level of the session, legacy.
    SetLevel = "logging/setLevel",
    /// A stream of change notifications, modern.
    Listen = "subscriptions/listen",
    /// State of a task.
    TasksGet = "tasks/get",
    /// Result of a task, 2025-11-25.
    TasksResult = "tasks/result",
    /// The tasks, 2025-11-25.
    TasksList = "tasks/list",
    /// Ends a task.
    TasksCancel = "tasks/cancel",
    /// Answers the questions of a task, modern.
    TasksUpdate = "tasks/update",
}

impl Method {
    /// Whether a server may ask the client something while it works on it: only these may answer `input_required`
    /// (2026-07-28, basic/patterns/mrtr).
    #[must_use]
    pub const fn may_ask(&self) -> bool {
        matches!(self, Self::ToolsCall | Self::PromptsGet | Self::ResourcesRead)
    }

    /// Whether a legacy server may ask the client something before it answers it: beside the calls that may ask, the wait for
    /// the result of a task (2025-11-25, basic/utilities/tasks#input-required-status).
    #[must_use]
    pub const fn carries_questions(&self) -> bool {
        self.may_ask() || matches!(self, Self::TasksResult)
    }

    /// Whether it is about a task that was created before.
    #[must_use]
    pub const fn is_about_tasks(&self) -> bool {
        matches!(self, Self::TasksGet | Self::TasksResult | Self::TasksList | Self::TasksCancel | Self::TasksUpdate)
    }

    /// Whether it may be sent a second time when its answer was lost.
    #[must_use]
    pub const fn is_safe(&self) -> bool {
        matches!(
            self,
            Self::Discover
                | Self::ToolsList
                | Self::PromptsList
                | Self::ResourcesList
                | Self::TemplatesList
                | Self::ResourcesRead
                | Self::PromptsGet
                | Self::Complete
                | Self::TasksGet
                | Self::TasksResult
                | Self::TasksList
        )
    }

    /// The member of the result that holds the items, for the four lists.
    #[must_use]
    pub const fn list_member(&self) -> Option<&'static str> {
        match self {
            Self::ToolsList => Some("tools"),
            Self::PromptsList => Some("prompts"),
            Self::ResourcesList => Some("resources"),
            Self::TemplatesList => Some("resourceTemplates"),
            _ => None,
        }
    }

    /// Whether its modern result carries `ttlMs` and `cacheScope` (2026-07-28, basic/caching).
    #[must_use]
    pub const fn is_cacheable(&self) -> bool {
        self.list_member().is_some() || matches!(self, Self::Discover | Self::ResourcesRead)
    }

    /// Whether the era defines it. What no revision defines is allowed in both.
    #[must_use]
    pub const fn exists_in(&self, era: Era) -> bool {
        match self {
            Self::Discover | Self::Listen | Self::TasksUpdate => matches!(era, Era::Modern),
            Self::Initialize
            | Self::Ping
            | Self::SetLevel
            | Self::ResourcesSubscribe
            | Self::ResourcesUnsubscribe
            | Self::TasksResult
            | Self::TasksList => matches!(era, Era::Legacy),
            _ => true,
        }
    }

    /// The capability family of the server that must be advertised for it.
    #[must_use]
    pub const fn family(&self) -> Option<Family> {
        match self {
            Self::ToolsList | Self::ToolsCall => Some(Family::Tools),
            Self::PromptsList | Self::PromptsGet => Some(Family::Prompts),
            Self::ResourcesList
            | Self::TemplatesList
            | Self::ResourcesRead
            | Self::ResourcesSubscribe
            | Self::ResourcesUnsubscribe => Some(Family::Resources),
            Self::Complete => Some(Family::Completions),
            Self::SetLevel => Some(Family::Logging),
            _ => None,
        }
    }

    /// The member of the params that the modern `Mcp-Name` header mirrors.
    #[must_use]
    pub const fn name_member(&self) -> Option<&'static str> {
        match self {
            Self::ToolsCall | Self::PromptsGet => Some("name"),
            Self::ResourcesRead => Some("uri"),
            Self::TasksGet | Self::TasksUpdate | Self::TasksCancel => Some("taskId"),
            _ => None,
        }
    }
}

impl std::fmt::Display for Method {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The notifications that somebody here acts on.
pub mod notification {
    /// The legacy handshake is over.
    pub const INITIALIZED: &str = "notifications/initialized";
    /// A request shall not be answered any more.
    pub const CANCELLED: &str = "notifications/cancelled";
    /// How far a request is.
    pub const PROGRESS: &str = "notifications/progress";
    /// A log message.
    pub const MESSAGE: &str = "notifications/message";
    /// The tools changed.
    pub const TOOLS_CHANGED: &str = "notifications/tools/list_changed";
    /// The prompts changed.
    pub const PROMPTS_CHANGED: &str = "notifications/prompts/list_changed";
    /// The resources changed.
    pub const RESOURCES_CHANGED: &str = "notifications/resources/list_changed";
    /// A resource changed.
    pub const RESOURCE_UPDATED: &str = "notifications/resources/updated";
    /// The client's roots changed, legacy.
    pub const ROOTS_CHANGED: &str = "notifications/roots/list_changed";
    /// What a listen will deliver, modern.
    pub const ACKNOWLEDGED: &str = "notifications/subscriptions/acknowledged";
    /// A task changed, 2025-11-25.
    pub const TASK_STATUS: &str = "notifications/tasks/status";
    /// A task changed, the modern extension.
    pub const TASK_CHANGED: &str = "notifications/tasks";
    /// A URL elicitation is done, 2025-11-25.
    pub const ELICITATION_COMPLETE: &str = "notifications/elicitation/complete";

    /// Whether some revision defines it, in either direction.
    #[must_use]
    pub fn is_defined(method: &str) -> bool {
        matches!(
            method,
            INITIALIZED
                | CANCELLED
                | PROGRESS
                | MESSAGE
                | TOOLS_CHANGED
                | PROMPTS_CHANGED
                | RESOURCES_CHANGED
                | RESOURCE_UPDATED
                | ROOTS_CHANGED
                | ACKNOWLEDGED
                | TASK_STATUS
                | TASK_CHANGED
                | ELICITATION_COMPLETE
        )
    }
}

/// What a server may ask a client.
pub mod question {
    /// A form or a page for the person.
    pub const ELICIT: &str = "elicitation/create";
    /// A completion by the client's model.
    pub const SAMPLE: &str = "sampling/createMessage";
    /// The client's roots.
    pub const ROOTS: &str = "roots/list";
}
