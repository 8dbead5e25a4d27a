//! Times of a PUBACK: promise 1, "never early", and what a full queue does to publishers.

use std::sync::{Arc, Mutex};

use crate::listener_support::*;
use crate::random::{Rng, percent, seed_or};
use crate::site;
use edge_bridge::ingest::{Inbound, Now};
use edge_bridge::listener::{Config, Event, Listener};

use edge_bridge::wire::{Packet, Publish, ReasonCode, Version};

const OK: ReasonCode = ReasonCode::SUCCESS;

#[test]
fn a_puback_follows_the_receipt_in_order_of_arrival() {
    for version in [Version::V5, Version::V311] {
        let mut site = site();
        let sensor = site.client("s", version);
        site.send(
            sensor,
            &[publish(7, "store/a", "1"), publish(3, "store/a", "2"), publish(5, "store/a", "3")],
        );
        assert_eq!(site.pubacks(sensor), []);
        site.resolve(1);
        assert_eq!(site.pubacks(sensor), [], "the second is safe, the first is not");
        site.resolve(0);
        assert_eq!(site.pubacks(sensor), [(7, OK), (3, OK)]);
        site.resolve(0);
        assert_eq!(site.pubacks(sensor), [(5, OK)]);
        assert_eq!(site.listener.stats().unacked_bytes, 0);
    }
}

#[test]
fn what_is_only_absorbed_is_acknowledged_at_once() {
    let mut site = site();
    let sensor = site.client("s", Version::V311);
    site.send(sensor, &[publish(1, "a", "1"), publish(2, "a", "2")]);
    assert_eq!(site.pubacks(sensor), [(1, OK), (2, OK)]);
    assert_eq!(site.commits, 0);
}

#[test]
fn a_copy_on_a_new_connection_waits_for_the_first_ones_row() {
    let mut site = site();
    let first = site.client("s", Version::V5);
    site.send(first, &[publish(1, "store/a", "x")]);
    site.cut(first);
    let again = site.client("s", Version::V5);
    // The filter knows it by now and absorbs it.
    site.send(again, &[publish(1, "dropped/a", "x")]);
    assert_eq!(site.pubacks(again), []);
    site.resolve(0);
    assert_eq!(site.pubacks(again), [(1, OK)]);
}

#[test]
fn what_is_withheld_waits_for_its_ticket_and_holds_up_those_behind_it() {
    let mut site = site();
    let sensor = site.client("s", Version::V5);
    site.send(sensor, &[publish(1, "held/a", "x"), publish(2, "a", "y"), publish(3, "store/a", "z")]);
    let tickets = site.listener.ingest_mut().tickets.clone();
    let pushed: Vec<_> = site.stored.iter().map(|(ticket, rows)| (*ticket, rows.len())).collect();
    assert_eq!(pushed, [(tickets[0], 0), (tickets[1], 1)], "the ingest knows whose receipts it has");
    site.resolve(1);
    assert_eq!(site.pubacks(sensor), []);
    site.resolve(0);
    assert_eq!(site.pubacks(sensor), [(1, OK), (2, OK), (3, OK)]);
}

#[test]
fn what_cannot_be_used_is_a_dead_letter_and_3_1_1_is_not_refused() {
    for (version, reason) in [(Version::V5, ReasonCode::PAYLOAD_FORMAT_INVALID), (Version::V311, OK)] {
        let mut site = site();
        let sensor = site.client("s", version);
        site.send(sensor, &[publish(1, "bad/a", "x")]);
        assert_eq!(site.pubacks(sensor), [], "stored first");
        assert_eq!(site.stored[0].1[0].dead_letter, Some(ReasonCode::PAYLOAD_FORMAT_INVALID));
        site.resolve(0);
        assert_eq!(site.pubacks(sensor), [(1, reason)]);
    }
}

/// Promise 4. The ingest may know of copies that their publisher does not mark.
#[test]
fn a_dead_letter_that_was_sent_before_is_marked() {
    let mut site = site();
    let sensor = site.client("s", Version::V311);
    for (topic, dup, is_marked) in [("bad/a", false, false), ("bad/a", true, true), ("bad/copy", false, true)]
    {
        let Packet::Publish(message) = publish(1, topic, "x") else { panic!() };
        site.send(sensor, &[Packet::Publish(Publish { dup, ..message })]);
        let (_, rows) = site.stored.last().unwrap();
        assert_eq!(rows[0].possible_duplicate, is_marked, "{topic} {dup}");
        site.resolve(site.stored.len() - 1);
    }
}

#[test]
fn local_subscribers_do_not_wait_for_the_receipt() {
    let mut site = site();
    let (sensor, actuator) = (site.client("s", Version::V311), site.client("a", Version::V5));
    site.send(actuator, &[subscribe(&["store/#"])]);
    site.send(sensor, &[publish(1, "store/a", "x")]);
    assert_eq!(site.payloads(actuator), ["x"]);
    assert_eq!(site.pubacks(sensor), []);
}

#[test]
fn over_the_cap_only_those_that_wait_for_nothing_are_read() {
    let mut config = Config::default();
    config.max_unacked_bytes = 1_000;
    let mut site = Site::new(config);
    let (busy, idle) = (site.client("busy", Version::V5), site.client("idle", Version::V5));
    let big = "x".repeat(1_000);
    site.send(busy, &[publish(1, "store/a", &big)]);
    assert!(site.commits > 0, "a commit is due at the cap");
    site.send(busy, &[publish(2, "store/a", "later")]);
    assert_eq!(site.stored.len(), 1, "not read");
    site.send(idle, &[publish(1, "store/b", "other")]);
    assert_eq!(site.stored.len(), 2, "one message of each is let in");
    site.send(idle, &[publish(2, "store/b", "later")]);
    assert_eq!(site.stored.len(), 2);
    site.resolve(0);
    assert_eq!(site.pubacks(busy), [(1, OK)]);
    let rows: Vec<_> = site.stored.iter().map(|(_, rows)| rows[0].payload.clone()).collect();
    assert_eq!(rows.len(), 3, "both are read again");
    assert_eq!(rows[0], "other");
}

#[test]
fn a_publisher_with_a_full_window_asks_for_a_commit() {
    let mut site = site();
    let sensor = site.client("s", Version::V311);
    for id in 1..10 {
        site.send(sensor, &[publish(id, "store/a", "x")]);
        assert_eq!(site.commits, 0, "{id}");
    }
    site.send(sensor, &[publish(10, "store/a", "x")]);
    assert_eq!(site.commits, 1);
}

/// Promise 14: what a control loop reads does not wait for the queue.
#[test]
fn who_looks_on_sees_each_message_at_its_arrival_also_while_the_queue_has_no_room() {
    let mut site = site();
    let (mut sent, seen) = (Vec::new(), Arc::<Mutex<Vec<String>>>::default());
    let log = seen.clone();
    let look = move |_: Now, message: &Inbound| {
        log.lock().unwrap().push(String::from_utf8(message.payload.to_vec()).unwrap());
    };
    site.listener = Listener::new(Config::default(), Script::default()).with_on_publish(Box::new(look));
    let sensor = site.client("s", Version::V311);
    for (has_room, payload) in [(true, "with room"), (false, "without"), (true, "again")] {
        site.set_room(has_room);
        site.send(sensor, &[qos0("a", payload)]);
        sent.push(payload);
        assert_eq!(*seen.lock().unwrap(), sent);
    }
    assert_eq!(site.listener.ingest_mut().seen.len(), 2, "the ingest was not asked without room");
    // What the application publishes itself is no news to it.
    site.publish(&message("a", "own"));
    assert_eq!(seen.lock().unwrap().len(), 3);
}

#[test]
fn a_full_queue_withholds_and_the_ingest_sees_nothing() {
    for version in [Version::V5, Version::V311] {
        let mut site = site();
        let (sensor, actuator) = (site.client("s", version), site.client("a", version));
        site.send(actuator, &[subscribe(&["#"])]);
        site.set_room(false);
        site.send(sensor, &[publish(1, "store/a", "1"), qos0("store/a", "q"), publish(2, "store/a", "2")]);
        site.send(sensor, &[publish(3, "store/a", "3")]);
        assert_eq!(site.listener.ingest_mut().seen.len(), 0);
        assert_eq!(site.payloads(actuator), ["1", "q", "2"], "the third is not read");
        let stats = site.listener.stats();
        assert_eq!((stats.held, stats.qos0_without_room), (2, 1));
        let told =
            |site: &Site| site.events.iter().filter(|event| matches!(event, Event::NoRoom { .. })).count();
        assert_eq!(told(&site), 1);
        let other = site.client("o", version);
        site.send(other, &vec![qos0("store/a", "q"); 100]);
        assert_eq!(
            (site.listener.stats().qos0_without_room, told(&site)),
            (101, 2),
            "one line for each client"
        );
        if version == Version::V311 {
            // It is not closed for its silence.
            site.pass(3_600_000);
            site.send(other, &[qos0("store/a", "q")]);
            assert_eq!(told(&site), 3, "and hour");
        }
        // Hours later: its pings are not read, so it is not silent.
        site.pass(3_600_000);
        assert!(!site.is_closed(sensor));
        assert_eq!(site.received(sensor), [], "never refused");
        site.set_room(true);
        let rows: Vec<_> = site.stored.iter().map(|(_, rows)| rows[0].payload.clone()).collect();
        assert_eq!(rows, ["1", "2", "3"]);
        (0..3).for_each(|_| site.resolve(0));
        assert_eq!(site.pubacks(sensor), [(1, OK), (2, OK), (3, OK)]);
    }
}

#[test]
fn rows_that_come_back_from_the_queue_keep_their_order() {
    let mut site = site();
    let sensor = site.client("s", Version::V5);
    site.full = true;
    site.send(sensor, &[publish(1, "store/a", "1"), publish(2, "store/a", "2")]);
    site.full = false;
    // Room for one of a kind: the listener has not been told, so nothing may overtake.
    site.send(sensor, &[publish(3, "store/a", "3")]);
    assert_eq!(site.stored.len(), 0);
    site.set_room(true);
    let rows: Vec<_> = site.stored.iter().map(|(_, rows)| rows[0].payload.clone()).collect();
    assert_eq!(rows, ["1", "2", "3"]);
}

#[test]
fn held_messages_of_a_connection_that_is_gone_are_the_senders_again() {
    let mut site = site();
    let sensor = site.client("s", Version::V5);
    site.set_room(false);
    site.send(sensor, &[publish(1, "store/a", "1")]);
    site.cut(sensor);
    site.set_room(true);
    assert_eq!((site.stored.len(), site.listener.stats().held), (0, 0));
}

/// Random histories: PUBACKs against what the test resolved itself, with a checker that must also catch a PUBACK that came early.
#[test]
fn random_histories_never_acknowledge_early() {
    let mut random = Rng::new(seed_or(0x5eed));
    let cases = 20 * percent();
    for _ in 0..cases {
        history(&mut random, false).expect("no PUBACK before its receipt");
    }
    println!("executed listener_receipt_histories: {cases} cases");
    let caught = (0..50).filter(|_| history(&mut random, true).is_err()).count();
    assert!(caught > 25, "a planted early receipt was caught in {caught} of 50 histories");
}

/// `planted`: a queue that calls one ticket safe which is not.
fn history(random: &mut Rng, planted: bool) -> Result<(), String> {
    let mut site = site();
    let mut peers: Vec<_> = (0..3).map(|n| site.client(&format!("c{n}"), Version::V5)).collect();
    // Per connection, what is not acknowledged: packet identifier and what it waits for, by the payload's number.
    let mut open: Vec<Vec<(u16, Vec<u64>)>> = vec![Vec::new(); 3];
    let mut unsafe_rows: Vec<u64> = Vec::new();
    let mut next_id = [0u16; 3];
    let mut planted_left = u32::from(planted);
    for number in 0..60 {
        let on = random.below(3) as usize;
        match random.below(8) {
            0..3 => {
                next_id[on] += 1;
                open[on].push((next_id[on], vec![number]));
                unsafe_rows.push(number);
                site.send(peers[on], &[publish(next_id[on], "store/a", &number.to_string())]);
            }
            3..5 => {
                next_id[on] += 1;
                open[on].push((next_id[on], unsafe_rows.clone()));
                site.send(peers[on], &[publish(next_id[on], "absorbed", &number.to_string())]);
            }
            5 if random.below(5) == 0 => {
                site.cut(peers[on]);
                peers[on] = site.client(&format!("c{on}"), Version::V5);
                open[on].clear();
                next_id[on] = 0;
            }
            _ if !site.stored.is_empty() => {
                let at = random.below(site.stored.len() as u64) as usize;
                let row: u64 =
                    String::from_utf8(site.stored[at].1[0].payload.to_vec()).unwrap().parse().unwrap();
                if planted_left > 0 {
                    planted_left -= 1;
                } else {
                    unsafe_rows.retain(|safe| *safe != row);
                }
                site.resolve(at);
            }
            _ => {}
        }
        for (peer, open) in peers.iter().zip(&mut open) {
            for (id, _) in site.pubacks(*peer) {
                let (expected, waits) = open.remove(0);
                if id != expected {
                    return Err(format!("PUBACK of {id} before that of {expected}"));
                }
                if let Some(row) = waits.iter().find(|row| unsafe_rows.contains(row)) {
                    return Err(format!("PUBACK of {id} before row {row} is safe"));
                }
            }
        }
    }
    while !site.stored.is_empty() {
        site.resolve(0);
    }
    for (peer, open) in peers.iter().zip(&open) {
        let late = site.pubacks(*peer).len();
        if late != open.len() {
            return Err(format!("{} messages without PUBACK for ever", open.len() - late));
        }
    }
    Ok(())
}
