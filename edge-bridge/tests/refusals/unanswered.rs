//! Messages that the hub never answers, against a scripted hub in virtual time: parked where it answers younger ones, and only there. Promises 4, 12.

use crate::refusal_support::{Answer, Rig, TAKEN, number, text};
use bytes::Bytes;
use edge_bridge::Row;
use edge_bridge::bridge::UplinkEvent;
use edge_bridge::wire::{PropertyId, ReasonCode, Value};

const SECOND: u64 = 1_000;
const MINUTE: u64 = 60 * SECOND;
/// Three times the patience with a hub that answers others, and the time to connect again.
const FOUND_MS: u64 = 3 * 30 * SECOND + 5 * SECOND;

fn receive_maximum(rig: &mut Rig, maximum: u16) {
    rig.properties = vec![(PropertyId::ReceiveMaximum, Value::U16(maximum))];
}

/// Pushes a message of the topic `live` every 200 ms, which is to arrive within `within_ms`. Returns the next number.
fn live(rig: &mut Rig, first: u32, for_ms: u64, within_ms: u64) -> u32 {
    let behind = usize::try_from(within_ms / 200).unwrap();
    let (end_ms, mut n, before) = (rig.now_ms + for_ms, first, rig.arrived("live").len());
    while rig.now_ms < end_ms {
        rig.push("live", n);
        n += 1;
        rig.run_until(rig.now_ms + 200);
        let (pushed, arrived) = ((n - first) as usize, rig.arrived("live").len() - before);
        assert!(arrived + behind >= pushed, "{pushed} pushed, {arrived} there: {:?}", rig.core.stats());
    }
    n
}

fn told(rig: &Rig) -> Vec<(String, ReasonCode)> {
    let refusals = rig.events.iter().filter_map(|event| match event {
        UplinkEvent::Unanswered(refusal) => Some((refusal.topic.to_string(), refusal.reason)),
        _ => None,
    });
    refusals.collect()
}

/// One message of a backlog: parked after three connections, told once, and delivered once the hub answers it. Nothing else waits longer than
/// for a new connection.
#[test]
fn a_message_that_the_hub_never_answers_is_parked() {
    for (maximum, keeps_session, bad) in
        [(2, true, 3), (20, true, 3), (20, false, 3), (1_000, true, 0), (1_000, false, 499)]
    {
        let case = format!("receive maximum {maximum}, session kept {keeps_session}, message {bad}");
        let mut rig = Rig::new(move |_, publish| if number(publish) == bad { Answer::Silent } else { TAKEN });
        receive_maximum(&mut rig, maximum);
        rig.keeps_session = keeps_session;
        rig.latency_ms = if maximum == 2 { 2 } else { 20 };
        rig.fill(500, 1);
        rig.run_until(5 * SECOND);
        assert_eq!(rig.arrived("t/0").len(), 499, "{case}: none waits for it, {:?}", rig.core.stats());
        let next = live(&mut rig, 500, FOUND_MS - 5 * SECOND, 2 * SECOND);
        assert_eq!((rig.core.spool().len(), rig.core.stats().parked), (1, 1), "{case}: in time");
        assert_eq!(told(&rig), [("t/0".to_owned(), ReasonCode::NO_ANSWER)], "{case}");
        assert_eq!(rig.core.parked(rig.now()).topics[0].reason, ReasonCode::NO_ANSWER, "{case}");
        let next = live(&mut rig, next, 30 * MINUTE, 2 * SECOND);
        assert!(rig.dials < 12, "{case}: {} dials", rig.dials);
        assert_eq!((rig.core.spool().len(), rig.core.stats().parked), (1, 1), "{case}: nothing is lost");
        assert!(rig.told() < 12, "{case}: {:?}", rig.events);
        rig.script = Box::new(|_, _| TAKEN);
        rig.run_until_empty(11 * MINUTE);
        rig.assert_all(next as usize);
    }
}

/// Many of them, with a window that they would fill: the others arrive, within 90 s.
#[test]
fn many_messages_without_an_answer_do_not_fill_the_window_for_good() {
    for (maximum, every) in [(10, 10), (20, 10), (20, 5), (1_000, 10)] {
        let case = format!("receive maximum {maximum}, one of {every}");
        let mut rig = Rig::new(move |_, publish| if publish.topic == "t/0" { Answer::Silent } else { TAKEN });
        receive_maximum(&mut rig, maximum);
        let mut n = 0;
        while rig.now_ms < 15 * MINUTE {
            rig.push(&format!("t/{}", n % every), n);
            n += 1;
            rig.run_until(rig.now_ms + SECOND);
        }
        rig.run_until(rig.now_ms + 90 * SECOND);
        let others = (0..n).filter(|n| n % every != 0).count();
        assert_eq!(rig.delivered.len(), others, "{case}: {:?}", rig.core.stats());
        assert_eq!(rig.core.spool().len(), n as usize - others, "{case}: nothing is lost");
        assert!(rig.told() < 20, "{case}: {:?}", rig.events);
        // However many are parked, one at a time is tried.
        let dials = rig.dials;
        let n = live(&mut rig, n, 30 * MINUTE, 2 * SECOND);
        assert!(rig.dials - dials < 12, "{case}: {} dials", rig.dials - dials);
        rig.script = Box::new(|_, _| TAKEN);
        rig.run_until_empty(21 * MINUTE);
        rig.assert_all(n as usize);
    }
}

/// A run of them as long as the window, others between them: half of it is given free with each connection.
#[test]
fn a_window_full_of_messages_without_an_answer_is_given_free() {
    let mut rig = Rig::new(|_, publish| if publish.topic == "t/0" { Answer::Silent } else { TAKEN });
    receive_maximum(&mut rig, 10);
    rig.fill(40, 2);
    rig.run_until(3 * MINUTE);
    assert_eq!(rig.arrived("t/1").len(), 20, "{:?}", rig.core.stats());
    assert_eq!(rig.core.spool().len(), 20, "nothing is lost");
}

/// A message larger than the window of bytes keeps others back once, and not for ever.
#[test]
fn a_large_message_without_an_answer_lets_others_by() {
    let mut rig = Rig::new(|_, publish| if number(publish) == 0 { Answer::Silent } else { TAKEN });
    rig.push_row(Row::new(text("t/0"), Bytes::from(format!("0 {}", "x".repeat(300_000)))));
    rig.run_until(SECOND);
    let next = live(&mut rig, 1, 35 * SECOND, 32 * SECOND);
    let next = live(&mut rig, next, FOUND_MS, 2 * SECOND);
    assert_eq!((rig.core.spool().len(), rig.core.stats().parked), (1, 1), "{:?}", rig.core.stats());
    live(&mut rig, next, 30 * MINUTE, 2 * SECOND);
    assert_eq!((rig.core.spool().len(), rig.core.stats().parked), (1, 1), "nothing is lost");
}

/// Beside a message at which the hub closes, while messages go one by one.
#[test]
fn a_message_without_an_answer_among_others_at_which_the_hub_closes() {
    for (closes_at, silent) in [(100, 101), (101, 100), (100, 110)] {
        let mut rig = Rig::new(move |_, publish| match number(publish) {
            n if n == closes_at => Answer::Close,
            n if n == silent => Answer::Silent,
            _ => TAKEN,
        });
        receive_maximum(&mut rig, 20);
        rig.fill(500, 1);
        rig.run_until(4 * MINUTE);
        assert_eq!(rig.arrived("t/0").len(), 498, "{closes_at}, {silent}: {:?}", rig.core.stats());
        live(&mut rig, 500, 10 * MINUTE, 65 * SECOND);
        assert_eq!((rig.core.spool().len(), rig.core.stats().parked), (2, 2), "{closes_at}, {silent}");
    }
}

/// After a crash nothing is known of it: the next process, with what was left, counts anew.
#[test]
fn a_new_process_finds_it_again() {
    let (mut first, mut left) = (0, vec![3]);
    for (for_ms, parked) in [(70 * SECOND, 0), (70 * SECOND, 0), (FOUND_MS, 1)] {
        let mut rig = Rig::new(|_, publish| if number(publish) == 3 { Answer::Silent } else { TAKEN });
        left.iter().for_each(|n| rig.push("t/0", *n));
        first = live(&mut rig, first + 10, for_ms, 2 * SECOND);
        assert_eq!(rig.core.stats().parked, parked);
        left = [3].into_iter().chain(first - 5..first).collect();
    }
}

/// A hub that is slow, or whose answers come in any order, is told of nothing and gets each message once.
#[test]
fn a_slow_hub_makes_no_poison() {
    let late: [fn(u32) -> u64; 4] = [
        |_| 20 * SECOND,
        |n| if n % 10 == 3 { 25 * SECOND } else { 0 },
        |n| u64::from(n.wrapping_mul(2_654_435_761) >> 8) % (28 * SECOND),
        |n| 10 * SECOND - u64::from(n % 10) * SECOND,
    ];
    for (case, late) in late.into_iter().enumerate() {
        for maximum in [20, 1_000] {
            let mut rig = Rig::new(move |_, publish| Answer::Late(late(number(publish))));
            receive_maximum(&mut rig, maximum);
            let mut n = 0;
            while rig.now_ms < 30 * MINUTE {
                rig.push(&format!("t/{}", n % 10), n);
                n += 1;
                rig.run_until(rig.now_ms + 2 * SECOND);
                assert_eq!(rig.core.stats().parked, 0, "{case}, {maximum}");
            }
            rig.run_until_empty(MINUTE);
            rig.assert_all(n as usize);
            assert_eq!((rig.core.stats().poison, rig.dials, rig.told()), (0, 1, 0), "{case}, {maximum}");
        }
    }
}

/// A message that was passed over once, or shortly before a link went silent, is not parked for connections on which nothing is answered.
#[test]
fn answers_of_another_time_are_no_evidence() {
    let mut rig = Rig::new(|_, publish| if number(publish) == 0 { Answer::Silent } else { TAKEN });
    rig.push("t/0", 0);
    let next = live(&mut rig, 1, 35 * SECOND, 2 * SECOND);
    assert_eq!(rig.dials, 2, "given up for it once");
    rig.script = Box::new(|_, _| Answer::Silent);
    for n in next..next + 1_000 {
        rig.push("live", n);
        rig.run_until(rig.now_ms + SECOND);
    }
    assert_eq!((rig.dials > 4, rig.core.stats().poison), (true, 0), "{:?}", rig.core.stats());

    let mut rig = Rig::new(|_, publish| if number(publish) == 0 { Answer::Silent } else { TAKEN });
    rig.push("t/0", 0);
    let mut next = 1;
    for _ in 0..10 {
        next = live(&mut rig, next, 3 * SECOND, 3 * SECOND);
        rig.is_mute = true;
        rig.run_until(rig.now_ms + 10 * SECOND);
        rig.is_mute = false;
        rig.run_until(rig.now_ms + 10 * SECOND);
    }
    assert_eq!((rig.dials > 9, rig.core.stats().poison), (true, 0), "{:?}", rig.core.stats());
}

/// A hub that answers no message, or nothing at all, even after it answered a few out of order on each connection: nothing is parked, all waits.
#[test]
fn a_hub_that_answers_nothing_makes_no_poison() {
    #[derive(Debug, Clone, Copy)]
    enum Fault {
        Overloaded,
        HalfOpen,
        HalfOpenInTurns,
        Gone,
    }
    for (fault, maximum) in [Fault::Overloaded, Fault::HalfOpen, Fault::HalfOpenInTurns, Fault::Gone]
        .into_iter()
        .flat_map(|fault| [1, 20, 1_000].map(|rm| (fault, rm)))
    {
        let case = format!("{fault:?}, receive maximum {maximum}");
        // One of ten is answered late, so that younger ones are first.
        let answer = |n: u32| Answer::Late(if n.is_multiple_of(10) { 2 * SECOND } else { 0 });
        let mut rig = Rig::new(move |_, publish| answer(number(publish)));
        receive_maximum(&mut rig, maximum);
        let mut n = 0;
        let mut push = |rig: &mut Rig, for_ms: u64| {
            let end_ms = rig.now_ms + for_ms;
            while rig.now_ms < end_ms {
                rig.push(&format!("t/{}", n % 10), n);
                n += 1;
                rig.run_until(rig.now_ms + 300);
                assert_eq!((rig.core.stats().parked, rig.core.stats().poison), (0, 0), "{case}");
            }
        };
        push(&mut rig, 10 * SECOND);
        for turn in 0..20 {
            match fault {
                Fault::Overloaded => rig.script = Box::new(|_, _| Answer::Silent),
                Fault::HalfOpen => rig.is_mute = true,
                Fault::HalfOpenInTurns => rig.is_mute = turn % 2 == 0,
                Fault::Gone => {
                    rig.hub_is_gone = true;
                    rig.cut();
                }
            }
            let is_short = matches!(fault, Fault::HalfOpenInTurns);
            push(&mut rig, if is_short { 7 * SECOND } else { 3 * MINUTE });
        }
        (rig.is_mute, rig.hub_is_gone) = (false, false);
        rig.script = Box::new(|_, _| TAKEN);
        rig.run_until_empty(20 * MINUTE);
        rig.assert_all(n as usize);
        assert_eq!((rig.core.stats().poison, told(&rig).len()), (0, 0), "{case}");
    }
}
