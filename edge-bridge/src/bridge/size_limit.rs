//! Learned size limit (circuit breaker) of a hub that never announced one: it answers a message with 0x95, Packet too large, and then closes the
//! connection. Sending another one of that size would cost every message on its way a reconnection, so these are parked unsent, but for one
//! probe at a time, with back-off. When the hub takes one of that size, the parked ones go out before new ones of that size. A Maximum Packet Size
//! that a hub announces is the session's to keep.

use std::collections::BTreeMap;

use super::backoff::Backoff;
use super::message::Message;
use super::pack::Pack;
use super::refusals::retry_backoff;
use super::spool::Spool;
use super::stats::Stats;
use super::uplink::Uplink;
use crate::session::{Session, Token};
use crate::wire::ReasonCode;

/// Longest time between a refusal and an end of the connection that is its consequence.
const FOLLOWS_MS: u64 = 5_000;
/// Delay of the next probe, at least, when the hub refuses a smaller message.
const SMALLER_MS: u64 = 1_000;
/// A limit that comes back sooner than this after it was lifted goes on with its back-off: messages of about the limit may be taken and
/// refused in turns.
const RELAPSE_MS: u64 = 600_000;
/// Passes over the parked rows that new messages of that size wait for, at most.
const PASSES_MAX: u8 = 8;

/// The limit and its probes. Sizes are bytes of payload, which is what such hubs count.
#[derive(Debug)]
pub(super) struct SizeLimit {
    /// The smallest message refused at the cost of a connection.
    limit: Option<u64>,
    lifting: Option<Lifting>,
    lifted_ms: Option<u64>,
    /// Size and time of the last answer of this connection, if it was such a refusal.
    last_refused: Option<(u64, u64)>,
    due_ms: u64,
    backoff: Backoff,
}

/// A limit that the hub no longer has, while parked messages of that size go out: a pass that was under way has left some behind, and new ones go
/// behind them.
#[derive(Debug)]
struct Lifting {
    limit: u64,
    /// Passes over the parked rows that began since.
    passes: u8,
    /// Some of that size were parked since the last began.
    has_parked: bool,
}

impl SizeLimit {
    pub(super) fn new(seed: u64) -> Self {
        let backoff = retry_backoff(seed ^ 0x95);
        Self { limit: None, lifting: None, lifted_ms: None, last_refused: None, due_ms: 0, backoff }
    }

    /// The hub answered a message of this size. Returns whether that lifts the limit.
    fn on_answer(&mut self, now_ms: u64, bytes: u64, reason: ReasonCode) -> bool {
        let is_too_large = reason == ReasonCode::PACKET_TOO_LARGE;
        self.last_refused = is_too_large.then_some((bytes, now_ms));
        let is_probe = self.limit.is_some_and(|limit| bytes >= limit);
        if is_probe && is_too_large {
            self.due_ms = now_ms + self.backoff.next_ms();
        }
        let lifts = is_probe && !reason.is_error();
        if let Some(limit) = self.limit.take_if(|_| lifts) {
            self.lifting = Some(Lifting { limit, passes: 0, has_parked: true });
            self.lifted_ms = Some(now_ms);
        }
        lifts
    }

    /// The connection is over. `by_hub`: the hub ended it in a way that one of our messages may be the cause of. Returns whether that was the size of the last
    /// one it answered.
    fn on_closed(&mut self, now_ms: u64, by_hub: bool) -> bool {
        let refused = self.last_refused.take().filter(|_| by_hub);
        let Some((bytes, _)) = refused.filter(|(_, at_ms)| now_ms.saturating_sub(*at_ms) <= FOLLOWS_MS)
        else {
            return false;
        };
        match self.limit {
            Some(limit) if limit <= bytes => {}
            Some(_) => self.due_ms = self.due_ms.max(now_ms + SMALLER_MS),
            None => {
                if self.lifted_ms.is_none_or(|at_ms| now_ms.saturating_sub(at_ms) >= RELAPSE_MS) {
                    self.backoff.reset();
                }
                self.due_ms = now_ms + self.backoff.next_ms();
            }
        }
        self.limit = Some(self.limit.unwrap_or(bytes).min(bytes));
        self.lifting = None;
        true
    }

    /// A pass over the parked rows begins that sends what it may. `meets_all`: no row is on its way to the parked ones.
    pub(super) fn on_pass_begins(&mut self, meets_all: bool) {
        if let Some(lifting) = &mut self.lifting {
            (lifting.passes, lifting.has_parked) = (lifting.passes.saturating_add(1), !meets_all);
        }
    }

    /// Such a pass is over. Returns whether another one is to begin.
    pub(super) fn on_pass_over(&mut self) -> bool {
        let is_over = |own: &mut Lifting| own.passes > 0 && (!own.has_parked || own.passes >= PASSES_MAX);
        let ends = self.lifting.take_if(is_over);
        // Of a batch that was cut for the limit, or of the last passes.
        self.lifting.is_some() || ends.is_some_and(|own| own.has_parked)
    }

    /// Returns whether a message is to be parked unsent. `may_probe`: it may be sent as a probe.
    fn parks(&mut self, bytes: u64, swept: bool, may_probe: bool) -> bool {
        match &mut self.lifting {
            Some(own) if bytes >= own.limit && !(swept && own.passes > 0) => {
                own.has_parked |= !swept;
                true
            }
            _ => self.covers(bytes) && !may_probe,
        }
    }

    /// Probes with the next message.
    pub(super) fn retry_now(&mut self, now_ms: u64) {
        self.backoff.reset();
        self.due_ms = now_ms;
    }

    /// Time of the next probe, while there is a limit.
    pub(super) fn due_ms(&self) -> Option<u64> {
        self.limit.map(|_| self.due_ms)
    }

    fn covers(&self, bytes: u64) -> bool {
        self.limit.is_some_and(|limit| bytes >= limit)
    }
}

impl<P: Pack> Uplink<P> {
    /// The hub answered a message.
    pub(super) fn on_size_answered(&mut self, now_ms: u64, message: &Message, reason: ReasonCode) {
        if self.size_limit.on_answer(now_ms, payload_bytes(message), reason) {
            self.sweep.want(now_ms);
        }
        self.want_size_probe(now_ms);
    }

    /// The connection is over, see [`SizeLimit::on_closed`]. Returns what is to be taken out of the session if the size of a message was the cause: all of
    /// that size, which are parked.
    pub(super) fn on_size_closed(
        &mut self,
        now_ms: u64,
        by_hub: bool,
        spool: &mut impl Spool,
        stats: &mut Stats,
    ) -> Option<Vec<Token>> {
        if !self.size_limit.on_closed(now_ms, by_hub) {
            return None;
        }
        self.want_size_probe(now_ms);
        let (covered, kept): (BTreeMap<_, _>, _) = std::mem::take(&mut self.sent)
            .into_iter()
            .partition(|(_, message)| self.size_limit.covers(payload_bytes(message)));
        self.sent = kept;
        let tokens = covered.keys().copied().map(Token).collect();
        for message in covered.into_values() {
            self.refusals.on_gone(message.topic());
            self.set_aside(now_ms, &message, ReasonCode::PACKET_TOO_LARGE, spool, stats);
        }
        Some(tokens)
    }

    /// A pass over the parked rows is over.
    pub(super) fn on_size_pass_over(&mut self, now_ms: u64) {
        if self.hand.is_none() && self.size_limit.on_pass_over() {
            self.sweep.want(now_ms);
        }
        self.want_size_probe(now_ms);
    }

    /// The next probe may be a parked row.
    fn want_size_probe(&mut self, now_ms: u64) {
        if let Some(due_ms) = self.size_limit.due_ms().filter(|due_ms| *due_ms > now_ms) {
            self.sweep.want(due_ms);
        }
    }

    /// Returns whether a message is to be parked unsent for its size. A parked one probes, if there is any: it is the oldest.
    pub(super) fn is_too_large(&mut self, now_ms: u64, message: &Message, spool: &impl Spool) -> bool {
        let is_first = message.swept || spool.parked() == 0;
        let may_probe = is_first && self.may_probe_size(now_ms);
        self.size_limit.parks(payload_bytes(message), message.swept, may_probe)
    }

    /// Bytes of a whole packet that the pack may make: what the hub announced, and less than what is known to cost a connection.
    pub(super) fn packet_max(&self, now_ms: u64, session: &Session, spool: &impl Spool) -> usize {
        let is_first = self.sweep.has_rows_inside() || spool.parked() == 0;
        let limit = self.size_limit.limit.filter(|_| !(is_first && self.may_probe_size(now_ms)));
        let max =
            u64::from(session.peer_packet_max()).min(limit.map_or(u64::MAX, |limit| limit.saturating_sub(1)));
        usize::try_from(max).unwrap_or(usize::MAX)
    }

    /// Returns whether a probe is due, and none is on its way.
    fn may_probe_size(&self, now_ms: u64) -> bool {
        let mut out = self.sent.values().chain(&self.again);
        self.size_limit.due_ms().is_some_and(|due_ms| due_ms <= now_ms)
            && !out.any(|message| self.size_limit.covers(payload_bytes(message)))
    }
}

fn payload_bytes(message: &Message) -> u64 {
    message.packed.publish.payload.len() as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    const REFUSED: ReasonCode = ReasonCode::PACKET_TOO_LARGE;

    /// A limit of 3 000 bytes, learned at 0 ms.
    fn learned() -> SizeLimit {
        let mut size = SizeLimit::new(1);
        assert!(!size.on_answer(0, 3_000, REFUSED));
        assert!(size.on_closed(0, true));
        size
    }

    #[test]
    fn only_a_refusal_that_the_hubs_end_of_the_connection_follows_is_a_limit() {
        let mut size = SizeLimit::new(1);
        assert!(!size.on_closed(0, true), "nothing was refused");
        size.on_answer(0, 3_000, REFUSED);
        assert!(!size.on_closed(0, false), "it was our end");
        size.on_answer(0, 3_000, REFUSED);
        assert!(!size.on_closed(FOLLOWS_MS + 1, true), "too late to be its consequence");
        size.on_answer(0, 3_000, REFUSED);
        size.on_answer(0, 10, ReasonCode::SUCCESS);
        assert!(!size.on_closed(0, true), "the hub went on after it");
        size.on_answer(0, 3_000, ReasonCode::QUOTA_EXCEEDED);
        assert!(!size.on_closed(0, true), "another reason");
        assert_eq!((size.limit, size.due_ms()), (None, None));
        assert_eq!(learned().limit, Some(3_000));
    }

    #[test]
    fn the_smallest_is_remembered_and_one_of_that_size_lifts_it() {
        let mut size = learned();
        for (bytes, limit) in [(4_000, 3_000), (2_600, 2_600), (2_600, 2_600)] {
            size.on_answer(1, bytes, REFUSED);
            assert!(size.on_closed(1, true));
            assert_eq!(size.limit, Some(limit));
        }
        assert!(size.due_ms > SMALLER_MS);
        assert!(!size.on_answer(2, 2_599, ReasonCode::SUCCESS), "smaller ones say nothing");
        assert!(!size.on_answer(2, 2_600, ReasonCode::QUOTA_EXCEEDED), "nor do other refusals");
        assert!(size.on_answer(2, 2_600, ReasonCode::SUCCESS));
        assert_eq!(size.limit, None);
    }

    #[test]
    fn new_ones_go_behind_parked_ones_until_a_pass_has_left_none() {
        let mut size = learned();
        assert!(size.parks(3_000, false, false) && size.parks(3_000, true, false));
        assert!(!size.parks(3_000, true, true) && !size.parks(2_999, false, false));
        size.on_answer(0, 3_000, ReasonCode::SUCCESS);
        assert!(size.parks(3_000, true, true), "the pass has passed older ones");
        assert!(size.on_pass_over());
        size.on_pass_begins(false);
        assert!(!size.parks(3_000, true, false) && size.parks(3_000, false, false));
        assert!(size.on_pass_over(), "a row was on its way to the parked ones");
        size.on_pass_begins(true);
        assert!(size.parks(3_000, false, false));
        assert!(size.on_pass_over());
        size.on_pass_begins(true);
        assert!(!size.on_pass_over());
        assert!(!size.parks(3_000, false, false));

        size.on_answer(0, 3_000, REFUSED);
        assert!(size.on_closed(0, true));
        size.on_answer(0, 3_000, ReasonCode::SUCCESS);
        let mut passes = 0;
        while size.parks(3_000, false, false) {
            size.on_pass_begins(true);
            size.parks(3_000, false, false);
            passes += u8::from(size.on_pass_over());
        }
        assert_eq!(passes, PASSES_MAX, "new ones without end do not wait for ever");
    }

    #[test]
    fn probes_become_rare_and_a_relapse_goes_on_where_it_was() {
        let mut size = learned();
        let probe = |size: &mut SizeLimit| {
            let now_ms = size.due_ms;
            size.on_answer(now_ms, 3_000, REFUSED);
            size.on_closed(now_ms, true);
            size.due_ms - now_ms
        };
        assert!((1..=1_000).contains(&size.due_ms));
        let delays: Vec<u64> = (0..12).map(|_| probe(&mut size)).collect();
        assert!(delays.iter().all(|ms| *ms <= 600_000) && delays[11] >= 300_000, "{delays:?}");
        let now_ms = size.due_ms;
        for (after_ms, is_rare) in [(1_000, true), (RELAPSE_MS, false)] {
            assert!(size.on_answer(now_ms, 3_000, ReasonCode::SUCCESS));
            size.on_answer(now_ms + after_ms, 3_000, REFUSED);
            assert!(size.on_closed(now_ms + after_ms, true));
            assert_eq!(size.due_ms - now_ms - after_ms > 1_000, is_rare);
        }
        size.retry_now(7);
        assert_eq!(size.due_ms(), Some(7));
    }
}
