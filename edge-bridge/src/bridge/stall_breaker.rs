//! Stall breaker: ends a connection that looks alive while its messages get no PUBACK (promise 5).
//!
//! On a half-open connection everything that is written is lost until TCP gives up, minutes later; a keep alive of 60 s detects it after 90 s. A
//! missing PUBACK detects it sooner. A message cannot be answered before it has arrived, so its transmission time does not count as silence, and
//! bytes that leave a full send buffer count as a sign of life.

/// Shortest silence, in milliseconds, while messages are unacknowledged, after which a PINGREQ is sent.
const SILENCE_MS: u64 = 3_000;
/// Shortest timeout of a PINGRESP, in milliseconds.
const PROBE_MS: u64 = 1_000;
/// Milliseconds without a PUBACK of the oldest message that count as a stall, whatever other packets the hub sends.
const NO_PROGRESS_MS: u64 = 30_000;
/// Upper bound of the factor on the timeouts, so that a link that never makes progress is still reconnected now and then.
const FACTOR_MAX: u64 = 16;

/// Action to take against silence.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StallAction {
    /// Send one PINGREQ to the hub.
    Probe,
    /// Break the connection and dial again.
    Break,
}

/// Measurements of the link from which the timeouts are computed, in milliseconds: two durations, and two moments of the monotonic clock.
#[derive(Debug, Clone, Copy, Default)]
pub struct Delays {
    /// Smoothed round trip; 0 before the first.
    pub srtt_ms: u64,
    /// Time that the oldest unacknowledged message may still need to reach the hub.
    pub transit_ms: u64,
    /// Up time at which bytes last left a full send buffer; 0 if they never did.
    pub left_ms: u64,
    /// Up time until which a packet from the hub counts as being received. No PUBACK can come before its end.
    pub receiving_until_ms: u64,
}

/// Stall breaker of one link, kept over all its connections, because its timeouts grow with each break that did not help.
#[derive(Debug, Clone)]
pub struct StallBreaker {
    /// Up time since which at least one message has been unacknowledged at every moment; `None` if none is.
    since_ms: Option<u64>,
    last_byte_ms: u64,
    last_ack_ms: u64,
    probed_ms: Option<u64>,
    /// Set while no PUBACK came for too long, or a PINGREQ has no answer. A PINGRESP does not clear it, because a hub that answers PINGREQ may
    /// still process no PUBLISH.
    suspect: bool,
    factor: u64,
}

impl Default for StallBreaker {
    fn default() -> Self {
        Self { since_ms: None, last_byte_ms: 0, last_ack_ms: 0, probed_ms: None, suspect: false, factor: 1 }
    }
}

impl StallBreaker {
    /// Starts all times again for a new connection; only the patience of earlier ones stays.
    pub fn on_connected(&mut self, now_ms: u64) {
        *self = Self { last_byte_ms: now_ms, last_ack_ms: now_ms, factor: self.factor, ..Self::default() };
    }

    /// Sets if messages are unacknowledged now; call it after each change.
    pub fn set_waiting(&mut self, now_ms: u64, waiting: bool) {
        match (waiting, self.since_ms) {
            (true, None) => self.since_ms = Some(now_ms),
            (false, _) => (self.since_ms, self.probed_ms, self.suspect) = (None, None, false),
            (true, Some(_)) => {}
        }
    }

    /// Records that a byte came from the hub.
    pub fn on_byte(&mut self, now_ms: u64) {
        self.last_byte_ms = now_ms;
        self.probed_ms = None;
    }

    /// Records the PUBACK of the oldest message, which counts as progress.
    pub fn on_ack(&mut self, now_ms: u64) {
        self.last_ack_ms = now_ms;
        self.suspect = false;
        self.factor = 1;
    }

    /// Records the PUBACK of a younger message. It shows that the link works, so that the timeouts need not grow, but is no progress of the
    /// oldest message.
    pub fn on_younger_ack(&mut self) {
        self.factor = 1;
    }

    /// Returns whether the oldest message has had no PUBACK for too long, whatever other packets the hub sends.
    pub fn is_unanswered(&self, now_ms: u64, delays: Delays) -> bool {
        self.no_progress_at(delays).is_some_and(|at_ms| now_ms >= at_ms)
    }

    /// Returns the action to take now; `None` if there is none. A [`Break`](StallAction::Break) doubles the timeouts until the next PUBACK.
    pub fn poll(&mut self, now_ms: u64, delays: Delays) -> Option<StallAction> {
        self.suspect |= now_ms >= self.doubt_at(delays)?;
        if now_ms < self.action_at(delays)? {
            return None;
        }
        self.suspect = true;
        if self.probed_ms.is_none() && now_ms < self.no_progress_at(delays)? {
            self.probed_ms = Some(now_ms);
            return Some(StallAction::Probe);
        }
        self.factor = (self.factor * 2).min(FACTOR_MAX);
        self.since_ms = None;
        Some(StallAction::Break)
    }

    /// Up time at which to [`poll`](Self::poll), because an action is due or the link becomes suspect. `None` while nothing is unacknowledged.
    #[must_use]
    pub fn next_deadline(&self, delays: Delays) -> Option<u64> {
        let doubt_ms = if self.suspect { None } else { self.doubt_at(delays) };
        let action_ms = self.action_at(delays)?;
        Some(doubt_ms.map_or(action_ms, |doubt_ms| doubt_ms.min(action_ms)))
    }

    /// Returns whether the link is suspect: messages are unacknowledged, and no PUBACK has come within the timeout of silence. Only a PUBACK
    /// clears it.
    pub fn is_suspect(&self) -> bool {
        self.suspect
    }

    /// Up time from which the link is suspect; `None` while nothing is unacknowledged.
    fn doubt_at(&self, delays: Delays) -> Option<u64> {
        Some(self.last_ack_ms.max(self.since_ms?).max(delays.left_ms) + SILENCE_MS.max(4 * delays.srtt_ms))
    }

    /// Up time of the next probe or break; `None` while nothing is unacknowledged. The probe does not wait for the transmission, because it is
    /// queued behind the messages.
    fn action_at(&self, delays: Delays) -> Option<u64> {
        let alive_ms = self.last_byte_ms.max(self.since_ms?).max(delays.left_ms);
        let quiet_ms = alive_ms + SILENCE_MS.max(4 * delays.srtt_ms) * self.factor;
        let due_ms = match self.probed_ms {
            Some(probed_ms) => {
                probed_ms.max(quiet_ms + delays.transit_ms) + PROBE_MS.max(2 * delays.srtt_ms) * self.factor
            }
            None => quiet_ms,
        };
        Some(due_ms.min(self.no_progress_at(delays)?))
    }

    fn no_progress_at(&self, delays: Delays) -> Option<u64> {
        let Delays { transit_ms, left_ms, receiving_until_ms, .. } = delays;
        let moved_ms = self.last_ack_ms.max(self.since_ms?).max(left_ms).max(receiving_until_ms);
        Some(moved_ms + NO_PROGRESS_MS * self.factor + transit_ms)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NONE: Delays = Delays { srtt_ms: 0, transit_ms: 0, left_ms: 0, receiving_until_ms: 0 };

    /// Polled when it says so, until there is something to do.
    fn next_action(stall: &mut StallBreaker) -> (u64, StallAction) {
        loop {
            let at_ms = stall.next_deadline(NONE).unwrap();
            if let Some(action) = stall.poll(at_ms, NONE) {
                return (at_ms, action);
            }
            assert!(stall.is_suspect(), "the timeout was for nothing");
        }
    }

    #[test]
    fn a_half_open_link_is_broken_in_four_seconds() {
        let mut stall = StallBreaker::default();
        stall.on_connected(0);
        assert_eq!(stall.next_deadline(NONE), None, "nothing is unacknowledged");
        stall.set_waiting(10_000, true);
        assert_eq!(stall.poll(12_999, NONE), None);
        assert_eq!(stall.poll(13_000, NONE), Some(StallAction::Probe));
        assert!(stall.is_suspect());
        assert_eq!(stall.poll(13_999, NONE), None);
        assert_eq!(stall.poll(14_000, NONE), Some(StallAction::Break));
    }

    #[test]
    fn a_slow_round_trip_gets_its_time() {
        let mut stall = StallBreaker::default();
        stall.on_connected(0);
        stall.set_waiting(0, true);
        assert_eq!(stall.next_deadline(Delays { srtt_ms: 2_000, ..NONE }), Some(8_000));
    }

    #[test]
    fn transmission_is_no_silence() {
        let mut stall = StallBreaker::default();
        stall.on_connected(0);
        stall.set_waiting(0, true);
        let minute = Delays { transit_ms: 60_000, ..NONE };
        assert_eq!(stall.poll(3_000, minute), Some(StallAction::Probe));
        assert_eq!(stall.next_deadline(minute), Some(64_000));
        // Bytes leave, the last of them after 50 s.
        let left = Delays { transit_ms: 10_000, left_ms: 50_000, ..NONE };
        assert_eq!(stall.next_deadline(left), Some(64_000));
        assert_eq!(stall.poll(63_999, left), None);
        assert_eq!(stall.poll(64_000, left), Some(StallAction::Break));
    }

    /// Neither a cause to act nor to say that the link is stalled, however long a message is on its way.
    #[test]
    fn promise_5_bytes_that_leave_are_an_answer_to_the_doubt_too() {
        let mut stall = StallBreaker::default();
        stall.on_connected(0);
        stall.set_waiting(0, true);
        for now_ms in (2_000..=60_000).step_by(2_000) {
            assert_eq!(stall.poll(now_ms, Delays { left_ms: now_ms, ..NONE }), None, "{now_ms}");
            assert!(!stall.is_suspect(), "{now_ms}");
        }
        let left = Delays { left_ms: 60_000, ..NONE };
        assert_eq!(stall.next_deadline(left), Some(63_000));
        assert_eq!(stall.poll(63_000, left), Some(StallAction::Probe));
        assert!(stall.is_suspect());
    }

    #[test]
    fn a_hub_in_the_middle_of_a_large_packet_cannot_acknowledge() {
        let mut stall = StallBreaker::default();
        stall.on_connected(0);
        stall.set_waiting(0, true);
        let mut now_ms = 0;
        while now_ms < 60_000 {
            now_ms += 2_000;
            stall.on_byte(now_ms);
            let delays = Delays { receiving_until_ms: now_ms + 1_000, ..NONE };
            assert_eq!(stall.poll(now_ms, delays), None);
        }
    }

    #[test]
    fn answered_pings_without_a_puback_are_a_stall_after_30_s() {
        let mut stall = StallBreaker::default();
        stall.on_connected(0);
        stall.set_waiting(0, true);
        let (mut now_ms, mut probes) = (0, 0);
        loop {
            now_ms = stall.next_deadline(NONE).unwrap().max(now_ms);
            match stall.poll(now_ms, NONE) {
                Some(StallAction::Probe) => {
                    probes += 1;
                    stall.on_byte(now_ms + 100);
                }
                Some(StallAction::Break) => break,
                None => panic!("the timeout said so"),
            }
        }
        assert_eq!(now_ms, 30_000);
        assert!(probes >= 5, "{probes}");
    }

    #[test]
    fn neither_pings_nor_other_packets_lift_the_suspicion() {
        let mut stall = StallBreaker::default();
        stall.on_connected(0);
        stall.set_waiting(0, true);
        (0..30).for_each(|n| stall.on_byte(n * 100));
        assert_eq!(stall.next_deadline(NONE), Some(3_000), "bytes came, a PUBACK did not");
        assert_eq!(stall.poll(3_000, NONE), None);
        assert!(stall.is_suspect());
        assert_eq!(stall.next_deadline(NONE), Some(5_900), "the probe");
        assert_eq!(stall.poll(5_900, NONE), Some(StallAction::Probe));
        stall.on_byte(6_000);
        assert!(stall.is_suspect());
        stall.on_ack(6_100);
        assert!(!stall.is_suspect());
    }

    #[test]
    fn answers_to_younger_messages_keep_the_patience_as_it_is() {
        let mut stall = StallBreaker { factor: FACTOR_MAX, ..StallBreaker::default() };
        for _ in 0..3 {
            stall.on_connected(0);
            stall.set_waiting(0, true);
            for now_ms in (1_000..30_000).step_by(100) {
                stall.on_byte(now_ms);
                stall.on_younger_ack();
                assert_eq!(stall.poll(now_ms, NONE), None, "{now_ms}");
                assert!(!stall.is_unanswered(now_ms, NONE));
            }
            assert!(stall.is_unanswered(30_000, NONE));
            assert_eq!(stall.poll(30_000, NONE), Some(StallAction::Break));
        }
        stall.on_connected(0);
        stall.set_waiting(0, true);
        stall.on_ack(0);
        stall.on_younger_ack();
        assert_eq!(stall.poll(3_000, NONE), Some(StallAction::Probe));
        assert!(!stall.is_unanswered(4_000, NONE), "silence speaks of no message");
        assert_eq!(stall.poll(4_000, NONE), Some(StallAction::Break));
    }

    #[test]
    fn patience_doubles_after_each_break_without_progress() {
        let mut stall = StallBreaker::default();
        let mut took = Vec::new();
        for _ in 0..3 {
            stall.on_connected(0);
            stall.set_waiting(0, true);
            assert_eq!(next_action(&mut stall).1, StallAction::Probe);
            let (break_ms, action) = next_action(&mut stall);
            assert_eq!(action, StallAction::Break);
            took.push(break_ms);
        }
        assert_eq!(took, [4_000, 8_000, 16_000]);
        stall.on_ack(0);
        stall.on_connected(0);
        stall.set_waiting(0, true);
        assert_eq!(stall.next_deadline(NONE), Some(3_000));
    }

    #[test]
    fn the_answer_to_a_probe_gets_two_round_trips() {
        let mut stall = StallBreaker::default();
        let slow = Delays { srtt_ms: 2_000, ..NONE };
        stall.on_connected(0);
        stall.set_waiting(0, true);
        assert_eq!(stall.poll(8_000, slow), Some(StallAction::Probe));
        assert_eq!(stall.next_deadline(slow), Some(12_000));
    }
}
