//! Which lane is served next: the highest with rows, but every eighth row comes from below it, so that a storm of
//! alarms does not starve telemetry.

/// Rows a lane may send before a lower one gets a turn.
const TURN: u32 = 7;

/// The memory of one consumer's turns: rows served from each lane since a lower one was.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Order {
    served: [u32; crate::row::LANES_MAX],
}

impl Order {
    /// The lane to serve, of those `ready`, without taking the turn.
    pub(crate) fn pick(&self, ready: &[bool]) -> Option<usize> {
        let mut best = None;
        for (at, _) in ready.iter().enumerate().filter(|(_, ready)| **ready) {
            best = Some(at);
            if self.served.get(at).is_some_and(|served| *served < TURN) {
                break;
            }
        }
        best
    }

    /// Takes the turn of `lane`: lanes above it start theirs anew.
    pub(crate) fn serve(&mut self, lane: usize) {
        for (at, served) in self.served.iter_mut().enumerate() {
            if at < lane {
                *served = 0;
            } else if at == lane {
                *served = served.saturating_add(1);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_eighth_row_comes_from_below() {
        let mut order = Order::default();
        let mut lanes = Vec::new();
        for _ in 0..64 {
            let lane = order.pick(&[true, true, true]).unwrap();
            order.serve(lane);
            lanes.push(lane);
        }
        assert_eq!(lanes[..8], [0, 0, 0, 0, 0, 0, 0, 1]);
        assert_eq!(lanes.iter().filter(|l| **l == 0).count(), 56);
        assert_eq!(lanes.iter().filter(|l| **l == 2).count(), 1);
    }

    #[test]
    fn a_lane_alone_is_served_without_pause() {
        let mut order = Order::default();
        for _ in 0..100 {
            assert_eq!(order.pick(&[true, false]), Some(0));
            order.serve(0);
        }
        assert_eq!(order.pick(&[false, false]), None);
    }
}
