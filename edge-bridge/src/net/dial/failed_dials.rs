//! Addresses that failed dials tried first, by which the addresses of a name take turns: a node that accepts TCP and then says nothing would be the
//! first to answer each time, and hide one that works.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::net::hub_address::Target;

/// Addresses of each target that stood first since its last CONNACK. Clones share them.
#[derive(Debug, Clone, Default)]
pub(in crate::net) struct FailedDials {
    /// Targets with these addresses, the one dialled last at the end.
    first: Arc<Mutex<Vec<(Target, Vec<SocketAddr>)>>>,
}

impl FailedDials {
    /// Returns the addresses in the order of this dial: from the first one on that none of the failed dials began with, whatever order the resolver
    /// gives them in. The dial counts as failed until the hub accepts a CONNECT.
    pub(super) fn in_turn(&self, target: &Target, mut addresses: Vec<SocketAddr>) -> Vec<SocketAddr> {
        let mut first = self.lock();
        let mut tried = match first.iter().position(|(other, _)| other == target) {
            Some(at) => first.remove(at).1,
            None => Vec::new(),
        };
        tried.retain(|address| addresses.contains(address));
        let begin = addresses.iter().position(|address| !tried.contains(address)).unwrap_or_else(|| {
            tried.clear();
            0
        });
        addresses.rotate_left(begin);
        tried.extend(addresses.first());
        first.push((target.clone(), tried));
        addresses
    }

    /// Records that the hub accepted a CONNECT on the last dialled connection.
    pub(in crate::net) fn on_accepted(&self) {
        self.lock().last_mut().into_iter().for_each(|(_, tried)| tried.clear());
    }

    fn lock(&self) -> MutexGuard<'_, Vec<(Target, Vec<SocketAddr>)>> {
        self.first.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn target(url: &str) -> Target {
        url.parse().unwrap()
    }

    fn addresses() -> [SocketAddr; 3] {
        ["1.1.1.1:1", "1.1.1.2:1", "1.1.1.3:1"].map(|address| address.parse().unwrap())
    }

    #[test]
    fn each_target_has_its_own_turns_until_it_accepts() {
        let (dials, [a, b, c]) = (FailedDials::default(), addresses());
        let targets = ["mqtt://a", "mqtt://b"].map(target);
        let both = |_| targets.each_ref().map(|target| dials.clone().in_turn(target, vec![a, b, c])[0]);
        assert_eq!([0, 1, 2].map(both), [[a, a], [b, b], [c, c]]);
        assert_eq!(dials.in_turn(&targets[0], Vec::new()), [], "a name without addresses");
        assert_eq!(both(0), [a, a]);
        dials.on_accepted();
        assert_eq!(both(0), [b, a], "it was the second one's");
        assert_eq!(dials.in_turn(&targets[0], vec![a, b, c]), [c, a, b]);
    }

    /// A resolver that rotates two addresses itself would cancel turns that only count.
    #[test]
    fn each_address_has_its_turn_in_whatever_order_they_come() {
        let (dials, [a, b, c]) = (FailedDials::default(), addresses());
        let mut first = |addresses: &[SocketAddr]| dials.in_turn(&target("mqtt://a"), addresses.to_vec())[0];
        assert_eq!([&[a, b], &[b, a], &[a, b], &[b, a]].map(|of| first(of)), [a, b, a, b]);
        assert_eq!([&[c, a, b], &[b, c, a], &[b, a, c]].map(|of| first(of)), [c, b, a]);
    }
}
