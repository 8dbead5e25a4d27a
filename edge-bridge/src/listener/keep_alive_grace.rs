//! Grace of the keep alive (§3.1.2.10) around a pause of reading: a paused connection is not silent, because its pings may wait unread.

use super::connection::Connection;
use super::{Due, Listener};
use crate::ingest::{Ingest, Now};
use crate::puback_chain::ConnectionId;

/// Milliseconds between the end of a pause of reading and the next check of the keep alive, so that what came in the pause is read first.
const GRACE_MS: u64 = 2_000;

impl Connection {
    /// Begins the grace anew: reading goes on, or does not yet. So does the time of a packet of which a part was read before.
    pub(super) fn begin_grace(&mut self, now_ms: u64) {
        self.grace_ms = now_ms.saturating_add(GRACE_MS);
        self.session.on_unread(now_ms);
    }
}

impl<I: Ingest> Listener<I> {
    /// Does what is due at the deadline of a connection. While a connection is not being read, its keep alive is not checked; it counts again
    /// [`GRACE_MS`] after reading resumed.
    pub(super) fn connection_due(&mut self, now: Now, id: ConnectionId) {
        let stopped = !self.admission.may_read(id) || self.accounts.waits_for_memory(id);
        let Some(state) = self.connections.get_mut(id) else { return };
        let is_paused = stopped || state.held > 0;
        if !state.gone && (is_paused || state.excused) {
            state.excused = is_paused;
            state.begin_grace(now.up_ms);
        }
        // The session's own deadline may have passed long ago, and comes up again with whatever is sent to the client.
        if !state.gone && now.up_ms < state.grace_ms {
            self.deadlines.no_later(Due::Connection(id), state.grace_ms);
            return;
        }
        state.session.handle_timeout(now.up_ms);
        self.connections.touch(id);
    }
}
