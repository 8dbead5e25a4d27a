//! Ends of commands, as the hub is told.

use super::super::super::answer::AnswerKind;
use super::*;

/// The client would get both, and may go by the other one.
#[test]
fn promise_10_a_command_with_two_identities_is_refused_and_given_to_nobody() {
    let mut bench = Bench::new(vec![rule("c/#", "l/#")]);
    let twice = with(&expiring("c/a", "x", 9), PropertyId::UserProperty, Value::Pair("cmd-id", "y"));
    let ticket = bench.arrive(&twice);
    assert_eq!(bench.reason_of(ticket), "bad-id");
    assert_eq!((bench.topics_given(), bench.answers[0].1.get("id")), (Vec::<&str>::new(), None));
    let mended = bench.arrive(&expiring("c/a", "x", 9));
    assert_eq!(bench.topics_given().len(), 1, "nothing is kept of it: {mended:?}");
}

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

/// At least once: its client went away with it, and is not back when it is tried again. It is given to whoever comes within its expiry.
#[test]
fn promise_10_what_a_client_did_not_acknowledge_waits_for_one_until_its_expiry() {
    let at_least_once = CommandRule { at_most_once: false, ..rule("c/#", "l/#") };
    let mut bench = Bench::new(vec![at_least_once]);
    let ticket = bench.arrive(&expiring("c/b", "y", 9));
    bench.settle(ticket, 0, 1);
    bench.pass(AGAIN_MS);
    bench.settle(ticket, 0, 0);
    assert_eq!(bench.answers.len(), 0, "it has time");
    bench.pass(AGAIN_MS);
    assert_eq!(bench.given.len(), 3);
    bench.settle(ticket, 1, 0);
    assert_eq!(bench.answers[0].1["result"], "delivered");
}

/// A loop obeys, refuses with its reason, or does not say: then it may have obeyed. The next command of the topic goes after each, and a copy of
/// none is given again.
#[test]
fn promise_10_a_loops_end_is_told_as_it_is() {
    let mut bench = Bench::new(vec![rule("c/#", "l/#")]);
    let ends = [Some(Ok(())), Some(Err("out of range".to_owned())), None];
    let tickets = ["a", "b", "c"].map(|id| bench.arrive(&expiring("c/x", id, 9)));
    for (ticket, end) in tickets.into_iter().zip(ends) {
        assert_eq!(bench.given.last().map(|(given, ..)| *given), Some(ticket));
        bench.dispatcher.decided(bench.now_ms, WALL, ticket, end.clone());
        // Said twice, it counts once.
        bench.dispatcher.decided(bench.now_ms, WALL, ticket, Some(Ok(())));
        bench.work(true);
    }
    let told: Vec<_> = bench.answers.iter().map(|(_, answer)| answer.clone()).collect();
    let word = |n: usize, key: &str| told[n][key].as_str().map(str::to_owned);
    let told: Vec<_> = (0..told.len()).map(|n| ["result", "reason", "why"].map(|key| word(n, key))).collect();
    let words = |words: [Option<&str>; 3]| words.map(|word| word.map(str::to_owned));
    assert_eq!(
        told,
        [
            words([Some("obeyed"), None, None]),
            words([Some("refused"), Some("not-obeyed"), Some("out of range")]),
            words([Some("refused"), Some("not-acknowledged"), None]),
        ]
    );
    let text: String = bench.kept.iter().map(Record::to_line).collect();
    let (identities, damaged) = DeliveredIdentities::read(text.as_bytes());
    assert_eq!((damaged, identities.open().count()), (0, 0), "each end is read back");
    let mut bench = Bench::after(vec![rule("c/#", "l/#")], identities);
    for id in ["a", "b", "c"] {
        bench.arrive(&expiring("c/x", id, 9));
    }
    assert_eq!((bench.given.len(), bench.answers.len()), (0, 0));
}

/// A client that may have obeyed has a result to tell; refusals a flood can make of nothing.
#[test]
fn promise_10_what_may_have_been_obeyed_is_a_result() {
    for (outcome, kind) in [
        (Outcome::Delivered(1), AnswerKind::Result),
        (Outcome::Obeyed, AnswerKind::Result),
        (Outcome::Refused(Reason::NotAcknowledged), AnswerKind::Result),
        (Outcome::Refused(Reason::Interrupted), AnswerKind::Result),
        (Outcome::Refused(Reason::NoExpiry), AnswerKind::Refusal),
        (Outcome::Refused(Reason::Copy), AnswerKind::Refusal),
        (Outcome::NotObeyed("out of range".to_owned()), AnswerKind::Refusal),
    ] {
        assert_eq!(outcome.kind(), kind, "{outcome:?}");
    }
}
