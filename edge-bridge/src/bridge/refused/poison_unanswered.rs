//! Poison messages without an answer: the hub acknowledges later messages, but never these. A message is parked after three connections on which
//! that happened, each ended because of it. A hub that acknowledges no message, or only answers PINGREQ, is no evidence, so that nothing is
//! parked.

use crate::bridge::notice_limit::Cause;
use crate::bridge::packing::pack::Pack;
use crate::bridge::spool::Spool;
use crate::bridge::stats::Stats;
use crate::bridge::uplink::{Uplink, row_key};
use crate::session::Token;
use crate::wire::ReasonCode;

use super::dropped::drops_refused;
use super::poison::RowKey;

/// Number of connections on which the hub acknowledged younger messages but not this one, before the message is parked.
const PASSED_OVER_MAX: u32 = 3;

impl<P: Pack> Uplink<P> {
    /// Handles the end of a connection whose oldest message had no PUBACK. `window` is the most messages in flight on it. Returns the tokens of
    /// the messages that are parked now, which the session has to forget.
    pub(in crate::bridge) fn on_unanswered(
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
        let parked = messages.iter().filter(|message| !drops_refused(message, spool));
        let rows = parked.flat_map(|message| &message.packed.rows);
        let keys: Vec<RowKey> = rows.map(|row| row_key(*row, spool)).collect();
        self.poison.register.on_unanswered(now_ms, &keys);
        self.want_poison_sweep();
        for message in messages {
            self.park_poison(now_ms, Cause::Unanswered, ReasonCode::NO_ANSWER, &message, spool, stats);
        }
        found.into_iter().map(Token).collect()
    }
}
