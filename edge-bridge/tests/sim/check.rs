//! The rules that are about the present rather than about one message: looked at after every event.

use edge_bridge::bridge::LinkState;

use crate::gateway::READ_BYTES;
use crate::ledger::Rule;
use crate::net::End;
use crate::world::World;

/// Events of one run at most.
const STEPS_MAX: u64 = 5_000_000;
/// Events without time passing.
const STEPS_AT_ONCE: u64 = 20_000;
/// Longest time for which a message goes without an answer after a younger one got its: 30 s, sixteen times after breaks that did not help.
pub(crate) const PASSED_OVER_MAX_MS: u64 = 16 * 30_000 + 60_000;
/// Most bytes unacknowledged upstream: the core's limit, and one message.
const WINDOW_MAX: usize = 4 * 1024 * 1024 + 300_000;

impl World {
    /// The rules that are about the present.
    pub(crate) fn check(&mut self) {
        let Self { ctx, steps, steps_at_once, .. } = self;
        let (n, at_once) = (*steps, *steps_at_once);
        ctx.ledger.require(n < STEPS_MAX && at_once < STEPS_AT_ONCE, Rule::Spin, || {
            format!("{n} events, {at_once} of them now")
        });
        self.queue_max = self.queue_max.max(self.rows());
        let Some(gateway) = &self.gateway else { return };
        let unacked = gateway.unacked_bytes();
        // Each connection may bring one read more before it is paused.
        let slack = self.sensors.len() * 4 * READ_BYTES;
        self.ctx.ledger.require(unacked <= gateway.max_unacked_bytes() + slack, Rule::Memory, || {
            format!("{unacked} bytes without PUBACK")
        });
        let in_flight = self.wan.in_flight_bytes();
        self.ctx
            .ledger
            .require(in_flight <= WINDOW_MAX, Rule::Memory, || format!("{in_flight} bytes upstream"));
        let queued = gateway.wan_link().map_or(0, |link| self.ctx.net.under_way(link, End::Far));
        self.ctx
            .ledger
            .require(queued <= 2 * WINDOW_MAX, Rule::Memory, || format!("{queued} bytes on the way"));
        let (says, wait) = (gateway.core.stats().waiting, gateway.queue().waiting_rows() as u64);
        self.ctx.ledger.require(says == wait, Rule::Waiting, || format!("{says} said, {wait} wait"));
        self.check_link();
        self.check_passed_over();
        self.check_given_up();
        self.check_places();
    }

    /// A hub that answers younger messages only is asked again on another connection.
    fn check_passed_over(&mut self) {
        let Some(since_ms) = self.wan.passed_over_ms() else { return };
        let passed_ms = self.ctx.now_ms - since_ms;
        let detail = || format!("the oldest has no answer {passed_ms} ms after a younger one got its");
        self.ctx.ledger.require(passed_ms <= self.passed_over_max_ms, Rule::PassedOver, detail);
    }

    /// An answered message no longer takes a place, whatever is still unanswered before it.
    fn check_places(&mut self) {
        let session = self.gateway.as_ref().and_then(|gateway| gateway.core.session());
        let (taken, unanswered) = (session.map_or(0, |session| session.in_flight()), self.wan.unanswered());
        let detail = || format!("{taken} in flight, {unanswered} without an answer");
        self.ctx.ledger.require(taken <= unanswered, Rule::OnePlace, detail);
    }

    /// A hub that takes a message in piece by piece is not given up.
    fn check_given_up(&mut self) {
        let Some(gateway) = &mut self.gateway else { return };
        let Some((link, moving)) = gateway.gave_up.take() else { return };
        let broken_off = moving && !self.hub.owes(link);
        self.ctx.ledger.require(!broken_off, Rule::BrokenOff, || format!("connection {link}"));
    }

    /// Promise 5: `flowing` and `draining` need PUBACKs, or bytes that leave.
    fn check_link(&mut self) {
        let link = self.link();
        let (Some(gateway), Some(since_ms)) = (&self.gateway, self.wan.waiting_since_ms) else { return };
        let quiet_ms = self.ctx.now_ms - since_ms.max(self.wan.last_ack_ms).max(gateway.left_ms);
        if quiet_ms > 3_000 && matches!(link, LinkState::Flowing | LinkState::Draining) {
            let limit_ms = (4 * gateway.core.stats().srtt_ms).max(3_000) + 100;
            self.ctx.ledger.require(quiet_ms <= limit_ms, Rule::LinkState, || {
                format!("{link} with {} unacknowledged and no PUBACK for {quiet_ms} ms", self.wan.in_flight())
            });
        }
    }
}
