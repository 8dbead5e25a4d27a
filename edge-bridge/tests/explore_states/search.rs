//! Search through all states: depth first for how many there are, breadth first for the shortest way to a bug.

use std::collections::{HashSet, VecDeque};
use std::fmt::Write;
use std::hash::{BuildHasherDefault, Hasher};

use crate::bounds::Bounds;
use crate::bug::Bug;
use crate::fingerprint::Description;
use crate::ledger::Violation;
use crate::step::Step;
use crate::world::World;

/// One state in so many, beside those at rest, is gone on from without faults.
const RECOVERIES: u64 = 64;

/// Fingerprints are hashes already.
#[derive(Debug, Default, Clone, Copy)]
struct Same(u64);

impl Hasher for Same {
    fn write(&mut self, _: &[u8]) {}

    fn write_u64(&mut self, fingerprint: u64) {
        self.0 = fingerprint;
    }

    fn finish(&self) -> u64 {
        self.0
    }
}

/// A way from the start that breaks a rule.
#[derive(Debug)]
pub(crate) struct Found {
    pub(crate) steps: Vec<Step>,
    pub(crate) violation: Violation,
}

impl Found {
    pub(crate) fn text(&self) -> String {
        let mut text = String::new();
        for (n, step) in self.steps.iter().enumerate() {
            writeln!(text, "  {:2}. {step}", n + 1).unwrap();
        }
        writeln!(text, "  breaks {:?}: {}", self.violation.rule, self.violation.detail).unwrap();
        text
    }
}

#[derive(Debug, Default)]
pub(crate) struct Explored {
    seen: HashSet<u64, BuildHasherDefault<Same>>,
    states_max: u64,
    path: Vec<Step>,
    /// Steps taken, states from which the way to delivery was gone, and the longest way.
    pub(crate) steps: u64,
    pub(crate) recoveries: u64,
    pub(crate) deepest: usize,
}

impl Explored {
    /// All states within these bounds, or the first `states_max` of them.
    pub(crate) fn all(bounds: Bounds, states_max: u64) -> Result<Self, Found> {
        let mut explored = Self { states_max, ..Self::default() };
        let world = World::new(bounds, None);
        explored.seen.insert(Description::of(&world).finish());
        explored.visit(world)?;
        Ok(explored)
    }

    /// Number of distinct states.
    pub(crate) fn states(&self) -> u64 {
        self.seen.len() as u64
    }

    /// Returns whether there are no more states than those.
    pub(crate) fn is_complete(&self) -> bool {
        self.states() < self.states_max
    }

    fn visit(&mut self, world: World) -> Result<(), Found> {
        if !self.is_complete() {
            return Ok(());
        }
        self.deepest = self.deepest.max(self.path.len());
        let steps = world.steps();
        for step in &steps {
            let mut next = world.clone();
            self.path.push(*step);
            self.steps += 1;
            next.take(*step).map_err(|violation| self.found(violation))?;
            let fingerprint = Description::of(&next).finish();
            if self.seen.insert(fingerprint) {
                if fingerprint.is_multiple_of(RECOVERIES) {
                    self.recover(next.clone())?;
                }
                self.visit(next)?;
            }
            self.path.pop();
        }
        if steps.iter().all(|step| step.is_fault()) {
            self.recover(world)?;
        }
        Ok(())
    }

    fn recover(&mut self, world: World) -> Result<(), Found> {
        self.recoveries += 1;
        world.recover().map_err(|violation| self.found(violation))
    }

    fn found(&self, violation: Violation) -> Found {
        Found { steps: self.path.clone(), violation }
    }
}

/// The shortest way to a state in which a planted bug shows; `None` if it does not show within the bounds in so many steps.
pub(crate) fn shortest(bounds: Bounds, bug: Option<Bug>, steps_max: usize) -> Option<Found> {
    let mut seen = HashSet::new();
    let mut open = VecDeque::from([(World::new(bounds, bug), Vec::new())]);
    while let Some((world, path)) = open.pop_front() {
        if path.len() == steps_max {
            return None;
        }
        for step in world.steps() {
            let mut next = world.clone();
            let steps: Vec<_> = path.iter().copied().chain([step]).collect();
            if let Err(violation) = next.take(step) {
                return Some(Found { steps, violation });
            }
            if !seen.insert(Description::of(&next).finish()) {
                continue;
            }
            if next.steps().iter().all(|step| step.is_fault())
                && let Err(violation) = next.clone().recover()
            {
                return Some(Found { steps, violation });
            }
            open.push_back((next, steps));
        }
    }
    None
}
