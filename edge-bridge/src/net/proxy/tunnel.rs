//! Tunnel through an HTTP proxy: sends the request and reads the answer's head.

use std::io;
use std::sync::atomic::{AtomicU64, Ordering};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::http_connect::{HEAD_MAX, Head, HeadError, HeadReader, request};
use super::login::ProxyLogin;
use crate::net::host_port::shown;
use crate::net::hub_address::Target;

/// Error of a tunnel whose proxy was reached. The proxy's reason phrase is left out, because it is foreign text and the status says enough.
#[derive(Debug, thiserror::Error)]
pub(in crate::net) enum TunnelError {
    #[error("{0}")]
    Io(#[from] io::Error),
    #[error("it closed the connection before its answer ended")]
    Closed,
    #[error("it does not answer in HTTP")]
    NotHttp,
    #[error("the head of its answer has more than {HEAD_MAX} bytes")]
    HeadTooLong,
    #[error("its password was never read, see the warning before")]
    NoPassword,
    #[error("407, it wants a login: a user and a password")]
    LoginMissing,
    #[error("407, it does not take this user and password")]
    LoginRefused,
    #[error("407, it wants another login than Basic")]
    OtherLogin,
    #[error("{status}{}", meaning(*status))]
    Status { status: u16 },
}

impl TunnelError {
    /// Returns whether the proxy refuses this client, rather than failing to reach the hub.
    pub(in crate::net) fn is_refusal(&self) -> bool {
        match self {
            Self::LoginMissing | Self::LoginRefused | Self::OtherLogin => true,
            Self::Status { status } => (400..500).contains(status),
            Self::Io(_) | Self::Closed | Self::NotHttp | Self::HeadTooLong | Self::NoPassword => false,
        }
    }
}

/// Returns an explanation of a status for a tunnel.
fn meaning(status: u16) -> &'static str {
    match status {
        403 => ", it does not let this connection through",
        400 | 405 | 501 => ", it does not understand CONNECT",
        502 => ", it cannot connect to the hub",
        503 => ", it cannot serve now, or not reach the hub",
        504 => ", the hub does not answer it in time",
        101 | 300..400 => ", it does not make a tunnel",
        _ => "",
    }
}

impl From<HeadError> for TunnelError {
    fn from(error: HeadError) -> Self {
        match error {
            HeadError::NotHttp => Self::NotHttp,
            HeadError::TooLong => Self::HeadTooLong,
        }
    }
}

/// Requests a tunnel to `target`, whose name the proxy resolves. Takes only the head's bytes from the socket, because later ones belong to the
/// tunnel. The caller bounds the time.
pub(in crate::net) async fn open(
    stream: &mut TcpStream,
    target: &Target,
    login: Option<&ProxyLogin>,
    wire_bytes: &AtomicU64,
) -> Result<(), TunnelError> {
    let authorization = match login {
        Some(login) => Some(login.authorization().await.ok_or(TunnelError::NoPassword)?),
        None => None,
    };
    let request = request(&shown(&target.host, target.port), authorization.as_deref());
    stream.write_all(request.as_bytes()).await?;
    wire_bytes.fetch_add(request.len() as u64, Ordering::Relaxed);
    let head = read_head(stream, wire_bytes).await?;
    match head.status {
        200..300 => Ok(()),
        407 if authorization.is_none() => Err(TunnelError::LoginMissing),
        407 if head.refuses_basic => Err(TunnelError::OtherLogin),
        407 => Err(TunnelError::LoginRefused),
        status => Err(TunnelError::Status { status }),
    }
}

async fn read_head(stream: &mut TcpStream, wire_bytes: &AtomicU64) -> Result<Head, TunnelError> {
    let (mut reader, mut seen) = (HeadReader::default(), [0; 1024]);
    loop {
        let count = stream.peek(&mut seen).await?;
        let (part, head) = reader.read(seen.get(..count).unwrap_or_default())?;
        if part == 0 {
            return Err(TunnelError::Closed);
        }
        let taken = stream.read_exact(seen.get_mut(..part).unwrap_or_default()).await?;
        wire_bytes.fetch_add(taken as u64, Ordering::Relaxed);
        if let Some(head) = head {
            return Ok(head);
        }
    }
}
