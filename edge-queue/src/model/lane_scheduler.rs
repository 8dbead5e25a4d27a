//! Lane scheduler: serves the highest lane with rows, but lets no lane with rows wait long, so that a flood of alarms does not starve telemetry.

use crate::row::LANES_MAX;

/// Number of rows of other lanes after which a lane is served before those above it, so that every lane with rows gets one row in eight.
const WAIT_ROWS: u32 = 7;

/// Number of rows of other lanes since each lane was served. A lane without rows is counted too, so its next row is served at once.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct LaneScheduler {
    waited: [u32; LANES_MAX],
}

impl LaneScheduler {
    /// Returns the first `lanes` lanes in the order in which they may send the next row: those that waited too long, longest
    /// first, then by priority. With four lanes no lane with rows waits for more than ten rows of others.
    pub(crate) fn order(&self, lanes: usize) -> impl Iterator<Item = usize> + use<> {
        let mut order: [(u32, usize); LANES_MAX] = std::array::from_fn(|lane| {
            let waited = self.waited.get(lane).copied().unwrap_or(0);
            (u32::MAX - if waited < WAIT_ROWS { 0 } else { waited }, lane)
        });
        // Of the lanes there are: this is asked for each row.
        order.get_mut(..lanes).into_iter().for_each(<[_]>::sort_unstable);
        order.into_iter().map(|(_, lane)| lane).take(lanes)
    }

    /// Records that a row of `lane` was leased.
    pub(crate) fn serve(&mut self, lane: usize) {
        for (at, waited) in self.waited.iter_mut().enumerate() {
            *waited = if at == lane { 0 } else { waited.saturating_add(1) };
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn next(scheduler: &mut LaneScheduler, ready: &[bool]) -> Option<usize> {
        let lane = scheduler.order(ready.len()).find(|lane| ready[*lane])?;
        scheduler.serve(lane);
        Some(lane)
    }

    /// Tells that some lane with rows waits for more than `rows_max` rows of others.
    fn starves(
        pick: impl Fn(&mut LaneScheduler, &[bool]) -> Option<usize>,
        loads: &[Vec<bool>],
        rows_max: u32,
    ) -> bool {
        let (mut scheduler, mut waits) = (LaneScheduler::default(), [0u32; LANES_MAX]);
        loads.iter().any(|ready| {
            let served = pick(&mut scheduler, ready);
            for (lane, wait) in waits.iter_mut().enumerate() {
                let waits_on = served != Some(lane) && ready.get(lane) == Some(&true);
                *wait = if waits_on { *wait + 1 } else { 0 };
            }
            waits.iter().any(|wait| *wait > rows_max)
        })
    }

    fn by_priority_alone(scheduler: &mut LaneScheduler, ready: &[bool]) -> Option<usize> {
        let lane = ready.iter().position(|ready| *ready)?;
        scheduler.serve(lane);
        Some(lane)
    }

    #[test]
    fn every_eighth_row_comes_from_below() {
        let mut scheduler = LaneScheduler::default();
        let lanes: Vec<usize> = (0..64).map(|_| next(&mut scheduler, &[true, true]).unwrap()).collect();
        assert_eq!(lanes[..9], [0, 0, 0, 0, 0, 0, 0, 1, 0]);
        assert_eq!(lanes.iter().filter(|lane| **lane == 1).count(), 8);
    }

    /// Promise 7: the share of each lane while all four are full.
    #[test]
    fn each_lower_lane_gets_one_row_in_eight_and_the_highest_the_rest() {
        let mut scheduler = LaneScheduler::default();
        let lanes: Vec<usize> = (0..800).map(|_| next(&mut scheduler, &[true; 4]).unwrap()).collect();
        let of = |lane: usize| lanes.iter().filter(|l| **l == lane).count();
        assert!((500..=504).contains(&of(0)) && (1..4).all(|lane| (98..=100).contains(&of(lane))));
    }

    #[test]
    fn a_lane_alone_is_served_without_pause() {
        let mut scheduler = LaneScheduler::default();
        assert!((0..100).all(|_| next(&mut scheduler, &[true, false]) == Some(0)));
        assert_eq!(next(&mut scheduler, &[false, false]), None);
    }

    #[test]
    fn a_picker_that_knows_priority_only_is_caught() {
        assert!(starves(by_priority_alone, &vec![vec![true; 4]; 20], 10));
    }

    proptest! {
        /// Lanes that come and go as an adversary likes: nobody with rows waits for more than ten rows of others.
        #[test]
        fn no_lane_starves(loads in proptest::collection::vec(proptest::collection::vec(any::<bool>(), 4), 1..300),
                           full in proptest::collection::vec(any::<bool>(), 4)) {
            let loads: Vec<Vec<bool>> =
                loads.iter().map(|load| load.iter().zip(&full).map(|(now, always)| *now || *always).collect()).collect();
            prop_assert!(!starves(next, &loads, 10));
        }
    }
}
