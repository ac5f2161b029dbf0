//! Where a proxy leads.

use std::{sync::Arc, time::Duration};

use http::{HeaderName, HeaderValue};
use url::Url;

use crate::{
    limits::ServerLimits,
    upstream::{
        Connector, EraChoice as Era, Unavailable,
        child::{ChildConnector, ChildSettings, CommandTarget},
        http::{HttpConnector, HttpSettings, HttpTarget},
        in_process::InProcessConnector,
        lines::LineSettings,
    },
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
pub(super) type Connect = dyn Fn(&str, LineSettings) -> InProcessConnector + Send;

// === impl Target ===

impl Target {
    pub(super) fn connector(
        &self,
        name: &str,
        era: Era,
        limits: &ServerLimits,
        process: &Process,
    ) -> Arc<dyn Connector> {
        let ServerLimits { message, probe, legacy_for: legacy_verdict, description_kept: description, .. } = *limits;
        match self {
            Self::Http { url: Ok(url), headers } => {
                let target = HttpTarget { url: url.clone(), headers: headers.clone() };
                let mut settings = HttpSettings {
                    era,
                    legacy_verdict,
                    description,
                    max_message: message,
                    sessions: process.sessions.clone(),
                    ..HttpSettings::default()
                };
                settings.probe = probe.unwrap_or(settings.probe);
                match HttpConnector::new(name.into(), target, settings) {
                    Ok(connector) => Arc::new(connector),
                    Err(reason) => Arc::new(Unavailable::new(name.into(), reason.to_string())),
                }
            }
            Self::Command { target, start_timeout } => {
                let mut settings = ChildSettings {
                    era,
                    legacy_verdict,
                    line_cap: message,
                    guardian: process.guardian.clone(),
                    ..ChildSettings::default()
                };
                settings.probe_timeout = probe.unwrap_or(settings.probe_timeout);
                settings.start_timeout = start_timeout.unwrap_or(settings.start_timeout);
                Arc::new(ChildConnector::new(name, target.clone(), settings))
            }
            Self::InProcess(connect) => {
                let mut settings = LineSettings { era, legacy_verdict, line_cap: message, ..LineSettings::default() };
                settings.probe_timeout = probe.unwrap_or(settings.probe_timeout);
                Arc::new(connect(name, settings))
            }
            Self::Http { url: Err(reason), .. } | Self::Nothing(reason) => {
                Arc::new(Unavailable::new(name.into(), reason.clone()))
            }
        }
    }
}
