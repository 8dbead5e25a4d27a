//! Read rate of one connection: a client that sends faster is read more slowly, and its bytes wait in its own memory.

use std::time::Duration;

use tokio::time::Instant;

use super::read_share::READ_MIN;

/// Length of a burst, in bytes of the rate, that is read without a pause.
const BURST: Duration = Duration::from_secs(1);

/// Token bucket of one connection. Without a rate it never pauses.
#[derive(Debug)]
pub(super) struct ReadRate {
    bytes_per_s: Option<u32>,
    /// Time at which a reader at exactly the rate would have read the bytes so far; `None` before the first ones.
    paid_at: Option<Instant>,
}

impl ReadRate {
    /// Creates the bucket, full. `bytes_per_s`: `None` for no limit, at least 1 otherwise.
    pub(super) fn new(bytes_per_s: Option<u32>) -> Self {
        Self { bytes_per_s: bytes_per_s.map(|rate| rate.max(1)), paid_at: None }
    }

    /// Time from which more may be read; `None` if it may be read now.
    pub(super) fn pause_until(&self, now: Instant) -> Option<Instant> {
        let ahead = self.paid_at?.saturating_duration_since(now);
        ahead.checked_sub(BURST).filter(|pause| !pause.is_zero()).map(|pause| now + pause)
    }

    /// Most bytes to read at a time, so that no pause is much longer than a second.
    pub(super) fn step(&self) -> usize {
        self.bytes_per_s.map_or(usize::MAX, |rate| usize::try_from(rate).unwrap_or(usize::MAX).max(READ_MIN))
    }

    /// Counts bytes that were read.
    pub(super) fn on_read(&mut self, bytes: usize, now: Instant) {
        let Some(rate) = self.bytes_per_s else { return };
        let took = Duration::from_secs(1).mul_f64(bytes as f64 / f64::from(rate));
        // Rate that was not used earlier fills the bucket only once.
        let paid_at = self.paid_at.map_or(now, |paid_at| paid_at.max(now));
        self.paid_at = Some(paid_at + took);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Reads of `size` bytes as fast as they may be read, for `seconds`: the bytes.
    fn read(rate: &mut ReadRate, size: usize, start: Instant, seconds: u64) -> usize {
        let (mut now, mut bytes) = (start, 0);
        while now < start + Duration::from_secs(seconds) {
            match rate.pause_until(now) {
                Some(later) => now = later,
                None => {
                    rate.on_read(size, now);
                    bytes += size;
                }
            }
        }
        bytes
    }

    #[tokio::test(start_paused = true)]
    async fn a_burst_is_read_at_once_and_more_at_the_rate() {
        let start = Instant::now();
        for (per_s, size) in [(1, 1), (16_384, 2_048), (16_384, 65_536), (1_000_000, 127)] {
            let mut rate = ReadRate::new(Some(per_s));
            let bytes = read(&mut rate, size, start, 60);
            let most = 61 * per_s as usize + size;
            assert!(bytes <= most && bytes + 2 * size >= 60 * per_s as usize, "{bytes}");
            // A pause of an hour is worth one burst.
            let later = start + Duration::from_secs(3_600);
            assert!(read(&mut rate, size, later, 10) <= 11 * per_s as usize + size);
        }
        let mut unlimited = ReadRate::new(None);
        unlimited.on_read(usize::MAX, start);
        assert_eq!(unlimited.pause_until(start), None);
    }
}
