//! Where a gateway may listen, given who may come in.

use std::net::SocketAddr;

use super::fault::Key;
use super::reader::Reader;
use super::tree::Node;
use super::{Authentication, Config, Kind, Server};
use crate::mount::Share;

/// An address cannot be listened on.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}; {}", self.parts().0, self.parts().1)]
pub enum ListenError {
    /// It is not an IP address with a port.
    NotAnAddress,
    /// Others than this machine could connect, and nothing is said about who may.
    Open,
    /// Others than this machine could connect, and nobody is asked who they are; then it has to be said who shares the
    /// processes of these servers.
    Strangers(Vec<String>),
}

/// Reads an address to listen on. Port 0 means any free port.
///
/// # Errors
/// It is no address.
pub fn parse_listen(text: &str) -> Result<SocketAddr, ListenError> {
    text.parse().map_err(|_| ListenError::NotAnAddress)
}

pub(super) fn is_loopback(address: SocketAddr) -> bool {
    address.ip().to_canonical().is_loopback()
}

pub(super) fn read(reader: &mut Reader<'_>, node: &Node, key: &Key) -> Option<SocketAddr> {
    let text = reader.text(node, key)?;
    match parse_listen(&text.value) {
        Ok(address) => Some(address),
        Err(error) => {
            let (what, hint) = error.parts();
            reader.fault(node.at, key, what).hint(hint);
            None
        }
    }
}

impl Config {
    /// Whether only this machine can connect.
    #[must_use]
    pub fn is_local(&self) -> bool {
        is_loopback(self.listen)
    }

    /// Listens on another address than the file says, under the same rules.
    ///
    /// # Errors
    /// It is no address, or one that would be open to others than this machine although nothing is said about who may come
    /// in.
    pub fn listen_on(&mut self, text: &str) -> Result<(), ListenError> {
        let address = parse_listen(text)?;
        may_listen(address, &self.authentication, &self.servers)?;
        self.listen = address;
        Ok(())
    }
}

/// Whether an address is not open to more people than the rest of the config is made for.
pub(super) fn may_listen(
    address: SocketAddr,
    authentication: &Authentication,
    servers: &[Server],
) -> Result<(), ListenError> {
    match authentication {
        _ if is_loopback(address) => Ok(()),
        Authentication::Keys(_) => Ok(()),
        Authentication::Unsaid => Err(ListenError::Open),
        Authentication::Nobody => {
            let unsaid = servers.iter().filter(|server| needs_sharing(server));
            let names: Vec<String> = unsaid.map(|server| server.name.clone()).collect();
            if names.is_empty() { Ok(()) } else { Err(ListenError::Strangers(names)) }
        }
    }
}

/// Whether a server cannot be called by strangers unless it is said what they share: a process cannot be had for each of
/// them without asking, and must not be shared without asking.
fn needs_sharing(server: &Server) -> bool {
    matches!(server.kind, Kind::Command { .. }) && server.terms.share == Share::Principal
}

// === impl ListenError ===

impl ListenError {
    /// What is wrong, and what to do.
    pub(super) fn parts(&self) -> (String, String) {
        match self {
            Self::NotAnAddress => {
                ("not an IP address with a port".to_owned(), "write it as `127.0.0.1:8000` or `[::1]:8000`".to_owned())
            }
            Self::Open => (
                "others than this machine could connect, and there are no keys".to_owned(),
                "add keys with `rialto.auth` (`rialto key` makes one), let everybody in with `\"auth\": \"none\"`, \
                 or listen on `127.0.0.1`"
                    .to_owned(),
            ),
            Self::Strangers(names) => (
                format!("without keys all callers are strangers, and `{}` is a process", names.join("`, `")),
                "say with `rialto.servers.….sessions` whether they share it (`shared`) or each request gets one \
                 (`per-request`), or add keys with `rialto.auth`"
                    .to_owned(),
            ),
        }
    }
}
