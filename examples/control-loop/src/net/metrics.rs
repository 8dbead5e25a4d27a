//! HTTP server of `/metrics`, for a Prometheus on this machine: every request gets the same answer.

use super::NetStats;
use crate::prometheus;
use crate::runner::LoopStats;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// Time limit of a request and its answer.
const WITHIN: Duration = Duration::from_secs(2);

/// Serves one request at a time. Returns the address.
pub(super) async fn serve(
    listen: SocketAddr,
    stats: Arc<LoopStats>,
    net: Arc<NetStats>,
) -> Result<SocketAddr, String> {
    let socket =
        TcpListener::bind(listen).await.map_err(|error| format!("[metrics] listen {listen}: {error}"))?;
    let address = socket.local_addr().map_err(|error| error.to_string())?;
    tokio::spawn(async move {
        loop {
            match socket.accept().await {
                // A scraper that goes away in the middle is its own affair.
                Ok((stream, _)) => drop(tokio::time::timeout(WITHIN, answer(stream, &stats, &net)).await),
                Err(_) => tokio::time::sleep(Duration::from_millis(100)).await,
            }
        }
    });
    Ok(address)
}

async fn answer(mut stream: TcpStream, stats: &LoopStats, net: &NetStats) -> std::io::Result<()> {
    let mut request = [0; 1024];
    let _ = stream.read(&mut request).await?;
    let body = prometheus(stats) + &of_net(net);
    let head = format!(
        "HTTP/1.1 200 OK\r\nContent-Type: text/plain; version=0.0.4\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
        body.len()
    );
    stream.write_all(head.as_bytes()).await?;
    stream.write_all(body.as_bytes()).await
}

fn of_net(net: &NetStats) -> String {
    let mut out = String::new();
    for (name, help, value) in [
        ("edge_control_queue_open", "1 while the queue for the hub is open.", u64::from(net.is_queue_open())),
        (
            "edge_control_unqueued_total",
            "Messages for the hub that found no room in the queue.",
            net.not_queued(),
        ),
    ] {
        let kind = if name.ends_with("_total") { "counter" } else { "gauge" };
        out.push_str(&format!("# HELP {name} {help}\n# TYPE {name} {kind}\n{name} {value}\n"));
    }
    out
}
