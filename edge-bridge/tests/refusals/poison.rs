//! Poison messages: those at which the hub closes the connection.

use std::collections::HashSet;

use edge_bridge::bridge::UplinkEvent;
use edge_bridge::wire::{PropertyId, ReasonCode, Value};

use crate::random::Rng;
use crate::refusal_support::{Answer, Rig, TAKEN, number};
use crate::{MINUTE, QUOTA, SECOND};

/// A hub that closes on, or refuses, one payload. 500 rows behind it within 90 s, an alarm that comes meanwhile within 10 s.
#[test]
fn a_poison_message_stops_no_line() {
    let bad: [&[u32]; 4] = [&[0], &[100], &[0, 1, 2], &[3, 4, 90, 91, 300]];
    let answers = [
        Answer::Disconnect(0x81),
        Answer::Disconnect(0x95),
        Answer::Close,
        Answer::Ack(0x95),
        Answer::Ack(0xa0),
    ];
    for (answer, bad, receive_maximum, keeps_session) in answers.into_iter().flat_map(|answer| {
        bad.into_iter().flat_map(move |bad| {
            [(1, true), (20, true), (20, false), (1_000, true)].map(|(rm, keeps)| (answer, bad, rm, keeps))
        })
    }) {
        let case =
            format!("{answer:?} at {bad:?}, receive maximum {receive_maximum}, session kept {keeps_session}");
        let poison: HashSet<u32> = bad.iter().copied().collect();
        let known = poison.clone();
        let mut rig =
            Rig::new(move |_, publish| if known.contains(&number(publish)) { answer } else { TAKEN });
        rig.properties = vec![(PropertyId::ReceiveMaximum, Value::U16(receive_maximum))];
        rig.keeps_session = keeps_session;
        rig.latency_ms = if receive_maximum == 1 { 2 } else { 20 };
        rig.fill(500, 1);
        rig.run_until(SECOND);
        rig.push("alarm", 10_000);
        rig.run_until(11 * SECOND);
        if bad.len() < 3 {
            assert_eq!(rig.arrived("alarm"), [10_000], "{case}: alarm");
        }
        rig.run_until(91 * SECOND);
        let expected: HashSet<_> = (0..500).filter(|n| !poison.contains(n)).collect();
        let missing: Vec<_> =
            expected.difference(&rig.arrived("t/0").into_iter().collect()).copied().collect();
        assert!(missing.is_empty(), "{case}: {} missing, {:?}", missing.len(), rig.core.stats());
        assert_eq!(rig.arrived("alarm"), [10_000], "{case}");
        assert_eq!(rig.core.spool().len(), bad.len(), "{case}: none is lost");
        assert!(rig.told() < 20, "{case}: {:?}", rig.events);
        rig.script = Box::new(|_, _| TAKEN);
        rig.run_until_empty(25 * MINUTE);
        assert_eq!(rig.arrived("t/0").len(), 500, "{case}");
    }
}

/// A topic that was refused heals, and one of its messages is poison: the others, of which some are parked, do not wait for it.
#[test]
fn a_poison_message_of_a_topic_that_heals_stops_none_of_the_others() {
    for (answer, bad, receive_maximum) in [Answer::Disconnect(0x81), Answer::Close]
        .into_iter()
        .flat_map(|answer| [0, 3, 100].into_iter().flat_map(move |bad| [1, 20].map(|rm| (answer, bad, rm))))
    {
        let case = format!("{answer:?} at {bad}, receive maximum {receive_maximum}");
        let mut rig = Rig::new(move |now_ms, publish| match number(publish) {
            _ if now_ms < 5 * SECOND => QUOTA,
            n if n == bad => answer,
            _ => TAKEN,
        });
        rig.properties = vec![(PropertyId::ReceiveMaximum, Value::U16(receive_maximum))];
        rig.fill(500, 1);
        rig.run_until(10 * MINUTE);
        let arrived: HashSet<_> = rig.arrived("t/0").into_iter().collect();
        let missing = (0..500).filter(|n| *n != bad && !arrived.contains(n)).count();
        assert_eq!(missing, 0, "{case}: {:?}", rig.core.stats());
        rig.script = Box::new(|_, _| TAKEN);
        rig.run_until_empty(25 * MINUTE);
        assert_eq!(rig.arrived("t/0").len(), 500, "{case}");
    }
}

/// A hub that closes at one message, whatever it says then but for a takeover, which takes its time, gets the others, and that message once it is mended.
#[test]
fn a_message_that_the_hub_blames_on_something_else_stops_no_line() {
    let reasons = [0x9d, 0x9c, 0x97, 0x96, 0x98, 0x89, 0x8b, 0x00];
    let bad: [&[u32]; 3] = [&[0], &[100], &[3, 4]];
    for (reason, bad, receive_maximum) in reasons
        .into_iter()
        .flat_map(|reason| bad.into_iter().flat_map(move |bad| [1, 20, 1_000].map(|rm| (reason, bad, rm))))
    {
        let case = format!("{reason:#x} at {bad:?}, receive maximum {receive_maximum}");
        let mut rig =
            Rig::new(
                move |_, publish| {
                    if bad.contains(&number(publish)) { Answer::Disconnect(reason) } else { TAKEN }
                },
            );
        rig.properties = vec![(PropertyId::ReceiveMaximum, Value::U16(receive_maximum))];
        rig.fill(500, 1);
        rig.run_until(SECOND);
        rig.push("alarm", 10_000);
        rig.run_until(if bad.len() == 1 { 60 * SECOND } else { 150 * SECOND });
        let arrived = (rig.arrived("t/0").len(), rig.arrived("alarm").len());
        assert_eq!(arrived, (500 - bad.len(), 1), "{case}: {:?}", rig.core.stats());
        for n in 10_001..10_010 {
            rig.push("alarm", n);
            rig.run_until(rig.now_ms + 30 * SECOND);
            assert_eq!(rig.arrived("alarm").last(), Some(&n), "{case}: an alarm after it");
        }
        assert_eq!(rig.core.spool().len(), bad.len(), "{case}: none is lost");
        assert!(rig.dials < 60, "{case}: {} dials", rig.dials);
        rig.script = Box::new(|_, _| TAKEN);
        rig.run_until_empty(25 * MINUTE);
        assert_eq!(rig.arrived("t/0").len(), 500, "{case}");
    }
}

/// Two gateways of one name throw each other out: no message is to blame.
#[test]
fn two_clients_of_one_name_make_no_poison() {
    for every_ms in [None, Some(2 * SECOND)] {
        let mut rig = Rig::new(|_, _| TAKEN);
        let (mut random, mut out_ms) = (Rng::new(1), 0);
        for n in 0..3_000 {
            rig.latency_ms = 20 + random.below(480);
            rig.push(if n % 10 == 0 { "alarm" } else { "t/0" }, n);
            rig.run_until(rig.now_ms + 100);
            if rig.now_ms >= out_ms {
                out_ms = rig.now_ms + every_ms.unwrap_or_else(|| random.below(5 * SECOND));
                rig.throw_out(0x8e);
            }
        }
        assert!((4..16).contains(&rig.dials), "{} dials", rig.dials);
        assert_eq!((rig.core.stats().poison, rig.core.stats().parked), (0, 0));
        rig.run_until_empty(12 * MINUTE);
        rig.assert_all_in_order(3_000);
    }
}

/// The log names the poison message: its topic and the hub's reason.
#[test]
fn poison_is_named() {
    let mut rig =
        Rig::new(|_, publish| if publish.topic == "bad" { Answer::Disconnect(0x90) } else { TAKEN });
    rig.push("bad", 0);
    rig.push("good", 1);
    rig.run_until(2 * MINUTE);
    let named = rig.events.iter().any(|event| {
        matches!(event, UplinkEvent::Poison(refusal)
            if refusal.topic == "bad" && refusal.reason == ReasonCode::TOPIC_NAME_INVALID)
    });
    assert!(named, "{:?}", rig.events);
    // Found at first, and after 5 s; then, without an answer to another one since, after a minute.
    assert_eq!((rig.core.stats().poison, rig.arrived("good")), (3, vec![1]));
}

/// A hub's own protocol error in a message to us is not blamed on what is on its way; one in an answer may be about the message.
#[test]
fn a_protocol_error_of_the_hub_is_no_poison_unless_it_answers_a_message() {
    for receive_maximum in [1, 20] {
        // For a minute everything is answered by a malformed message to us.
        let mut rig = Rig::new(|now_ms, _| if now_ms < MINUTE { Answer::MalformedPublish } else { TAKEN });
        rig.properties = vec![(PropertyId::ReceiveMaximum, Value::U16(receive_maximum))];
        rig.fill(20, 1);
        rig.run_until_empty(2 * MINUTE);
        rig.assert_all_in_order(20);
        assert_eq!(rig.core.stats().poison, 0);
        assert!(rig.dials < 20, "{} dials", rig.dials);

        let mut rig = Rig::new(|_, publish| if number(publish) == 3 { Answer::MalformedAck } else { TAKEN });
        rig.properties = vec![(PropertyId::ReceiveMaximum, Value::U16(receive_maximum))];
        rig.fill(20, 1);
        rig.run_until(MINUTE);
        assert_eq!(rig.arrived("t/0").len(), 19, "{:?}", rig.core.stats());
        assert!(rig.core.stats().poison > 0);
    }
}

/// A hub that accepts and then throws us out whatever it gets: a bounded number of dials, nothing lost, all delivered when it heals.
#[test]
fn a_hub_that_closes_on_everything_loses_nothing() {
    for answer in [Answer::Close, Answer::Disconnect(0x80), Answer::Disconnect(0x89)] {
        let mut rig = Rig::new(move |_, _| answer);
        rig.fill(300, 3);
        rig.run_until(5 * MINUTE);
        assert!(rig.dials < 80, "{} dials", rig.dials);
        assert_eq!(rig.core.spool().len(), 300);
        rig.script = Box::new(|_, _| TAKEN);
        rig.run_until_empty(3 * MINUTE);
        rig.assert_all(300);
        assert!(rig.told() < 20, "{:?}", rig.events);
    }
}

/// Nobody is to look for a DISCONNECT that the hub never sent.
#[test]
fn the_end_of_a_connection_is_told_as_what_it_is() {
    for (answer, reason) in [
        (Answer::Close, ReasonCode::NO_REASON),
        (Answer::Disconnect(0x00), ReasonCode::NO_REASON),
        (Answer::Disconnect(0x80), ReasonCode::UNSPECIFIED_ERROR),
        (Answer::Disconnect(0x90), ReasonCode::TOPIC_NAME_INVALID),
        (Answer::MalformedAck, ReasonCode::BROKEN_ANSWER),
        (Answer::UnlistedAck, ReasonCode::BROKEN_ANSWER),
    ] {
        let mut rig = Rig::new(move |_, publish| if publish.topic == "bad" { answer } else { TAKEN });
        rig.push("bad", 0);
        rig.push("good", 1);
        rig.run_until(10 * MINUTE);
        let told = rig.events.iter().find_map(|event| match event {
            UplinkEvent::Poison(refusal) => Some(refusal.reason),
            _ => None,
        });
        assert_eq!(told, Some(reason), "{answer:?}");
        // Where this side closes, no line says that the hub does.
        let says_closed = rig.events.iter().any(|event| matches!(event, UplinkEvent::ClosedAt { .. }));
        assert_eq!(says_closed, reason != ReasonCode::BROKEN_ANSWER, "{answer:?}");
    }
    assert_eq!(ReasonCode::NO_REASON.to_string(), "0x7e Connection closed without a reason");
    assert_eq!(ReasonCode::BROKEN_ANSWER.to_string(), "0x7d Answer that broke the protocol");
}

/// Whatever code a hub makes up, nobody is to take it for a word of this side.
#[test]
fn no_answer_of_a_hub_reads_as_a_mark_of_this_side() {
    for code in 0x80..=0xff {
        let mut rig = Rig::new(move |_, _| Answer::Ack(code));
        rig.push("t/0", 0);
        rig.run_until(MINUTE / 60);
        let reason = rig.core.parked(rig.now()).topics[0].reason;
        let marks = [ReasonCode::NO_ANSWER, ReasonCode::NO_REASON, ReasonCode::BROKEN_ANSWER];
        assert!(reason.get() == code && !marks.contains(&reason), "{reason}");
        assert!(marks.iter().all(|mark| mark.name() != reason.name()), "{reason}");
    }
}

/// Ten messages, or thirty, of as many topics in a row, at each of which the hub closes, and ten readings a second behind them: those come all the time
/// but for the search, which is the slower the more connections it has cost. Each of the messages is tried again, and stops them no more.
#[test]
fn many_poison_messages_in_a_row_stop_the_others_while_they_are_looked_for() {
    for (bad, answer, most_away, most_dials) in [
        (10_u32, Answer::Close, 10, 30),
        (10, Answer::Disconnect(0x81), 10, 30),
        (30, Answer::Close, 240, 60),
    ] {
        let case = format!("{bad} {answer:?}");
        let mut rig = Rig::new(move |_, publish| match publish.topic.as_str().starts_with("bad/") {
            true => answer,
            false => TAKEN,
        });
        rig.fill(20, 1);
        rig.run_until(SECOND);
        (0..bad).for_each(|n| rig.push(&format!("bad/{n}"), 100_000 + n));
        let (mut away, mut longest, mut last) = (0, 0, rig.now_ms);
        for n in 0..9_000 {
            rig.push("live", n);
            rig.run_until(rig.now_ms + 100);
            // A reading that is not there within two seconds is late.
            let is_late = rig.arrived("live").len() as u32 + 20 < n;
            away += u64::from(is_late);
            if !is_late {
                last = rig.now_ms;
            }
            longest = longest.max(rig.now_ms - last);
        }
        let stats = format!("{case}: away {} s, longest {longest} ms, {} dials", away / 10, rig.dials);
        assert!(longest < most_away * SECOND && away / 10 < most_away, "{stats}");
        assert!(rig.dials < most_dials, "{stats}");
        assert_eq!(rig.core.spool().len() as u32, bad, "{case}: none is lost");
        rig.script = Box::new(|_, _| TAKEN);
        rig.run_until_empty(60 * MINUTE);
        let arrived = (0..bad).filter(|n| !rig.arrived(&format!("bad/{n}")).is_empty()).count();
        assert_eq!(arrived as u32, bad, "{case}");
    }
}

/// The hub closes at the oldest for ever, and was itself at fault when it closed at others: those are tried again although the oldest is, too.
#[test]
fn a_message_that_stays_poison_takes_no_turn_from_the_others() {
    for in_place in [false, true] {
        let mut rig = Rig::new(|now_ms, publish| match publish.topic.as_str() {
            "bad" => Answer::Close,
            topic if topic.starts_with("was/") && now_ms < MINUTE => Answer::Close,
            _ => TAKEN,
        });
        rig.core.spool_mut().in_place = in_place;
        rig.push("bad", 0);
        (1..8).for_each(|n| rig.push(&format!("was/{n}"), n));
        for n in 0..360 {
            rig.push("live", 1_000 + n);
            rig.run_until(rig.now_ms + 10 * SECOND);
        }
        let arrived = (1..8).filter(|n| !rig.arrived(&format!("was/{n}")).is_empty()).count();
        assert_eq!((arrived, rig.arrived("live").len()), (7, 360), "in place: {in_place}");
        assert_eq!(rig.core.spool().len(), 1, "the first is kept");
    }
}
