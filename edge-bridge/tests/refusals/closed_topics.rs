//! Topics at which the hub closes the connection instead of refusing them.

use edge_bridge::bridge::UplinkEvent;
use edge_bridge::wire::{PropertyId, Value};

use crate::refusal_support::{Answer, Rig, TAKEN, number};
use crate::{MINUTE, SECOND};

/// Pushes ten messages a second, among them one for a topic of `bad`, and calls `each` behind each.
fn push_some(rig: &mut Rig, minutes: u64, bad: impl Fn(u32) -> String, mut each: impl FnMut(&mut Rig, u32)) {
    for n in 0.. {
        if rig.now_ms >= minutes * MINUTE {
            break;
        }
        let topic = if n % 10 == 3 { bad(n) } else { "good".to_owned() };
        rig.push(&topic, n);
        rig.run_until(rig.now_ms + 100);
        each(rig, n);
    }
}

fn refused(rig: &Rig) -> usize {
    rig.events.iter().filter(|event| matches!(event, UplinkEvent::TopicRefused(_))).count()
}

/// It was: each message for itself, and about three connections a second for as long as such messages came.
#[test]
fn a_topic_at_which_the_hub_closes_costs_few_connections_and_delays_no_other() {
    let answers = [Answer::Disconnect(0x87), Answer::Close, Answer::Disconnect(0x97)];
    for (answer, receive_maximum) in
        answers.into_iter().flat_map(|answer| [1, 20, 1_000].map(|maximum| (answer, maximum)))
    {
        let case = format!("{answer:?}, receive maximum {receive_maximum}");
        let mut rig = Rig::new(move |_, publish| if publish.topic == "bad" { answer } else { TAKEN });
        rig.properties = vec![(PropertyId::ReceiveMaximum, Value::U16(receive_maximum))];
        let (mut pushed, mut late_ms) = (0, 0);
        push_some(
            &mut rig,
            10,
            |_| "bad".to_owned(),
            |rig, n| {
                pushed += 1;
                if n % 50 == 7 {
                    rig.push("alarm", 100_000 + n);
                    pushed += 1;
                    let pushed_ms = rig.now_ms;
                    while rig.arrived("alarm").last() != Some(&(100_000 + n)) {
                        rig.run_until(rig.now_ms + 50);
                        assert!(rig.now_ms < pushed_ms + MINUTE, "{case}: {:?}", rig.core.stats());
                    }
                    late_ms = late_ms.max(rig.now_ms - pushed_ms);
                }
            },
        );
        assert!(rig.dials < 25, "{case}: {} dials", rig.dials);
        // A reason that names another cause takes six closes, as far apart as the back-off says.
        let limit_ms = if answer == Answer::Disconnect(0x97) { 30 * SECOND } else { 3 * SECOND };
        assert!(late_ms < limit_ms, "{case}: {late_ms} ms");
        assert_eq!(refused(&rig), 1, "{case}: {:?}", rig.events);
        assert_eq!(rig.core.stats().refused_topics, 1, "{case}");
        rig.script = Box::new(|_, _| TAKEN);
        rig.run_until_empty(25 * MINUTE);
        assert_eq!(rig.delivered.len(), pushed, "{case}: none is lost");
    }
}

/// Hub that closes at ever new topics, as one with a denied prefix. It acknowledges others on each connection.
#[test]
fn closes_at_ever_new_messages_let_the_back_off_grow() {
    let is_bad = |n: u32| n % 10 == 3;
    for answer in [Answer::Disconnect(0x87), Answer::Close] {
        let mut rig = Rig::new(move |_, publish| if is_bad(number(publish)) { answer } else { TAKEN });
        let mut pushed = 0;
        push_some(&mut rig, 5, |n| format!("bad/{n}"), |_, _| pushed += 1);
        assert!(rig.dials < 100, "{answer:?}: {} dials", rig.dials);
        rig.script = Box::new(|_, _| TAKEN);
        rig.run_until_empty(25 * MINUTE);
        assert_eq!(rig.delivered.len(), pushed, "{answer:?}: none is lost");
    }
}

/// A backlog that begins with messages of many denied topics, with none of another between them, and new messages behind it.
#[test]
fn a_backlog_that_begins_with_denied_topics_stops_no_other_for_good() {
    for (receive_maximum, rows_each) in [(1, 1), (20, 1), (20, 2), (1_000, 3)] {
        let mut rig =
            Rig::new(|_, publish| if publish.topic.starts_with("bad/") { Answer::Close } else { TAKEN });
        rig.properties = vec![(PropertyId::ReceiveMaximum, Value::U16(receive_maximum))];
        let case = format!("{rows_each} of each, receive maximum {receive_maximum}");
        let bad = 20 * rows_each;
        (0..bad).for_each(|n| rig.push(&format!("bad/{}", n / rows_each), n));
        (0..50).for_each(|n| rig.push("good", 1_000 + n));
        rig.run_until(30 * MINUTE);
        assert_eq!(rig.arrived("good").len(), 50, "{case}: {:?}", rig.core.stats());
        let mut late_ms = 0;
        for n in 0..60 {
            rig.push("good", 2_000 + n);
            let pushed_ms = rig.now_ms;
            while rig.arrived("good").last() != Some(&(2_000 + n)) {
                rig.run_until(rig.now_ms + SECOND);
                assert!(rig.now_ms < pushed_ms + 30 * MINUTE, "{case}: {:?}", rig.core.stats());
            }
            late_ms = late_ms.max(rig.now_ms - pushed_ms);
            rig.run_until(pushed_ms + MINUTE);
        }
        println!("{case}: {late_ms} ms late, {} dials", rig.dials);
        rig.script = Box::new(|_, _| TAKEN);
        rig.run_until_empty(25 * MINUTE);
        rig.assert_all(bad as usize + 110);
    }
}

/// A message of such a topic that is bad by itself does not decide for the others.
/// More bad messages than are held as probes at a time.
#[test]
fn a_topic_with_many_bad_messages_goes_on() {
    let mut rig = Rig::new(|_, publish| if number(publish) < 12 { Answer::Close } else { TAKEN });
    rig.fill(200, 1);
    rig.run_until(120 * MINUTE);
    assert_eq!(rig.arrived("t/0").len(), 188, "{:?}", rig.core.stats());
}

#[test]
fn a_topic_with_some_bad_messages_goes_on() {
    let mut rig = Rig::new(|_, publish| if number(publish) < 5 { Answer::Close } else { TAKEN });
    rig.fill(200, 1);
    rig.run_until(2 * MINUTE);
    assert_eq!(rig.arrived("t/0").len(), 195, "{:?}", rig.core.stats());
    rig.script = Box::new(|_, _| TAKEN);
    rig.run_until_empty(25 * MINUTE);
    rig.assert_all(200);
}
