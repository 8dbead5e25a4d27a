//! Small HTTP server for orchestrators, Prometheus and browsers: GET only, one answer per connection. A slow client cannot block others, because
//! a request has to come within seconds, and at the limit of connections a new one displaces one of the address with the most.

#![allow(clippy::disallowed_methods, clippy::disallowed_types, reason = "a shell: sockets and tasks")]

mod connection_places;
pub(in crate::run) mod io;

use std::convert::Infallible;
use std::future::Future;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::header::{
    ALLOW, AUTHORIZATION, CONTENT_TYPE, HOST, HeaderMap, HeaderName, HeaderValue, IF_NONE_MATCH,
};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode, Version};
use tokio::net::{TcpListener, TcpStream};

use crate::run::error::RunError;
use connection_places::Places;
use io::TokioIo;

/// Time limit from accept to the end of the request's head.
const HEAD_WITHIN: Duration = Duration::from_secs(5);
/// Time limit from accept to the last byte of the answer, which bounds the cost of a slow reader.
const CONNECTION_WITHIN: Duration = Duration::from_secs(10);
/// Pause after an accept that failed, usually for want of file descriptors.
const ACCEPT_AGAIN: Duration = Duration::from_millis(200);
/// Size of hyper's buffer in bytes, the least that hyper allows; requests here have some hundred bytes.
const BUFFER_BYTES: usize = 8 * 1024;

/// Answer to a request for metrics or a probe.
#[derive(Clone, Debug)]
pub(crate) struct Answer {
    pub(crate) ok: bool,
    pub(crate) body: String,
}

/// Source of texts for scrapers and probes.
pub(crate) trait Pages: Send + Sync + 'static {
    /// Returns the page at `path`. `None`: there is no such page.
    fn page(&self, path: &str) -> impl Future<Output = Option<Answer>> + Send;
}

/// Parts of a request on which the answer may depend.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Asked<'a> {
    pub(crate) path: &'a str,
    pub(crate) host: Option<&'a str>,
    pub(crate) authorization: Option<&'a str>,
    pub(crate) if_none_match: Option<&'a str>,
}

impl<'a> Asked<'a> {
    fn of(request: &'a Request<Incoming>) -> Self {
        let header = |name: HeaderName| request.headers().get(name);
        // A header that is no text must not count as one that is missing.
        let text = |name: HeaderName| header(name).map(|value| value.to_str().unwrap_or_default());
        Self {
            path: request.uri().path(),
            // An address in the request line stands before it.
            host: request.uri().host().or(text(HOST)),
            authorization: text(AUTHORIZATION),
            if_none_match: text(IF_NONE_MATCH),
        }
    }
}

/// Answer to a request, with its headers.
#[derive(Clone, Debug)]
pub(crate) struct Reply {
    status: StatusCode,
    headers: HeaderMap,
    body: String,
}

impl Reply {
    /// Media type of the metrics, and of the short texts beside them.
    const TEXT: &str = "text/plain; version=0.0.4; charset=utf-8";

    pub(crate) fn new(status: StatusCode, kind: &'static str, body: String) -> Self {
        let mut headers = HeaderMap::new();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(kind));
        Self { status, headers, body }
    }

    pub(crate) fn text(status: StatusCode, body: &str) -> Self {
        Self::new(status, Self::TEXT, body.to_owned())
    }

    /// Creates the reply for a page. `None`: there is no such page, and the reply is 404.
    pub(crate) fn of(answer: Option<Answer>) -> Self {
        match answer {
            Some(Answer { ok: true, body }) => Self::text(StatusCode::OK, &body),
            Some(Answer { ok: false, body }) => Self::text(StatusCode::SERVICE_UNAVAILABLE, &body),
            None => Self::text(
                StatusCode::NOT_FOUND,
                "no such page; there are /, /status.json, /metrics, /healthz and /readyz\n",
            ),
        }
    }

    /// Adds a header. A value that is not valid in a header is left out.
    pub(crate) fn with(mut self, name: HeaderName, value: &str) -> Self {
        if let Ok(value) = HeaderValue::from_str(value) {
            self.headers.insert(name, value);
        }
        self
    }
}

/// Source of the answers to all requests.
pub(crate) trait Site: Send + Sync + 'static {
    fn reply(&self, asked: &Asked<'_>) -> impl Future<Output = Reply> + Send;
}

impl<P: Pages> Site for P {
    async fn reply(&self, asked: &Asked<'_>) -> Reply {
        Reply::of(self.page(asked.path).await)
    }
}

/// Binds the address of the pages. `None`: the configuration has no address.
///
/// # Errors
/// The address is taken, or does not belong to this machine.
pub(in crate::run) async fn bind(
    address: Option<SocketAddr>,
) -> Result<Option<(TcpListener, SocketAddr)>, RunError> {
    let Some(address) = address else { return Ok(None) };
    let failed = |error| RunError::Failed(format!("[metrics] listen {address}: {error}"));
    Ok(Some((TcpListener::bind(address).await.map_err(failed)?, address)))
}

/// Serves `site` until the future is dropped.
pub(crate) async fn serve(socket: TcpListener, site: impl Site) {
    let site = Arc::new(site);
    let mut places = Places::default();
    loop {
        let (stream, peer) = match socket.accept().await {
            Ok(accepted) => accepted,
            Err(error) => {
                tracing::debug!(%error, "cannot accept an HTTP connection");
                tokio::time::sleep(ACCEPT_AGAIN).await;
                continue;
            }
        };
        let connection = tokio::spawn(connection(stream, site.clone()));
        places.take(peer.ip(), connection.abort_handle()).await;
    }
}

/// Serves one request and closes the connection.
async fn connection(stream: TcpStream, site: Arc<impl Site>) {
    let has_head = AtomicBool::new(false);
    let service = service_fn(|request| {
        has_head.store(true, Ordering::Relaxed);
        answer(&*site, request)
    });
    let connection = http1::Builder::new()
        .keep_alive(false)
        .max_buf_size(BUFFER_BYTES)
        .serve_connection(TokioIo::new(stream), service);
    let head_is_late = async {
        tokio::time::sleep(HEAD_WITHIN).await;
        if has_head.load(Ordering::Relaxed) {
            std::future::pending::<()>().await;
        }
    };
    tokio::select! {
        ended = tokio::time::timeout(CONNECTION_WITHIN, connection) => match ended {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::debug!(%error, "HTTP"),
            Err(_) => tracing::debug!("an HTTP client was too slow"),
        },
        () = head_is_late => tracing::debug!("an HTTP client sent no whole request"),
    }
}

async fn answer(site: &impl Site, request: Request<Incoming>) -> Result<Response<Full<Bytes>>, Infallible> {
    // RFC 9112, 3.2: of two hosts another part of the way may have believed the other.
    let has_two_hosts = request.headers().get_all(HOST).iter().nth(1).is_some();
    // Of version 1.1 each request names one: without it, whether the page is open to the name could not be judged.
    let has_no_host = request.version() == Version::HTTP_11 && !request.headers().contains_key(HOST);
    let reply = match *request.method() {
        _ if has_two_hosts => Reply::text(StatusCode::BAD_REQUEST, "more than one Host\n"),
        _ if has_no_host => Reply::text(StatusCode::BAD_REQUEST, "no Host\n"),
        Method::GET | Method::HEAD => site.reply(&Asked::of(&request)).await,
        _ => Reply::text(StatusCode::METHOD_NOT_ALLOWED, "").with(ALLOW, "GET, HEAD"),
    };
    let mut response = Response::new(Full::new(Bytes::from(reply.body)));
    *response.status_mut() = reply.status;
    *response.headers_mut() = reply.headers;
    Ok(response)
}

#[cfg(test)]
mod tests;
