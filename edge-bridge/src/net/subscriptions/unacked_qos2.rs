//! Messages of QoS 2 that the application has and did not acknowledge yet: a copy of one, which the hub sends on each new connection, is not given
//! to it again. Bounded; beyond, copies come.

use std::collections::HashMap;
use std::sync::Arc;

use super::shared_ack::{Copy, SharedAck};
use crate::session::AckHandle;

/// Most messages that are held.
const HELD_MAX: usize = 4_096;
/// Number of messages from which on those that are over are looked for.
const TIDY_FROM: usize = 64;

/// Messages by the handle of their youngest copy.
#[derive(Debug)]
pub(super) struct HeldMessages {
    by_handle: HashMap<AckHandle, Arc<SharedAck>>,
    /// Number of messages at which those that are over are removed.
    tidy_at: usize,
}

impl Default for HeldMessages {
    fn default() -> Self {
        Self { by_handle: HashMap::new(), tidy_at: TIDY_FROM }
    }
}

impl HeldMessages {
    /// Adds a message. Returns `false` if there is no room for it.
    pub(super) fn add(&mut self, ack: &Arc<SharedAck>) -> bool {
        let has_room = self.by_handle.len() < HELD_MAX;
        if has_room {
            self.by_handle.insert(ack.handle(), ack.clone());
        }
        has_room
    }

    /// Returns what a copy with this handle is for. `earlier`: handle of the copy before.
    pub(super) fn copy(&mut self, handle: AckHandle, earlier: AckHandle) -> Copy {
        let Some(ack) = self.by_handle.remove(&earlier) else { return Copy::Wanted };
        let copy = ack.renew(handle);
        if copy != Copy::Wanted {
            self.by_handle.insert(handle, ack);
        }
        copy
    }

    /// Removes messages that cannot come again, once there are many.
    pub(super) fn tidy(&mut self, may_come_again: impl Fn(AckHandle) -> bool) {
        if self.by_handle.len() >= self.tidy_at {
            self.by_handle.retain(|handle, _| may_come_again(*handle));
            self.tidy_at = (2 * self.by_handle.len()).max(TIDY_FROM);
        }
    }

    /// Forgets all, because the hub has lost the session, and sends new messages alone.
    pub(super) fn clear(&mut self) {
        *self = Self::default();
    }
}
