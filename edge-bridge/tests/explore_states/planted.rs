//! Bugs of the simulation, planted one at a time: each has a shortest way to the state in which it shows, and the rule meant for it says so.

use edge_bridge::wire::QoS;

use crate::bounds::{Bounds, Faults};
use crate::bug::Bug;
use crate::ledger::Rule;
use crate::search::shortest;

const ONE: QoS = QoS::AtLeastOnce;
const TWO: QoS = QoS::ExactlyOnce;

const NONE: Faults = Faults::new(0, 0, 0, 0);
const CRASH: Faults = Faults::new(1, 0, 0, 0);
const CUT: Faults = Faults::new(0, 1, 0, 0);
const LOSS: Faults = Faults::new(0, 0, 1, 0);

/// Most steps to a bug.
const STEPS_MAX: usize = 16;

/// The bug breaks `rule` first; in as many steps nothing is broken without it, and once the rule is switched off it does not convict.
fn convicts(bug: Bug, rule: Rule, messages: [&'static [QoS]; 2], faults: Faults, receive_maximum: u16) {
    // Identifiers that a hub forgets hold nothing back then.
    let at_pubrel = bug != Bug::HubForgetsIdentifiers;
    let bounds = Bounds { messages, faults, at_pubrel, receive_maximum };
    let found = shortest(bounds, Some(bug), STEPS_MAX).unwrap_or_else(|| panic!("{bug:?} was not found"));
    let steps = found.steps.len();
    println!("{bug:?}, {steps} steps:\n{}", found.text());
    assert_eq!(found.violation.rule, rule, "{bug:?}\n{}", found.text());
    let without = shortest(bounds, None, steps).map(|found| found.text());
    assert_eq!(without, None, "without {bug:?}");
    let unruled = rule.without(|| shortest(bounds, Some(bug), steps));
    assert_ne!(unruled.map(|found| found.violation.rule), Some(rule), "{bug:?}: {rule:?} is switched off");
}

#[test]
fn a_hub_that_forgets() {
    convicts(Bug::HubForgets, Rule::Lost, [&[ONE], &[]], NONE, 2);
}

#[test]
fn a_row_removed_at_its_lease() {
    convicts(Bug::RemovedAtLease, Rule::RemovedEarly, [&[ONE], &[]], NONE, 2);
}

#[test]
fn a_receipt_at_the_push() {
    convicts(Bug::ReceiptAtPush, Rule::EarlyReceipt, [&[ONE], &[]], NONE, 2);
}

#[test]
fn one_more_than_the_receive_maximum() {
    convicts(Bug::OneMore, Rule::ReceiveMaximum, [&[ONE, ONE], &[]], NONE, 1);
}

#[test]
fn an_identifier_reused_in_flight() {
    convicts(Bug::IdReused, Rule::PacketId, [&[ONE], &[TWO]], NONE, 2);
}

#[test]
fn pubacks_swapped() {
    convicts(Bug::PubacksSwapped, Rule::PubackOrder, [&[ONE, ONE], &[]], NONE, 2);
}

#[test]
fn publishes_swapped() {
    convicts(Bug::PublishesSwapped, Rule::TopicOrder, [&[ONE, ONE], &[]], NONE, 2);
}

#[test]
fn dup_cleared() {
    convicts(Bug::DupCleared, Rule::Dup, [&[ONE], &[]], CUT, 2);
}

#[test]
fn messages_of_a_lost_session_discarded() {
    convicts(Bug::LostSessionDiscarded, Rule::Delivery, [&[ONE], &[]], LOSS, 2);
}

#[test]
fn an_identity_that_is_not_kept() {
    convicts(Bug::FreshIdentity, Rule::UnmarkedDuplicate, [&[ONE], &[]], CRASH, 2);
}

#[test]
fn connect_sent_twice() {
    convicts(Bug::ConnectsTwice, Rule::Protocol, [&[ONE], &[]], NONE, 2);
}

#[test]
fn identifiers_that_the_hub_forgets() {
    convicts(Bug::HubForgetsIdentifiers, Rule::ExactlyOnce, [&[TWO], &[]], CUT, 2);
}

#[test]
fn a_release_that_is_not_sent_again() {
    convicts(Bug::ReleaseNotResent, Rule::RemovedEarly, [&[TWO], &[]], CUT, 2);
}

#[test]
fn identifiers_not_released_at_the_start() {
    convicts(Bug::NotReleasedAtStart, Rule::Lost, [&[TWO], &[TWO]], CRASH, 2);
}

#[test]
fn a_message_done_at_its_publish() {
    convicts(Bug::DoneAtPublish, Rule::RemovedEarly, [&[TWO], &[]], NONE, 2);
}

#[test]
fn a_message_done_at_pubrec() {
    convicts(Bug::DoneAtPubrec, Rule::RemovedEarly, [&[TWO], &[]], NONE, 2);
}
