//! Server whose addresses are bound, and that does not run yet: an address that is in use is reported before the application makes its sink.

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;

use tokio::net::TcpListener;
use tokio::sync::mpsc;

use super::acceptor::{Acceptor, Door};
use super::client_stream::Transport;
use super::owner::Owner;
use super::sink::{Receipts, Sink};
use super::{Clock, Server, ServerBuilder};
use crate::ingest::Ingest;
use crate::listener::Listener;

/// Settings with the sockets of their addresses.
pub(super) struct Bound {
    settings: ServerBuilder,
    doors: Vec<Door>,
    address: SocketAddr,
    tls_address: Option<SocketAddr>,
    #[cfg(feature = "websocket")]
    ws_addresses: [Option<SocketAddr>; 2],
}

impl ServerBuilder {
    /// Binds all addresses but the first, whose socket is given.
    pub(super) async fn bind(mut self, socket: TcpListener) -> io::Result<Bound> {
        let address = socket.local_addr()?;
        let mut doors = vec![Door { socket, tls: self.tls.take(), transport: Transport::Plain }];
        let mut tls_address = None;
        if let Some((address, tls)) = self.tls_listen.take() {
            let socket = TcpListener::bind(address).await?;
            tls_address = Some(socket.local_addr()?);
            doors.push(Door { socket, tls: Some(tls), transport: Transport::Plain });
        }
        #[cfg(feature = "websocket")]
        let ws_addresses = std::mem::take(&mut self.ws).bind(&self.config, &mut doors).await?;
        Ok(Bound {
            settings: self,
            doors,
            address,
            tls_address,
            #[cfg(feature = "websocket")]
            ws_addresses,
        })
    }
}

impl Bound {
    /// Restores saved clients, and runs on the current tokio runtime. Boxed, because what an `async fn` calls is compiled in the crate that awaits it.
    pub(super) fn run(
        self,
        ingest: Box<dyn Ingest + Send>,
        sink: Box<dyn Sink>,
        receipts: Receipts,
    ) -> Pin<Box<dyn Future<Output = Server> + Send>> {
        Box::pin(self.start(ingest, sink, receipts))
    }

    async fn start(self, ingest: Box<dyn Ingest + Send>, sink: Box<dyn Sink>, receipts: Receipts) -> Server {
        let (commands, commanded) = mpsc::channel(64);
        let settings = self.settings;
        let connections_max = settings.config.max_connections;
        let mut listener = Listener::new(settings.config, ingest).with_access(settings.access);
        if let Some(on_publish) = settings.on_publish {
            listener = listener.with_on_publish(on_publish);
        }
        let clock = settings.clock.unwrap_or_else(Clock::start);
        let mut owner = Owner::new(listener, sink, receipts, clock, settings.on_event);
        if let Some(store) = settings.client_store {
            owner.restore(store).await;
        }
        let acceptor = Acceptor::new(self.doors, settings.proxies, connections_max);
        let task = tokio::spawn(owner.run(acceptor, commanded));
        #[cfg(feature = "websocket")]
        let [ws_address, wss_address] = self.ws_addresses;
        Server {
            address: self.address,
            tls_address: self.tls_address,
            #[cfg(feature = "websocket")]
            ws_address,
            #[cfg(feature = "websocket")]
            wss_address,
            commands,
            task,
        }
    }
}
