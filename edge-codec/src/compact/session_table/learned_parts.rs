//! Parts of a table's plans that take memory of their own: learned distributions, of which equal ones are one, and lists of values. How much of
//! each a table may have is limited.

#![deny(clippy::indexing_slicing)]

use crate::compact::stream::ans::Dist;
use crate::compact::stream::coder::DistRef;
use crate::compact::values::plan::Plan;
use std::collections::HashMap;
use std::sync::Arc;

/// Most values in the lists of all plans of a table, 8 bytes of memory each. [`learn`](super::learn) makes lists of at most 64 values, so it takes
/// more than 16 384 sensors, the most that readers take, to need more.
pub(super) const LISTED_MAX: usize = 1 << 20;

/// Excess over what a table may have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Excess {
    pub(super) what: &'static str,
    pub(super) limit: usize,
    pub(super) found: usize,
}

#[derive(Debug)]
pub(super) struct LearnedParts {
    known: HashMap<Vec<(u8, u16)>, Arc<Dist>>,
    distributions_max: usize,
    /// Values in lists.
    listed: usize,
    /// Set when there was no room for what was needed.
    pub(super) excess: Option<Excess>,
}

impl LearnedParts {
    pub(super) fn at_most(distributions_max: usize) -> Self {
        Self { known: HashMap::new(), distributions_max, listed: 0, excess: None }
    }

    /// Returns the distribution of these weights. `None`: they are not valid, or there is no room.
    pub(super) fn distribution(&mut self, weights: Vec<(u8, u16)>) -> Option<Arc<Dist>> {
        if let Some(known) = self.known.get(&weights) {
            return Some(Arc::clone(known));
        }
        let limit = self.distributions_max;
        if self.known.len() >= limit {
            let found = limit.saturating_add(1);
            self.excess = Some(Excess { what: "distributions", limit, found });
            return None;
        }
        let dist = Arc::new(Dist::new(weights, 0)?);
        self.known.insert(dist.weights().to_vec(), Arc::clone(&dist));
        Some(dist)
    }

    /// Counts the values in a plan's list. `None`: there is no room for them, and they do not count.
    pub(super) fn list(&mut self, plan: &Plan) -> Option<()> {
        let found = self.listed.saturating_add(plan.transform.listed());
        if found > LISTED_MAX {
            self.excess = Some(Excess { what: "listed values", limit: LISTED_MAX, found });
            return None;
        }
        self.listed = found;
        Some(())
    }

    /// Makes a plan share its distributions with other plans, and counts its list. `None`: there is no room for it.
    pub(super) fn admit(&mut self, plan: &mut Plan) -> Option<()> {
        let coders = [Some(&mut plan.main), plan.ulps.as_mut(), plan.head.as_mut()];
        for coder in coders.into_iter().flatten() {
            coder.dist = DistRef::Learned(self.distribution(coder.dist.weights().to_vec())?);
        }
        self.list(plan)
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Entry, Table};
    use super::*;
    use crate::compact::stream::token::ESCAPE;
    use crate::compact::values::transform::Transform;
    use crate::{Limits, Reading, SensorTable, Value};

    #[test]
    fn the_same_weights_are_one_distribution_and_there_is_an_end() {
        let weights = |zero: u16| vec![(0, zero), (ESCAPE, 1024 - zero)];
        let mut all = LearnedParts::at_most(2);
        let first = all.distribution(weights(1000)).unwrap();
        assert!(all.distribution(weights(1001)).is_some());
        assert!(Arc::ptr_eq(&first, &all.distribution(weights(1000)).unwrap()));
        assert!(all.excess.is_none() && all.distribution(vec![(0, 1)]).is_none(), "no weights");
        assert!(all.distribution(weights(1002)).is_none());
        assert_eq!(all.excess, Some(Excess { what: "distributions", limit: 2, found: 3 }));
        assert!(Arc::ptr_eq(&first, &all.distribution(weights(1000)).unwrap()), "known ones need no room");
    }

    /// A reader with higher limits may have more sensors than there is room for the lists of.
    #[test]
    fn sensors_whose_lists_have_no_room_have_no_plan() {
        let mut sensors = SensorTable::new();
        sensors.insert(0, "", "");
        let reading = |n: i64| Reading { sensor: 0, time: n, value: Value::I64(n * n % 7), quality: 0 };
        let learned = Table::learn(1, &sensors, &(0..200).map(reading).collect::<Vec<_>>());
        let plan = learned.entries.first().and_then(|entry| entry.plan.clone()).unwrap();
        let list = Transform::Dictionary((0..1000).map(|n| n * n).collect());
        let plan = Plan { transform: list, ..plan };
        let entry =
            |sensor| Entry { sensor, name: String::new(), unit: String::new(), plan: Some(plan.clone()) };
        let room = LISTED_MAX / 1000;
        let table = Table::build(1, (0..room as u32 + 3).map(entry).collect(), &[]);
        assert_eq!((table.plans(), table.sensors().len()), (room, room + 3));
        let limits = Limits::default().bytes(usize::MAX);
        assert_eq!(Table::decode(table.bytes(), &limits).map(|read| read.plans()), Ok(room));
    }
}
