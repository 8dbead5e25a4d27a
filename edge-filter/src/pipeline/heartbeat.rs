//! Heartbeat: the time at which the last emitted value of a silent sensor is repeated, as a sign of life (`heartbeat_ms` of the stage `stale`).
//!
//! A reducer's `max_interval_ms` is another rule. It acts when a reading comes, in event time: after that long without an emission a reading is emitted,
//! however little the value changed. A heartbeat comes on a tick while no reading comes, and every reading puts it off, also one that is not emitted.

/// Time of the next repeat on the clock of `now`, in 8 bytes. By default there is none.
#[derive(Clone, Copy, Debug, PartialEq)]
#[cfg_attr(feature = "config", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "config", serde(into = "Option<i64>", from = "Option<i64>"))]
pub(super) struct Heartbeat(i64);

/// Value for no repeat; as a time it would be 292 million years ago.
const NONE: i64 = i64::MIN;

impl Default for Heartbeat {
    fn default() -> Self {
        Heartbeat(NONE)
    }
}

impl Heartbeat {
    /// Returns a repeat `ms` from now; none if that is beyond the end of time, because it would always be due.
    pub(super) fn after(now_ms: i64, ms: i64) -> Self {
        Some(now_ms.saturating_add(ms)).filter(|due| *due > now_ms).into()
    }

    pub(super) fn due(self) -> Option<i64> {
        (self.0 != NONE).then_some(self.0)
    }

    /// Moves the time of the repeat by `by_ms`.
    pub(super) fn shift(&mut self, by_ms: i64) {
        *self = self.due().map(|due| due.wrapping_add(by_ms)).into();
    }
}

impl From<Option<i64>> for Heartbeat {
    fn from(due: Option<i64>) -> Self {
        Heartbeat(due.unwrap_or(NONE))
    }
}

impl From<Heartbeat> for Option<i64> {
    fn from(heartbeat: Heartbeat) -> Self {
        heartbeat.due()
    }
}
