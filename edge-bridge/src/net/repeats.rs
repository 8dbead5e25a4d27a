//! Repeats of a choice at the next dial, because the CONNECT changes meanwhile: two things that change in step would never meet in every combination.

/// Most dials in a row that repeat it: the CONNECT changes by version, bridge bit and will.
const REPEATS_MAX: u8 = 3;

/// Repeats of one choice.
#[derive(Debug, Clone, Copy, Default)]
pub(in crate::net) struct Repeats {
    is_next: bool,
    /// Number of dials in a row that repeated it.
    count: u8,
}

impl Repeats {
    /// Has the next dial repeat the choice, unless enough did.
    pub(in crate::net) fn ask(&mut self) {
        self.is_next = self.count < REPEATS_MAX;
    }

    /// Begins a dial. Returns whether it repeats the choice.
    pub(in crate::net) fn take(&mut self) -> bool {
        let repeats = std::mem::take(&mut self.is_next);
        self.count = if repeats { self.count + 1 } else { 0 };
        repeats
    }
}
