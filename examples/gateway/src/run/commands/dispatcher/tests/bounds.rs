//! Bounds: of a topic that is stuck, of all commands, and of what is taken from the hub.

use super::super::super::WINDOW;
use super::super::limits::{ALL_MAX, FLOWING_MAX, OPEN_MAX, RETURN_MS, STUCK_MAX, STUCK_MS};
use super::*;

#[test]
fn a_topic_that_is_stuck_is_bounded() {
    let mut bench = Bench::new(vec![rule("c/#", "l/#")]);
    let busy = |bench: &Bench| bench.answers.iter().filter(|(_, answer)| answer["reason"] == "busy").count();
    for absent in ["c/nobody", "c/silent"] {
        let before = busy(&bench);
        let tickets: Vec<_> =
            (0..100).map(|n| bench.arrive(&expiring(absent, &format!("{n}"), 90))).collect();
        assert_eq!(busy(&bench), before, "a burst that flows is no trouble");
        if absent == "c/nobody" {
            bench.settle(tickets[0], 0, 0);
            assert_eq!(busy(&bench), before, "its client may come back");
            bench.pass(RETURN_MS);
            bench.settle(tickets[0], 0, 0);
        } else {
            bench.pass(STUCK_MS);
        }
        assert_eq!(busy(&bench), before + 100 - STUCK_MAX);
        let ticket = bench.arrive(&expiring(absent, "one more", 90));
        assert_eq!(bench.reason_of(ticket), "busy");
        let open = tickets.iter().filter(|ticket| !bench.acknowledged.contains(ticket));
        assert!(open.eq(&tickets[..STUCK_MAX]), "the youngest give way");
    }
    // A copy of one that was refused so is never obeyed.
    let given = bench.given.len();
    bench.arrive(&expiring("c/nobody", "99", 9));
    assert_eq!(bench.given.len(), given);
}

#[test]
fn what_is_stuck_gives_way_to_what_is_not() {
    let mut bench = Bench::new(vec![rule("c/#", "l/#")]);
    for topic in 0..OPEN_MAX / STUCK_MAX {
        for n in 0..STUCK_MAX {
            bench.arrive(&expiring(&format!("c/{topic}"), &format!("{n}"), 90));
        }
    }
    bench.pass(STUCK_MS);
    let ticket = bench.arrive(&expiring("c/well", "x", 90));
    assert_eq!((bench.given.last().unwrap().0, bench.answers.len()), (ticket, 1), "one has given way");
    let ticket = bench.arrive(&expiring("c/1", "x", 90));
    assert_eq!(bench.reason_of(ticket), "busy");
}

#[test]
fn no_more_is_taken_while_many_flow_and_what_is_stuck_keeps_nobody_back() {
    let mut bench = Bench::new(vec![rule("c/#", "l/#")]);
    let tickets: Vec<_> = (0..FLOWING_MAX)
        .map(|n| {
            assert!(bench.dispatcher.takes_more(bench.now_ms), "{n}");
            bench.arrive(&expiring(&format!("c/{n}"), "x", 90))
        })
        .collect();
    assert!(!bench.dispatcher.takes_more(bench.now_ms));
    bench.settle(tickets[0], 1, 0);
    assert!(bench.dispatcher.takes_more(bench.now_ms));
    bench.arrive(&expiring("c/one more", "x", 90));
    assert!(!bench.dispatcher.takes_more(bench.now_ms));
    bench.pass(STUCK_MS);
    assert!(bench.dispatcher.takes_more(bench.now_ms));
    // Answers that the queue does not take are bounded, too.
    let mut count = 0;
    while bench.dispatcher.takes_more(bench.now_ms) {
        bench.dispatcher.arrive(bench.now_ms, WALL, &command("c/a", "on"), 0);
        count += 1;
    }
    assert_eq!(count, ALL_MAX - FLOWING_MAX);
}

/// Mosquitto 2.0 sends more than the Receive Maximum; those behind a command of a client that hangs would be more than the delivered identities can hold.
#[test]
fn behind_a_command_without_an_outcome_no_more_are_taken_than_the_window() {
    let mut bench = Bench::new(vec![rule("c/#", "l/#")]);
    let silent = bench.arrive(&expiring("c/silent", "x", 90));
    let mut count = 1;
    while bench.dispatcher.takes_more(bench.now_ms) && count < 5_000 {
        let ticket = bench.arrive(&expiring("c/a", &format!("{count}"), 90));
        bench.settle(ticket, 1, 0);
        count += 1;
    }
    assert_eq!(count, 1 + usize::from(WINDOW));
    bench.settle(silent, 1, 0);
    assert!(bench.dispatcher.takes_more(bench.now_ms));
}

#[test]
fn large_commands_are_bounded_in_bytes() {
    let mut bench = Bench::new(vec![rule("c/#", "l/#")]);
    let large = |n: usize| {
        let mut publish = expiring(&format!("c/{n}"), "x", 9);
        publish.payload = vec![0; PAYLOAD_MAX].into();
        publish
    };
    let tickets: Vec<_> = (0..10).map(|n| bench.arrive(&large(n))).collect();
    assert_eq!((bench.given.len(), bench.reason_of(tickets[3])), (3, "busy".to_owned()));
    bench.settle(tickets[0], 1, 0);
    bench.arrive(&large(10));
    assert_eq!(bench.given.len(), 4);
}

#[test]
fn a_topic_stays_deserted_for_the_next_of_its_commands() {
    let mut bench = Bench::new(vec![rule("c/#", "l/#")]);
    let first = bench.arrive(&expiring("c/a", "first", 4));
    for n in 0..FLOWING_MAX {
        bench.arrive(&expiring("c/a", &format!("{n}"), 90));
    }
    bench.settle(first, 0, 0);
    bench.pass(RETURN_MS);
    assert_eq!(bench.reason_of(first), "nobody");
    let next = bench.given.last().unwrap().0;
    bench.settle(next, 0, 0);
    assert!(bench.dispatcher.takes_more(bench.now_ms));
}

#[test]
fn what_clients_have_gives_way_to_nothing() {
    let mut bench = Bench::new(vec![rule("c/#", "l/#")]);
    for n in 0..OPEN_MAX {
        bench.arrive(&expiring(&format!("c/{n}"), "x", 90));
    }
    bench.pass(STUCK_MS);
    let ticket = bench.arrive(&expiring("c/one more", "x", 90));
    assert_eq!((bench.reason_of(ticket), bench.answers.len()), ("busy".to_owned(), 1));
}

/// Late commands are kept with whom to tell, in that order, and the dispatcher's own identities say the same as the file.
#[test]
fn what_is_refused_at_once_is_on_the_file_with_its_start_before_its_end() {
    let mut bench = Bench::new(vec![rule("c/#", "l/#")]);
    bench.dispatcher.arrive(bench.now_ms, WALL, &expiring("c/a", "1", 3), 10_000);
    // Nothing is answered yet: its end is on its way to the disk.
    let (mut records, mut waits) = (Vec::new(), Vec::new());
    while let Some(step) = bench.dispatcher.next_step() {
        let Step::Keep(ticket, record) = step else { continue };
        records.push(record);
        waits.extend(ticket);
    }
    assert!(matches!(records[0].change, Change::Started(_)), "{records:?}");
    assert!(matches!(records[1].change, Change::Ended(..)) && records.len() == 2, "{records:?}");
    let lines: String = records.iter().map(Record::to_line).collect();
    assert_eq!(bench.dispatcher.identities(), &DeliveredIdentities::read(lines.as_bytes()).0);
    // The disk refused: both are written again, for it may have neither.
    bench.dispatcher.kept(bench.now_ms, WALL, waits[0], false);
    bench.now_ms += AGAIN_MS;
    bench.dispatcher.tick(bench.now_ms, WALL);
    bench.work(true);
    assert!(matches!(bench.kept[0].change, Change::Started(_)), "{:?}", bench.kept);
    assert!(matches!(bench.kept[1].change, Change::Ended(..)), "{:?}", bench.kept);
    assert_eq!(bench.answers.len(), 1);
}

/// Without a command on the way nothing is left of a topic.
#[test]
fn a_topic_without_commands_takes_no_memory() {
    let mut order = TopicOrder::default();
    let topic = expiring("c/a", "1", 9).topic;
    order.push(&topic, Ticket(1));
    order.push(&topic, Ticket(2));
    order.remove(&topic, Ticket(1));
    assert_eq!(order.topics().map(|(_, count)| count).collect::<Vec<_>>(), [1]);
    order.remove(&topic, Ticket(2));
    assert_eq!(order.topics().count(), 0);
}

/// The message has whole seconds, rounded up: a loop must obey none that is late.
#[test]
fn the_time_that_is_left_is_given_to_the_millisecond() {
    let mut bench = Bench::new(vec![rule("c/#", "l/#")]);
    bench.arrive_late(&expiring("c/a", "a", 2), 1_950);
    let (_, publish, left_ms) = bench.given.pop().unwrap();
    let seconds = publish.properties.u32(PropertyId::MessageExpiryInterval);
    assert_eq!((seconds, left_ms), (Some(1), 50));
}
