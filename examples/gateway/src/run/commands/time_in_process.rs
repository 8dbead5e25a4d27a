//! Upper bound of the time that a message of the hub waited in this process before it was read; that time is subtracted from its expiry. Pure.

/// Milliseconds between two turns of the task from which the process counts as suspended. Messages that waited in the socket meanwhile are read
/// within the same time after it.
const LATE_MS: u64 = 2_000;

#[derive(Debug)]
pub(super) struct Lateness {
    /// Up time of the task's last turn, in milliseconds.
    turned_ms: u64,
    /// Up time at which no message waited, in milliseconds.
    empty_ms: u64,
    /// Length of the last suspension in milliseconds. Messages that arrive before `until_ms` may have waited through it.
    standstill_ms: u64,
    until_ms: u64,
}

impl Lateness {
    pub(super) fn since(now_ms: u64) -> Self {
        Self { turned_ms: now_ms, empty_ms: now_ms, standstill_ms: 0, until_ms: 0 }
    }

    /// Records a turn of the task, and detects a suspension before this turn.
    pub(super) fn turn(&mut self, now_ms: u64) {
        let pause_ms = now_ms.saturating_sub(self.turned_ms);
        self.turned_ms = now_ms;
        if pause_ms >= LATE_MS {
            // What waited for the last one may still be there.
            let before_ms = if now_ms < self.until_ms + pause_ms { self.standstill_ms } else { 0 };
            self.standstill_ms = before_ms + pause_ms;
            self.until_ms = now_ms + LATE_MS;
        }
    }

    /// Records that no message waits.
    pub(super) fn found_none(&mut self, now_ms: u64) {
        self.empty_ms = now_ms;
    }

    /// Returns the longest time in milliseconds that a message read now may have waited.
    pub(super) fn of_arrival(&mut self, now_ms: u64) -> u64 {
        self.turn(now_ms);
        let standstill_ms = if now_ms < self.until_ms { self.standstill_ms } else { 0 };
        standstill_ms.max(now_ms.saturating_sub(self.empty_ms))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_arrives_behind_a_standstill_may_have_waited_for_all_of_it() {
        let mut lateness = Lateness::since(1_000);
        lateness.found_none(1_200);
        assert_eq!(lateness.of_arrival(1_200), 0);
        lateness.turn(2_000);
        lateness.found_none(2_000);
        assert_eq!(lateness.of_arrival(62_000), 60_000);
        lateness.found_none(62_000);
        assert_eq!(lateness.of_arrival(62_001), 60_000, "the next one of the socket");
        for s in 62..70 {
            lateness.turn(s * 1_000);
            lateness.found_none(s * 1_000);
        }
        assert_eq!(lateness.of_arrival(69_001), 1);
    }

    /// The process runs for half a second between two standstills: what came during the first may still be in the socket.
    #[test]
    fn standstills_in_a_row_add_up() {
        let mut lateness = Lateness::since(0);
        lateness.turn(10_000);
        lateness.found_none(10_500);
        lateness.turn(10_500);
        lateness.turn(25_500);
        assert_eq!(lateness.of_arrival(25_600), 25_000);
        // One that begins when nothing of the last can be there is alone.
        (26..60).for_each(|s| lateness.turn(s * 1_000));
        lateness.found_none(59_000);
        assert_eq!(lateness.of_arrival(64_000), 5_000);
    }

    #[test]
    fn what_could_not_be_taken_has_waited_since() {
        let mut lateness = Lateness::since(1_000);
        lateness.found_none(1_000);
        (4..16).for_each(|quarter| lateness.turn(quarter * 250));
        assert_eq!(lateness.of_arrival(4_000), 3_000);
    }
}
