//! Failing media (promise 11): every call of a short run fails once or for a while, with EIO, ENOSPC, EROFS or half done; no
//! panic, no receipt for what is not safe, and after healing everything accepted is stored.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs, reason = "test code")]

#[path = "common/stores.rs"]
mod stores;

use edge_queue::testing::{Call, Fault, FaultError, Rng, budget_percent, seed, survive};

/// A run with more calls of a kind than this does not get to its end; none comes near it.
const CALLS_MAX: u64 = 5000;

#[test]
fn every_call_may_fail_and_nothing_accepted_is_lost() {
    for (name, open) in stores::DURABLE {
        let mut rng = Rng::new(seed());
        let mut cases = 0;
        for call in Call::ALL {
            for error in [FaultError::Io, FaultError::NoSpace, FaultError::Short, FaultError::ReadOnly] {
                for sticky in [false, true] {
                    cases += every_nth(open, Fault { call, after: 0, error, sticky }, &mut rng)
                        .unwrap_or_else(|why| panic!("{name}: {why}"));
                }
            }
        }
        println!("executed faults.{name}: {cases} cases");
        assert!(cases > 50, "{name}: {cases} cases");
    }
}

/// Plants the fault at the first, second, third … call (a seeded share of them) until the run has no such call.
fn every_nth(open: stores::OpenStore, fault: Fault, rng: &mut Rng) -> Result<u64, String> {
    let mut cases = 0;
    for after in 0..CALLS_MAX {
        // The first ones are the open's and always run.
        if after >= 6 && rng.below(100) >= budget_percent() {
            continue;
        }
        if !survive(&open, Fault { after, ..fault }, after)? {
            return Ok(cases);
        }
        cases += 1;
    }
    Err(format!("{fault:?}: more than {CALLS_MAX} calls"))
}
