//! A hub that refuses a message as too large and then closes the connection, as Mosquitto with `message_size_limit` may: it costs other messages
//! a reconnection now and then, not one for each such message. Virtual time. Promises 1, 4.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;

use crate::refusal_support::{Answer, Rig, TAKEN, number, text};
use bytes::Bytes;
use edge_bridge::Row;
use edge_bridge::bridge::{HubLimit, UplinkEvent};
use edge_bridge::wire::{PropertyId, Publish, ReasonCode, Value};

const SECOND: u64 = 1_000;
const MINUTE: u64 = 60 * SECOND;
/// Payload bytes that the hub takes.
const LIMIT: usize = 2_500;
const TOO_LARGE: Answer = Answer::AckAndClose(0x95);

fn limited(publish: &Publish) -> Answer {
    if publish.payload.len() > LIMIT { TOO_LARGE } else { TAKEN }
}

fn sized(topic: &str, n: u32, bytes: usize) -> Row {
    Row::new(text(topic), Bytes::from(format!("{:bytes$}", format!("{n} "))))
}

/// Times at which the hub took a message first, by number.
type Arrivals = Rc<RefCell<BTreeMap<u32, u64>>>;

/// A hub with the limit, which notes what it takes.
fn limited_hub() -> (Rig, Arrivals) {
    let arrivals = Arrivals::default();
    let noted = Rc::clone(&arrivals);
    let rig = Rig::new(move |now_ms, publish| {
        let answer = limited(publish);
        if answer == TAKEN {
            noted.borrow_mut().entry(number(publish)).or_insert(now_ms);
        }
        answer
    });
    (rig, arrivals)
}

/// Plays 25 messages a second for a minute: five too large ones of one topic, 20 of nine others, and none of them is late.
fn play(rig: &mut Rig, arrivals: &Arrivals, bytes: impl Fn(u32) -> usize) -> u32 {
    let mut pushed_ms = BTreeMap::new();
    let mut n = 0;
    while rig.now_ms < MINUTE {
        if n % 5 == 0 {
            rig.push_row(sized("big", n, bytes(n)));
        } else {
            pushed_ms.insert(n, rig.now_ms);
            rig.push(&format!("t/{}", n % 9), n);
        }
        n += 1;
        rig.run_until(rig.now_ms + 40);
    }
    rig.run_until(rig.now_ms + SECOND);
    let arrivals = arrivals.borrow();
    let late = |n: &u32| arrivals.get(n).map_or(u64::MAX, |ms| ms - pushed_ms[n]);
    let latest = pushed_ms.keys().max_by_key(|n| late(n)).unwrap();
    assert!(late(latest) <= SECOND, "{latest} came {} ms late: {:?}", late(latest), rig.core.stats());
    n
}

#[test]
fn messages_too_large_for_a_hub_that_closes_delay_no_other() {
    for (receive_maximum, keeps_session) in [(1, true), (20, true), (20, false), (1_000, true)] {
        let (mut rig, arrivals) = limited_hub();
        rig.properties = vec![(PropertyId::ReceiveMaximum, Value::U16(receive_maximum))];
        rig.keeps_session = keeps_session;
        rig.core.spool_mut().in_place = true;
        let n = play(&mut rig, &arrivals, |_| 5_000);
        // The first, and probes after 1, 2, 4, … s.
        assert!((3..=10).contains(&rig.dials), "{} dials", rig.dials);
        let stats = rig.core.stats();
        assert_eq!((stats.parked, stats.poison, stats.held), (u64::from(n) / 5, 0, 0), "{stats:?}");
        assert!(matches!(&rig.events[..], [UplinkEvent::Parked(refusal), ..]
            if refusal.topic == "big" && refusal.reason == ReasonCode::PACKET_TOO_LARGE));
        assert!(rig.told() < 5, "{:?}", rig.events);
        // The operator raises the limit.
        rig.script = Box::new(|_, _| TAKEN);
        rig.run_until_empty(10 * MINUTE);
        rig.assert_all_in_order(n as usize);
    }
}

/// A size that the search tries next is no limit of the hub's: a report says what the hub refused and took, or what it announced.
#[test]
fn a_report_names_the_limit_that_the_hub_showed() {
    let limits = |rig: &Rig| -> Vec<Option<HubLimit>> {
        let parked = rig.events.iter().filter_map(|event| match event {
            UplinkEvent::Parked(refusal) => Some(refusal.hub_limit),
            _ => None,
        });
        parked.collect()
    };
    let (mut rig, _) = limited_hub();
    for n in 0..60 {
        rig.push_row(sized("big", n, 5_000 + n as usize));
        rig.push_row(sized("small", 100 + n, 2_000));
        rig.run_until(rig.now_ms + 2 * SECOND);
    }
    let [None, Some(found), ..] = limits(&rig)[..] else { panic!("{:?}", rig.events) };
    assert_eq!(found, HubLimit::Found { refused: 5_000, taken: 2_000 });
    assert_eq!(found.to_string(), "found by trying: the hub refused 5000 bytes and took 2000");

    let mut rig = Rig::new(|_, _| TAKEN);
    rig.properties = vec![(PropertyId::MaximumPacketSize, Value::U32(1_500))];
    rig.push_row(sized("big", 1, 5_000));
    rig.run_until(SECOND);
    assert_eq!(limits(&rig), [Some(HubLimit::Announced { bytes: 1_500 })]);
}

/// The smallest of them is the limit, found in few steps; what is smaller goes on.
#[test]
fn sizes_of_every_kind_cost_few_connections() {
    let (mut rig, arrivals) = limited_hub();
    // 1 000 to 5 000 bytes.
    let n = play(&mut rig, &arrivals, |n| 1_000 + (n * 769 % 4_001) as usize);
    assert!(rig.dials < 30, "{} dials", rig.dials);
    let taken = rig.arrived("big");
    let too_large = |n: u32| n * 769 % 4_001 > 1_500;
    let all: Vec<u32> = (0..n).filter(|n| n % 5 == 0).collect();
    assert!(
        taken.len() > all.iter().filter(|n| !too_large(**n)).count() * 9 / 10,
        "{} of {}",
        taken.len(),
        all.len()
    );
    assert_eq!(rig.core.stats().poison, 0);
    rig.script = Box::new(|_, _| TAKEN);
    rig.run_until_empty(10 * MINUTE);
    rig.assert_all(n as usize);
}

/// Many on their way at once are parked together when the first is refused, and those beside them are blamed for nothing.
#[test]
fn what_was_on_its_way_with_it_is_not_tried_one_by_one() {
    for in_place in [false, true] {
        let (mut rig, _) = limited_hub();
        rig.core.spool_mut().in_place = in_place;
        (0..300).for_each(|n| rig.push_row(sized("t", n, if n % 3 == 0 { 3_000 } else { 100 })));
        rig.run_until(2 * SECOND);
        assert!(rig.dials <= 4, "{} dials", rig.dials);
        assert_eq!(rig.arrived("t"), (0..300).filter(|n| n % 3 != 0).collect::<Vec<_>>());
        let stats = rig.core.stats();
        assert_eq!((stats.parked, stats.poison), (100, 0), "{stats:?}");
        rig.script = Box::new(|_, _| TAKEN);
        rig.run_until_empty(10 * MINUTE);
        rig.assert_all(300);
    }
}

/// A probe that is taken lets the others go at once, the parked ones in their order, while new ones come.
#[test]
fn a_raised_limit_lets_parked_messages_go_in_their_order() {
    for case in 0..20 {
        let (mut rig, _) = limited_hub();
        rig.core.spool_mut().in_place = true;
        (0..200).for_each(|n| rig.push_row(sized(&format!("t/{}", n % 3), n, 3_000)));
        rig.run_until(20 * SECOND + case * 97);
        assert_eq!(rig.core.stats().parked, 200);
        rig.script = Box::new(|_, _| TAKEN);
        // Rows on their way to the parked ones delay the next probe.
        rig.core.spool_mut().parks_slowly = case % 2 == 0;
        for n in 200..500 {
            rig.push_row(sized(&format!("t/{}", n % 4), n, 3_000));
            rig.run_until(rig.now_ms + 50);
            if n % 20 == 0 {
                rig.arrive();
            }
        }
        rig.arrive();
        rig.run_until_empty(MINUTE);
        rig.assert_all_in_order(500);
    }
}

/// Parked messages alone are probed as often as with new ones, and at once when all others are gone.
#[test]
fn probes_need_no_new_messages() {
    let probes = Rc::new(RefCell::new(Vec::new()));
    let noted = Rc::clone(&probes);
    let mut rig = Rig::new(move |now_ms, _| {
        noted.borrow_mut().push(now_ms);
        TOO_LARGE
    });
    (0..3).for_each(|n| rig.push_row(sized("t", n, 3_000)));
    rig.run_until(60 * MINUTE);
    let probes = probes.borrow();
    let gaps: Vec<u64> = probes.windows(2).map(|pair| pair[1] - pair[0]).collect();
    assert!(
        gaps.iter().zip(0..).all(|(gap, n)| (SECOND / 2..=SECOND).contains(&(gap >> n.min(9)))
            || n > 8 && *gap <= 10 * MINUTE + SECOND),
        "{gaps:?}"
    );
    assert!(gaps.len() > 10, "{gaps:?}");
}

/// A person who asks for another attempt need not wait for the next probe.
#[test]
fn a_retry_by_hand_probes_at_once() {
    let (mut rig, _) = limited_hub();
    (0..50).for_each(|n| rig.push_row(sized("t", n, 3_000)));
    rig.run_until(20 * MINUTE);
    rig.script = Box::new(|_, _| TAKEN);
    rig.retry("#");
    rig.run_until(rig.now_ms + SECOND);
    rig.assert_all(50);
}

/// A hub that counts whole packets takes and refuses the same payload under topics of different length: connections are lost ever more rarely.
#[test]
fn messages_of_about_the_limit_do_not_cost_connections_without_end() {
    let mut rig =
        Rig::new(
            |_, publish| {
                if publish.payload.len() + publish.topic.len() > LIMIT { TOO_LARGE } else { TAKEN }
            },
        );
    let long = format!("long/{}", "x".repeat(200));
    for n in 0..3_000 {
        let topic = if n % 2 == 0 { "t" } else { long.as_str() };
        rig.push_row(sized(topic, n, LIMIT - 100));
        rig.run_until(rig.now_ms + 200);
    }
    assert!(rig.dials < 40, "{} dials in ten minutes", rig.dials);
    rig.script = Box::new(|_, _| TAKEN);
    rig.run_until_empty(30 * MINUTE);
    rig.assert_all(3_000);
}

/// Told by PUBACK and by the end of the connection, or by its end alone: either way the rest goes on.
#[test]
fn a_hub_that_names_the_size_with_its_end_alone_is_served_by_the_search_for_poison() {
    for answer in [Answer::Disconnect(0x95), Answer::Close] {
        let mut rig = Rig::new(move |_, publish| if publish.payload.len() > LIMIT { answer } else { TAKEN });
        (0..100).for_each(|n| rig.push_row(sized("t", n, if n == 50 { 3_000 } else { 100 })));
        rig.run_until(MINUTE);
        assert_eq!(rig.arrived("t").len(), 99, "{answer:?}");
        assert!(rig.core.stats().poison > 0);
    }
}

/// A hub that refuses one message of many in this way means that one: the others go on, also when it is the first of all.
#[test]
fn one_message_of_a_size_that_the_hub_takes_stops_no_other() {
    for (topics, bad, in_place) in
        [(10, 50, true), (10, 50, false), (1, 50, true), (10, 0, true), (1, 0, true)]
    {
        let mut rig = Rig::new(move |_, publish| if number(publish) == bad { TOO_LARGE } else { TAKEN });
        rig.core.spool_mut().in_place = in_place;
        (0..550).for_each(|n| rig.push_row(sized(&format!("t/{}", n % topics), n, 100)));
        rig.run_until(90 * SECOND);
        let stats = rig.core.stats();
        assert_eq!(stats.rows_delivered, 549, "{topics} {bad} {in_place}: {stats:?}");
        assert_eq!(stats.parked, 1, "{stats:?}");
        // New ones are taken at once.
        (550..600).for_each(|n| rig.push_row(sized(&format!("t/{}", n % topics), n, 100)));
        rig.run_until(rig.now_ms + 2 * SECOND);
        assert_eq!(rig.core.stats().rows_delivered, 599);
        rig.script = Box::new(|_, _| TAKEN);
        rig.run_until_empty(30 * MINUTE);
        rig.assert_all(600);
    }
}

/// A limit that is raised is noticed although the oldest parked message is larger still.
#[test]
fn a_limit_that_is_raised_a_little_lets_go_what_is_smaller() {
    for in_place in [false, true] {
        let (mut rig, _) = limited_hub();
        rig.core.spool_mut().in_place = in_place;
        rig.push_row(sized("t", 0, 20_000));
        (1..100).for_each(|n| rig.push_row(sized("t", n, 3_000)));
        rig.run_until(MINUTE);
        assert_eq!(rig.core.stats().parked, 100);
        rig.script = Box::new(|_, publish| if publish.payload.len() > 10_000 { TOO_LARGE } else { TAKEN });
        rig.run_until(20 * MINUTE);
        let mut arrived = rig.arrived("t");
        if !in_place {
            // Rows of such a spool change places when they are parked again.
            arrived.sort_unstable();
        }
        assert_eq!(arrived, (1..100).collect::<Vec<_>>());
        rig.script = Box::new(|_, _| TAKEN);
        rig.run_until_empty(60 * MINUTE);
        rig.assert_all(100);
    }
}

/// Several messages that a hub refuses whatever their size: the others wait for connections, and none of them for good.
#[test]
fn many_messages_refused_for_themselves_stop_no_other_for_good() {
    let mut rig = Rig::new(|_, publish| if number(publish) % 40 == 7 { TOO_LARGE } else { TAKEN });
    rig.core.spool_mut().in_place = true;
    (0..400).for_each(|n| rig.push_row(sized(&format!("t/{}", n % 7), n, 100)));
    rig.run_until(60 * MINUTE);
    assert_eq!(rig.core.stats().rows_delivered, 390, "{:?}", rig.core.stats());
    assert!(rig.dials < 120, "{} dials", rig.dials);
}
