//! Limit of network connections. Back-pressure leaves connections unread, perhaps for days while the queue is full. A new connection may displace
//! one whose peer is gone, or that has waited longest, so that publishers that cannot be served do not lock out other clients. It may also displace
//! one that has not said who it is: whoever has no login could else hold all places. Places of clients that are silent are shared by address, so that
//! one that opens hundreds of connections, and says its name on each, locks nobody out either.

use std::cmp::Reverse;
use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};

use bytes::BytesMut;

use super::{Due, Listener};
use crate::client_network::client_network;
use crate::ingest::{Ingest, Now};
use crate::puback_chain::ConnectionId;
use crate::session::{Closed, Input};
use crate::wire::{self, Limits, Packet, PacketType, ReasonCode, Version};

/// Milliseconds of silence after which a connection that may not be read, and whose peer is not gone, may be displaced by a new one.
const KEPT_MS: u64 = 10_000;
/// Milliseconds after which a connection without a CONNECT may be displaced by one of the same network. A client sends its CONNECT at once.
const NAMELESS_MS: u64 = 1_000;
/// Share of all places, as a divisor, from which the connections of one network are a crowd.
const CROWD_SHARE: usize = 8;

impl<I: Ingest> Listener<I> {
    /// Adds a network connection. At [`max_connections`](super::Config::max_connections) the new connection displaces another one, the first of:
    ///
    /// 1. a connection that [may not be read](Self::may_read) and whose peer is [gone](super::Input::Gone), the one that was silent longest;
    /// 2. one that may not be read and has been silent for 10 s, the one that was silent longest;
    /// 3. one without an accepted CONNECT: the oldest of the client network (an IPv4 address, or an IPv6 /64) with most of them, if that network has
    ///    more of them than the new connection's, or if that oldest one came a second ago or earlier;
    /// 4. one that has been silent for 10 s, the one that was silent longest of the client network with most connections, if that network has an
    ///    eighth of all places or more, and at least two more than the new connection's. Not while a connection is without an accepted CONNECT: who
    ///    takes places so has to log in on each.
    ///
    /// Returns `None` if there is none of these; the caller then closes the new connection.
    pub fn accept(&mut self, now: Now) -> Option<ConnectionId> {
        self.accept_from(now, None)
    }

    /// Adds a connection as [`accept`](Self::accept) does, with the peer's address, which the [`Ingest`] sees with each message
    /// ([`Inbound::peer`](crate::ingest::Inbound::peer)).
    pub fn accept_from(&mut self, now: Now, peer: Option<SocketAddr>) -> Option<ConnectionId> {
        if self.connections.len() >= self.config.max_connections && !self.displace(now, peer) {
            return None;
        }
        let id = self.connections.add(now.up_ms, self.config.session.clone(), peer);
        self.connections.touch(id);
        self.is_shut_down = false;
        self.run(now);
        Some(id)
    }

    pub(super) fn on_hung_up(&mut self, now: Now, connection: ConnectionId) {
        if let Some(state) = self.connections.get_mut(connection) {
            state.session.handle_input(now.up_ms, Input::Closed);
            self.connections.touch(connection);
            self.run(now);
        }
    }

    pub(super) fn on_gone(&mut self, now: Now, connection: ConnectionId, unread: &[u8]) {
        let Some(state) = self.connections.get_mut(connection) else { return };
        state.gone = true;
        state.farewell = farewell(unread, state.session.version()).or(state.farewell.take());
        self.deadlines.no_later(Due::Connection(connection), now.up_ms);
        self.run(now);
    }

    /// Closes a connection to make room for a new one. Returns `false` if none may be closed.
    fn displace(&mut self, now: Now, peer: Option<SocketAddr>) -> bool {
        let Some(id) = self.gives_way(now, peer) else { return false };
        let Some(state) = self.connections.get_mut(id) else { return false };
        state.is_end_counted = true;
        if state.gone {
            state.session.handle_input(now.up_ms, Input::Closed);
        } else {
            state.session.disconnect(now.up_ms, ReasonCode::SERVER_BUSY);
        }
        self.stats.displaced += 1;
        self.connections.touch(id);
        self.run(now);
        true
    }

    /// Returns the connection that gives way to a new one of `peer`. Looks at each connection once: whoever is refused comes again at once.
    fn gives_way(&self, now: Now, peer: Option<SocketAddr>) -> Option<ConnectionId> {
        let mut unread = None;
        let mut networks: HashMap<_, Places> = HashMap::new();
        for (id, state) in self.connections.iter() {
            let is_silent = now.up_ms.saturating_sub(state.heard_ms) >= KEPT_MS;
            if (state.gone || is_silent) && !self.may_read(id) {
                unread = first(unread, (!state.gone, state.heard_ms, id));
            }
            let places = networks.entry(network(state.peer)).or_default();
            places.all += 1;
            if state.client.is_none() {
                places.nameless += 1;
                places.oldest_nameless = first(places.oldest_nameless, (id, state.accepted_ms));
            }
            if is_silent {
                places.longest_silent = first(places.longest_silent, (state.heard_ms, id));
            }
        }
        if let Some((.., id)) = unread {
            return Some(id);
        }
        let own = networks.get(&network(peer)).copied().unwrap_or_default();
        if networks.values().any(|places| places.nameless > 0) {
            return nameless(now, &networks, own);
        }
        let crowd = (self.config.max_connections / CROWD_SHARE).max(own.all + 2);
        let most = networks.values().map(|places| places.all).max().filter(|most| *most >= crowd)?;
        let of_crowd = networks.values().filter(|places| places.all == most);
        of_crowd.filter_map(|places| places.longest_silent).min().map(|(_, id)| id)
    }
}

/// Places that the connections of one network take.
#[derive(Debug, Clone, Copy, Default)]
struct Places {
    all: usize,
    /// Those without an accepted CONNECT.
    nameless: usize,
    /// Oldest of these, with the time from which it is there.
    oldest_nameless: Option<(ConnectionId, u64)>,
    /// Connection that has been silent longest, of those that have been silent for [`KEPT_MS`], with the time at which it was heard last.
    longest_silent: Option<(u64, ConnectionId)>,
}

/// Returns the connection without an accepted CONNECT that gives way to a new one of a network with the places `own`.
fn nameless<N>(now: Now, networks: &HashMap<N, Places>, own: Places) -> Option<ConnectionId> {
    let oldest = networks.values().filter_map(|places| Some((places.nameless, places.oldest_nameless?)));
    let (most, (id, since_ms)) = oldest.max_by_key(|(count, (id, _))| (*count, Reverse(*id)))?;
    (most > own.nameless || now.up_ms.saturating_sub(since_ms) >= NAMELESS_MS).then_some(id)
}

/// Returns the lesser of both.
fn first<T: Ord>(one: Option<T>, other: T) -> Option<T> {
    Some(match one {
        Some(one) => one.min(other),
        None => other,
    })
}

/// Returns the network of a peer; `None` if its address is not known.
fn network(peer: Option<SocketAddr>) -> Option<IpAddr> {
    peer.map(|peer| client_network(peer.ip()))
}

/// Returns how the connection ends if the whole packets in `unread` have a DISCONNECT; `None` if they have none.
fn farewell(mut unread: &[u8], version: Version) -> Option<Closed> {
    loop {
        let (packet_type, size) = wire::frame(unread)?;
        let packet = unread.get(..size)?;
        if packet_type == PacketType::Disconnect {
            return match wire::decode(&mut BytesMut::from(packet), version, &Limits::default()) {
                Ok(Some(Packet::Disconnect(disconnect))) => Some(Closed::from(&disconnect)),
                _ => None,
            };
        }
        unread = unread.get(size..)?;
    }
}
