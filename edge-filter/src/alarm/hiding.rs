//! Hiding of alarms: shelving, suppression, out of service. A hidden alarm goes on being evaluated.

use super::AlarmState;

/// The means that hide one limit; none by default.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
#[cfg_attr(feature = "config", derive(serde::Serialize, serde::Deserialize))]
pub(super) struct Hiding {
    shelf: Option<Shelf>,
    pub(super) suppressed: bool,
    pub(super) out_of_service: bool,
}

/// Shelved by an operator.
#[derive(Clone, Copy, Debug, PartialEq)]
#[cfg_attr(feature = "config", derive(serde::Serialize, serde::Deserialize))]
struct Shelf {
    since_now: i64,
    /// Length of the shelf; without one a one-shot shelf waits for the return to normal only.
    for_ms: Option<i64>,
    one_shot: bool,
}

impl Hiding {
    /// Returns what the alarm shows instead of its condition.
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

    /// Returns whether there was something to end.
    pub(super) fn unshelve(&mut self) -> bool {
        self.shelf.take().is_some()
    }

    /// The process returned to normal: a one-shot shelf has done its work.
    pub(super) fn returned(&mut self) {
        self.shelf = self.shelf.filter(|shelf| !shelf.one_shot);
    }

    /// Ends a shelf whose time is over. A clock that was set back ends it too: an alarm hidden for longer than was
    /// asked for is the worse mistake.
    pub(super) fn expire(&mut self, now_ms: i64) {
        let over = |shelf: &Shelf| now_ms < shelf.since_now || shelf.end().is_some_and(|end| now_ms >= end);
        self.shelf = self.shelf.filter(|shelf| !over(shelf));
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
