//! Ends of commands, as the hub is told.

use super::*;

/// At least once: it was given, its client went away, and its time was over just as another command of its topic came. A client may have obeyed it.
#[test]
fn promise_10_what_was_given_is_not_said_to_have_expired() {
    let at_least_once = CommandRule { at_most_once: false, ..rule("c/#", "l/#") };
    let mut bench = Bench::new(vec![at_least_once]);
    let ticket = bench.arrive(&expiring("c/b", "y", 3));
    bench.settle(ticket, 0, 1);
    bench.now_ms += 3_000;
    bench.arrive(&expiring("c/b", "z", 9));
    assert_eq!(bench.reason_of(ticket), "not-acknowledged");
}
