//! Room in the queue, as the caller reports it, in general and in each lane.

/// Room in the queue as last reported. Before the first report every lane has room.
#[derive(Debug, Default)]
pub(super) struct Room {
    is_full: bool,
    /// Lanes without room, bit `n` for lane `n`.
    full_lanes: u8,
}

impl Room {
    /// Returns whether any lane has room.
    pub(super) fn is_any(&self) -> bool {
        !self.is_full
    }

    /// Returns whether every lane has room.
    pub(super) fn is_everywhere(&self) -> bool {
        !self.is_full && self.full_lanes == 0
    }

    /// Returns whether a lane has room. `None` stands for an unknown lane, which has room if any has.
    pub(super) fn is_in(&self, lane: Option<u8>) -> bool {
        let bit = lane.and_then(|lane| 1u8.checked_shl(lane.into())).unwrap_or(0);
        !self.is_full && self.full_lanes & bit == 0
    }

    /// Sets if any lane has room. Returns whether that is a change.
    pub(super) fn set(&mut self, is_any: bool) -> bool {
        std::mem::replace(&mut self.is_full, !is_any) == is_any
    }

    /// Sets the lanes without room. Returns whether that is a change.
    pub(super) fn set_full_lanes(&mut self, lanes: u8) -> bool {
        std::mem::replace(&mut self.full_lanes, lanes) != lanes
    }
}
