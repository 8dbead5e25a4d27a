//! The gateway's wall clock as it steps, and what the records must know of it.

use std::time::SystemTime;

use super::super::plan::{Clock, NO_CLOCK};
use super::World;

/// Time after which a message was handled before a step.
const UNDER_WAY_MS: i64 = 10_000;
/// A stamp as far ahead of a synchronised clock is another one's fault; a second less, for what is under way.
const AHEAD_MS: i64 = 59_000;

pub(super) fn now_ms() -> i64 {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_millis() as i64
}

/// A board without a clock starts where time does.
pub(super) fn offset_ms(of: Option<Clock>) -> i64 {
    of.map_or(0, |clock| beside(clock.offset_ms))
}

fn beside(offset_ms: i64) -> i64 {
    if offset_ms == NO_CLOCK { -now_ms() } else { offset_ms }
}

impl World<'_> {
    pub(super) fn step_clock(&mut self, to_ms: i64) {
        let Some(plan) = self.plan.clock else { return };
        self.offset_ms = beside(to_ms);
        self.gateway.wall_clock.as_ref().unwrap().set(self.offset_ms, plan.is_synced);
        let (least, most) = &mut self.records.runs[self.run].offsets_ms;
        (*least, *most) = (self.offset_ms.min(*least), self.offset_ms.max(*most));
        let (now_ms, ahead_of_ms) = (now_ms(), self.ahead_of_ms());
        let messages = self.records.messages.iter_mut();
        messages
            .filter(|message| message.acked.is_none() || message.sent_ms + UNDER_WAY_MS > now_ms)
            .for_each(|message| message.ahead_of_ms = message.ahead_of_ms.min(ahead_of_ms));
    }

    /// Time of a stamp that the gateway takes for one of the future, if it trusts its clock.
    pub(super) fn ahead_of_ms(&self) -> i64 {
        match self.plan.clock {
            Some(clock) if clock.is_synced => now_ms() + self.offset_ms + AHEAD_MS,
            _ => i64::MAX,
        }
    }
}
