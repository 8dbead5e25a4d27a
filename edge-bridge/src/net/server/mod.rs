//! The [`Listener`](crate::listener::Listener) on TCP, with or without TLS and WebSocket.
//!
//! One task owns the listener; each connection has a task that only moves bytes. A connection that may not be read is left unread, so that its
//! sender's socket fills up, which is the only flow control of MQTT 3.1.1.

mod acceptor;
mod bound;
mod client_saving;
mod client_stream;
mod connection;
mod connection_tasks;
mod fair_turns;
mod handshake_limit;
mod local_publisher;
mod owner;
mod paused_connections;
mod proxy_protocol;
#[cfg(feature = "spool-queue")]
mod queue_sink;
mod read_rate;
mod read_share;
mod sink;
#[cfg(feature = "websocket")]
mod websocket;

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use tokio::net::ToSocketAddrs;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

pub use bound::ListenAddress;
pub use client_saving::ClientStore;
pub use local_publisher::{LocalPublisher, Saving, Settling};
pub use proxy_protocol::{Network, NetworkError};
#[cfg(feature = "spool-queue")]
pub use queue_sink::QueueSink;
pub use sink::{NoQueue, Receipts, Sink};

use super::{Clock, ServerTls};
use crate::ingest::{Inbound, Ingest, Now};
use crate::listener::{Access, Config, Event, Observe, OnPublish, Settled, Stats};
use crate::wire::Publish;
use bound::{FurtherAddress, bind};
use local_publisher::ask;
use owner::Command;
use proxy_protocol::Proxies;

type OnEvent = Box<dyn FnMut(&Event, Option<SocketAddr>) + Send>;

/// Running MQTT server. Dropping it ends all connections without DISCONNECT; [`shutdown`](Self::shutdown) ends them properly.
///
/// ```
/// use std::time::Duration;
///
/// use edge_bridge::net::Server;
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> std::io::Result<()> {
/// // Shows what it gets, and acknowledges it. With `start` an `Ingest` decides, and a `Sink` stores.
/// let server = Server::builder()
///     .start_observer("127.0.0.1:0", |_, message| println!("{}: {:?}", message.topic, message.payload))
///     .await?;
/// println!("mqtt://{}", server.local_addr());
/// server.shutdown(Duration::from_secs(1)).await;
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct Server {
    /// Addresses at which it listens, that of the start first.
    addresses: Vec<ListenAddress>,
    commands: mpsc::Sender<Command>,
    task: JoinHandle<()>,
}

/// Error of a call to a server that has ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the MQTT server has ended")]
pub struct Ended;

/// Settings of a [`Server`].
pub struct ServerBuilder {
    config: Config,
    access: Access,
    on_event: Option<OnEvent>,
    on_publish: Option<OnPublish>,
    tls: Option<ServerTls>,
    further: Vec<FurtherAddress>,
    proxies: Proxies,
    #[cfg(feature = "websocket")]
    ws_origins: Vec<String>,
    clock: Option<Clock>,
    client_store: Option<client_saving::Store>,
}

impl Server {
    /// Returns a builder with default limits, open to every client, without TLS.
    pub fn builder() -> ServerBuilder {
        ServerBuilder {
            config: Config::default(),
            access: Access::default(),
            on_event: None,
            on_publish: None,
            tls: None,
            further: Vec::new(),
            proxies: Proxies::default(),
            #[cfg(feature = "websocket")]
            ws_origins: Vec::new(),
            clock: None,
            client_store: None,
        }
    }

    /// Returns the address with which the server was started. If port 0 was set, it has the port that the system assigned.
    pub fn local_addr(&self) -> SocketAddr {
        self.addresses.first().map_or(([0, 0, 0, 0], 0).into(), |first| first.address)
    }

    /// Returns all addresses at which the server listens: that of the start, and then those of the builder in their order.
    pub fn addresses(&self) -> &[ListenAddress] {
        &self.addresses
    }

    /// Publishes a message to local subscribers; it is not ingested. Waits until every subscriber has acknowledged it, or never will; an absent
    /// client's copy waits in its session. Dropping the future cancels nothing.
    pub async fn publish(&self, publish: Publish) -> Result<Settled, Ended> {
        self.publisher().publish(publish).await
    }

    /// Returns a handle for a task that publishes to local subscribers without owning the server.
    pub fn publisher(&self) -> LocalPublisher {
        LocalPublisher { commands: self.commands.clone() }
    }

    /// Counters and gauges of this moment.
    pub async fn stats(&self) -> Result<Stats, Ended> {
        ask(&self.commands, Command::Stats).await
    }

    /// Stops accepting and reading, waits at most `within` for the receipts of received messages, sends their PUBACKs, sends DISCONNECT 0x8B to
    /// MQTT 5 clients, and closes. Sessions end too, unless they are in a [store](ServerBuilder::client_store).
    pub async fn shutdown(self, within: Duration) {
        // An error means that it has ended before.
        let _ = ask(&self.commands, |answer| Command::Shutdown { within, answer }).await;
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl ServerBuilder {
    /// Limits of the listener.
    #[must_use]
    pub fn config(mut self, config: Config) -> Self {
        self.config = config;
        self
    }

    /// Sets which clients may connect, and what they may publish and receive. Default: every client, and everything.
    #[must_use]
    pub fn access(mut self, access: Access) -> Self {
        self.access = access;
        self
    }

    /// Listens at a further address, without TLS. May be called several times, as `tls_listen`, `ws_listen` and `wss_listen`.
    #[must_use]
    pub fn listen(self, address: SocketAddr) -> Self {
        self.further(address, None, false)
    }

    /// Listens at a further address, with TLS.
    #[must_use]
    pub fn tls_listen(self, address: SocketAddr, tls: ServerTls) -> Self {
        self.further(address, Some(tls), false)
    }

    fn further(mut self, address: SocketAddr, tls: Option<ServerTls>, is_web_socket: bool) -> Self {
        self.further.push(FurtherAddress { address, tls, is_web_socket });
        self
    }

    /// Believes these proxies, load balancers for example, from whom their connections come: each connection from one of these addresses, at any
    /// address of the server, must begin with a header of the PROXY protocol, version 2, within 3 s, before TLS and WebSocket, or is closed.
    /// Client addresses in events, limits by address and [`Inbound::peer`] are then those of the header. Connections from other addresses
    /// are served without a header. Whoever has one of these addresses can claim any other. Default: none.
    ///
    /// ```
    /// use edge_bridge::net::Server;
    ///
    /// let server = Server::builder().trusted_proxies(["10.0.0.5".parse()?, "fd00:1::/64".parse()?]);
    /// # Ok::<_, edge_bridge::net::server::NetworkError>(())
    /// ```
    #[must_use]
    pub fn trusted_proxies(mut self, networks: impl IntoIterator<Item = Network>) -> Self {
        self.proxies = Proxies::new(networks);
        self
    }

    /// Listens at a further address for MQTT over WebSocket, with subprotocol `mqtt` and any path. Browsers may connect from pages of the
    /// server's own origin, or of one in [`ws_origins`](Self::ws_origins).
    #[cfg(feature = "websocket")]
    #[must_use]
    pub fn ws_listen(self, address: SocketAddr) -> Self {
        self.further(address, None, true)
    }

    /// Listens as [`ws_listen`](Self::ws_listen) does, over TLS.
    #[cfg(feature = "websocket")]
    #[must_use]
    pub fn wss_listen(self, address: SocketAddr, tls: ServerTls) -> Self {
        self.further(address, Some(tls), true)
    }

    /// Sets further origins whose pages may connect by WebSocket, as browsers send them: `https://panel.example:8443`, or `null`.
    #[cfg(feature = "websocket")]
    #[must_use]
    pub fn ws_origins(mut self, origins: impl IntoIterator<Item = String>) -> Self {
        self.ws_origins = origins.into_iter().collect();
        self
    }

    /// Uses TLS on every connection of the address with which the server is started.
    #[must_use]
    pub fn tls(mut self, tls: ServerTls) -> Self {
        self.tls = Some(tls);
        self
    }

    /// Sets the clock from whose start the `up_ms` counts that [`Ingest`] and `on_publish` get. Use the same clock for other calls of the ingest,
    /// because two clocks with different starts look like a change of the wall clock. Default: a clock started with the server.
    #[must_use]
    pub fn clock(mut self, clock: Clock) -> Self {
        self.clock = Some(clock);
        self
    }

    /// Keeps sessions with their waiting messages, and retained messages, over a restart. They are restored at the start, and saved a second
    /// after a change, at most 4 KiB/s on average to spare flash, and at a [shutdown](Server::shutdown). A kill loses changes since the last
    /// save. See [`Listener::save`](crate::listener::Listener::save) for limits. Default: none, so that everything is in RAM.
    #[must_use]
    pub fn client_store(mut self, store: impl ClientStore) -> Self {
        self.client_store = Some(Box::new(store));
        self
    }

    /// Sets a function that is called with each event, and with the peer's address if there is one, on the server's task, so that it should
    /// take microseconds. Events are also logged (`tracing`, debug).
    #[must_use]
    pub fn on_event(mut self, on_event: impl FnMut(&Event, Option<SocketAddr>) + Send + 'static) -> Self {
        self.on_event = Some(Box::new(on_event));
        self
    }

    /// Sets a function that is called with each message at its arrival, before any row is queued and also while the queue has no room
    /// ([`Listener::with_on_publish`](crate::listener::Listener::with_on_publish)). It runs on the server's task, so it should take microseconds.
    #[must_use]
    pub fn on_publish(mut self, on_publish: impl FnMut(Now, &Inbound) + Send + 'static) -> Self {
        self.on_publish = Some(Box::new(on_publish));
        self
    }

    /// Binds the address and runs on the current tokio runtime. `ingest` is called with each received message, on the server's task. Its rows
    /// go to the sink that `sink` makes, which reports through the handle that it gets when they are safe.
    ///
    /// # Errors
    ///
    /// One of the addresses cannot be bound; the error names it.
    pub async fn start<I, S>(
        self,
        address: impl ToSocketAddrs,
        ingest: I,
        sink: impl FnOnce(Receipts) -> S,
    ) -> io::Result<Server>
    where
        I: Ingest + Send + 'static,
        S: Sink,
    {
        let bound = self.bind(bind(address).await?).await?;
        let receipts = Receipts::default();
        let sink = Box::new(sink(receipts.clone()));
        Ok(bound.run(Box::new(ingest), sink, receipts).await)
    }

    /// Starts a server as [`start`](Self::start) does, for a hub in tests: `observe` is called with every message, which is acknowledged at once.
    ///
    /// # Errors
    ///
    /// The address cannot be bound.
    pub async fn start_observer(
        self,
        address: impl ToSocketAddrs,
        observe: impl FnMut(Now, &Inbound) + Send + 'static,
    ) -> io::Result<Server> {
        self.start(address, Observe(observe), |_| NoQueue).await
    }
}
