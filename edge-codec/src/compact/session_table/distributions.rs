//! Learned distributions of one table. Equal weights share one distribution, and the number of different ones is limited.

#![deny(clippy::indexing_slicing)]

use crate::compact::stream::ans::Dist;
use crate::compact::stream::coder::DistRef;
use crate::compact::values::plan::Plan;
use std::collections::HashMap;
use std::sync::Arc;

#[derive(Debug)]
pub(crate) struct Distributions {
    known: HashMap<Vec<(u8, u16)>, Arc<Dist>>,
    max: usize,
    /// Set when more than `max` were needed.
    pub(crate) full: bool,
}

impl Distributions {
    pub(crate) fn at_most(max: usize) -> Self {
        Self { known: HashMap::new(), max, full: false }
    }

    /// Returns the distribution of these weights. `None`: they are not valid, or there is no room.
    pub(crate) fn of(&mut self, weights: Vec<(u8, u16)>) -> Option<Arc<Dist>> {
        if let Some(known) = self.known.get(&weights) {
            return Some(Arc::clone(known));
        }
        if self.known.len() >= self.max {
            self.full = true;
            return None;
        }
        let dist = Arc::new(Dist::new(weights, 0)?);
        self.known.insert(dist.weights().to_vec(), Arc::clone(&dist));
        Some(dist)
    }

    /// Makes a plan share its distributions with other plans. Returns `false` if there is no room for it.
    pub(crate) fn share(&mut self, plan: &mut Plan) -> bool {
        let coders = [Some(&mut plan.main), plan.ulps.as_mut(), plan.head.as_mut()];
        coders.into_iter().flatten().all(|coder| match self.of(coder.dist.weights().to_vec()) {
            Some(dist) => {
                coder.dist = DistRef::Learned(dist);
                true
            }
            None => false,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::compact::stream::token::ESCAPE;

    #[test]
    fn the_same_weights_are_one_distribution_and_there_is_an_end() {
        let weights = |zero: u16| vec![(0, zero), (ESCAPE, 1024 - zero)];
        let mut all = Distributions::at_most(2);
        let first = all.of(weights(1000)).unwrap();
        assert!(all.of(weights(1001)).is_some());
        assert!(Arc::ptr_eq(&first, &all.of(weights(1000)).unwrap()));
        assert!(!all.full && all.of(vec![(0, 1)]).is_none(), "no weights");
        assert!(all.of(weights(1002)).is_none() && all.full);
        assert!(Arc::ptr_eq(&first, &all.of(weights(1000)).unwrap()), "known ones need no room");
    }
}
