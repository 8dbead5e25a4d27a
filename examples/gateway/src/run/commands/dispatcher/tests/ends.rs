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

/// At least once: three with one identity, one behind the other. The hub's own repetition of the last is that one.
#[test]
fn promise_10_each_copy_that_was_published_is_given_and_answered() {
    let at_least_once = CommandRule { at_most_once: false, ..rule("c/#", "l/#") };
    let mut bench = Bench::new(vec![at_least_once]);
    let published: [Publish; 3] = ["10", "20", "30"]
        .map(|payload| Publish { payload: payload.as_bytes().into(), ..expiring("c/a", "x", 9) });
    let tickets = published.each_ref().map(|publish| bench.arrive(publish));
    let again = bench.arrive(&Publish { dup: true, ..published[2].clone() });
    assert_eq!(again, tickets[2]);
    tickets.into_iter().for_each(|ticket| bench.settle(ticket, 1, 0));
    assert_eq!((bench.given.len(), bench.answers.len()), (3, 3));
    assert!(bench.answers.iter().all(|(_, answer)| answer["result"] == "delivered"), "{:?}", bench.answers);
}

/// At most once: it waited in the session of a client that is away, which ended. It is given to whoever comes within its expiry.
#[test]
fn promise_10_what_was_sent_to_nobody_is_given_to_who_comes_next() {
    let mut bench = Bench::new(vec![rule("c/#", "l/#")]);
    let sent_to_nobody = || Settled { written: 0, ..settled(0, 2) };
    let ticket = bench.arrive(&expiring("c/a", "x", 9));
    let late = bench.arrive(&expiring("c/b", "y", 3));
    for ticket in [ticket, late] {
        bench.dispatcher.settled(bench.now_ms, WALL, ticket, sent_to_nobody());
    }
    bench.pass(AGAIN_MS);
    assert_eq!((bench.topics_given(), bench.answers.len()), (vec!["l/a", "l/b", "l/a", "l/b"], 0));
    bench.settle(ticket, 1, 0);
    bench.now_ms += 2_000;
    bench.dispatcher.settled(bench.now_ms, WALL, late, sent_to_nobody());
    bench.work(true);
    assert_eq!(
        (bench.reason_of(ticket), bench.reason_of(late)),
        ("delivered".to_owned(), "nobody".to_owned())
    );
    let starts = bench.kept.iter().filter(|record| matches!(record.change, Change::Started(_)));
    assert_eq!(starts.count(), 2, "once each");
}

/// The listener ends sessions when it stops.
#[test]
fn what_turns_out_while_the_gateway_stops_to_be_sent_to_nobody_comes_again() {
    let mut bench = Bench::new(vec![rule("c/#", "l/#")]);
    let [nobodys, sent] = ["1", "2"].map(|id| bench.arrive(&expiring(&format!("c/{id}"), id, 9)));
    bench.dispatcher.stop();
    let dropped = Settled { written: 0, ..settled(0, 1) };
    bench.dispatcher.settled(bench.now_ms, WALL, nobodys, dropped);
    bench.work(true);
    bench.settle(sent, 0, 1);
    let mut next = bench.next_run();
    assert_eq!(next.ids_answered(), [""; 0], "nobody's is unknown, the other has its end");
    next.arrive(&expiring("c/1", "1", 8));
    next.arrive(&expiring("c/2", "2", 8));
    assert_eq!(next.topics_given(), ["l/1"]);
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
