//! Keep alive of MQTT (§3.1.2.10): the timers of the interval that the client promised, for both roles.

use super::bytes_in_transit::Wrote;
use super::timer::{Timer, TimerTable};

/// Keep alive of one connection. The type serves both roles, of which each uses its own half.
#[derive(Debug, Clone)]
pub(super) struct KeepAlive {
    /// Interval in milliseconds that the client promised, or that the server set instead. 0 = off.
    interval_ms: u64,
    ping_timeout_ms: u64,
    /// Server: milliseconds within which a packet that is begun has to be complete; `None` for no limit beside the interval.
    packet_within_ms: Option<u64>,
    /// Time and position of the unanswered PINGREQ; `None` if there is none.
    pinged: Option<Wrote>,
}

impl KeepAlive {
    pub(super) fn new(ping_timeout_ms: u64) -> Self {
        Self { interval_ms: 0, ping_timeout_ms, packet_within_ms: None, pinged: None }
    }

    /// Client: starts the timer. `keep_alive_s` is the server's value if it sent one (\[MQTT-3.2.2-21\]).
    pub(super) fn start_client(&mut self, now_ms: u64, keep_alive_s: u16, timers: &mut TimerTable) {
        self.interval_ms = u64::from(keep_alive_s) * 1000;
        self.on_sent(now_ms, timers);
    }

    /// Client: restarts the interval after a sent packet, so that the next one is due an interval later.
    pub(super) fn on_sent(&self, now_ms: u64, timers: &mut TimerTable) {
        if self.interval_ms > 0 {
            timers.set(Timer::KeepAlive, now_ms + self.interval_ms);
        }
    }

    /// Client: returns whether a PINGREQ may be sent, which is so unless one is unanswered.
    pub(super) fn may_ping(&self) -> bool {
        self.pinged.is_none()
    }

    /// Client: records a written PINGREQ, and starts the timeout of its PINGRESP.
    pub(super) fn on_ping(&mut self, now_ms: u64, wrote: Wrote, timers: &mut TimerTable) {
        self.pinged = Some(wrote);
        timers.set(Timer::PingResponse, now_ms + self.ping_timeout_ms);
    }

    /// Client: returns the unanswered PINGREQ; `None` if there is none.
    pub(super) fn pinged(&self) -> Option<Wrote> {
        self.pinged
    }

    /// Client: timeout of a PINGRESP in milliseconds, counted from the arrival of the PINGREQ.
    pub(super) fn ping_timeout_ms(&self) -> u64 {
        self.ping_timeout_ms
    }

    /// Client: stops the timeout at a PINGRESP, and returns the PINGREQ that it answers; `None` if there was none. The next one is due at once if it
    /// fell due while this one was unanswered.
    pub(super) fn pong(&mut self, now_ms: u64, timers: &mut TimerTable) -> Option<Wrote> {
        timers.stop(Timer::PingResponse);
        if self.interval_ms > 0 && !timers.is_set(Timer::KeepAlive) {
            timers.set(Timer::KeepAlive, now_ms);
        }
        self.pinged.take()
    }

    /// Server: starts the timer of a client that promised `keep_alive_s`.
    pub(super) fn start_server(
        &mut self,
        now_ms: u64,
        keep_alive_s: u16,
        packet_within_ms: Option<u64>,
        timers: &mut TimerTable,
    ) {
        self.interval_ms = u64::from(keep_alive_s) * 1000;
        self.packet_within_ms = packet_within_ms;
        self.on_received(now_ms, timers);
    }

    /// Server: restarts the timeout of one and a half intervals, because a packet came.
    pub(super) fn on_received(&self, now_ms: u64, timers: &mut TimerTable) {
        if self.interval_ms > 0 {
            timers.set(Timer::PeerSilence, now_ms + self.interval_ms + self.interval_ms / 2);
        } else {
            timers.stop(Timer::PeerSilence);
        }
    }

    /// Server: bounds the time of a packet of which a part has come. Without this a client without a keep alive could keep half a packet for ever.
    /// `coming_until_ms`: up time until which it counts as coming.
    pub(super) fn on_part(&self, since_ms: u64, coming_until_ms: u64, timers: &mut TimerTable) {
        if let Some(within_ms) = self.packet_within_ms {
            timers.set_no_later(Timer::PeerSilence, coming_until_ms.max(since_ms.saturating_add(within_ms)));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_waits_one_and_a_half_intervals() {
        let (mut alive, mut timers) = (KeepAlive::new(5000), TimerTable::default());
        alive.start_server(1000, 10, None, &mut timers);
        assert_eq!(timers.next(), Some(16_000));
        alive.on_received(2000, &mut timers);
        assert_eq!(timers.next(), Some(17_000));
    }

    #[test]
    fn zero_is_off() {
        let (mut alive, mut timers) = (KeepAlive::new(5000), TimerTable::default());
        alive.start_client(0, 0, &mut timers);
        alive.start_server(0, 0, None, &mut timers);
        assert_eq!(timers.next(), None);
    }

    #[test]
    fn a_packet_that_is_begun_has_a_limit_until_it_is_complete() {
        let (mut alive, mut timers) = (KeepAlive::new(5000), TimerTable::default());
        alive.start_server(0, 0, Some(7000), &mut timers);
        alive.on_part(1000, 1004, &mut timers);
        alive.on_part(1000, 9000, &mut timers);
        assert_eq!(timers.next(), Some(8000));
        alive.on_received(2000, &mut timers);
        assert_eq!(timers.next(), None);
        alive.on_part(2000, 12_000, &mut timers);
        assert_eq!(timers.next(), Some(12_000), "it is large, and comes");
    }

    #[test]
    fn one_ping_at_a_time() {
        let (mut alive, mut timers) = (KeepAlive::new(5000), TimerTable::default());
        assert!(alive.may_ping());
        alive.on_ping(100, Wrote::default(), &mut timers);
        assert!(!alive.may_ping());
        assert_eq!(timers.next(), Some(5100));
        assert!(alive.pong(200, &mut timers).is_some());
        assert!(alive.pong(200, &mut timers).is_none());
        assert_eq!(timers.next(), None);
    }
}
