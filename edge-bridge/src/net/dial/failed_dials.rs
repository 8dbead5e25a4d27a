//! Failed dials of each address of the hub, by which the addresses of its name take turns: a node that accepts TCP and then says nothing would be
//! the first to answer each time, and hide one that works.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};

use crate::net::hub_address::Target;

/// Number of dials of each target since its last CONNACK. Clones share it.
#[derive(Debug, Clone, Default)]
pub(in crate::net) struct FailedDials {
    /// Targets with their number, the one dialled last at the end.
    dials: Arc<Mutex<Vec<(Target, usize)>>>,
}

impl FailedDials {
    /// Counts a dial, as failed until the hub accepts a CONNECT. Returns the number of failed ones before it.
    pub(super) fn begin(&self, target: &Target) -> usize {
        let mut dials = self.dials.lock().unwrap_or_else(PoisonError::into_inner);
        let failed = match dials.iter().position(|(other, _)| other == target) {
            Some(at) => dials.remove(at).1,
            None => 0,
        };
        dials.push((target.clone(), failed.wrapping_add(1)));
        failed
    }

    /// Records that the hub accepted a CONNECT on the last dialled connection.
    pub(in crate::net) fn on_accepted(&self) {
        let mut dials = self.dials.lock().unwrap_or_else(PoisonError::into_inner);
        dials.last_mut().into_iter().for_each(|(_, failed)| *failed = 0);
    }
}

/// Returns the addresses with another one first after each of so many failed dials.
pub(super) fn in_turn(mut addresses: Vec<SocketAddr>, failed: usize) -> Vec<SocketAddr> {
    let first = failed.checked_rem(addresses.len()).unwrap_or(0);
    addresses.rotate_left(first);
    addresses
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_target_has_its_own_turns_until_it_accepts() {
        let (dials, targets) =
            (FailedDials::default(), ["mqtt://a", "mqtt://b"].map(|url| url.parse().unwrap()));
        let both = |_| targets.each_ref().map(|target| dials.clone().begin(target));
        assert_eq!([0, 1, 2].map(both), [[0, 0], [1, 1], [2, 2]]);
        dials.on_accepted();
        assert_eq!([0, 1].map(both), [[3, 0], [4, 1]]);
    }

    #[test]
    fn turns_begin_again_after_the_last_address() {
        let all =
            ["1.1.1.1:1", "1.1.1.2:1", "1.1.1.3:1"].map(|address| address.parse::<SocketAddr>().unwrap());
        let first = [0, 1, 2, 3, usize::MAX].map(|failed| in_turn(all.to_vec(), failed)[0]);
        assert_eq!(first, [all[0], all[1], all[2], all[0], all[usize::MAX % 3]]);
        assert_eq!(in_turn(all.to_vec(), 1), [all[1], all[2], all[0]]);
        assert!(in_turn(Vec::new(), 7).is_empty());
    }
}
