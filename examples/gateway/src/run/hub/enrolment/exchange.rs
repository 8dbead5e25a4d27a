//! One request to an EST server: HTTP over TLS on a connection of its own. Nothing is followed that the answer names, because a redirection would have the
//! gateway show its certificate to somebody else, and no more is read than an answer may have.

use std::io;
use std::time::Duration;

use bytes::Bytes;
use edge_bridge::Tls;
use edge_bridge::net::tcp_stream::Counted;
use edge_est::answer::BODY_BYTES_MAX;
use edge_est::{encode, server::Server};
use edge_print::in_full;
use http_body_util::{BodyExt, Full, LengthLimitError, Limited};
use hyper::client::conn::http1;
use hyper::header::{ACCEPT, CONNECTION, CONTENT_TYPE, HOST, HeaderMap, HeaderName, RETRY_AFTER};
use hyper::{Method, Request};
use tokio::net::TcpStream;

use crate::run::status::http::io::TokioIo;

/// Most bytes of the answer's head.
const HEAD_BYTES_MAX: usize = 16 * 1024;

/// Time for one address: behind one that swallows packets another is tried within the time of the exchange.
const CONNECT_WITHIN: Duration = Duration::from_secs(10);

/// Reason why there is no answer.
#[derive(Debug, thiserror::Error)]
pub(super) enum ExchangeError {
    #[error("no connection to {server}: {source}")]
    Connect { server: String, source: io::Error },
    #[error("TLS with {server}: {source}")]
    Tls { server: String, source: io::Error },
    #[error("HTTP with {server}: {}", in_full(source.as_ref()))]
    Http { server: String, source: Box<dyn std::error::Error + Send + Sync> },
    #[error("{server} answers with more than {BODY_BYTES_MAX} bytes")]
    TooLarge { server: String },
}

/// Response of the server.
#[derive(Debug)]
pub(super) struct Response {
    pub(super) status: u16,
    pub(super) content_type: Option<String>,
    pub(super) retry_after: Option<String>,
    pub(super) body: Bytes,
}

/// Sends a request (PKCS #10 in DER) for this operation, and returns the response. Without a time limit.
pub(super) async fn post(
    server: &Server,
    tls: &Tls,
    operation: &str,
    request: &[u8],
) -> Result<Response, ExchangeError> {
    let name = || server.authority.clone();
    let http =
        |source: Box<dyn std::error::Error + Send + Sync>| ExchangeError::Http { server: name(), source };
    let stream = reach(server).await.map_err(|source| ExchangeError::Connect { server: name(), source })?;
    let stream = tls.handshake(&server.host, Counted::new(stream, Default::default()));
    let stream = stream.await.map_err(|source| ExchangeError::Tls { server: name(), source })?;
    let request = Request::builder()
        .method(Method::POST)
        .uri(server.path(operation))
        .header(HOST, &server.authority)
        .header(CONTENT_TYPE, "application/pkcs10")
        .header(HeaderName::from_static("content-transfer-encoding"), "base64")
        .header(ACCEPT, "application/pkcs7-mime")
        .header(CONNECTION, "close")
        .body(Full::new(Bytes::from(encode(request))))
        .map_err(|error| http(error.into()))?;
    let handshake = http1::Builder::new().max_buf_size(HEAD_BYTES_MAX).handshake(TokioIo::new(stream));
    let (mut sender, connection) = handshake.await.map_err(|error| http(error.into()))?;
    let answered = async {
        let response = sender.send_request(request).await.map_err(|error| http(error.into()))?;
        let (head, body) = response.into_parts();
        let body = Limited::new(body, BODY_BYTES_MAX).collect().await.map_err(|error| {
            if error.is::<LengthLimitError>() {
                ExchangeError::TooLarge { server: name() }
            } else {
                http(error)
            }
        })?;
        let header = |name| text(&head.headers, name);
        let (content_type, retry_after) = (header(CONTENT_TYPE), header(RETRY_AFTER));
        Ok(Response { status: head.status.as_u16(), content_type, retry_after, body: body.to_bytes() })
    };
    tokio::pin!(answered, connection);
    // The connection may end first, with the answer still in it.
    tokio::select! {
        biased;
        answer = &mut answered => answer,
        _ended = &mut connection => answered.await,
    }
}

/// Connects to the first address of the name that takes it.
async fn reach(server: &Server) -> io::Result<TcpStream> {
    let mut last = io::Error::from(io::ErrorKind::NotFound);
    for address in tokio::net::lookup_host((server.host.as_str(), server.port)).await? {
        match tokio::time::timeout(CONNECT_WITHIN, TcpStream::connect(address)).await {
            Ok(Ok(stream)) => return Ok(stream),
            Ok(Err(error)) => last = error,
            Err(_) => last = io::ErrorKind::TimedOut.into(),
        }
    }
    Err(last)
}

fn text(headers: &HeaderMap, name: HeaderName) -> Option<String> {
    headers.get(name)?.to_str().ok().map(str::to_owned)
}
