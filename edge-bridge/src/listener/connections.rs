//! Table of network connections, by numbers that are never used twice, with the list of those whose session may have output.

use std::collections::{HashMap, VecDeque};
use std::net::SocketAddr;

use super::client::ClientKey;
use super::connection::Connection;
use crate::puback_chain::ConnectionId;
use crate::session::{ServerConfig, Session};

/// States of all network connections, see the [module](self).
#[derive(Debug, Default)]
pub(super) struct Connections {
    by_id: HashMap<ConnectionId, Connection>,
    /// Number of the connection that was added last.
    latest: u64,
    touched: VecDeque<ConnectionId>,
}

impl Connections {
    /// Adds a connection that was made now.
    pub(super) fn add(
        &mut self,
        now_ms: u64,
        config: ServerConfig,
        peer: Option<SocketAddr>,
    ) -> ConnectionId {
        self.latest += 1;
        let id = ConnectionId(self.latest);
        let session = Session::server(now_ms, id.0, config);
        self.by_id.insert(id, Connection::new(now_ms, session, peer));
        id
    }

    pub(super) fn remove(&mut self, id: ConnectionId) -> Option<Connection> {
        self.by_id.remove(&id)
    }

    pub(super) fn get(&self, id: ConnectionId) -> Option<&Connection> {
        self.by_id.get(&id)
    }

    pub(super) fn get_mut(&mut self, id: ConnectionId) -> Option<&mut Connection> {
        self.by_id.get_mut(&id)
    }

    /// Returns the client of a connection; `None` until its CONNECT was accepted.
    pub(super) fn client(&self, id: ConnectionId) -> Option<ClientKey> {
        self.get(id)?.client
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (ConnectionId, &Connection)> {
        self.by_id.iter().map(|(id, state)| (*id, state))
    }

    /// Lets a refused topic be reported again on each connection.
    pub(super) fn report_topics_again(&mut self) {
        self.by_id.values_mut().for_each(|state| state.topic_refused = false);
    }

    pub(super) fn len(&self) -> usize {
        self.by_id.len()
    }

    /// Marks a connection whose session may have output.
    pub(super) fn touch(&mut self, id: ConnectionId) {
        if let Some(state) = self.by_id.get_mut(&id)
            && !std::mem::replace(&mut state.touched, true)
        {
            self.touched.push_back(id);
        }
    }

    /// Takes the connection that was marked first; `None` if none is left.
    pub(super) fn pop_touched(&mut self) -> Option<ConnectionId> {
        self.touched.pop_front()
    }
}
