//! Every store keeps the contract of `store/mod.rs` (promises 1, 2 and 4 at the store's level).
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs, reason = "test code")]

#[path = "../examples/own_store.rs"]
#[allow(dead_code, reason = "its `main` runs in `tests/examples.rs`")]
mod own_store;
#[path = "common/stores.rs"]
mod stores;

use edge_queue::medium::Dir;
use edge_queue::store::Store;
use edge_queue::testing::conformance::{self, Kind};
use edge_queue::testing::{budget_percent, seed};

#[test]
fn durable_stores_keep_the_contract() {
    for (name, open) in stores::DURABLE {
        conformance::check_all(&open, Kind::Durable).unwrap_or_else(|breach| panic!("{name}: {breach}"));
    }
}

/// Its medium is no directory, so that the suite cannot cut its power or fail its calls.
#[test]
fn the_store_of_the_example_keeps_the_contract() {
    let open = |_: Box<dyn Dir>| {
        let (journal, recovered) = own_store::Journal::open(&Default::default());
        Ok((Box::new(journal) as Box<dyn Store>, recovered))
    };
    conformance::check_all(&open, Kind::Volatile).unwrap_or_else(|breach| panic!("{breach}"));
}

#[test]
fn seeded_histories_give_the_same_answers_on_every_store_as_on_the_model() {
    let histories = budget_percent().div_ceil(2);
    for (name, open) in stores::DURABLE {
        for nth in 0..histories {
            conformance::the_same_history_gives_the_same_answers(&open, Kind::Durable, seed() + nth)
                .unwrap_or_else(|breach| panic!("{name}: {breach}"));
        }
        println!("executed conformance.{name}: {histories} cases");
    }
}
