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
    /// Whether a lower lane goes before this one, if it has rows. Of lanes that all had their turn the lowest goes.
    pub(crate) fn had_turn(&self, lane: usize) -> bool {
        self.served.get(lane).is_some_and(|served| *served >= TURN)
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

    fn next(order: &mut Order, ready: &[bool]) -> Option<usize> {
        let ready = (0..ready.len()).filter(|lane| ready[*lane]).collect::<Vec<_>>();
        let lane = *ready.iter().find(|lane| !order.had_turn(**lane)).or(ready.last())?;
        order.serve(lane);
        Some(lane)
    }

    #[test]
    fn every_eighth_row_comes_from_below() {
        let mut order = Order::default();
        let lanes: Vec<usize> = (0..64).map(|_| next(&mut order, &[true, true, true]).unwrap()).collect();
        assert_eq!(lanes[..8], [0, 0, 0, 0, 0, 0, 0, 1]);
        assert_eq!(lanes.iter().filter(|l| **l == 0).count(), 56);
        assert_eq!(lanes.iter().filter(|l| **l == 2).count(), 1);
    }

    #[test]
    fn a_lane_alone_is_served_without_pause() {
        let mut order = Order::default();
        assert!((0..100).all(|_| next(&mut order, &[true, false]) == Some(0)));
        assert_eq!(next(&mut order, &[false, false]), None);
    }
}
