//! Idle ping: a PINGREQ on a connection that only receives, so that a half-open one is found before a command waits for the keep alive.
//!
//! While messages are unacknowledged, the [stall breaker](super::stall_breaker) sends its own PINGREQs. Without messages the client would send
//! nothing for a keep alive, and would notice a lost hub, with the commands that wait there, only after that and the ping's timeout. So a PINGREQ
//! goes out early enough that a lost connection is ended, and dialled again, within the configured time.

use super::stall_breaker::StallAction;

/// Shortest timeout of a PINGRESP, in milliseconds. Making the next connection is given as much again.
const PATIENCE_MS: u64 = 2_000;
/// Timeout of a PINGRESP, in smoothed round-trip times.
const ROUND_TRIPS: u64 = 4;
/// Upper bound of the factor on the PINGRESP timeout, which doubles with each connection broken in this way until a PINGRESP arrives.
const FACTOR_MAX: u64 = 16;

/// Timer of the pings of an idle link, kept over all of its connections.
#[derive(Debug, Clone)]
pub(super) struct IdlePing {
    /// Milliseconds within which a lost connection is to be dialled again; 0 sends no pings.
    within_ms: u64,
    /// Up time since which nothing is unacknowledged and the hub may send messages; `None` otherwise.
    listening_ms: Option<u64>,
    last_byte_ms: u64,
    asked_ms: Option<u64>,
    rtt_ms: u64,
    factor: u64,
}

impl IdlePing {
    pub(super) fn new(within_ms: u64) -> Self {
        Self { within_ms, listening_ms: None, last_byte_ms: 0, asked_ms: None, rtt_ms: 0, factor: 1 }
    }

    /// Starts the silence again at a new connection, on which no PINGREQ is unanswered.
    pub(super) fn on_connected(&mut self, now_ms: u64) {
        (self.last_byte_ms, self.asked_ms, self.listening_ms) = (now_ms, None, None);
    }

    /// Records that a byte came from the hub, which shows that the link lives.
    pub(super) fn on_byte(&mut self, now_ms: u64) {
        self.last_byte_ms = now_ms;
        if self.asked_ms.take().is_some() {
            self.factor = 1;
        }
    }

    /// Notes the round trip of a PINGRESP. Forgotten by a quarter each time, so that one slow answer is remembered for a while.
    pub(super) fn on_rtt(&mut self, rtt_ms: u64) {
        self.rtt_ms = rtt_ms.max(self.rtt_ms - self.rtt_ms / 4);
    }

    /// Sets if the link only receives, that is, has subscriptions and no unacknowledged message. Call it after each change.
    pub(super) fn set_listening(&mut self, now_ms: u64, listening: bool) {
        if listening {
            self.listening_ms.get_or_insert(now_ms);
        } else {
            (self.listening_ms, self.asked_ms) = (None, None);
        }
    }

    /// Returns the action due now, to send a PINGREQ or to end the connection; `None` if none is due.
    pub(super) fn poll(&mut self, now_ms: u64, srtt_ms: Option<u64>) -> Option<StallAction> {
        if now_ms < self.next_deadline(srtt_ms)? {
            return None;
        }
        if self.asked_ms.is_none() {
            self.asked_ms = Some(now_ms);
            return Some(StallAction::Probe);
        }
        self.factor = (self.factor * 2).min(FACTOR_MAX);
        (self.listening_ms, self.asked_ms) = (None, None);
        Some(StallAction::Break)
    }

    /// Up time, in milliseconds, of the next action of [`poll`](Self::poll); `None` while the link is not idle, or pings are off.
    pub(super) fn next_deadline(&self, srtt_ms: Option<u64>) -> Option<u64> {
        let silent_ms = self.last_byte_ms.max(self.listening_ms.filter(|_| self.within_ms > 0)?);
        let patience_ms = PATIENCE_MS.max(ROUND_TRIPS * self.rtt_ms.max(srtt_ms.unwrap_or(0)));
        Some(match self.asked_ms {
            Some(asked_ms) => asked_ms.saturating_add(patience_ms * self.factor),
            None => silent_ms.saturating_add(interval_ms(self.within_ms, patience_ms)),
        })
    }
}

/// Milliseconds of silence before a PINGREQ: the configured time less the timeouts of PINGRESP and next connection, but at least half of the
/// configured time.
fn interval_ms(within_ms: u64, patience_ms: u64) -> u64 {
    within_ms.saturating_sub(2 * patience_ms).max(within_ms / 2)
}

/// Milliseconds between the pings of an otherwise idle link with a short round trip.
pub fn idle_ping_every_ms(command_within_ms: u64) -> u64 {
    interval_ms(command_within_ms, PATIENCE_MS)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn listening(within_ms: u64) -> IdlePing {
        let mut ping = IdlePing::new(within_ms);
        ping.on_connected(0);
        ping.set_listening(0, true);
        ping
    }

    #[test]
    fn a_silent_link_is_asked_and_broken_in_time() {
        let mut ping = listening(15_000);
        assert_eq!(ping.poll(10_999, None), None);
        assert_eq!(ping.poll(11_000, None), Some(StallAction::Probe));
        assert_eq!(ping.poll(12_999, None), None);
        assert_eq!(
            ping.poll(13_000, None),
            Some(StallAction::Break),
            "two seconds are left for the next connection"
        );
        assert_eq!(ping.next_deadline(None), None, "until there is another");
    }

    #[test]
    fn traffic_proves_life_and_saves_the_ping() {
        let mut ping = listening(15_000);
        for now_ms in (0..600_000).step_by(5_000) {
            ping.on_byte(now_ms);
            assert_eq!(ping.poll(now_ms, None), None);
        }
        ping.set_listening(600_000, false);
        assert_eq!(
            ping.next_deadline(None),
            None,
            "something is unacknowledged: that is the stall breaker's"
        );
        ping.set_listening(700_000, true);
        assert_eq!(ping.next_deadline(None), Some(711_000));
    }

    #[test]
    fn off_is_off() {
        assert_eq!(listening(0).next_deadline(None), None);
    }

    #[test]
    fn a_time_without_end_is_no_time_in_the_past() {
        let mut ping = listening(u64::MAX);
        ping.on_byte(10_000);
        assert_eq!((ping.next_deadline(None), ping.poll(20_000, None)), (Some(u64::MAX), None));
    }

    #[test]
    fn the_answer_gets_the_time_of_the_path() {
        let mut ping = listening(15_000);
        ping.on_rtt(1_500);
        assert_eq!(
            ping.poll(7_500, None),
            Some(StallAction::Probe),
            "earlier, since the answer takes longer"
        );
        assert_eq!(ping.next_deadline(None), Some(7_500 + 6_000));
        assert_eq!(listening(15_000).next_deadline(Some(1_500)), Some(7_500));
    }

    #[test]
    fn a_break_that_did_not_help_makes_patient() {
        let mut ping = listening(15_000);
        let mut waits = Vec::new();
        for _ in 0..6 {
            ping.on_connected(0);
            ping.set_listening(0, true);
            let asked_ms = ping.next_deadline(None).unwrap();
            assert_eq!(ping.poll(asked_ms, None), Some(StallAction::Probe));
            let broken_ms = ping.next_deadline(None).unwrap();
            assert_eq!(ping.poll(broken_ms, None), Some(StallAction::Break));
            waits.push((broken_ms - asked_ms) / 1_000);
        }
        assert_eq!(waits, [2, 4, 8, 16, 32, 32]);
        ping.on_connected(0);
        ping.set_listening(0, true);
        assert_eq!(ping.poll(11_000, None), Some(StallAction::Probe));
        ping.on_byte(12_000);
        assert_eq!(ping.factor, 1);
    }

    #[test]
    fn a_new_connection_is_silent_from_its_own_start() {
        let mut ping = listening(15_000);
        assert_eq!(ping.poll(11_000, None), Some(StallAction::Probe));
        ping.on_connected(20_000);
        assert_eq!(ping.next_deadline(None), None, "nothing is wanted yet");
        ping.set_listening(20_000, true);
        assert_eq!(ping.poll(30_999, None), None);
        assert_eq!(ping.poll(31_000, None), Some(StallAction::Probe));
    }

    #[test]
    fn a_slow_answer_is_forgotten_by_a_quarter_each_time() {
        let mut ping = listening(60_000);
        ping.on_rtt(4_002);
        ping.on_rtt(0);
        // 3 002 ms are left: four of them, twice.
        assert_eq!(ping.next_deadline(None), Some(60_000 - 2 * 4 * 3_002));
        assert_eq!((idle_ping_every_ms(15_000), idle_ping_every_ms(6_000)), (11_000, 3_000));
    }
}
