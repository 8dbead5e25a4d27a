//! Bytes in transit: bytes that were written and are not known to have arrived.
//!
//! TCP keeps order, so an answer to one packet proves the arrival of everything that was written before it. On a slow link the answer cannot come
//! before the packet has arrived, which takes a minute for 250 kB at 4 kB/s. The time to wait for a silent peer therefore grows with these bytes.

/// Most bytes that can be in transit without any sign that they move: in the system's send buffer, on the path, in the peer's receive buffer.
/// Bounds the timeout of a connection whose send buffer stays full.
const UNSEEN_MAX: u64 = 256 * 1024;

/// Bytes of a TCP segment, about.
const SEGMENT: u64 = 1_400;

/// Positions in the stream of bytes that one connection writes.
#[derive(Debug, Clone, Default)]
pub(super) struct BytesInTransit {
    written: u64,
    /// Number of bytes that the socket has accepted; `None`, if the caller does not report it, stands for all of `written`.
    taken: Option<u64>,
    arrived: u64,
    /// Up time at which bytes last left a full send buffer, which shows that they move.
    left_ms: u64,
}

/// Up time at which a packet was written, and its position in the byte stream.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Wrote {
    at_ms: u64,
    end: u64,
    /// Bytes in transit at that time, the packet's own included.
    bytes: u64,
}

impl Wrote {
    /// Returns the time and position of the packet that was written last.
    pub(super) fn last(now_ms: u64, transit: &BytesInTransit) -> Self {
        Self { at_ms: now_ms, end: transit.end(), bytes: transit.bytes() }
    }

    /// Ends the transit of all bytes up to the end of this packet, because it was answered.
    pub(super) fn answered(self, now_ms: u64, transit: &mut BytesInTransit) -> Arrival {
        transit.on_answered(self.end);
        Arrival { bytes: self.bytes, took_ms: now_ms.saturating_sub(self.at_ms) }
    }

    pub(super) fn at_ms(self) -> u64 {
        self.at_ms
    }

    pub(super) fn end(self) -> u64 {
        self.end
    }
}

/// Measurement by an answered packet: the bytes in transit when it was written, its own included, and the milliseconds until its answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Arrival {
    pub(super) bytes: u64,
    pub(super) took_ms: u64,
}

impl Arrival {
    /// Estimates the round trip in milliseconds, by subtracting the longest transmission time of all bytes but a segment. `None` if the
    /// transmission may have taken all the time.
    pub(super) fn rtt_ms(self) -> Option<u64> {
        self.took_ms.checked_sub(slowest_ms(self.bytes.saturating_sub(SEGMENT)))
    }
}

impl BytesInTransit {
    /// Adds an encoded packet's bytes to the written ones.
    pub(super) fn on_encoded(&mut self, bytes: usize) {
        self.written += bytes as u64;
    }

    /// Records that the socket accepted bytes. `waited`: its send buffer was full before, so that earlier bytes have left.
    pub(super) fn on_taken(&mut self, now_ms: u64, bytes: u64, waited: bool) {
        *self.taken.get_or_insert(0) += bytes;
        if waited {
            self.left_ms = now_ms;
        }
    }

    /// Counts all bytes up to `end` as arrived, because the packet that ends there was answered.
    pub(super) fn on_answered(&mut self, end: u64) {
        self.arrived = self.arrived.max(end);
    }

    /// Position in the stream of the end of the written bytes.
    pub(super) fn end(&self) -> u64 {
        self.written
    }

    /// Position in the stream up to which bytes are known to have arrived.
    pub(super) fn arrived(&self) -> u64 {
        self.arrived
    }

    /// Number of bytes that were written and are not known to have arrived.
    pub(super) fn bytes(&self) -> u64 {
        self.written.saturating_sub(self.arrived)
    }

    /// Number of bytes that may still be on the way and have to arrive before the packet that ends at `end` can be answered.
    pub(super) fn until(&self, end: u64) -> u64 {
        match self.taken {
            None => end.saturating_sub(self.arrived),
            Some(taken) => end.min(taken).saturating_sub(self.arrived).min(UNSEEN_MAX),
        }
    }

    /// Up time at which bytes last left a full send buffer; 0 if they never did.
    pub(super) fn left_ms(&self) -> u64 {
        self.left_ms
    }
}

/// Returns the milliseconds that bytes take at 1 kB/s, the slowest link that is supported, plus a quarter for headers and retransmissions.
pub(super) fn slowest_ms(bytes: u64) -> u64 {
    bytes.saturating_add(bytes / 4)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_proves_all_that_was_written_before() {
        let mut transit = BytesInTransit::default();
        transit.on_encoded(100);
        let first = transit.end();
        transit.on_encoded(1_000);
        let second = transit.end();
        assert_eq!((transit.until(first), transit.until(second), transit.bytes()), (100, 1_100, 1_100));
        transit.on_answered(second);
        transit.on_answered(first);
        assert_eq!((transit.until(first), transit.until(second), transit.bytes()), (0, 0, 0));
    }

    #[test]
    fn only_what_the_system_took_is_on_the_way() {
        let mut transit = BytesInTransit::default();
        transit.on_encoded(1_000_000);
        let end = transit.end();
        transit.on_taken(5, 60_000, false);
        assert_eq!((transit.until(end), transit.left_ms()), (60_000, 0));
        transit.on_answered(50_000);
        assert_eq!((transit.until(end), transit.until(40_000)), (10_000, 0), "the rest of it");
        transit.on_taken(9, 700_000, true);
        assert_eq!((transit.until(end), transit.left_ms()), (UNSEEN_MAX, 9));
    }
}
