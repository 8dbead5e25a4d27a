//! Connections that may not be read now, with what was read of them before. Their peers are looked at from time to time, since they may be gone.

use std::collections::HashMap;
use std::time::Duration;

use bytes::BytesMut;
use tokio::time::Instant;

use crate::listener::ConnectionId;

/// Period at which the peers are looked at.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// See the [module](self).
#[derive(Debug)]
pub(super) struct PausedConnections {
    pub(super) buffers: HashMap<ConnectionId, BytesMut>,
    look_at: Instant,
}

impl PausedConnections {
    pub(super) fn new() -> Self {
        Self { buffers: HashMap::new(), look_at: Instant::now() }
    }

    /// Takes those that may be read again.
    pub(super) fn take_ready(
        &mut self,
        may_read: impl Fn(ConnectionId) -> bool,
    ) -> Vec<(ConnectionId, BytesMut)> {
        self.buffers.extract_if(|id, _| may_read(*id)).collect()
    }

    /// Returns those whose peers are to be looked at now.
    pub(super) fn due(&mut self, now: Instant) -> impl Iterator<Item = &ConnectionId> {
        let is_due = !self.buffers.is_empty() && self.look_at <= now;
        if is_due {
            self.look_at = now + LOOK_EVERY;
        }
        self.buffers.keys().filter(move |_| is_due)
    }

    /// Time of the next look, if any connection is paused.
    pub(super) fn next_look(&self) -> Option<Instant> {
        (!self.buffers.is_empty()).then_some(self.look_at)
    }
}
