//! Where a proxy leads.

use std::{sync::Arc, time::Duration};

use http::{HeaderName, HeaderValue};
use url::Url;

use crate::upstream::{
    Connector, EraChoice as Era, Unavailable,
    child::{ChildConnector, ChildSettings, CommandTarget},
    http::{HttpConnector, HttpSettings, HttpTarget},
    in_process::InProcessConnector,
};

use super::Process;

/// How a server is reached.
pub(super) enum Target {
    Http { url: Result<Url, String>, headers: Vec<(HeaderName, HeaderValue)> },
    Command { target: CommandTarget, start_timeout: Option<Duration> },
    InProcess(Box<Connect>),
    Nothing(String),
}

/// Makes the connector of a server in this process, by its name.
pub(super) type Connect = dyn Fn(&str, Era) -> InProcessConnector + Send;

// === impl Target ===

impl Target {
    pub(super) fn connector(&self, name: &str, era: Era, process: &Process) -> Arc<dyn Connector> {
        match self {
            Self::Http { url: Ok(url), headers } => {
                let target = HttpTarget { url: url.clone(), headers: headers.clone() };
                let settings = HttpSettings { era, sessions: process.sessions.clone(), ..HttpSettings::default() };
                match HttpConnector::new(name.into(), target, settings) {
                    Ok(connector) => Arc::new(connector),
                    Err(reason) => Arc::new(Unavailable::new(name.into(), reason.to_string())),
                }
            }
            Self::Command { target, start_timeout } => {
                let mut settings =
                    ChildSettings { era, guardian: process.guardian.clone(), ..ChildSettings::default() };
                settings.start_timeout = start_timeout.unwrap_or(settings.start_timeout);
                Arc::new(ChildConnector::new(name, target.clone(), settings))
            }
            Self::InProcess(connect) => Arc::new(connect(name, era)),
            Self::Http { url: Err(reason), .. } | Self::Nothing(reason) => {
                Arc::new(Unavailable::new(name.into(), reason.clone()))
            }
        }
    }
}
