//! Silence repeat (heartbeat): the time at which the last value of a silent sensor is repeated. `max_interval` is another rule, of each filter that
//! suppresses values.

/// Time of the next repeat on the clock of `now`, or none, in 8 bytes.
#[derive(Clone, Copy, Debug, PartialEq)]
#[cfg_attr(feature = "config", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "config", serde(into = "Option<i64>", from = "Option<i64>"))]
pub(super) struct SilenceRepeat(i64);

/// Value for no repeat; as a time it would be 292 million years ago.
const NONE: i64 = i64::MIN;

impl Default for SilenceRepeat {
    fn default() -> Self {
        SilenceRepeat(NONE)
    }
}

impl SilenceRepeat {
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

impl From<Option<i64>> for SilenceRepeat {
    fn from(due: Option<i64>) -> Self {
        SilenceRepeat(due.unwrap_or(NONE))
    }
}

impl From<SilenceRepeat> for Option<i64> {
    fn from(heartbeat: SilenceRepeat) -> Self {
        heartbeat.due()
    }
}
