//! Poison messages that get no answer: the hub answers what was sent after them, and never them. A message is parked when that was so on three
//! connections that were given up for it. A hub that answers nothing, or no more than pings, is no evidence: nothing is parked for it.

use super::notice_limit::Cause;
use super::pack::Pack;
use super::poison::RowKey;
use super::spool::Spool;
use super::stats::Stats;
use super::uplink::{Uplink, row_key};
use crate::session::Token;
use crate::wire::ReasonCode;

/// Connections on which the hub answers younger messages and not this one, before it is parked.
const PASSED_OVER_MAX: u32 = 3;

impl<P: Pack> Uplink<P> {
    /// Notes that the connection, with `window` messages in flight at most, was given up since its oldest message had no answer. Returns the messages
    /// that are to be taken out of the session: they are parked.
    pub(super) fn on_unanswered(
        &mut self,
        now_ms: u64,
        window: u16,
        spool: &mut impl Spool,
        stats: &mut Stats,
    ) -> Vec<Token> {
        let (mut found, mut suspects) = (Vec::new(), Vec::new());
        for (n, (token, message)) in self.sent.iter_mut().enumerate() {
            let is_passed_over = *token < self.youngest_answered;
            message.passed_over += u32::from(is_passed_over);
            message.is_overdue |= is_passed_over || n == 0;
            let mut rows = message.packed.rows.iter();
            let is_known = rows.any(|row| self.poison.register.is_unanswered(row_key(*row, spool)));
            if is_known || message.passed_over >= PASSED_OVER_MAX {
                found.push(*token);
            } else if is_passed_over {
                suspects.push(*token);
            }
        }
        // At most half of the places wait for their next connection: the answers to what goes through the others tell them from a hub that is dead.
        suspects.truncate(suspects.len().saturating_sub(usize::from(window / 2)));
        found.extend(suspects);
        let messages: Vec<_> = found.iter().filter_map(|token| self.sent.remove(token)).collect();
        let rows = messages.iter().flat_map(|message| &message.packed.rows);
        let keys: Vec<RowKey> = rows.map(|row| row_key(*row, spool)).collect();
        self.poison.register.on_unanswered(now_ms, &keys);
        self.want_poison_sweep();
        for message in messages {
            self.park_poison(now_ms, Cause::Unanswered, ReasonCode::NO_ANSWER, &message, spool, stats);
        }
        found.into_iter().map(Token).collect()
    }
}
