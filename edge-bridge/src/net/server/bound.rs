//! Server whose addresses are bound, and that does not run yet: an address that is in use is reported before the application makes its sink.

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;

use tokio::net::{TcpListener, TcpSocket, ToSocketAddrs, lookup_host};
use tokio::sync::mpsc;

use super::acceptor::{Acceptor, Door};
use super::client_stream::Transport;
use super::owner::Owner;
use super::sink::{Receipts, Sink};
#[cfg(feature = "websocket")]
use super::websocket::WebSocketRules;
use super::{Clock, Server, ServerBuilder, ServerTls};
use crate::ingest::Ingest;
use crate::listener::Listener;
use crate::net::random::random_u128;

/// Most connections that wait to be accepted; the system may have a lower limit (`net.core.somaxconn`). A connect beyond it is repeated after a second,
/// so it has room for the clients of a plant that come at once, as after an outage.
const BACKLOG: u32 = 1_024;

/// Address of a running server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ListenAddress {
    /// Address that is bound, with the port that the system assigned where port 0 was set.
    pub address: SocketAddr,
    /// Set if every connection there has TLS.
    pub has_tls: bool,
    /// Set if clients connect there by WebSocket; otherwise by TCP alone.
    pub is_web_socket: bool,
}

/// Address to listen at, beside that of the start.
#[derive(Debug)]
pub(super) struct FurtherAddress {
    pub(super) address: SocketAddr,
    pub(super) tls: Option<ServerTls>,
    pub(super) is_web_socket: bool,
}

/// Settings with the sockets of their addresses.
pub(super) struct Bound {
    settings: ServerBuilder,
    doors: Vec<Door>,
    addresses: Vec<ListenAddress>,
}

impl ServerBuilder {
    /// Binds all addresses but the first, whose socket is given.
    pub(super) async fn bind(mut self, socket: TcpListener) -> io::Result<Bound> {
        let first = Door { socket, tls: self.tls.take(), transport: Transport::Plain };
        let (mut doors, mut addresses) = (Vec::new(), Vec::new());
        let mut open = |door: Door, is_web_socket| {
            let (address, has_tls) = (door.socket.local_addr()?, door.tls.is_some());
            addresses.push(ListenAddress { address, has_tls, is_web_socket });
            doors.push(door);
            io::Result::Ok(())
        };
        open(first, false)?;
        #[cfg(feature = "websocket")]
        let rules = WebSocketRules::new(std::mem::take(&mut self.ws_origins), &self.config.session.limits);
        for FurtherAddress { address, tls, is_web_socket } in std::mem::take(&mut self.further) {
            let socket = bind(address).await?;
            #[cfg(feature = "websocket")]
            let transport =
                if is_web_socket { Transport::WebSocket(rules.clone()) } else { Transport::Plain };
            #[cfg(not(feature = "websocket"))]
            let transport = Transport::Plain;
            open(Door { socket, tls, transport }, is_web_socket)?;
        }
        Ok(Bound { settings: self, doors, addresses })
    }
}

/// Binds the first of the addresses that can be bound. An error names the address.
pub(super) async fn bind(addresses: impl ToSocketAddrs) -> io::Result<TcpListener> {
    let mut refused = io::Error::new(io::ErrorKind::InvalidInput, "the name has no address");
    for address in lookup_host(addresses).await? {
        match listen(address) {
            Ok(socket) => return Ok(socket),
            Err(error) => refused = io::Error::new(error.kind(), format!("{address}: {error}")),
        }
    }
    Err(refused)
}

fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
    // A restart does not wait for connections of the last run to be forgotten. Elsewhere the option lets two programs have one address.
    #[cfg(unix)]
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(BACKLOG)
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
        let listener = Listener::new(settings.config, ingest).with_access(settings.access);
        let mut listener = listener.with_random(random_u128);
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
        Server { addresses: self.addresses, commands, task }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::net::TcpStream;
    use std::time::Duration;

    use super::{bind, mpsc};
    use crate::listener::Event;
    use crate::net::Server;

    #[tokio::test]
    async fn each_address_is_bound_and_one_that_cannot_be_is_named() {
        let any = "127.0.0.1:0".parse().unwrap();
        let several = || Server::builder().listen(any).listen(any);
        let server = several().start_observer("127.0.0.1:0", |_, _| ()).await.unwrap();
        let mut ports: Vec<u16> = server.addresses().iter().map(|at| at.address.port()).collect();
        assert_eq!((ports.len(), ports[0]), (3, server.local_addr().port()));
        ports.sort_unstable();
        ports.dedup();
        assert_eq!(ports.len(), 3);
        let taken = server.addresses()[2].address;
        let refused = several().listen(taken).start_observer("127.0.0.1:0", |_, _| ()).await.unwrap_err();
        assert!(refused.to_string().starts_with(&format!("{taken}: ")), "{refused}");
    }

    /// Of two clients that send none and come one after the other: neither can guess the other's.
    #[tokio::test]
    async fn assigned_client_identifiers_have_nothing_in_common() {
        let (tell, mut told) = mpsc::channel(2);
        let on_event = move |event: &Event, _| {
            if let Event::Connected { client, .. } = event {
                tell.try_send(client.to_string()).unwrap();
            }
        };
        let server =
            Server::builder().on_event(on_event).start_observer("127.0.0.1:0", |_, _| ()).await.unwrap();
        let mut ids = Vec::new();
        for _ in 0..2 {
            let mut client = TcpStream::connect(server.local_addr()).unwrap();
            client.write_all(b"\x10\x0d\x00\x04MQTT\x05\x02\x00\x3c\x00\x00\x00").unwrap();
            ids.push(told.recv().await.unwrap());
        }
        let in_common = ids[0].bytes().zip(ids[1].bytes()).filter(|(one, other)| one == other).count();
        assert!(ids[0].len() == 37 && in_common < 20, "{ids:?}");
    }

    /// Nobody accepts meanwhile: a server has one thread, which may be busy.
    #[tokio::test]
    async fn clients_that_come_at_once_wait_to_be_accepted() {
        let socket = bind("127.0.0.1:0").await.unwrap();
        let address = socket.local_addr().unwrap();
        let connect = |_| TcpStream::connect_timeout(&address, Duration::from_secs(5)).ok();
        // The system cuts the backlog to this.
        let limit = std::fs::read_to_string("/proc/sys/net/core/somaxconn");
        let clients = limit.map_or(400_usize, |limit| limit.trim().parse().unwrap()).min(400);
        let connected: Vec<_> = (0..clients).map_while(connect).collect();
        assert_eq!(connected.len(), clients);
    }
}
