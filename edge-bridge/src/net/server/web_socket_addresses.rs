//! Addresses for WebSocket clients, beside those for MQTT on TCP.

use std::io;
use std::net::SocketAddr;

use tokio::net::TcpListener;

use super::acceptor::Door;
use super::client_stream::Transport;
use super::websocket::WebSocketRules;
use crate::listener::Config;
use crate::net::ServerTls;

/// Settings of these addresses, see the [module](self).
#[derive(Debug, Default)]
pub(super) struct WebSocketAddresses {
    pub(super) plain: Option<SocketAddr>,
    pub(super) tls: Option<(SocketAddr, ServerTls)>,
    /// Origins whose pages may connect, beside the server's own.
    pub(super) origins: Vec<String>,
}

impl WebSocketAddresses {
    /// Binds the addresses and appends them to `doors`. Returns the bound ones, the one with TLS last; `None` for one that is not set.
    pub(super) async fn bind(
        self,
        config: &Config,
        doors: &mut Vec<Door>,
    ) -> io::Result<[Option<SocketAddr>; 2]> {
        let rules = WebSocketRules::new(self.origins, &config.session.limits);
        let mut bound = [None, None];
        let plain = self.plain.map(|address| (address, None));
        let secure = self.tls.map(|(address, tls)| (address, Some(tls)));
        for (place, asked) in bound.iter_mut().zip([plain, secure]) {
            let Some((address, tls)) = asked else { continue };
            let socket = TcpListener::bind(address).await?;
            *place = Some(socket.local_addr()?);
            doors.push(Door { socket, tls, transport: Transport::WebSocket(rules.clone()) });
        }
        Ok(bound)
    }
}
