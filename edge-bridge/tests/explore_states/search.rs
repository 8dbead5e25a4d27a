//! Search through all states: depth first for how many there are, breadth first for the shortest way to a bug.

use std::collections::{HashMap, HashSet, VecDeque};
use std::fmt::Write;
use std::hash::{BuildHasherDefault, Hasher};

use crate::bounds::Bounds;
use crate::bug::Bug;
use crate::description::Description;
use crate::fingerprint::fingerprint;
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

/// State from which steps are still to be taken.
struct Open {
    world: World,
    steps: Vec<Step>,
    /// Number of steps from the start.
    depth: usize,
}

/// Exploration depth first: of the states that were seen it keeps fingerprints, whole ones of the present way alone.
#[derive(Default)]
pub(crate) struct Explored {
    seen: HashSet<u64, BuildHasherDefault<Same>>,
    /// Description of each fingerprint, and the way to it, where they are compared.
    described: Option<HashMap<u64, (u64, Vec<Step>)>>,
    states_max: u64,
    open: Vec<Open>,
    path: Vec<Step>,
    /// Steps taken, states from which the way to delivery was gone, and the longest way.
    pub(crate) steps: u64,
    pub(crate) recoveries: u64,
    pub(crate) deepest: usize,
}

impl Explored {
    /// All states within these bounds, or the first `states_max` of them.
    pub(crate) fn all(bounds: Bounds, states_max: u64) -> Result<Self, Found> {
        Self { states_max, ..Self::default() }.explore(bounds)
    }

    /// Explores as [`all`](Self::all) does, and panics where two states of one fingerprint have different descriptions.
    pub(crate) fn described(bounds: Bounds, states_max: u64) -> Result<Self, Found> {
        Self { states_max, described: Some(HashMap::new()), ..Self::default() }.explore(bounds)
    }

    /// Number of distinct states.
    pub(crate) fn states(&self) -> u64 {
        self.seen.len() as u64
    }

    /// Returns whether there are no more states than those.
    pub(crate) fn is_complete(&self) -> bool {
        self.states() < self.states_max
    }

    fn explore(mut self, bounds: Bounds) -> Result<Self, Found> {
        self.arrive(World::new(bounds, None), 0)?;
        while self.is_complete()
            && let Some((mut world, step, depth)) = self.next()
        {
            self.path.truncate(depth);
            self.path.push(step);
            self.steps += 1;
            world.take(step).map_err(|violation| self.found(violation))?;
            self.arrive(world, depth + 1)?;
        }
        Ok(self)
    }

    /// Returns the next step of the last state that has one, and that state.
    fn next(&mut self) -> Option<(World, Step, usize)> {
        let open = self.open.last_mut()?;
        let (step, depth) = (open.steps.pop()?, open.depth);
        if open.steps.is_empty() {
            return self.open.pop().map(|open| (open.world, step, depth));
        }
        Some((open.world.clone(), step, depth))
    }

    fn arrive(&mut self, world: World, depth: usize) -> Result<(), Found> {
        let fingerprint = fingerprint(&world);
        if let Some(described) = &mut self.described {
            let description = Description::of(&world).finish();
            let (known, path) =
                described.entry(fingerprint).or_insert_with(|| (description, self.path.clone()));
            let paths = || format!("one fingerprint: {path:?}, {:?}", self.path);
            assert_eq!(*known, description, "{}\n{}", paths(), world.difference(path));
        }
        if !self.seen.insert(fingerprint) {
            return Ok(());
        }
        self.deepest = self.deepest.max(depth);
        let mut steps = world.steps();
        if steps.iter().all(|step| step.is_fault()) || fingerprint.is_multiple_of(RECOVERIES) {
            self.recoveries += 1;
            world.clone().recover().map_err(|violation| self.found(violation))?;
        }
        if !steps.is_empty() {
            // What is cut off is not always that which the same steps lead to.
            let first = fingerprint % steps.len() as u64;
            steps.rotate_left(usize::try_from(first).unwrap());
            self.open.push(Open { world, steps, depth });
        }
        Ok(())
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
            if !seen.insert(fingerprint(&next)) {
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
