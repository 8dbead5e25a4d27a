//! Back-off of the periodic search for a better encoding: a search that finds nothing doubles the pause until the next.

/// Pause between searches, counted in batches.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct SearchBackoff {
    /// Number of batches from one search to the next.
    pause: u32,
    /// Number of batches until the next search.
    left: u32,
}

/// Longest pause, in batches.
const LONGEST: u32 = 256;
/// Shortest pause after a search that succeeded, since an encoding that fits now mostly fits for a while.
const AFTER_FOUND: u32 = 32;

impl SearchBackoff {
    /// Counts a batch. Returns whether the pause is over.
    pub(crate) fn count_batch(&mut self) -> bool {
        self.left = self.left.saturating_sub(1);
        self.left == 0
    }

    /// Counts a batch. Returns whether the pause is over, and then counts the search as failed until [`succeeded`](Self::succeeded) is called.
    pub(crate) fn try_again(&mut self) -> bool {
        let over = self.count_batch();
        if over {
            self.failed();
        }
        over
    }

    pub(crate) fn failed(&mut self) {
        self.pause = (self.pause * 2).clamp(1, LONGEST);
        self.left = self.pause;
    }

    /// Halves the pause, because another search succeeded and this one may now, too.
    pub(crate) fn halve(&mut self) {
        self.pause /= 2;
        self.left = self.pause;
    }

    pub(crate) fn succeeded(&mut self) {
        self.pause = (self.pause / 2).max(AFTER_FOUND);
        self.left = self.pause;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The occasions of 400 at which it was time, and nothing was found.
    fn in_vain(mut backoff: SearchBackoff) -> Vec<u32> {
        (0..400).filter(|_| backoff.try_again()).collect()
    }

    #[test]
    fn looking_in_vain_becomes_rare_and_goes_on() {
        assert_eq!(in_vain(SearchBackoff::default()), [0, 1, 3, 7, 15, 31, 63, 127, 255]);
    }

    #[test]
    fn what_was_found_is_left_alone_for_a_while() {
        let mut backoff = SearchBackoff::default();
        backoff.succeeded();
        assert_eq!(in_vain(backoff).first(), Some(&31));
    }
}
