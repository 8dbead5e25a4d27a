//! The stores under test, opened alike.

use edge_queue::OpenError;
use edge_queue::medium::Dir;
use edge_queue::store::{Recovered, RedbStore, RingStore, Store};
use edge_queue::testing::small_options;

pub(crate) type Opened = Result<(Box<dyn Store>, Recovered), OpenError>;
pub(crate) type OpenStore = fn(Box<dyn Dir>) -> Opened;

/// Name and opener of every store that keeps rows on a medium.
pub(crate) const DURABLE: [(&str, OpenStore); 2] = [("ring", ring), ("redb", redb)];

fn ring(dir: Box<dyn Dir>) -> Opened {
    RingStore::open(dir, &small_options()).map(|(store, found)| (Box::new(store) as Box<dyn Store>, found))
}

fn redb(dir: Box<dyn Dir>) -> Opened {
    RedbStore::open(dir, &small_options()).map(|(store, found)| (Box::new(store) as Box<dyn Store>, found))
}

/// For a process that is told by name.
#[allow(dead_code, reason = "some tests start processes")]
pub(crate) fn by_name(name: &str) -> OpenStore {
    DURABLE.iter().find(|(known, _)| *known == name).expect("a known store").1
}
