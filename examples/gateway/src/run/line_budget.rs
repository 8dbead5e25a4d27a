//! Rate limit of a line of the log that something outside can bring about as often as it likes: a token bucket of a minute each. Pure.

/// Time after which one more line may be written, in milliseconds.
const EVERY_MS: u64 = 60_000;

/// Lines that may be written.
#[derive(Debug)]
pub(super) struct LineBudget {
    /// At once at most.
    burst: u64,
    left: u64,
    /// Up time up to which they are counted.
    counted_ms: u64,
}

impl LineBudget {
    pub(super) fn new(burst: u64) -> Self {
        Self { burst, left: burst, counted_ms: 0 }
    }

    /// Takes a line, if there is one.
    pub(super) fn take(&mut self, up_ms: u64) -> bool {
        let minutes = up_ms.saturating_sub(self.counted_ms) / EVERY_MS;
        self.counted_ms += minutes * EVERY_MS;
        self.left = self.left.saturating_add(minutes).min(self.burst);
        if self.left == 0 {
            return false;
        }
        if self.left == self.burst {
            // A full bucket fills no further: the minute begins now.
            self.counted_ms = up_ms;
        }
        self.left -= 1;
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_is_a_burst_and_then_a_line_a_minute() {
        let mut budget = LineBudget::new(3);
        let lines: Vec<u64> = (0..400).filter(|second| budget.take(second * 1_000)).collect();
        assert_eq!(lines, [0, 1, 2, 60, 120, 180, 240, 300, 360]);
        // Filled again by quiet minutes, and not beyond.
        let lines: Vec<u64> = (3_000..3_010).filter(|second| budget.take(second * 1_000)).collect();
        assert_eq!(lines, [3_000, 3_001, 3_002]);
    }
}
