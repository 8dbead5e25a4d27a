//! An HTTP proxy that makes tunnels to one hub, whatever name it is asked for, and can be killed and started again.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use tokio::io::{AsyncReadExt, AsyncWriteExt, copy_bidirectional};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{JoinHandle, JoinSet};

pub(crate) struct HttpProxy {
    address: SocketAddr,
    shared: Arc<Shared>,
    task: Option<JoinHandle<()>>,
}

struct Shared {
    hub: SocketAddr,
    /// Line that a request must have, if any.
    login: Option<String>,
    requests: Mutex<Vec<String>>,
}

impl HttpProxy {
    pub(crate) async fn start(hub: SocketAddr, login: Option<&str>) -> Self {
        let login = login.map(|login| format!("Proxy-Authorization: {login}"));
        let shared = Arc::new(Shared { hub, login, requests: Mutex::default() });
        let mut proxy = Self { address: "127.0.0.1:0".parse().unwrap(), shared, task: None };
        proxy.run().await;
        proxy
    }

    /// Runs it, at its old address after a [`kill`](Self::kill).
    pub(crate) async fn run(&mut self) {
        let listener = TcpListener::bind(self.address).await.unwrap();
        self.address = listener.local_addr().unwrap();
        let shared = self.shared.clone();
        self.task = Some(tokio::spawn(async move {
            // Connections end with this task.
            let mut connections = JoinSet::new();
            while let Ok((client, _)) = listener.accept().await {
                connections.spawn(connection(client, shared.clone()));
            }
        }));
    }

    /// Ends it with all its connections.
    pub(crate) async fn kill(&mut self) {
        if let Some(task) = self.task.take() {
            task.abort();
            let _ = task.await;
        }
    }

    pub(crate) fn url(&self, user: &str) -> String {
        format!("http://{user}{}", self.address)
    }

    /// First lines of all requests.
    pub(crate) fn requests(&self) -> Vec<String> {
        self.shared.requests.lock().unwrap().clone()
    }
}

async fn connection(mut client: TcpStream, shared: Arc<Shared>) {
    let mut request = Vec::new();
    while !request.ends_with(b"\r\n\r\n") {
        let Ok(byte) = client.read_u8().await else { return };
        request.push(byte);
    }
    let request = String::from_utf8(request).unwrap();
    shared.requests.lock().unwrap().push(request.lines().next().unwrap().to_owned());
    if shared.login.as_ref().is_some_and(|login| request.lines().all(|line| line != login)) {
        let refusal = b"HTTP/1.1 407 No\r\nProxy-Authenticate: Basic realm=\"plant\"\r\n\r\n";
        let _ = client.write_all(refusal).await;
        return;
    }
    let Ok(mut hub) = TcpStream::connect(shared.hub).await else { return };
    if client.write_all(b"HTTP/1.1 200 Connection established\r\n\r\n").await.is_ok() {
        let _ = copy_bidirectional(&mut client, &mut hub).await;
    }
}
