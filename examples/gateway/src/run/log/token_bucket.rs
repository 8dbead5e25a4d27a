//! Rate limit, as a token bucket, of a log line that peers can cause as often as they like. Pure.

/// Usual time per token, in milliseconds.
pub(in crate::run) const MINUTE_MS: u64 = 60_000;

/// Token bucket of log lines.
#[derive(Debug)]
pub(in crate::run) struct LineBudget {
    /// Most lines that may be written without a pause between them.
    burst: u64,
    left: u64,
    /// Milliseconds after which one more line is allowed.
    every_ms: u64,
    /// Up time up to which tokens were counted.
    counted_ms: u64,
}

impl LineBudget {
    pub(in crate::run) fn new(burst: u64, every_ms: u64) -> Self {
        Self { burst, left: burst, every_ms, counted_ms: 0 }
    }

    /// Returns whether a line may be written now, and counts it.
    pub(in crate::run) fn take(&mut self, up_ms: u64) -> bool {
        let more = up_ms.saturating_sub(self.counted_ms) / self.every_ms;
        self.counted_ms += more * self.every_ms;
        self.left = self.left.saturating_add(more).min(self.burst);
        if self.left == 0 {
            return false;
        }
        if self.left == self.burst {
            // A full bucket fills no further: the time begins now.
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
        let mut budget = LineBudget::new(3, MINUTE_MS);
        let lines: Vec<u64> = (0..400).filter(|second| budget.take(second * 1_000)).collect();
        assert_eq!(lines, [0, 1, 2, 60, 120, 180, 240, 300, 360]);
        // Filled again by quiet minutes, and not beyond.
        let lines: Vec<u64> = (3_000..3_010).filter(|second| budget.take(second * 1_000)).collect();
        assert_eq!(lines, [3_000, 3_001, 3_002]);
    }
}
