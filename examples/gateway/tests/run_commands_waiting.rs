#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::disallowed_methods,
    missing_docs,
    reason = "test code"
)]
//! Commands that wait. If the session in which one waits ends, it is for who subscribes next, unless it was sent before. At a clean stop the hub keeps
//! those that nobody had.

mod support;

use std::fs;

use support::commands::{LocalClient, Plant, leave_session};
use support::wait_until;

const AT_MOST_ONCE: &str = "[[command]]\nmatch = \"site7/cmd/#\"\nto = \"cmd/#\"\n";
const AT_LEAST_ONCE: &str =
    "[[command]]\nmatch = \"site7/cmd/#\"\nto = \"cmd/#\"\ndelivery = \"at-least-once\"\n";

/// A command `open` that clients have, or that waits for them, since one behind it, on another topic, has its end.
fn commanded(plant: &Plant) {
    let other = LocalClient::start(plant.listen, "other", "cmd/other");
    plant.request("site7/cmd/valve", "open", 30, "x7");
    plant.request("site7/cmd/other", "behind", 30, "x8");
    assert!(plant.answers.wait("x8").is_delivered);
    assert_eq!((other.payloads(), plant.answers.of("x7")), (vec!["behind".to_owned()], vec![]));
}

#[test]
fn promise_10_a_command_that_waited_in_a_session_that_ends_goes_to_who_subscribes_next() {
    for tables in [AT_MOST_ONCE, AT_LEAST_ONCE] {
        let mut plant = Plant::start(tables);
        leave_session(plant.listen, "valve", "cmd/valve");
        commanded(&plant);
        // By a clean start: what waited is gone.
        let back = LocalClient::start(plant.listen, "valve", "cmd/valve");
        let answer = plant.answers.wait("x7");
        assert_eq!((answer.is_delivered, answer.clients), (true, Some(1)), "{tables} {answer:?}");
        assert_eq!(back.payloads(), ["open"], "{tables}");
        assert_eq!((plant.left_at_hub(), plant.answers.all().len()), (0, 2));
    }
}

#[test]
fn promise_10_a_command_that_was_sent_before_its_session_ended_is_given_once_more_at_least_once_alone() {
    for (tables, again) in [(AT_MOST_ONCE, false), (AT_LEAST_ONCE, true)] {
        let mut plant = Plant::start(tables);
        let silent = LocalClient::silent_with_session(plant.listen, "valve", "cmd/valve");
        commanded(&plant);
        wait_until("it is sent", 20, || silent.payloads() == ["open"]);
        drop(silent);
        let back = LocalClient::start(plant.listen, "valve", "cmd/valve");
        let answer = plant.answers.wait("x7");
        let (end, got) = if again { ("", vec!["open".to_owned()]) } else { ("not-acknowledged", vec![]) };
        assert_eq!((answer.reason.as_str(), back.payloads()), (end, got), "{tables}");
        assert_eq!((plant.left_at_hub(), plant.answers.all().len()), (0, 2));
    }
}

/// Commands without a PUBACK that are let go while the link is up have it break off its connection, so that the hub sends them again.
#[test]
fn promise_10_a_clean_stop_asks_the_hub_for_no_command_again() {
    let mut plant = Plant::start(AT_MOST_ONCE);
    // The other one has its end, and its PUBACK comes behind that of the first.
    commanded(&plant);
    assert!(plant.gateway.terminate().0.success());
    let log = || fs::read_to_string(plant.hub.log_path()).unwrap();
    let is_over = || log().rsplit(" as g (p5").next().unwrap().contains(": Client g ");
    wait_until("the hub has seen its end", 20, is_over);
    let count = |part: &str| log().matches(part).count();
    let connections = (count(" as g (p5"), count("Received DISCONNECT from g"));
    assert_eq!((connections, count("Sending PUBLISH to g (")), ((1, 1), 2), "{}", log());
}
