//! Bulkhead around code of an embedding program: a panic fails only the call in which it happens, and a slow call is logged.

#![allow(clippy::disallowed_methods, reason = "times the calls of foreign code")]

use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::{Duration, Instant};

/// Duration from which a call counts as slow, because everything else on the same task waits for it.
const SLOW: Duration = Duration::from_millis(100);
/// Shortest time between two log lines about one part.
const AGAIN: Duration = Duration::from_secs(60);

/// Code of an embedding program, such as its own filter stages, behind a guard.
#[derive(Debug)]
pub(crate) struct Bulkhead {
    /// Role and place of the code, such as `filter of "plant/#"`, for log lines.
    name: String,
    /// Words for the log line about a panic: what the gateway does with the data instead.
    instead: &'static str,
    said_panic: Cell<Option<Instant>>,
    said_slow: Cell<Option<Instant>>,
}

impl Bulkhead {
    pub(crate) fn new(name: String, instead: &'static str) -> Self {
        Self { name, instead, said_panic: Cell::default(), said_slow: Cell::default() }
    }

    /// Calls the code. Returns `None` if it panicked; later calls are made nevertheless.
    pub(crate) fn call<T>(&self, call: impl FnOnce() -> T) -> Option<T> {
        let start = Instant::now();
        let result = catch_unwind(AssertUnwindSafe(call)).ok();
        let now = Instant::now();
        let (part, instead, took) = (&self.name, self.instead, now.duration_since(start));
        if result.is_none() {
            // Telling of a panic may take long by itself.
            if is_due(&self.said_panic, now) {
                tracing::error!(part, instead, "a part that the program brought has panicked");
            }
        } else if took >= SLOW && is_due(&self.said_slow, now) {
            let ms = took.as_millis();
            tracing::warn!(part, ms, "a part that the program brought is slow: what goes through it waits");
        }
        result
    }
}

fn is_due(said: &Cell<Option<Instant>>, now: Instant) -> bool {
    let is_due = said.get().is_none_or(|at| now >= at + AGAIN);
    if is_due {
        said.set(Some(now));
    }
    is_due
}
