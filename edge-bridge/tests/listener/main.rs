//! The listener in virtual time, with clients that are packets and nothing else. Promises 1, 10, 12.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs, reason = "test code")]

mod connections;
mod ends;
mod exactly_once;
mod fair_memory;
mod handed_over_once;
mod held_expiry;
mod held_wills;
mod histories;
mod hostile;
mod lanes;
#[path = "../listener_support/mod.rs"]
mod listener_support;
#[cfg(feature = "access")]
mod logins;
mod memory;
mod places;
mod properties;
#[path = "../support/random.rs"]
mod random;
mod receipts;
mod retained_portions;
mod returns;
mod rights;
mod rules;
mod saved;
mod saved_changes;
mod saved_damage;
mod saved_histories;
mod saved_in_flight;
mod saved_wills;
mod sessions;
mod shared;
mod shared_hand_over;
mod shared_histories;
mod shares;
mod slow_readers;
mod subscriptions;
mod sys_topics;
mod topics;
mod turns;
mod versions;
mod waiting;
mod wills;
mod written_copies;

use edge_bridge::listener::Config;
use edge_bridge::wire::{PropertyId, Version};

use crate::listener_support::*;

const EXPIRY: PropertyId = PropertyId::SessionExpiryInterval;
const BOTH: [Version; 2] = [Version::V311, Version::V5];

fn site() -> Site {
    Site::new(Config::default())
}

/// A subscriber of `a`, and a publisher.
fn pair(site: &mut Site, version: Version) -> (Peer, Peer) {
    let (subscriber, publisher) = (site.client("sub", version), site.client("pub", version));
    site.send(subscriber, &[subscribe(&["a"])]);
    site.received(subscriber);
    (subscriber, publisher)
}
