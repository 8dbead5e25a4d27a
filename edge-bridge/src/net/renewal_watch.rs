//! Watch on the certificate of a link that is connected: looks at its source when the [timetable](super::tls::renewal::timetable) says so, off the link's task.

use std::hash::{BuildHasher, Hasher, RandomState};

use super::dial::Dialer;
use super::tls::renewal::TlsRenewal;
use super::tls::renewal::timetable::{Found, Pace, Step, Timetable};
use super::waits::{Pending, done};

/// Watch of one link.
pub(super) struct RenewalWatch {
    /// Timetable of the looks; `None` if the certificate does not change.
    timetable: Option<Timetable>,
    looking: Pending<Found>,
}

impl RenewalWatch {
    pub(super) fn new(renewal: Option<&TlsRenewal>) -> Self {
        let random = RandomState::new().build_hasher().finish();
        let of_pace = |pace: Pace| Timetable::new(pace, random);
        Self { timetable: renewal.map(|renewal| of_pace(renewal.pace)), looking: None }
    }

    /// Has the certificate be looked at at once.
    pub(super) fn ask(&mut self) {
        self.timetable.iter_mut().for_each(Timetable::ask);
    }

    /// Begins a look if one is due. Returns whether the connection is to be replaced now.
    pub(super) fn turn(&mut self, now_ms: u64, is_connected: bool, dialer: &Dialer) -> bool {
        let due = self.timetable.as_mut().and_then(|timetable| timetable.poll(now_ms, is_connected));
        if due == Some(Step::Look) {
            self.looking = Some(Box::pin(dialer.clone().look_at_certificate()));
        }
        let is_replaced = due == Some(Step::Replace);
        if is_replaced {
            dialer.renewal.iter().for_each(TlsRenewal::offer);
        }
        is_replaced
    }

    /// Waits for the end of the look that is under way, for ever without one.
    pub(super) async fn looked(&mut self) -> Found {
        done(&mut self.looking).await
    }

    /// Records the end of a look.
    pub(super) fn on_looked(&mut self, now_ms: u64, found: Found) {
        self.looking = None;
        self.timetable.iter_mut().for_each(|timetable| timetable.on_looked(now_ms, found));
    }

    pub(super) fn next_deadline(&self) -> Option<u64> {
        self.timetable.as_ref().and_then(Timetable::next_deadline)
    }
}

#[cfg(test)]
mod tests;
