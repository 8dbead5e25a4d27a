//! Back-off of the periodic search for something better.

/// Looking in vain doubles the time until it is done again.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Wait {
    /// Occasions between two times.
    pause: u32,
    left: u32,
}

/// The longest pause.
const LONGEST: u32 = 256;
/// The least pause after something was found: what fits now mostly fits for a while.
const AFTER_FOUND: u32 = 32;

impl Wait {
    /// Returns whether it is time, one occasion later.
    pub(crate) fn is_over(&mut self) -> bool {
        self.left = self.left.saturating_sub(1);
        self.left == 0
    }

    /// [`is_over`](Self::is_over), and if so, it is in vain until something else is said.
    pub(crate) fn try_again(&mut self) -> bool {
        let over = self.is_over();
        if over {
            self.was_in_vain();
        }
        over
    }

    pub(crate) fn was_in_vain(&mut self) {
        self.pause = (self.pause * 2).clamp(1, LONGEST);
        self.left = self.pause;
    }

    /// Something else was worth it: this may be again.
    pub(crate) fn halve(&mut self) {
        self.pause /= 2;
        self.left = self.pause;
    }

    pub(crate) fn was_worth_it(&mut self) {
        self.pause = (self.pause / 2).max(AFTER_FOUND);
        self.left = self.pause;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The occasions of 400 at which it was time, and nothing was found.
    fn in_vain(mut wait: Wait) -> Vec<u32> {
        (0..400).filter(|_| wait.try_again()).collect()
    }

    #[test]
    fn looking_in_vain_becomes_rare_and_goes_on() {
        assert_eq!(in_vain(Wait::default()), [0, 1, 3, 7, 15, 31, 63, 127, 255]);
    }

    #[test]
    fn what_was_found_is_left_alone_for_a_while() {
        let mut wait = Wait::default();
        wait.was_worth_it();
        assert_eq!(in_vain(wait).first(), Some(&31));
    }
}
