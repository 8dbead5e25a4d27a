//! Silence repeat (heartbeat): the date at which the last value of a silent sensor is repeated. `max_interval` is another rule, of each filter that
//! suppresses values.

/// Date of the next repeat on the axis of `now`, or none, in 8 bytes.
#[derive(Clone, Copy, Debug, PartialEq)]
#[cfg_attr(feature = "config", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "config", serde(into = "Option<i64>", from = "Option<i64>"))]
pub(super) struct SilenceRepeat(i64);

/// 292 million years ago.
const NONE: i64 = i64::MIN;

impl Default for SilenceRepeat {
    fn default() -> Self {
        SilenceRepeat(NONE)
    }
}

impl SilenceRepeat {
    /// `ms` from now; none at the end of time, or it would be due for ever.
    pub(super) fn after(now_ms: i64, ms: i64) -> Self {
        Some(now_ms.saturating_add(ms)).filter(|due| *due > now_ms).into()
    }

    pub(super) fn due(self) -> Option<i64> {
        (self.0 != NONE).then_some(self.0)
    }

    /// Moves the time by `by_ms`.
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
