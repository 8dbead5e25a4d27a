//! Hub for demonstrations, tests and benches: acknowledges every message and calls a function with it.

use edge_bridge::ingest::{Inbound, Now};
use edge_bridge::net::server::Server;
use std::net::SocketAddr;
use std::thread::JoinHandle;
use tokio::sync::oneshot;

/// Message received by the hub.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Message {
    /// Topic of the message.
    pub topic: String,
    /// Payload of the message, as text.
    pub payload: String,
}

/// Hub on a thread of its own; stops when it is dropped.
#[derive(Debug)]
pub struct DemoHub {
    address: SocketAddr,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl DemoHub {
    /// Starts the hub on loopback, at a free port.
    ///
    /// # Errors
    /// The system provides no thread or no port.
    pub fn start(mut on: impl FnMut(Message) + Send + 'static) -> Result<DemoHub, String> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let runtime = runtime.map_err(|error| error.to_string())?;
        let observe = move |_: Now, message: &Inbound| {
            let payload = String::from_utf8_lossy(&message.payload).into_owned();
            on(Message { topic: message.topic.as_str().to_owned(), payload });
        };
        let server = runtime.block_on(Server::builder().start_observer("127.0.0.1:0", observe));
        let server = server.map_err(|error| error.to_string())?;
        let (address, (stop, stopped)) = (server.local_addr(), oneshot::channel());
        let serve = move || {
            // An error is the sender's end, which is a stop as well.
            let _ = runtime.block_on(stopped);
            drop(server);
        };
        let thread = std::thread::Builder::new().name("hub".to_owned()).spawn(serve);
        let thread = thread.map_err(|error| error.to_string())?;
        Ok(DemoHub { address, stop: Some(stop), thread: Some(thread) })
    }

    /// Returns the address of the hub.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }
}

impl Drop for DemoHub {
    fn drop(&mut self) {
        // It has ended by itself if nobody hears.
        let _ = self.stop.take().map(|stop| stop.send(()));
        let _ = self.thread.take().map(JoinHandle::join);
    }
}
