//! Hiding of alarms: shelving, suppression, out of service. A hidden alarm is still evaluated.

use super::AlarmState;

/// Time by which a reading that comes after a command may have been taken before it.
const MOMENT_MS: i64 = 1_000;

/// Reasons for which one limit is hidden; by default it is not.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
#[cfg_attr(feature = "config", derive(serde::Serialize, serde::Deserialize))]
pub(super) struct Hiding {
    shelf: Option<Shelf>,
    pub(super) suppressed: bool,
    pub(super) out_of_service: bool,
}

/// Shelving of a limit by an operator.
#[derive(Clone, Copy, Debug, PartialEq)]
#[cfg_attr(feature = "config", derive(serde::Serialize, serde::Deserialize))]
struct Shelf {
    since_now: i64,
    /// Length of the shelving. `None`: a one-shot shelving that ends only when the limit returns to normal.
    for_ms: Option<i64>,
    one_shot: bool,
}

impl Hiding {
    /// Returns the state that the alarm shows instead of its condition; `None` if it is not hidden.
    pub(super) fn shown(&self) -> Option<AlarmState> {
        match self {
            Hiding { out_of_service: true, .. } => Some(AlarmState::OutOfService),
            Hiding { suppressed: true, .. } => Some(AlarmState::Suppressed),
            Hiding { shelf: Some(_), .. } => Some(AlarmState::Shelved),
            _ => None,
        }
    }

    pub(super) fn shelve(&mut self, now_ms: i64, for_ms: Option<i64>, one_shot: bool) {
        self.shelf = Some(Shelf { since_now: now_ms, for_ms, one_shot });
    }

    /// Ends shelving. Returns whether the limit was shelved.
    pub(super) fn unshelve(&mut self) -> bool {
        self.shelf.take().is_some()
    }

    /// Ends a one-shot shelving, because the process returned to normal.
    pub(super) fn returned(&mut self) {
        self.shelf = self.shelf.filter(|shelf| !shelf.one_shot);
    }

    /// Ends shelving whose time is over. A clock that was set back ends it too, because an alarm hidden for longer than was asked for is the
    /// worse mistake.
    pub(super) fn expire(&mut self, now_ms: i64) {
        let over = |shelf: &Shelf| now_ms < shelf.since_now || shelf.end().is_some_and(|end| now_ms >= end);
        self.shelf = self.shelf.filter(|shelf| !over(shelf));
    }

    /// Ends shelving as [`expire`](Self::expire) does, at a reading. One whose time was taken a moment before the command's is no clock that was set
    /// back.
    pub(super) fn expire_at_reading(&mut self, now_ms: i64) {
        let is_a_moment = |shelf: &Shelf| (1..=MOMENT_MS).contains(&shelf.since_now.saturating_sub(now_ms));
        if !self.shelf.as_ref().is_some_and(is_a_moment) {
            self.expire(now_ms);
        }
    }

    pub(super) fn deadline(&self) -> Option<i64> {
        self.shelf.and_then(|shelf| shelf.end())
    }
}

impl Shelf {
    fn end(&self) -> Option<i64> {
        self.for_ms.map(|ms| self.since_now.saturating_add(ms))
    }
}
