//! Limit of TLS and WebSocket handshakes at a time, because each holds up to 64 KiB for a client that is not authenticated yet.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::Semaphore;

use crate::client_network::client_network;

/// Most handshakes at a time.
const ALL: usize = 64;
/// Most handshakes of one address at a time, so that a client that starts handshakes and does not finish them leaves room for others.
const OF_AN_ADDRESS: usize = 8;

/// Limit of handshakes, see the [module](self). Clones share it.
#[derive(Debug, Clone)]
pub(super) struct HandshakeLimit {
    all: Arc<Semaphore>,
    by_address: Arc<Mutex<HashMap<IpAddr, Arc<Semaphore>>>>,
}

impl HandshakeLimit {
    pub(super) fn new() -> Self {
        Self { all: Arc::new(Semaphore::new(ALL)), by_address: Arc::default() }
    }

    /// Waits for a permit of this address, then for one of all addresses; runs `handshake` with them. Cancel-safe.
    pub(super) async fn run<T>(&self, address: IpAddr, handshake: impl Future<Output = T>) -> T {
        let own = Places { own: Some(self.places(address)), limit: self, address };
        let _own_place = match &own.own {
            Some(places) => places.acquire().await.ok(),
            None => None,
        };
        let _place = self.all.acquire().await;
        handshake.await
    }

    fn places(&self, address: IpAddr) -> Arc<Semaphore> {
        let mut places = self.by_address.lock().unwrap_or_else(PoisonError::into_inner);
        let own = places.entry(client_network(address));
        Arc::clone(own.or_insert_with(|| Arc::new(Semaphore::new(OF_AN_ADDRESS))))
    }

    /// Forgets an address if no handshake of it waits or runs.
    fn forget(&self, address: IpAddr) {
        let address = client_network(address);
        let mut places = self.by_address.lock().unwrap_or_else(PoisonError::into_inner);
        if places.get(&address).is_some_and(|own| Arc::strong_count(own) == 1) {
            places.remove(&address);
        }
    }
}

/// Permits of one address, for as long as a handshake of it waits or runs.
struct Places<'a> {
    own: Option<Arc<Semaphore>>,
    limit: &'a HandshakeLimit,
    address: IpAddr,
}

impl Drop for Places<'_> {
    fn drop(&mut self) {
        self.own = None;
        self.limit.forget(self.address);
    }
}

#[cfg(test)]
mod tests {
    use std::pin::pin;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use futures_util::future::{join_all, pending};

    use super::*;

    #[tokio::test]
    async fn promise_12_handshakes_that_stand_still_leave_places_to_other_addresses() {
        let limit = HandshakeLimit::new();
        let begun = AtomicUsize::new(0);
        let stands = async || {
            limit
                .run("192.0.2.1".parse().unwrap(), async {
                    begun.fetch_add(1, Ordering::Relaxed);
                    pending::<()>().await;
                })
                .await;
        };
        let all = pin!(join_all((0..100).map(|_| stands())));
        let other = limit.run("192.0.2.2".parse().unwrap(), async { "served" });
        let served = tokio::select! {
            biased;
            _ = all => panic!("they stand"),
            served = other => served,
        };
        assert_eq!((served, begun.load(Ordering::Relaxed)), ("served", OF_AN_ADDRESS));
        assert_eq!(limit.by_address.lock().unwrap().len(), 1, "the other address is forgotten");
    }

    #[tokio::test]
    async fn all_addresses_together_are_bounded() {
        let limit = HandshakeLimit::new();
        let (now, most) = (AtomicUsize::new(0), AtomicUsize::new(0));
        let one = async |n: u32| {
            limit
                .run(IpAddr::V4(n.into()), async {
                    most.fetch_max(now.fetch_add(1, Ordering::Relaxed) + 1, Ordering::Relaxed);
                    tokio::task::yield_now().await;
                    now.fetch_sub(1, Ordering::Relaxed);
                })
                .await;
        };
        join_all((0..500).map(one)).await;
        assert_eq!(most.load(Ordering::Relaxed), ALL);
        assert!(limit.by_address.lock().unwrap().is_empty());
    }
}
