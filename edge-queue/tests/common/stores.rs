//! The stores under test, opened alike.

use edge_queue::OpenError;
use edge_queue::medium::Dir;
use edge_queue::store::{Recovered, RedbStore, RingStore, Store};
use edge_queue::testing::small_options;

pub(crate) type Opened = Result<(Box<dyn Store>, Recovered), OpenError>;
pub(crate) type OpenStore = fn(Box<dyn Dir>) -> Opened;

/// Name and opener of every store that keeps rows on a medium.
pub(crate) const DURABLE: [(&str, OpenStore); 2] = [("redb", redb), ("ring", ring)];

fn redb(dir: Box<dyn Dir>) -> Opened {
    RedbStore::open(dir, &small_options()).map(|(store, found)| (Box::new(store) as Box<dyn Store>, found))
}

fn ring(dir: Box<dyn Dir>) -> Opened {
    RingStore::open(dir, &small_options()).map(|(store, found)| (Box::new(store) as Box<dyn Store>, found))
}
