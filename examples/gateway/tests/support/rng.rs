//! Random choices of a history: the same seed gives the same one.

#[derive(Clone, Debug)]
pub struct Rng(outage_drill::Rng);

impl Rng {
    pub fn new(seed: u64) -> Self {
        Self(outage_drill::Rng::new(seed))
    }

    pub fn below(&mut self, bound: u64) -> u64 {
        self.0.next_u64() % bound
    }

    /// Both ends included.
    pub fn between(&mut self, low: u64, high: u64) -> u64 {
        low + self.below(high - low + 1)
    }

    pub fn percent(&mut self, chance: u64) -> bool {
        self.below(100) < chance
    }

    pub fn pick<'a, T>(&mut self, from: &'a [T]) -> &'a T {
        &from[self.below(from.len() as u64) as usize]
    }
}
