//! Addresses that failed dials tried first, by which the addresses of a name take turns: a node that accepts TCP and then says nothing would be the
//! first to answer each time, and hide one that works.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::net::hub_address::Target;
use crate::net::repeats::Repeats;

/// Addresses of each target that stood first since its last CONNACK. Clones share them.
#[derive(Debug, Clone, Default)]
pub(in crate::net) struct FailedDials {
    /// Turns of the targets, the one dialled last at the end.
    turns: Arc<Mutex<Vec<(Target, Turn)>>>,
}

/// Turns of a target's addresses.
#[derive(Debug, Clone, Default)]
struct Turn {
    /// Addresses that failed dials began with.
    tried: Vec<SocketAddr>,
    /// Dials that begin with the last one of them again.
    repeats: Repeats,
}

impl FailedDials {
    /// Returns the addresses in the order of this dial: from the first one on that none of the failed dials began with, whatever order the resolver
    /// gives them in. The dial counts as failed until the hub accepts a CONNECT.
    pub(super) fn in_turn(&self, target: &Target, mut addresses: Vec<SocketAddr>) -> Vec<SocketAddr> {
        let mut turns = self.lock();
        let mut turn = match turns.iter().position(|(other, _)| other == target) {
            Some(at) => turns.remove(at).1,
            None => Turn::default(),
        };
        turn.begin_with(&mut addresses);
        turns.push((target.clone(), turn));
        addresses
    }

    /// Records that the hub may have ended the last connection for something in its CONNECT, which changes: the next dial of its target begins with the
    /// same address. Else the two could change in step, so that an address never got one form of the CONNECT.
    pub(in crate::net) fn on_other_connect(&self) {
        let mut turns = self.lock();
        turns.last_mut().into_iter().for_each(|(_, turn)| turn.repeats.ask());
    }

    /// Records that the hub accepted a CONNECT on the last dialled connection.
    pub(in crate::net) fn on_accepted(&self) {
        self.lock().last_mut().into_iter().for_each(|(_, turn)| *turn = Turn::default());
    }

    fn lock(&self) -> MutexGuard<'_, Vec<(Target, Turn)>> {
        self.turns.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Turn {
    /// Rotates the addresses to the one whose turn it is.
    fn begin_with(&mut self, addresses: &mut [SocketAddr]) {
        let repeats = self.repeats.take();
        let same = self.tried.last().filter(|_| repeats);
        if let Some(at) = addresses.iter().position(|address| Some(address) == same) {
            return addresses.rotate_left(at);
        }
        self.repeats = Repeats::default();
        self.tried.retain(|address| addresses.contains(address));
        let first = addresses.iter().position(|address| !self.tried.contains(address));
        if first.is_none() {
            self.tried.clear();
        }
        addresses.rotate_left(first.unwrap_or(0));
        self.tried.extend(addresses.first());
    }
}

#[cfg(test)]
mod tests {
    use rustls::crypto::ring;
    use rustls::{ClientConfig, RootCertStore};

    use super::*;
    use crate::net::tls::Tls;
    use crate::net::tls::renewal::TlsRenewal;

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
        let first = |addresses: &[SocketAddr]| dials.in_turn(&target("mqtt://a"), addresses.to_vec())[0];
        assert_eq!([&[a, b], &[b, a], &[a, b], &[b, a]].map(|of| first(of)), [a, b, a, b]);
        assert_eq!([&[c, a, b], &[b, c, a], &[b, a, c]].map(|of| first(of)), [c, b, a]);
    }

    /// Two addresses, of which one answers nothing, and a hub behind the other that takes one form of the CONNECT and one certificate, and says nothing
    /// of either: it is offered all four combinations.
    #[tokio::test]
    async fn addresses_certificates_and_connects_do_not_change_in_step() {
        let tls = || {
            let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()));
            let config = config.with_safe_default_protocol_versions().unwrap();
            Tls::from_config(Arc::new(
                config.with_root_certificates(RootCertStore::empty()).with_no_client_auth(),
            ))
        };
        let [a, b, _] = addresses();
        let cases = [a, b].map(|dead| [true, false].map(|new| [true, false].map(|bit| (dead, new, bit))));
        for (dead, takes_new, takes_bit) in cases.into_iter().flatten().flatten() {
            let (dials, target, first, second) =
                (FailedDials::default(), target("mqtts://hub"), tls(), tls());
            let file = Mutex::new(Some(second.clone()));
            let renewal = TlsRenewal::new(move || Ok(file.lock().unwrap().take()));
            let (mut has_bit, mut count) = (true, 0);
            loop {
                count += 1;
                assert!(count < 20, "dead {dead}, takes new {takes_new}, bit {takes_bit}");
                let peer = dials.in_turn(&target, vec![a, b])[0];
                let offered = renewal.next(&(target.clone(), Some(peer)), &first, |tls| tls).await;
                let is_new = Arc::ptr_eq(&offered.config, &second.config);
                if peer != dead && (is_new, has_bit) == (takes_new, takes_bit) {
                    break;
                }
                // As the bridge bit does, and the driver.
                if has_bit {
                    renewal.on_other_connect();
                    dials.on_other_connect();
                }
                has_bit = !has_bit;
            }
        }
    }

    #[test]
    fn changes_of_the_connect_without_end_keep_no_address_away() {
        let (dials, [a, b, _]) = (FailedDials::default(), addresses());
        let mut begun_with = Vec::new();
        for _ in 0..8 {
            begun_with.push(dials.in_turn(&target("mqtt://a"), vec![a, b])[0]);
            dials.on_other_connect();
        }
        assert_eq!(begun_with, [[a; 4], [b; 4]].concat());
        dials.on_accepted();
        assert_eq!(dials.in_turn(&target("mqtt://a"), vec![b, a])[0], b);
    }
}
