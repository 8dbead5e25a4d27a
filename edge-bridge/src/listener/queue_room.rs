//! Room in the queue, as the caller says: at all, and in each lane.

/// See the [module](self). At first there is room.
#[derive(Debug, Default)]
pub(super) struct Room {
    is_full: bool,
    /// Bit `n`: lane `n` is full.
    full_lanes: u8,
}

impl Room {
    /// Tells that there is room in some lane.
    pub(super) fn is_any(&self) -> bool {
        !self.is_full
    }

    /// Tells that every lane has room.
    pub(super) fn is_everywhere(&self) -> bool {
        !self.is_full && self.full_lanes == 0
    }

    /// Tells that a lane has room; `None`: that of a message whose lane is not known.
    pub(super) fn is_in(&self, lane: Option<u8>) -> bool {
        let bit = lane.and_then(|lane| 1u8.checked_shl(lane.into())).unwrap_or(0);
        !self.is_full && self.full_lanes & bit == 0
    }

    /// Returns whether that is news.
    pub(super) fn set(&mut self, is_any: bool) -> bool {
        std::mem::replace(&mut self.is_full, !is_any) == is_any
    }

    /// Returns whether that is news.
    pub(super) fn set_full_lanes(&mut self, lanes: u8) -> bool {
        std::mem::replace(&mut self.full_lanes, lanes) != lanes
    }
}
