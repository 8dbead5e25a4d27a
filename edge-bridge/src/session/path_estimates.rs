//! Estimates of the network path to the peer: the round trip, and the time of a large transfer. They outlive connections, because the next one
//! usually takes the same path, and without them a slow link would be taken for dead on each new connection.

use super::bytes_in_transit::{Arrival, slowest_ms};

/// Most unsent bytes in the kernel's send buffer, set on the sockets. Until these have left, a path that became slow goes unnoticed.
pub(crate) const UNSENT_MAX: u32 = 16 * 1024;

/// Estimates that are carried from one connection to the next.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Path {
    srtt_ms: Option<u64>,
    /// Largest transfer measured: its bytes, and the longest time in milliseconds until an answer since then, even of a smaller one. `None` before the
    /// first, and after a measurement that no longer holds.
    seen: Option<Arrival>,
}

impl Path {
    /// Updates the estimates by an answered packet.
    pub(super) fn on_arrival(&mut self, arrival: Arrival) {
        if let Some(rtt_ms) = arrival.rtt_ms() {
            self.srtt_ms = Some(self.srtt_ms.map_or(rtt_ms, |srtt| (7 * srtt + rtt_ms) / 8));
        }
        self.seen = match self.seen {
            Some(seen) if arrival.bytes < seen.bytes => {
                Some(Arrival { took_ms: seen.took_ms.max(arrival.took_ms), ..seen })
            }
            _ => Some(arrival),
        };
    }

    /// Records that bytes leave while the oldest message has been unanswered for `unanswered_ms`. If that is more than twice the measured time,
    /// the path has become slower and the measurement is dropped.
    pub(super) fn on_left(&mut self, unanswered_ms: u64) {
        self.seen = self.seen.filter(|seen| unanswered_ms <= 2 * seen.took_ms);
    }

    /// Drops the measurement of transfers because this side ended a connection, perhaps too early.
    pub(crate) fn on_break(&mut self) {
        self.seen = None;
    }

    /// Milliseconds to allow for this many bytes in transit: twice the time measured for as many, at most the time of the slowest supported link,
    /// and at least that link's time for the bytes that the kernel may hold unsent.
    pub(super) fn transit_ms(&self, bytes: u64) -> u64 {
        let slowest_ms = slowest_ms(bytes);
        match self.seen {
            Some(seen) if bytes <= 2 * seen.bytes => {
                slowest_ms.min((2 * seen.took_ms).max(self::slowest_ms(UNSENT_MAX.into())))
            }
            _ => slowest_ms,
        }
    }

    /// Smoothed round trip in milliseconds without transmission time (after RFC 6298 §2); `None` before the first measurement.
    pub(crate) fn srtt_ms(&self) -> Option<u64> {
        self.srtt_ms
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen(bytes: u64, took_ms: u64) -> Path {
        let mut path = Path::default();
        path.on_arrival(Arrival { bytes, took_ms });
        path
    }

    #[test]
    fn transmission_is_no_round_trip() {
        let mut path = seen(1_800, 1_000);
        assert_eq!(path.srtt_ms(), Some(500));
        path.on_arrival(Arrival { bytes: 250_000, took_ms: 62_500 });
        assert_eq!(path.srtt_ms(), Some(500));
    }

    #[test]
    fn the_round_trip_is_smoothed_by_an_eighth() {
        let mut path = seen(100, 400);
        path.on_arrival(Arrival { bytes: 100, took_ms: 1_200 });
        assert_eq!(path.srtt_ms(), Some(500));
        path.on_arrival(Arrival { bytes: 100, took_ms: 100 });
        assert_eq!(path.srtt_ms(), Some(450));
    }

    #[test]
    fn as_much_again_counts_anew_and_more_than_twice_as_much_is_unknown() {
        let mut path = seen(131_000, 30_000);
        path.on_arrival(Arrival { bytes: 131_000, took_ms: 25_000 });
        assert_eq!(path.transit_ms(131_000), 50_000);
        assert_eq!((path.transit_ms(262_000), path.transit_ms(262_001)), (50_000, 327_501));
        // Never more patience than the slowest link needs.
        assert_eq!(path.transit_ms(10_000), 12_500);
    }

    #[test]
    fn unknown_is_the_slowest() {
        assert_eq!(Path::default().transit_ms(131_000), 163_750);
        // A small message at once says nothing of a large one.
        assert_eq!(seen(130, 1).transit_ms(131_000), 163_750);
    }

    #[test]
    fn what_was_seen_is_allowed_twice() {
        let mut path = seen(131_000, 30_000);
        assert_eq!(path.transit_ms(131_000), 60_000);
        path.on_arrival(Arrival { bytes: 130, took_ms: 40_000 });
        assert_eq!(path.transit_ms(131_000), 80_000, "even a small one took longer");
        path.on_arrival(Arrival { bytes: 140_000, took_ms: 200 });
        assert_eq!(path.transit_ms(131_000), 20_480, "what may be unsent");
        path.on_left(400);
        assert_eq!(path.transit_ms(131_000), 20_480);
        path.on_left(401);
        assert_eq!(path.transit_ms(131_000), 163_750, "slower than seen, and moving");
    }

    #[test]
    fn a_break_forgets_what_was_seen_and_keeps_the_round_trip() {
        let mut path = seen(100_000, 500_000);
        path.on_arrival(Arrival { bytes: 100, took_ms: 500 });
        assert_eq!(path.transit_ms(40_000), 50_000);
        path.on_break();
        assert!(path.srtt_ms().is_some());
        assert_eq!(path.seen, None);
    }
}
