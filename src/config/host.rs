//! Names of hosts: as people configure them, and as requests carry them.

use std::fmt;
use std::net::Ipv6Addr;
use std::str::FromStr;

/// A host that requests may be addressed to, as an entry of `rialto.hosts`: on any port, or on one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostName {
    host: String,
    port: Option<u16>,
}

/// A text is not a [`HostName`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a host name with an optional port")]
pub struct NotAHostName;

/// The `host [":" port]` of a `Host` or `Origin` header, borrowed (RFC 3986, section 3.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Authority<'a> {
    /// An IPv6 address keeps its brackets.
    pub(crate) host: &'a str,
    pub(crate) port: Option<u16>,
}

// === impl HostName ===

impl HostName {
    pub(crate) fn matches(&self, authority: Authority<'_>) -> bool {
        // Clients leave out the port that their scheme implies, and which scheme that was is not
        // known here.
        let is_port = match authority.port {
            Some(_) => self.port.is_none() || self.port == authority.port,
            None => matches!(self.port, None | Some(80 | 443)),
        };
        is_port && self.host.eq_ignore_ascii_case(authority.host)
    }
}

impl FromStr for HostName {
    type Err = NotAHostName;

    fn from_str(text: &str) -> Result<Self, NotAHostName> {
        let authority = Authority::parse(text).ok_or(NotAHostName)?;
        let is_name = |byte: u8| byte.is_ascii_alphanumeric() || b"-._".contains(&byte);
        if !authority.host.starts_with('[') && !authority.host.bytes().all(is_name) {
            return Err(NotAHostName);
        }
        Ok(Self { host: authority.host.to_ascii_lowercase(), port: authority.port })
    }
}

impl fmt::Display for HostName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.host)?;
        match self.port {
            Some(port) => write!(f, ":{port}"),
            None => Ok(()),
        }
    }
}

// === impl Authority ===

impl<'a> Authority<'a> {
    /// `None` for what no honest client sends: nothing, spaces, user names, a trailing dot, a port
    /// that is none, an IPv6 address without brackets or with a zone.
    pub(crate) fn parse(text: &'a str) -> Option<Self> {
        let (host, port) = if let Some(rest) = text.strip_prefix('[') {
            let (address, after) = rest.split_once(']')?;
            address.parse::<Ipv6Addr>().ok()?;
            let host = text.get(..address.len() + 2)?;
            match after {
                "" => (host, None),
                _ => (host, Some(after.strip_prefix(':')?)),
            }
        } else {
            match text.split_once(':') {
                Some((host, port)) => (host, Some(port)),
                None => (text, None),
            }
        };
        let is_bad = |byte: u8| byte <= b' ' || byte >= 0x7f || b"@/\\%,".contains(&byte);
        if host.is_empty() || host.ends_with('.') || host.bytes().any(is_bad) {
            return None;
        }
        let port = match port {
            Some(port) => Some(parse_port(port)?),
            None => None,
        };
        Some(Self { host, port })
    }
}

fn parse_port(text: &str) -> Option<u16> {
    // `u16::from_str` would take a sign.
    if !text.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    text.parse().ok().filter(|&port| port != 0)
}
