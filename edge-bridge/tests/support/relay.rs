//! A TCP relay that can be cut, refused, or left half-open.

use std::net::SocketAddr;
use std::sync::Arc;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

/// Treatment of connections by the relay.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Path {
    /// Passes bytes on.
    Open,
    /// Accepts and reads, passes nothing on: a link that swallows everything.
    HalfOpen,
    /// Ends every connection at once.
    Cut,
}

pub struct Relay {
    address: SocketAddr,
    path: watch::Sender<Path>,
    to: watch::Sender<SocketAddr>,
}

impl Relay {
    pub async fn start(to: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (path, watched) = watch::channel(Path::Open);
        let (target, target_watch) = watch::channel(to);
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let hub = *target_watch.borrow();
                tokio::spawn(connection(client, hub, watched.clone()));
            }
        });
        Self { address, path, to: target }
    }

    pub fn url(&self) -> String {
        format!("mqtt://{}", self.address)
    }

    pub fn set(&self, path: Path) {
        self.path.send_replace(path);
    }
}

async fn connection(client: TcpStream, hub: SocketAddr, mut path: watch::Receiver<Path>) {
    if *path.borrow() == Path::Cut {
        return;
    }
    let Ok(server) = TcpStream::connect(hub).await else { return };
    let (client_in, client_out) = client.into_split();
    let (server_in, server_out) = server.into_split();
    let path_of = Arc::new(path.clone());
    let up = pump(client_in, server_out, path_of.clone());
    let down = pump(server_in, client_out, path_of);
    tokio::select! {
        () = up => {}
        () = down => {}
        _ = path.wait_for(|path| *path == Path::Cut) => {}
    }
}

async fn pump(
    mut from: tokio::net::tcp::OwnedReadHalf,
    mut to: tokio::net::tcp::OwnedWriteHalf,
    path: Arc<watch::Receiver<Path>>,
) {
    let mut buffer = vec![0; 16 * 1024];
    while let Ok(n) = from.read(&mut buffer).await {
        if n == 0 {
            return;
        }
        // A half-open path never recovers: what it swallowed is gone.
        if *path.borrow() == Path::HalfOpen {
            std::future::pending::<()>().await;
        }
        if to.write_all(&buffer[..n]).await.is_err() {
            return;
        }
    }
}
