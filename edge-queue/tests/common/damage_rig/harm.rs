//! Damage: bits, sectors, pages, segments, pages that changed places or went back in time, files that were cut.

use edge_queue::medium::Dir;
use edge_queue::testing::{Rng, SimDir};

use super::Image;

pub(super) const PAGE: usize = 4096;
const SEGMENT: usize = 64 * 1024;
const SEGMENTS_AT: usize = 2 * PAGE;

pub(super) fn page(bytes: &[u8], nth: usize) -> &[u8] {
    bytes.get(nth * PAGE..(nth + 1) * PAGE).unwrap_or_default()
}

/// One harm done to a file.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Harm {
    Flip { at: usize, bit: u8 },
    Fill { at: usize, len: usize, with: u8 },
    Swap { a: usize, b: usize },
    Old { page: usize },
    Cut { len: usize },
}

impl Image {
    /// One to three harms, where something is.
    pub(super) fn harms(&self, rng: &mut Rng) -> Vec<Harm> {
        (0..[1, 1, 1, 2, 3][rng.below(5) as usize]).map(|_| self.harm(rng)).collect()
    }

    fn harm(&self, rng: &mut Rng) -> Harm {
        let mut used = || self.used[rng.below(self.used.len() as u64) as usize];
        let (a, b) = (used(), used());
        let within = rng.below(PAGE as u64) as usize;
        match rng.below(16) {
            0..=3 => Harm::Flip { at: a * PAGE + within, bit: rng.below(8) as u8 },
            // In a header.
            4..=6 => Harm::Flip { at: a * PAGE + within % 136, bit: rng.below(8) as u8 },
            7 => Harm::Fill { at: a * PAGE + within / 512 * 512, len: 512, with: 0 },
            8 | 9 => Harm::Fill { at: a * PAGE, len: PAGE, with: [0, 0xff, 0x5a][rng.below(3) as usize] },
            10 => {
                let len = PAGE * rng.between(2, 12) as usize;
                Harm::Fill { at: a * PAGE, len: len.min(self.bytes.len() - a * PAGE), with: 0 }
            }
            11 if a >= 2 => {
                let at = SEGMENTS_AT + (a * PAGE - SEGMENTS_AT) / SEGMENT * SEGMENT;
                Harm::Fill { at, len: SEGMENT.min(self.bytes.len() - at), with: 0 }
            }
            12 => Harm::Swap { a, b },
            13 | 14 => Harm::Old { page: a },
            _ => Harm::Cut { len: a * PAGE + within },
        }
    }

    /// A damaged copy.
    pub(super) fn hurt(&self, harms: &[Harm]) -> SimDir {
        let dir = self.dir.crash(edge_queue::testing::Outcome::Kept, 0);
        for harm in harms {
            match *harm {
                Harm::Flip { at, bit } => {
                    let byte = self.bytes[at] ^ 1 << bit;
                    dir.damage(self.file, at as u64, &[byte]);
                }
                Harm::Fill { at, len, with } => {
                    dir.damage(self.file, at as u64, &vec![with; len]);
                }
                Harm::Swap { a, b } => {
                    dir.damage(self.file, (a * PAGE) as u64, page(&self.bytes, b));
                    dir.damage(self.file, (b * PAGE) as u64, page(&self.bytes, a));
                }
                Harm::Old { page: nth } => {
                    dir.damage(self.file, (nth * PAGE) as u64, page(&self.older, nth));
                }
                Harm::Cut { len } => {
                    let mut file = dir.open(self.file).unwrap();
                    file.set_len(len as u64).unwrap();
                    file.sync().unwrap();
                }
            }
        }
        dir
    }
}

impl Harm {
    /// Returns whether it hurts superblocks, and whether anything else.
    pub(super) fn touches(&self) -> (bool, bool) {
        match *self {
            Harm::Flip { at, .. } => (at < SEGMENTS_AT, at >= SEGMENTS_AT),
            Harm::Fill { at, len, .. } => (at < SEGMENTS_AT, at + len > SEGMENTS_AT),
            Harm::Swap { a, b } => (a.min(b) < 2, a.max(b) >= 2),
            Harm::Old { page } => (page < 2, page >= 2),
            Harm::Cut { len } => (len < SEGMENTS_AT, true),
        }
    }
}
