//! A TCP relay that can be cut, refused, or left half-open.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

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
    /// Each connection has a clone.
    open: Arc<()>,
}

impl Relay {
    pub async fn start(to: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (path, watched) = watch::channel(Path::Open);
        let (target, target_watch) = watch::channel(to);
        let open = Arc::new(());
        let each = open.clone();
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let hub = *target_watch.borrow();
                let (watched, open) = (watched.clone(), each.clone());
                tokio::spawn(async move {
                    connection(client, hub, watched).await;
                    drop(open);
                });
            }
        });
        Self { address, path, to: target, open }
    }

    pub fn url(&self) -> String {
        format!("mqtt://{}", self.address)
    }

    /// Returns from a cut when all connections have ended: nothing that is sent then gets through. Not for a runtime of one thread.
    pub fn set(&self, path: Path) {
        self.path.send_replace(path);
        let until = Instant::now() + Duration::from_secs(30);
        // This one's and that of the task that accepts.
        while path == Path::Cut && Arc::strong_count(&self.open) > 2 {
            assert!(Instant::now() < until, "a connection does not end");
            std::thread::sleep(Duration::from_millis(1));
        }
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
