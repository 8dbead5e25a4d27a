//! A small HTTP server for an orchestrator and a scraper: GET, one answer per connection, nobody can hold it up.

#![allow(clippy::disallowed_methods, clippy::disallowed_types, reason = "a shell: sockets and tasks")]

mod io;

use std::convert::Infallible;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::header::{ALLOW, CONTENT_TYPE};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use tokio::net::TcpListener;
use tokio::sync::Semaphore;

use io::TokioIo;

/// A scraper and two probes need three.
const CONNECTIONS_MAX: usize = 32;
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
    let places = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    loop {
        // Nobody closes the semaphore.
        let Ok(place) = places.clone().acquire_owned().await else { return };
        let stream = match socket.accept().await {
            Ok((stream, _)) => stream,
            Err(error) => {
                tracing::debug!(%error, "cannot accept an HTTP connection");
                tokio::time::sleep(ACCEPT_AGAIN).await;
                continue;
            }
        };
        let pages = pages.clone();
        tokio::spawn(async move {
            let service = service_fn(|request| answer(&*pages, request));
            let connection = http1::Builder::new()
                .keep_alive(false)
                .max_buf_size(BUFFER_BYTES)
                .serve_connection(TokioIo::new(stream), service);
            match tokio::time::timeout(CONNECTION_WITHIN, connection).await {
                Ok(Ok(())) => {}
                Ok(Err(error)) => tracing::debug!(%error, "HTTP"),
                Err(_) => tracing::debug!("an HTTP client was too slow"),
            }
            drop(place);
        });
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
