#![allow(clippy::unwrap_used, clippy::panic, missing_docs, reason = "test code")]
#![cfg(feature = "compact")]
//! A stranger with the announced tables reads every compact batch to the bit, whatever sensors say and whatever the encoder has
//! lived through (promises 4 and 9): texts, nulls and mixtures too, which get no plan, and holes of any length.

#[path = "support/histories.rs"]
mod histories;
#[path = "support/session.rs"]
mod session;
mod support;

use edge_codec::compact::Level;
use histories::{CLOCKS, Clock, History, Holes, Naming, SAYS, Says, histories};
use support::property;

const LEVELS: [Level; 2] = [Level::Fast, Level::Small];

#[test]
fn strangers_read_every_history() {
    property("codec.compact.histories", 10_000, &histories(&LEVELS), |history| {
        history.check();
        Ok(())
    });
}

fn usual() -> History {
    History {
        level: Level::Fast,
        naming: Naming::LearnedTables,
        sensors: 2,
        says: vec![Says::RunStop],
        clock: Clock::Polled,
        holes: Holes::None,
        id: true,
        rounds: vec![100; 8],
        max: usize::MAX,
        seed: 4,
    }
}

/// Each kind of value alone on a topic, by each kind of table: no sensor of another kind lends it a plan.
#[test]
fn topics_of_one_kind_of_value_are_read() {
    for says in SAYS {
        for naming in [Naming::NameTables, Naming::LearnedTables] {
            for (level, seed) in [(Level::Fast, 4), (Level::Fast, 9), (Level::Small, 14), (Level::Fast, 23)] {
                History { says: vec![says], naming, level, seed, ..usual() }.check();
            }
        }
    }
}

#[test]
fn every_count_of_sensors_is_read_by_every_clock() {
    for sensors in [1, 2, 127, 128, 129, 300] {
        for clock in CLOCKS {
            let says = vec![Says::RunStop, Says::Walk, Says::IntegersAmongFloats, Says::Null];
            let holes = Holes::Long;
            History { sensors, clock, says, holes, rounds: vec![300, 10, 300, 40], ..usual() }.check();
        }
    }
}

/// More sensors than fit into one batch.
#[test]
fn seventeen_thousand_sensors_are_read() {
    for (naming, says) in [
        (Naming::LearnedTables, vec![Says::RunStop]),
        (Naming::NameTables, vec![Says::Walk, Says::Null]),
        (Naming::Names, vec![Says::Mixed]),
    ] {
        History { naming, says, sensors: 17_000, rounds: vec![17_000, 20, 17_000], ..usual() }.check();
    }
}
