//! Random histories of the whole gateway: its own process between a real Mosquitto and publishers, through faults and changes
//! of configuration, judged by what was acknowledged and what a reader with the public decoder finds at the hub.
//!
//! ```text
//! plan (configuration, steps) ─┐
//! traffic (readings, messages) ┴▶ world: publishers ─▶ gateway ─▶ relay ─▶ Mosquitto ─▶ reader
//!                                            └────────── records ──────────┘ ─▶ judge (represent)
//! ```
//! The same seed has the same configuration, traffic and faults; what meets what in time is the machine's.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::disallowed_methods,
    missing_docs,
    reason = "test code"
)]

#[path = "../support/mod.rs"]
mod support;

mod controls;
mod judge;
mod plan;
mod reader;
mod record;
mod represent;
mod traffic;
mod world;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use judge::judge;
use plan::Plan;

const HISTORIES: u64 = 60;
/// They wait more than they work.
const AT_ONCE: usize = 5;

fn variable(name: &str) -> Option<u64> {
    std::env::var(name).ok()?.parse().ok()
}

/// Returns what is wrong with the history of this seed; its folder is kept then, with the records.
fn history(seed: u64) -> Option<String> {
    let plan = Plan::of(seed);
    let dir = tempfile::Builder::new().prefix(&format!("history-{seed}-")).tempdir().unwrap();
    let records = catch_unwind(AssertUnwindSafe(|| world::play(&plan, dir.path())));
    let text = match &records {
        Ok(records) => {
            let wrong = judge(records);
            if wrong.is_empty() {
                return None;
            }
            let lines = wrong.iter().take(20).map(|wrong| format!("{:?}: {}\n", wrong.rule, wrong.what));
            format!("{} violations\n{}", wrong.len(), lines.collect::<String>())
        }
        Err(panic) => {
            let said = panic.downcast_ref::<String>().cloned();
            let said = said.or(panic.downcast_ref::<&str>().map(|said| (*said).to_owned()));
            format!("Stuck: {}\n", said.unwrap_or_default())
        }
    };
    let kept = dir.keep();
    std::fs::write(
        kept.join("records"),
        format!("{plan:#?}\n{}", records.map(|records| records.lines()).unwrap_or_default()),
    )
    .unwrap();
    let Plan { steps, windows, configurations, behind_broker, .. } = &plan;
    let head =
        format!("history {seed}, windows {windows:?}, behind a broker: {behind_broker}, steps {steps:?}");
    Some(format!("{head}\n{text}{}kept in {}", configurations[0].text(), kept.display()))
}

/// Promises 1, 2, 3, 4, 7 and 13. `EDGE_SEED=n` plays one, `EDGE_HISTORIES=n` so many.
#[test]
fn in_random_histories_what_was_acknowledged_is_at_the_hub_or_stood_for_or_counted() {
    let budget = variable("EDGE_TEST_BUDGET").unwrap_or(10);
    let one = variable("EDGE_SEED");
    let count = match one {
        Some(_) => variable("EDGE_HISTORIES").unwrap_or(1),
        None => variable("EDGE_HISTORIES").unwrap_or((HISTORIES * budget / 100).max(1)),
    };
    let (first, next) = (one.unwrap_or(1), AtomicU64::new(0));
    let wrong = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for _ in 0..AT_ONCE {
            scope.spawn(|| {
                loop {
                    let n = next.fetch_add(1, Ordering::SeqCst);
                    if n >= count {
                        return;
                    }
                    if let Some(text) = history(first + n) {
                        eprintln!("{text}\n");
                        wrong.lock().unwrap_or_else(PoisonError::into_inner).push(first + n);
                    }
                }
            });
        }
    });
    let wrong = wrong.into_inner().unwrap();
    assert!(wrong.is_empty(), "seeds {wrong:?} of {count}: play one with EDGE_SEED");
    println!("executed histories: {count} cases");
}
