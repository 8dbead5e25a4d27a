//! The explorations, from small to large bounds, within one budget of states.

use edge_bridge::wire::QoS;

use crate::bounds::{Bounds, Faults};
use crate::rng::budget;
use crate::search::Explored;

/// States at the full budget.
const STATES: u64 = 1_000_000;

const ONE: QoS = QoS::AtLeastOnce;
const TWO: QoS = QoS::ExactlyOnce;
const AT_PUBREL: bool = true;
const AT_PUBLISH: bool = false;

/// Messages of the two publishers, crashes, cuts, losses of the session and deadlines, and when the hub's application gets a message of QoS 2; the
/// Receive Maximum is 2.
const EXPLORATIONS: [([&[QoS]; 2], Faults, bool); 9] = [
    ([&[ONE], &[]], Faults::new(1, 1, 1, 0), AT_PUBLISH),
    ([&[TWO], &[]], Faults::new(0, 1, 1, 0), AT_PUBREL),
    ([&[TWO, TWO], &[]], Faults::new(0, 1, 0, 0), AT_PUBLISH),
    ([&[TWO], &[ONE]], Faults::new(0, 1, 0, 0), AT_PUBREL),
    ([&[TWO], &[]], Faults::new(1, 0, 0, 0), AT_PUBREL),
    ([&[TWO], &[]], Faults::new(0, 2, 1, 1), AT_PUBREL),
    ([&[ONE], &[]], Faults::new(2, 2, 1, 1), AT_PUBLISH),
    ([&[TWO, ONE], &[TWO]], Faults::new(0, 1, 0, 0), AT_PUBREL),
    ([&[ONE, ONE], &[ONE]], Faults::new(2, 2, 1, 0), AT_PUBLISH),
];

#[test]
fn no_order_of_steps_breaks_a_rule() {
    explore(budget(STATES));
}

/// States of the same bounds whose fingerprints are compared with their descriptions.
const DESCRIBED: u64 = 50_000;

#[test]
fn states_of_one_fingerprint_have_one_description() {
    let states = budget(DESCRIBED) / EXPLORATIONS.len() as u64;
    for (messages, faults, at_pubrel) in EXPLORATIONS {
        let bounds = Bounds { messages, faults, at_pubrel, receive_maximum: 2 };
        let explored = Explored::described(bounds, states).unwrap_or_else(|found| panic!("{}", found.text()));
        assert!(explored.steps > explored.states(), "some were seen before: {bounds:?}");
    }
}

fn explore(states: u64) {
    let mut left: u64 = states;
    let mut steps = 0;
    for (messages, faults, at_pubrel) in EXPLORATIONS {
        let part = left / 4;
        let bounds = Bounds { messages, faults, at_pubrel, receive_maximum: 2 };
        let began = std::time::Instant::now();
        let explored =
            Explored::all(bounds, part).unwrap_or_else(|found| panic!("{bounds:?}\n{}", found.text()));
        assert!(explored.recoveries > 0, "{bounds:?}");
        left = left.saturating_sub(explored.states());
        steps += explored.steps;
        println!(
            "{:?} {messages:?}, {faults:?}: {} states{}, {} steps, {} recoveries, at most {} steps from the start",
            began.elapsed(),
            explored.states(),
            if explored.is_complete() { ", which are all" } else { ", the first ones" },
            explored.steps,
            explored.recoveries,
            explored.deepest
        );
    }
    println!("executed explore_states: {} cases, {steps} steps", states - left);
}
