//! The explorations, from small to large bounds, within one budget of states.

use edge_bridge::wire::QoS;

use crate::bounds::{Bounds, Faults};
use crate::rng::budget;
use crate::search::Explored;

/// States at the full budget, and in the long run, which is not every day's.
const STATES: u64 = 1_500_000;
const STATES_OF_THE_LONG_RUN: u64 = 10_000_000;
/// States of each exploration whose fingerprints are compared with their descriptions: at the full budget, and at least.
const DESCRIBED: u64 = 1_500;
const DESCRIBED_MIN: u64 = 300;

const ONE: QoS = QoS::AtLeastOnce;
const TWO: QoS = QoS::ExactlyOnce;
const AT_PUBREL: bool = true;
const AT_PUBLISH: bool = false;

/// Messages of the two publishers, crashes, cuts, losses of the session and deadlines, and when the hub's application gets a message of QoS 2; the
/// Receive Maximum is 2. Each may take half of the states that are left, and the last one all of them: at the full budget the first eleven are
/// gone through whole, in the long run the twelfth too.
const EXPLORATIONS: [([&[QoS]; 2], Faults, bool); 15] = [
    ([&[ONE], &[]], Faults::new(1, 1, 1, 0), AT_PUBLISH),
    ([&[TWO], &[]], Faults::new(0, 1, 1, 0), AT_PUBREL),
    ([&[TWO, TWO], &[]], Faults::new(0, 1, 0, 0), AT_PUBLISH),
    ([&[TWO], &[ONE]], Faults::new(0, 1, 0, 0), AT_PUBREL),
    ([&[ONE, ONE], &[ONE]], Faults::new(0, 1, 0, 0), AT_PUBLISH),
    ([&[TWO], &[]], Faults::new(0, 2, 1, 1), AT_PUBREL),
    ([&[TWO, TWO], &[]], Faults::new(0, 1, 1, 0), AT_PUBLISH),
    ([&[TWO], &[]], Faults::new(1, 1, 1, 0), AT_PUBREL),
    ([&[TWO, TWO], &[TWO]], Faults::new(0, 1, 0, 0), AT_PUBREL),
    ([&[TWO], &[]], Faults::new(2, 1, 1, 0), AT_PUBREL),
    ([&[ONE, ONE], &[ONE]], Faults::new(1, 0, 0, 0), AT_PUBLISH),
    ([&[ONE, ONE], &[]], Faults::new(2, 1, 1, 0), AT_PUBLISH),
    ([&[TWO, ONE], &[TWO]], Faults::new(2, 1, 1, 0), AT_PUBREL),
    ([&[TWO, TWO], &[TWO]], Faults::new(2, 1, 1, 1), AT_PUBLISH),
    ([&[ONE, ONE], &[ONE]], Faults::new(2, 1, 1, 0), AT_PUBLISH),
];

fn bounds() -> [Bounds; EXPLORATIONS.len()] {
    EXPLORATIONS.map(|(messages, faults, at_pubrel)| Bounds {
        messages,
        faults,
        at_pubrel,
        receive_maximum: 2,
    })
}

#[test]
fn no_order_of_steps_breaks_a_rule() {
    explore(budget(STATES));
}

#[test]
#[ignore = "takes minutes: cargo test -p edge-bridge --test explore_states -- --ignored"]
fn no_order_of_steps_breaks_a_rule_in_ten_million_states() {
    explore(STATES_OF_THE_LONG_RUN);
}

#[test]
fn states_of_one_fingerprint_have_one_description() {
    let states = budget(DESCRIBED).max(DESCRIBED_MIN);
    for bounds in bounds() {
        let explored = Explored::described(bounds, states).unwrap_or_else(|found| panic!("{}", found.text()));
        assert!(explored.steps > explored.states(), "some were seen before: {bounds:?}");
    }
}

fn explore(states: u64) {
    let (mut left, mut steps, mut recoveries) = (states, 0, 0);
    for (n, bounds) in bounds().into_iter().enumerate() {
        let most = if n + 1 == EXPLORATIONS.len() { left } else { left / 2 };
        let explored =
            Explored::all(bounds, most).unwrap_or_else(|found| panic!("{bounds:?}\n{}", found.text()));
        left -= explored.states();
        (steps, recoveries) = (steps + explored.steps, recoveries + explored.recoveries);
        println!(
            "{:?}, {:?}: {} states{}, {} steps, {} recoveries, at most {} steps from the start",
            bounds.messages,
            bounds.faults,
            explored.states(),
            if explored.is_complete() { ", which are all" } else { ", the first ones" },
            explored.steps,
            explored.recoveries,
            explored.deepest
        );
    }
    assert!(recoveries > 0);
    assert_eq!(left, 0, "there are no more states within these bounds");
    println!("executed explore_states: {states} cases, {steps} steps");
}
