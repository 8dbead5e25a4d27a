//! Connections that may not be read now (back-pressure), with the bytes read before. Their peers are checked every second, because they may be
//! gone.

use std::collections::HashMap;
use std::time::Duration;

use bytes::BytesMut;
use tokio::time::Instant;

use crate::listener::ConnectionId;

/// Period in which the peers are checked.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// Paused connections and their buffers, see the [module](self).
#[derive(Debug)]
pub(super) struct PausedConnections {
    pub(super) buffers: HashMap<ConnectionId, BytesMut>,
    look_at: Instant,
}

impl PausedConnections {
    pub(super) fn new() -> Self {
        Self { buffers: HashMap::new(), look_at: Instant::now() }
    }

    /// Takes the connections that may be read again.
    pub(super) fn take_ready(
        &mut self,
        may_read: impl Fn(ConnectionId) -> bool,
    ) -> Vec<(ConnectionId, BytesMut)> {
        self.buffers.extract_if(|id, _| may_read(*id)).collect()
    }

    /// Returns the connections whose peers are to be checked now; none before the next check is due.
    pub(super) fn due(&mut self, now: Instant) -> impl Iterator<Item = &ConnectionId> {
        let is_due = !self.buffers.is_empty() && self.look_at <= now;
        if is_due {
            self.look_at = now + LOOK_EVERY;
        }
        self.buffers.keys().filter(move |_| is_due)
    }

    /// Time of the next check; `None` if no connection is paused.
    pub(super) fn next_look(&self) -> Option<Instant> {
        (!self.buffers.is_empty()).then_some(self.look_at)
    }
}
