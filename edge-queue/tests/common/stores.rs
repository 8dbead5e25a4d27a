//! The stores under test, opened alike.

use edge_queue::medium::Dir;
use edge_queue::store::{Options, Recovered, RedbStore, RingStore, Store};
use edge_queue::testing::{small_options, tight_options};
use edge_queue::{Key, OpenError};

pub(crate) type Opened = Result<(Box<dyn Store>, Recovered), OpenError>;
pub(crate) type OpenStore = fn(Box<dyn Dir>) -> Opened;

/// Name and opener of every store that keeps rows on a medium.
pub(crate) const DURABLE: [(&str, OpenStore); 2] = [("ring", ring), ("redb", redb)];

/// The same in so little space that a short run goes round it.
#[allow(dead_code, reason = "some tests want more space")]
pub(crate) const TIGHT: [(&str, OpenStore); 2] = [
    ("ring", |dir| open("ring", dir, &tight_options())),
    ("redb", |dir| open("redb", dir, &tight_options())),
];

/// An encrypted ring in as little space.
#[allow(dead_code, reason = "some tests need it only")]
pub(crate) const TIGHT_ENCRYPTED: OpenStore = |dir| open("encrypted ring", dir, &tight_options());

/// By name, in the space that `options` give.
pub(crate) fn open(name: &str, dir: Box<dyn Dir>, options: &Options) -> Opened {
    match name {
        "ring" => RingStore::open(dir, options).map(|(store, found)| (Box::new(store) as _, found)),
        "encrypted ring" => {
            let opened = RingStore::open_encrypted(dir, options, &Key::new([0x4b; 32]));
            opened.map(|(store, found)| (Box::new(store) as _, found))
        }
        _ => RedbStore::open(dir, options).map(|(store, found)| (Box::new(store) as _, found)),
    }
}

fn ring(dir: Box<dyn Dir>) -> Opened {
    open("ring", dir, &small_options())
}

fn redb(dir: Box<dyn Dir>) -> Opened {
    open("redb", dir, &small_options())
}

/// For a process that is told by name.
#[allow(dead_code, reason = "some tests start processes")]
pub(crate) fn by_name(name: &str) -> OpenStore {
    DURABLE.iter().find(|(known, _)| *known == name).expect("a known store").1
}
