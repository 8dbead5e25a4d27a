//! Single cases: what is refused with which reason, order, copies, and restarts.

use std::time::Duration;

use edge_bridge::listener::{Config, Listener};
use edge_bridge::wire::{PropertyId, Value};

use super::super::admission::PAYLOAD_MAX;
use super::super::testing::{command, rule, with};
use super::*;

mod bounds;
mod ends;

const WALL: i64 = 1_700_000_000_000;

/// A dispatcher, and what it has asked for.
struct Bench {
    dispatcher: Dispatcher,
    now_ms: u64,
    given: Vec<(Ticket, Publish, u64)>,
    answers: Vec<(Ticket, serde_json::Value)>,
    acknowledged: Vec<Ticket>,
    kept: Vec<Record>,
}

impl Bench {
    fn new(rules: Vec<CommandRule>) -> Self {
        Self::after(rules, DeliveredIdentities::default())
    }

    fn after(rules: Vec<CommandRule>, identities: DeliveredIdentities) -> Self {
        let dispatcher = Dispatcher::new(rules, identities, CommandCounts::default(), WALL);
        let mut bench = Self {
            dispatcher,
            now_ms: 1_000,
            given: Vec::new(),
            answers: Vec::new(),
            acknowledged: Vec::new(),
            kept: Vec::new(),
        };
        bench.work(true);
        bench
    }

    /// Does all work at once; the disk takes what it is given, or does not.
    fn work(&mut self, keeps: bool) {
        while let Some(step) = self.dispatcher.next_step() {
            match step {
                Step::Keep(ticket, record) => {
                    self.kept.push(record);
                    if let Some(ticket) = ticket {
                        self.dispatcher.kept(self.now_ms, WALL, ticket, keeps);
                    }
                }
                Step::Give(ticket, publish, left_ms) => self.given.push((ticket, publish, left_ms)),
                Step::Answer(ticket, row, _) => {
                    self.answers.push((ticket, serde_json::from_slice(&row.payload).unwrap()));
                    self.dispatcher.answered(ticket);
                }
                Step::Tell(..) => {}
                Step::Acknowledge(ticket) => self.acknowledged.push(ticket),
            }
        }
    }

    fn arrive(&mut self, publish: &Publish) -> Ticket {
        self.arrive_late(publish, 0)
    }

    fn arrive_late(&mut self, publish: &Publish, waited_ms: u64) -> Ticket {
        let ticket = self.dispatcher.arrive(self.now_ms, WALL, publish, waited_ms);
        self.work(true);
        ticket
    }

    fn settle(&mut self, ticket: Ticket, delivered: u32, dropped: u32) {
        self.dispatcher.settled(self.now_ms, WALL, ticket, settled(delivered, dropped));
        self.work(true);
    }

    fn pass(&mut self, ms: u64) {
        self.now_ms += ms;
        self.dispatcher.tick(self.now_ms, WALL);
        self.work(true);
    }

    fn reason_of(&self, ticket: Ticket) -> String {
        let answer = self.answers.iter().find(|(one, _)| *one == ticket).expect("no answer");
        answer.1.get("reason").and_then(|reason| reason.as_str()).unwrap_or("delivered").to_owned()
    }

    /// With what this one has on disk.
    fn next_run(&self) -> Self {
        let text: String = self.kept.iter().map(Record::to_line).collect();
        Self::after(self.dispatcher.rules.clone(), DeliveredIdentities::read(text.as_bytes()).0)
    }

    fn ids_answered(&self) -> Vec<&str> {
        let mut ids: Vec<_> = self.answers.iter().filter_map(|(_, answer)| answer["id"].as_str()).collect();
        ids.sort_unstable();
        ids
    }

    fn topics_given(&self) -> Vec<&str> {
        self.given.iter().map(|(_, publish, _)| publish.topic.as_str()).collect()
    }
}

/// Of copies that were written. A `PublishId` has no other source.
pub(super) fn settled(delivered: u32, dropped: u32) -> Settled {
    let publish = Listener::new(Config::default(), NoIngest)
        .publish(edge_bridge::ingest::Now::default(), &command("a", ""));
    Settled { publish, delivered, sent: 0, dropped, written: delivered + dropped }
}

struct NoIngest;

impl edge_bridge::ingest::Ingest for NoIngest {
    fn ingest(
        &mut self,
        _: edge_bridge::ingest::Now,
        _: &edge_bridge::ingest::Inbound,
    ) -> edge_bridge::ingest::Answer {
        edge_bridge::ingest::Answer::Absorb
    }
}

fn expiring(topic: &str, id: &str, seconds: u32) -> Publish {
    let named = with(&command(topic, "on"), PropertyId::UserProperty, Value::Pair("cmd-id", id));
    with(&named, PropertyId::MessageExpiryInterval, Value::U32(seconds))
}

#[test]
fn a_command_goes_to_its_local_topic_with_what_is_left_of_its_expiry() {
    let mut bench = Bench::new(vec![rule("site7/cmd/+/#", "cmd/+/#")]);
    for (seconds, waited_ms, expected) in
        [(5, 0, 5), (5, 1_500, 4), (4_000_000, 0, 60), (u32::MAX, 59_500, 1)]
    {
        let ticket = bench.arrive_late(
            &expiring("site7/cmd/valve/a", &format!("{seconds}{waited_ms}"), seconds),
            waited_ms,
        );
        let (given, publish, _) = bench.given.pop().expect("given at once");
        assert_eq!((given, publish.topic.as_str(), &*publish.payload), (ticket, "cmd/valve/a", &b"on"[..]));
        assert_eq!(publish.properties.u32(PropertyId::MessageExpiryInterval), Some(expected));
        assert!(bench.acknowledged.is_empty(), "the hub keeps it until it has ended");
        bench.settle(ticket, 2, 1);
        assert_eq!(bench.acknowledged.pop(), Some(ticket));
        let (_, answer) = bench.answers.pop().unwrap();
        assert_eq!((answer["result"].as_str(), answer["clients"].as_u64()), (Some("delivered"), Some(2)));
    }
}

#[test]
fn what_is_refused_is_answered_with_its_reason_and_given_to_nobody() {
    let mut bench = Bench::new(vec![rule("c/#", "l/#")]);
    let fine = expiring("c/a", "x", 9);
    let set = |id: PropertyId, value: Value<'_>| with(&expiring("c/a", "y", 9), id, value);
    let long = "t".repeat(1_025);
    let mut large = fine.clone();
    large.payload = vec![0; PAYLOAD_MAX + 1].into();
    let cases = [
        (Publish { retain: true, ..fine.clone() }, 0, "retained"),
        (command("c/a", "on"), 0, "no-expiry"),
        (expiring("c/a", "", 9), 0, "bad-id"),
        (large, 0, "too-large"),
        (set(PropertyId::ResponseTopic, Value::Utf8(&long)), 0, "too-large"),
        (expiring(&format!("c/{long}"), "x", 9), 0, "too-large"),
        (expiring(&format!("c/{}", "ä".repeat(30_000)), "x", 9), 0, "too-large"),
        (set(PropertyId::CorrelationData, Value::Binary(long.as_bytes())), 0, "too-large"),
    ];
    for (publish, waited_ms, reason) in cases {
        let ticket = bench.arrive_late(&publish, waited_ms);
        assert_eq!((bench.reason_of(ticket), bench.acknowledged.last()), (reason.to_owned(), Some(&ticket)));
        assert!(bench.answers.last().is_some_and(|(_, answer)| answer.to_string().len() < 1_200), "{reason}");
    }
    assert_eq!(bench.topics_given(), [""; 0]);
    for (late, waited_ms) in [(expiring("c/a", "late", 0), 0), (expiring("c/a", "later", 9), 9_000)] {
        let ticket = bench.arrive_late(&late, waited_ms);
        assert_eq!(bench.reason_of(ticket), "expired");
        bench.arrive(&expiring("c/a", if waited_ms == 0 { "late" } else { "later" }, 9));
    }
    assert_eq!(bench.topics_given(), [""; 0], "a copy of what was late is not given");
    // Nothing of the others is kept: the sender may mend it, and send it again.
    let ticket = bench.arrive(&fine);
    assert_eq!(bench.given.pop().unwrap().0, ticket);
}

#[test]
fn a_command_without_an_expiry_is_given_where_the_rule_allows_it() {
    let allowing =
        CommandRule { allows_unbounded: true, expiry: Duration::from_secs(7), ..rule("c/#", "l/#") };
    let mut bench = Bench::new(vec![allowing]);
    bench.arrive(&command("c/a", "on"));
    let (_, publish, left_ms) = bench.given.pop().unwrap();
    assert_eq!((publish.properties.u32(PropertyId::MessageExpiryInterval), left_ms), (Some(7), 7_000));
}

#[test]
fn what_nobody_takes_waits_and_is_refused_when_its_time_is_over() {
    let mut bench = Bench::new(vec![rule("c/#", "l/#")]);
    let ticket = bench.arrive(&expiring("c/a", "x", 3));
    for attempt in 1..=3 {
        assert_eq!(bench.given.len(), attempt);
        bench.settle(ticket, 0, 0);
        bench.pass(999);
        assert_eq!(bench.given.len(), attempt, "not before a second");
        bench.pass(1);
    }
    assert_eq!((bench.given.len(), bench.reason_of(ticket)), (3, "nobody".to_owned()));
    let ticket = bench.arrive(&expiring("c/b", "x", 3));
    bench.now_ms += 3_001;
    bench.settle(ticket, 0, 0);
    assert_eq!(bench.reason_of(ticket), "nobody");
    let ticket = bench.arrive(&expiring("c/b", "y", 3));
    bench.settle(ticket, 0, 1);
    assert_eq!(bench.reason_of(ticket), "not-acknowledged");
}

#[test]
fn commands_of_a_topic_keep_their_order_and_those_of_others_do_not_wait() {
    let mut bench = Bench::new(vec![rule("c/#", "l/#")]);
    let first = bench.arrive(&expiring("c/a", "1", 9));
    let second = bench.arrive(&expiring("c/a", "2", 5));
    let short = bench.arrive(&expiring("c/a", "3", 1));
    bench.arrive(&expiring("c/b", "1", 9));
    assert_eq!(bench.topics_given(), ["l/a", "l/b"]);
    bench.pass(1_000);
    assert_eq!(bench.reason_of(short), "expired", "behind others");
    bench.settle(first, 0, 0);
    assert_eq!(bench.given.len(), 2, "the second does not overtake the first");
    bench.pass(1_000);
    bench.settle(first, 1, 0);
    assert_eq!(bench.given.last().unwrap().0, second);
}

#[test]
fn a_copy_at_qos_0_is_no_acknowledgement() {
    for (delivered, sent, expected) in [(1, 1, "not-acknowledged"), (3, 2, "delivered")] {
        let mut bench = Bench::new(vec![rule("c/#", "l/#")]);
        let ticket = bench.arrive(&expiring("c/a", "x", 9));
        let settled = Settled { sent, ..super::tests::settled(delivered, 0) };
        bench.dispatcher.settled(bench.now_ms, WALL, ticket, settled);
        bench.work(true);
        assert_eq!(bench.reason_of(ticket), expected, "once: who has it may have obeyed");
        assert_eq!(bench.given.len(), 1);
    }
}

#[test]
fn a_client_that_does_not_acknowledge_in_time_ends_the_command() {
    let mut bench = Bench::new(vec![rule("c/#", "l/#")]);
    let ticket = bench.arrive(&expiring("c/a", "x", 3));
    let next = bench.arrive(&expiring("c/a", "y", 9));
    bench.pass(3_000);
    assert_eq!(bench.answers.len(), 0, "it may be on its way");
    bench.pass(GRACE_MS - 1);
    assert_eq!(bench.answers.len(), 0, "still");
    bench.pass(1);
    assert_eq!(
        (bench.reason_of(ticket), bench.given.last().unwrap().0),
        ("not-acknowledged".to_owned(), next)
    );
    bench.settle(ticket, 1, 0);
    assert_eq!(bench.answers.len(), 1, "one end");
}

#[test]
fn a_copy_shares_the_end_of_the_first_or_is_passed_over() {
    let mut bench = Bench::new(vec![rule("c/#", "l/#")]);
    let first = bench.arrive(&expiring("c/a", "1", 9));
    assert_eq!(bench.arrive(&expiring("c/a", "1", 8)), first);
    bench.settle(first, 1, 0);
    let copy = bench.arrive(&expiring("c/a", "1", 7));
    assert_ne!(copy, first);
    assert_eq!(bench.acknowledged, [first, copy]);
    assert_eq!((bench.given.len(), bench.answers.len()), (1, 1));
    // Without an identity only what the hub marks is a copy.
    let plain = with(&command("c/b", "on"), PropertyId::MessageExpiryInterval, Value::U32(9));
    let one = bench.arrive(&plain);
    let two = bench.arrive(&plain);
    bench.settle(one, 1, 0);
    bench.settle(two, 1, 0);
    assert_eq!(bench.given.len(), 3, "pressed twice");
    let copy = bench.arrive(&Publish { dup: true, ..plain });
    assert_eq!((bench.given.len(), bench.reason_of(copy)), (3, "copy".to_owned()));
}

#[test]
fn at_least_once_keeps_nothing_and_gives_each_copy_of_what_has_ended() {
    let mut bench = Bench::new(vec![CommandRule { at_most_once: false, ..rule("c/#", "l/#") }]);
    for n in 1..3 {
        let ticket = bench.arrive(&expiring("c/a", "1", 9));
        assert_eq!(bench.arrive(&Publish { dup: true, ..expiring("c/a", "1", 8) }), ticket, "under way");
        bench.settle(ticket, 0, 1);
        assert_eq!(bench.answers.len(), n - 1, "it is tried again");
        bench.pass(AGAIN_MS);
        bench.settle(ticket, 1, 0);
        bench.given.pop();
    }
    assert_eq!((bench.given.len(), bench.answers.len(), bench.kept.len()), (2, 2, 0));
}

#[test]
fn a_disk_that_refuses_costs_the_command_and_says_so() {
    let mut bench = Bench::new(vec![rule("c/#", "l/#")]);
    let ticket = bench.dispatcher.arrive(1_000, WALL, &expiring("c/a", "1", 9), 0);
    bench.work(false);
    assert_eq!((bench.given.len(), bench.reason_of(ticket)), (0, "not-kept".to_owned()));
    assert_eq!(bench.acknowledged, [ticket]);
}

#[test]
fn after_a_kill_what_a_client_may_have_is_told_and_its_copy_not_given() {
    let mut bench = Bench::new(vec![rule("c/#", "l/#")]);
    bench.arrive(&expiring("c/a", "1", 9));
    bench.arrive(&expiring("c/a", "2", 9));
    let mut killed = bench.next_run();
    assert_eq!(killed.ids_answered(), ["1"]);
    let copy = killed.arrive(&expiring("c/a", "1", 8));
    assert_eq!((killed.given.len(), killed.acknowledged.contains(&copy)), (0, true));
    killed.arrive(&expiring("c/a", "2", 8));
    assert_eq!(killed.topics_given(), ["l/a"], "nobody had it");
}

#[test]
fn after_a_stop_what_nobody_had_comes_as_if_it_were_new() {
    let mut bench = Bench::new(vec![rule("c/#", "l/#")]);
    bench.arrive(&expiring("c/a", "1", 9));
    let waiting = bench.arrive(&expiring("c/b", "2", 9));
    bench.settle(waiting, 0, 0);
    let killed = bench.next_run();
    assert_eq!(killed.ids_answered(), ["1", "2"], "it might have found a subscriber at last");
    bench.dispatcher.stop();
    bench.work(true);
    let mut stopped = bench.next_run();
    assert_eq!(stopped.ids_answered(), ["1"]);
    stopped.arrive(&expiring("c/b", "2", 8));
    assert_eq!(stopped.topics_given(), ["l/b"]);
}

#[test]
fn what_begins_while_the_gateway_stops_comes_again_too() {
    let mut bench = Bench::new(vec![rule("c/#", "l/#")]);
    bench.dispatcher.arrive(bench.now_ms, WALL, &expiring("c/a", "1", 9), 0);
    bench.dispatcher.stop();
    bench.work(true);
    assert_eq!((bench.given.len(), bench.next_run().answers.len()), (0, 0));
}

#[test]
fn a_repetition_without_an_identity_is_of_the_youngest_of_its_twins() {
    let mut bench = Bench::new(vec![CommandRule { at_most_once: false, ..rule("c/#", "l/#") }]);
    let press = with(&command("c/a", "on"), PropertyId::MessageExpiryInterval, Value::U32(9));
    let [first, second] = [(); 2].map(|()| bench.arrive(&press));
    bench.settle(first, 1, 0);
    assert_eq!(bench.arrive(&Publish { dup: true, ..press }), second);
}

#[test]
fn what_a_client_had_does_not_end_as_if_nobody_had_it() {
    for (sent, dropped) in [(0, 1), (1, 1)] {
        let mut bench = Bench::new(vec![CommandRule { at_most_once: false, ..rule("c/#", "l/#") }]);
        let ticket = bench.arrive(&expiring("c/a", "1", 3));
        let first = Settled { sent, ..settled(sent, dropped) };
        bench.dispatcher.settled(bench.now_ms, WALL, ticket, first);
        bench.work(true);
        bench.pass(AGAIN_MS);
        assert_eq!(bench.given.len(), 2, "again, since somebody has not acknowledged it");
        bench.settle(ticket, 0, 0);
        bench.pass(3_000);
        assert_eq!(bench.reason_of(ticket), "not-acknowledged");
    }
}

#[test]
fn a_stop_does_not_forget_the_twin_of_what_waits_which_has_its_own_end() {
    let mut bench = Bench::new(vec![rule("c/#", "l/#")]);
    let press = with(&command("c/a", "on"), PropertyId::MessageExpiryInterval, Value::U32(9));
    let first = bench.arrive(&press);
    bench.settle(first, 1, 0);
    let second = bench.arrive(&press);
    bench.settle(second, 0, 0);
    bench.dispatcher.stop();
    bench.work(true);
    let mut next = bench.next_run();
    assert_eq!(next.answers.pop().unwrap().1["reason"], "interrupted");
    let copy = next.arrive(&Publish { dup: true, ..press });
    assert_eq!((next.given.len(), next.reason_of(copy)), (0, "copy".to_owned()));
}

#[test]
fn a_refused_twin_is_not_taken_for_the_one_that_is_under_way() {
    let mut bench = Bench::new(vec![CommandRule { at_most_once: false, ..rule("c/#", "l/#") }]);
    let press = with(&command("c/a", "on"), PropertyId::MessageExpiryInterval, Value::U32(9));
    let given = bench.arrive(&press);
    bench.arrive(&command("c/a", "on"));
    assert_eq!(bench.arrive(&Publish { dup: true, ..press }), given);
}
