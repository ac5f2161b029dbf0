//! The bytes below HTTP: a TCP connection to the server, or one that somebody else makes, with TLS where the address asks
//! for it.

use std::{
    io::{self, IoSlice},
    pin::Pin,
    sync::{Arc, OnceLock},
    task::{Context, Poll},
    time::Duration,
};

use rustls::{ClientConfig, pki_types::ServerName};
use rustls_platform_verifier::BuilderVerifierExt;
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::TcpStream,
    time::timeout,
};
use tokio_rustls::{TlsConnector, client::TlsStream};
use url::Url;

use crate::hub::BoxFuture;

/// Makes the connections to a server that is not reached by plain TCP: through a tunnel, over a Unix socket, or in this
/// process. TLS is spoken over them where the server's address asks for it.
pub trait Dial: std::fmt::Debug + Send + Sync + 'static {
    /// Connects to `host` at `port`. Takes no longer than [`HttpSettings::connect`](super::HttpSettings::connect), for it is
    /// dropped then.
    ///
    /// # Errors
    /// When there is no connection; the server counts as one that cannot be reached.
    fn dial(&self, host: &str, port: u16) -> BoxFuture<io::Result<Box<dyn Stream>>>;
}

/// A stream of bytes in both directions.
pub trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}

impl<S: AsyncRead + AsyncWrite + Send + Unpin> Stream for S {}

/// How many addresses of a name are tried.
const ADDRESSES: usize = 4;
/// How long a connection may be quiet before the system asks the other end whether it is there, and how long it waits before
/// it asks again.
const QUIET: Duration = Duration::from_secs(15);
/// How often it asks in vain before the connection is given up.
const ASKED: u32 = 3;
/// How long what was sent may go without being acknowledged, in milliseconds.
#[cfg(target_os = "linux")]
const UNACKNOWLEDGED: u32 = 30_000;

/// Where a server is.
pub(super) struct Place {
    host: String,
    port: u16,
    tls: Option<(TlsConnector, ServerName<'static>)>,
    /// Who connects, where it is not done by TCP.
    dial: Option<Arc<dyn Dial>>,
}

/// Why there is no connection. The text is for people and names no address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum ConnectError {
    #[error("its host name could not be resolved")]
    Name,
    #[error("it refused the connection or cannot be reached")]
    Refused,
    #[error("it did not accept the connection in time")]
    Slow,
    #[error("no secure connection could be made: its certificate or its TLS settings were not accepted")]
    Tls,
}

impl Place {
    /// The place that `url` names; an error says what is wrong with it, for people.
    pub(super) fn of(
        url: &Url,
        config: Option<Arc<ClientConfig>>,
        dial: Option<Arc<dyn Dial>>,
    ) -> Result<Self, &'static str> {
        let host = url.host_str().ok_or("has no host")?;
        let port = url.port_or_known_default().ok_or("must begin with http:// or https://")?;
        let host = host.trim_start_matches('[').trim_end_matches(']').to_owned();
        let tls = match url.scheme() {
            "http" => None,
            "https" => {
                let config = match config {
                    Some(config) => config,
                    None => shared_config().ok_or("needs TLS, and the system's certificate store cannot be used")?,
                };
                let name = ServerName::try_from(host.clone()).map_err(|_| "has a host that no certificate can name")?;
                Some((TlsConnector::from(config), name))
            }
            _ => return Err("must begin with http:// or https://"),
        };
        Ok(Self { host, port, tls, dial })
    }

    /// Connects within `limit`.
    pub(super) async fn connect(&self, limit: Duration) -> Result<Wire, ConnectError> {
        timeout(limit, self.connect_now(limit)).await.unwrap_or(Err(ConnectError::Slow))
    }

    async fn connect_now(&self, limit: Duration) -> Result<Wire, ConnectError> {
        if let Some(dial) = &self.dial {
            let stream = dial.dial(&self.host, self.port).await.map_err(|_| ConnectError::Refused)?;
            return Ok(Wire::Dialled(match &self.tls {
                None => stream,
                Some((connector, name)) => {
                    Box::new(connector.connect(name.clone(), stream).await.map_err(|_| ConnectError::Tls)?)
                }
            }));
        }
        let found = tokio::net::lookup_host((&*self.host, self.port)).await.map_err(|_| ConnectError::Name)?;
        let addresses: Vec<_> = found.take(ADDRESSES).collect();
        // An address that swallows packets must not use up the time of the others.
        let share = limit / u32::try_from(addresses.len().clamp(1, ADDRESSES)).unwrap_or(1);
        let mut error = ConnectError::Name;
        for address in addresses {
            match timeout(share, TcpStream::connect(address)).await {
                Ok(Ok(stream)) => {
                    let _ = stream.set_nodelay(true);
                    keep_alive(&stream);
                    return self.secure(stream).await;
                }
                Ok(Err(_)) => error = ConnectError::Refused,
                Err(_) => error = ConnectError::Slow,
            }
        }
        Err(error)
    }

    async fn secure(&self, stream: TcpStream) -> Result<Wire, ConnectError> {
        match &self.tls {
            None => Ok(Wire::Plain(stream)),
            Some((connector, name)) => {
                let stream = connector.connect(name.clone(), stream).await.map_err(|_| ConnectError::Tls)?;
                Ok(Wire::Tls(Box::new(stream)))
            }
        }
    }
}

/// Has the system find out when the other end is gone without a word, as when a laptop slept or a router in between has
/// forgotten the connection: nothing else tells, and streams of events and long calls would wait for ever on it. Questions
/// of the system reach nobody but the system at the other end. Where it cannot be set, it is done without.
fn keep_alive(stream: &TcpStream) {
    use rustix::net::sockopt;
    let _ = sockopt::set_socket_keepalive(stream, true);
    #[cfg(not(target_os = "openbsd"))]
    {
        let _ = sockopt::set_tcp_keepidle(stream, QUIET);
        let _ = sockopt::set_tcp_keepintvl(stream, QUIET);
        let _ = sockopt::set_tcp_keepcnt(stream, ASKED);
    }
    // The system asks nothing while something it sent is under way: without this it would go on for a quarter of an hour.
    #[cfg(target_os = "linux")]
    let _ = sockopt::set_tcp_user_timeout(stream, UNACKNOWLEDGED);
}

/// The one TLS configuration of the process: reading the system's certificates is slow and happens once.
fn shared_config() -> Option<Arc<ClientConfig>> {
    static CONFIG: OnceLock<Option<Arc<ClientConfig>>> = OnceLock::new();
    CONFIG
        .get_or_init(|| {
            let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
            let builder = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions().ok()?;
            let mut config = builder.with_platform_verifier().ok()?.with_no_client_auth();
            config.alpn_protocols = vec![b"http/1.1".to_vec()];
            Some(Arc::new(config))
        })
        .clone()
}

/// A connection that is open.
pub(super) enum Wire {
    Plain(TcpStream),
    Tls(Box<TlsStream<TcpStream>>),
    Dialled(Box<dyn Stream>),
}

macro_rules! on_wire {
    ($self:ident, $stream:ident => $do:expr) => {
        match $self.get_mut() {
            Wire::Plain($stream) => {
                let $stream = Pin::new($stream);
                $do
            }
            Wire::Tls($stream) => {
                let $stream = Pin::new(&mut **$stream);
                $do
            }
            Wire::Dialled($stream) => {
                let $stream = Pin::new(&mut **$stream);
                $do
            }
        }
    };
}

impl AsyncRead for Wire {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, into: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        on_wire!(self, stream => stream.poll_read(cx, into))
    }
}

impl AsyncWrite for Wire {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        on_wire!(self, stream => stream.poll_write(cx, bytes))
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        on_wire!(self, stream => stream.poll_write_vectored(cx, slices))
    }

    fn is_write_vectored(&self) -> bool {
        match self {
            Self::Plain(stream) => stream.is_write_vectored(),
            Self::Tls(stream) => stream.is_write_vectored(),
            Self::Dialled(stream) => stream.is_write_vectored(),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        on_wire!(self, stream => stream.poll_flush(cx))
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        on_wire!(self, stream => stream.poll_shutdown(cx))
    }
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use rustix::net::sockopt;

    use super::*;

    #[tokio::test]
    async fn the_system_watches_over_connections() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a socket");
        let url = format!("http://{}/mcp", listener.local_addr().expect("an address"));
        let place = Place::of(&url.parse().expect("a URL"), None, None).expect("a place");
        let Wire::Plain(stream) = place.connect(Duration::from_secs(5)).await.expect("a connection") else {
            panic!("no TLS")
        };
        assert!(sockopt::socket_keepalive(&stream).expect("an option"));
        assert_eq!(sockopt::tcp_keepidle(&stream).expect("an option"), QUIET);
        assert_eq!(sockopt::tcp_keepintvl(&stream).expect("an option"), QUIET);
        assert_eq!(sockopt::tcp_keepcnt(&stream).expect("an option"), ASKED);
        assert_eq!(sockopt::tcp_user_timeout(&stream).expect("an option"), UNACKNOWLEDGED);
    }
}
