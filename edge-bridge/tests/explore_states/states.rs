//! The explorations, from small to large bounds, within one budget of states.

use edge_bridge::wire::QoS;

use crate::bounds::{Bounds, Faults};
use crate::rng::budget;
use crate::search::Explored;

/// States at the full budget.
const STATES: u64 = 100_000;

const ONE: QoS = QoS::AtLeastOnce;
const TWO: QoS = QoS::ExactlyOnce;
const AT_PUBREL: bool = true;
const AT_PUBLISH: bool = false;

/// Messages of the two publishers, crashes, cuts, losses of the session and deadlines, and when the hub's application gets a message of QoS 2; the
/// Receive Maximum is 2. The full budget ends within the seventh.
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
    let (mut left, mut steps) = (budget(STATES), 0);
    for (messages, faults, at_pubrel) in EXPLORATIONS {
        if left == 0 {
            break;
        }
        let bounds = Bounds { messages, faults, at_pubrel, receive_maximum: 2 };
        let explored =
            Explored::all(bounds, left).unwrap_or_else(|found| panic!("{bounds:?}\n{}", found.text()));
        assert!(explored.recoveries > 0, "{bounds:?}");
        left = left.saturating_sub(explored.states());
        steps += explored.steps;
        println!(
            "{messages:?}, {faults:?}: {} states{}, {} steps, {} recoveries, at most {} steps from the start",
            explored.states(),
            if explored.is_complete() { ", which are all" } else { ", the first ones" },
            explored.steps,
            explored.recoveries,
            explored.deepest
        );
    }
    let states = budget(STATES) - left;
    println!("executed explore_states: {states} cases, {steps} steps");
}
