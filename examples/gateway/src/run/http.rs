//! A small HTTP server for an orchestrator and a scraper: GET, one answer per connection. Nobody can hold it up: a request comes within
//! seconds, and who comes when all places are taken gets that of the address with most of them.

#![allow(clippy::disallowed_methods, clippy::disallowed_types, reason = "a shell: sockets and tasks")]

mod connection_places;
mod io;

use std::convert::Infallible;
use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::header::{ALLOW, CONTENT_TYPE};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use tokio::net::{TcpListener, TcpStream};

use connection_places::Places;
use io::TokioIo;

/// From accept to the end of the request's head.
const HEAD_WITHIN: Duration = Duration::from_secs(5);
/// From accept to the last byte of the answer: a slow reader costs no more than this.
const CONNECTION_WITHIN: Duration = Duration::from_secs(10);
/// After an accept that failed, usually for want of file descriptors.
const ACCEPT_AGAIN: Duration = Duration::from_millis(200);
/// hyper's least: requests here are some hundred bytes.
const BUFFER_BYTES: usize = 8 * 1024;

/// Answer to a request.
#[derive(Clone, Debug)]
pub(crate) struct Answer {
    pub(crate) ok: bool,
    pub(crate) body: String,
}

/// Source of the pages.
pub(crate) trait Pages: Send + Sync + 'static {
    /// `None`: there is no such page.
    fn page(&self, path: &str) -> impl Future<Output = Option<Answer>> + Send;
}

/// Serves `pages` until it is dropped.
pub(crate) async fn serve(socket: TcpListener, pages: impl Pages) {
    let pages = Arc::new(pages);
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
        let connection = tokio::spawn(connection(stream, pages.clone()));
        places.take(peer.ip(), connection.abort_handle());
    }
}

/// One request and its answer.
async fn connection(stream: TcpStream, pages: Arc<impl Pages>) {
    let has_head = AtomicBool::new(false);
    let service = service_fn(|request| {
        has_head.store(true, Ordering::Relaxed);
        answer(&*pages, request)
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

async fn answer(pages: &impl Pages, request: Request<Incoming>) -> Result<Response<Full<Bytes>>, Infallible> {
    let mut response = Response::new(Full::default());
    let headers = response.headers_mut();
    headers.insert(
        CONTENT_TYPE,
        hyper::header::HeaderValue::from_static("text/plain; version=0.0.4; charset=utf-8"),
    );
    if request.method() != Method::GET && request.method() != Method::HEAD {
        headers.insert(ALLOW, hyper::header::HeaderValue::from_static("GET, HEAD"));
        *response.status_mut() = StatusCode::METHOD_NOT_ALLOWED;
        return Ok(response);
    }
    let (status, body) = match pages.page(request.uri().path()).await {
        Some(Answer { ok: true, body }) => (StatusCode::OK, body),
        Some(Answer { ok: false, body }) => (StatusCode::SERVICE_UNAVAILABLE, body),
        None => (StatusCode::NOT_FOUND, "not here: /metrics, /healthz, /readyz\n".to_owned()),
    };
    *response.status_mut() = status;
    *response.body_mut() = Full::new(Bytes::from(body));
    Ok(response)
}

#[cfg(test)]
mod tests;
