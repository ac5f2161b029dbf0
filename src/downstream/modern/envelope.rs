//! The envelope that every modern request carries in `_meta` (2026-07-28, basic/index#meta).

use http::HeaderMap;

use crate::{
    downstream::endpoint::Context,
    jsonrpc::{ErrorObject, Kind, Raw, RawObject, RequestId, code},
    protocol::{
        Method, Revision,
        headers::{self, Mismatch},
        level, meta,
    },
};

use super::refused::Refused;

/// What a request says about itself.
#[derive(Debug)]
pub(super) struct Envelope {
    /// The revision, a string.
    pub(super) version: Raw,
    /// What the client can do, an object.
    pub(super) capabilities: Raw,
    /// Who the client says it is.
    pub(super) client_info: Option<Raw>,
    /// From which level on log messages are wanted.
    pub(super) log_level: Option<Raw>,
    /// Under which token progress is wanted.
    pub(super) progress_token: Option<Raw>,
}

impl Envelope {
    /// Reads the envelope out of the parameters, which come back untouched.
    pub(super) fn read(params: Option<RawObject>) -> Result<(Self, RawObject), Refused> {
        let params = params.unwrap_or_default();
        let meta = match params.get(meta::META) {
            None => RawObject::new(),
            Some(value) => value.to_object().ok_or_else(|| malformed("`_meta` must be an object"))?,
        };
        let required = [meta::PROTOCOL_VERSION, meta::CLIENT_CAPABILITIES];
        let missing: Vec<_> = required.into_iter().filter(|key| !meta.has(key)).collect();
        if !missing.is_empty() {
            return Err(malformed(format!("missing in `_meta`: {}", missing.join(", "))));
        }
        let of = |key: &str| meta.get(key).cloned();
        let some = |key: &str| of(key).filter(|value| !value.is_null());
        let envelope = Self {
            version: of(meta::PROTOCOL_VERSION).unwrap_or_else(Raw::null),
            capabilities: of(meta::CLIENT_CAPABILITIES).unwrap_or_else(Raw::null),
            client_info: of(meta::CLIENT_INFO),
            log_level: some(meta::LOG_LEVEL),
            progress_token: some(meta::PROGRESS_TOKEN),
        };
        envelope.validate()?;
        Ok((envelope, params))
    }

    fn validate(&self) -> Result<(), Refused> {
        if self.version.kind() != Kind::String {
            return Err(malformed(format!("`{}` must be a string", meta::PROTOCOL_VERSION)));
        }
        if self.capabilities.kind() != Kind::Object {
            return Err(malformed(format!("`{}` must be an object", meta::CLIENT_CAPABILITIES)));
        }
        let text = |info: &RawObject, key: &str| info.get(key).is_some_and(|v| v.kind() == Kind::String);
        if let Some(info) = &self.client_info
            && !info.to_object().is_some_and(|i| text(&i, "name") && text(&i, "version"))
        {
            return Err(malformed(format!("`{}` must have a `name` and a `version`", meta::CLIENT_INFO)));
        }
        if self.log_level.as_ref().is_some_and(|wanted| level::severity(wanted).is_none()) {
            return Err(malformed(format!("`{}` must be one of the eight log levels", meta::LOG_LEVEL)));
        }
        if self.progress_token.as_ref().is_some_and(|token| RequestId::new(token).is_err()) {
            return Err(malformed("`progressToken` must be a string or an integer"));
        }
        Ok(())
    }

    /// Whether the revision is one that is served.
    pub(super) fn is_served(&self) -> bool {
        let version = self.version.as_text().unwrap_or_default();
        Revision::MODERN.iter().any(|revision| revision.as_str() == version)
    }

    /// Checks that the headers say what the body says, where there are any, and that the revision is served.
    pub(super) fn check(&self, context: &Context<'_>, method: &Method, params: &RawObject) -> Result<(), Refused> {
        let map = context.headers;
        let version = self.version.as_text().unwrap_or_default();
        let served = self.is_served();
        // A client of another revision may know other headers: it first has to hear that this is not its revision.
        if !served && (!context.is_mirrored || headers_agree_on(map, &version)) {
            return Err(unsupported(&self.version));
        }
        let name = method.name_member().and_then(|member| params.get(member)).and_then(Raw::as_text);
        if context.is_mirrored {
            headers::check_standard(map, method.as_str(), name.as_deref(), &version)?;
        }
        if !served {
            return Err(unsupported(&self.version));
        }
        match method.name_member() {
            Some(_) if name.is_none() && map.contains_key(headers::NAME) => {
                Err(Mismatch::Unexpected(headers::NAME).into())
            }
            Some(member) if name.is_none() => Err(Refused::params(format!("`{member}` must be a string"))),
            _ => Ok(()),
        }
    }
}

fn headers_agree_on(map: &HeaderMap, version: &str) -> bool {
    let mut values = map.get_all(headers::PROTOCOL_VERSION).iter();
    let first = values.next().and_then(|v| v.to_str().ok());
    values.next().is_none() && first.is_some_and(|v| v.trim_matches([' ', '\t']) == version)
}

fn malformed(message: impl Into<String>) -> Refused {
    Refused::envelope(ErrorObject::new(code::INVALID_PARAMS, message))
}

/// The revisions that are served, as a JSON array.
pub(super) fn supported() -> Raw {
    Raw::of(&Revision::MODERN.map(Revision::as_str))
}

fn unsupported(requested: &Raw) -> Refused {
    let data = RawObject::from([("supported", supported()), ("requested", requested.clone())]);
    Refused::envelope(
        ErrorObject::new(code::UNSUPPORTED_VERSION, "Unsupported protocol version").with_data(data.to_raw()),
    )
}
