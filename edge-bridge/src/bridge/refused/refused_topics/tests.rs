use crate::bridge::packing::pack::Packed;
use crate::bridge::spool::MemorySpool;

use super::*;

mod held;

fn name() -> Utf8 {
    Utf8::from_static("t")
}

fn refuse(refusals: &mut Refusals, now_ms: u64, serial: u64) {
    let packed = Packed::of_rows(name(), Vec::new());
    let message = Message::new(packed, serial, false);
    assert!(refusals.on_refused(now_ms, message, ReasonCode::QUOTA_EXCEEDED, 0).is_none());
}

fn probe(refusals: &mut Refusals, now_ms: u64) -> Option<u64> {
    refusals.next_attempt(now_ms).map(|message| message.serial)
}

/// A topic with two held messages, of which the older one was refused a moment ago in an attempt that may send both.
fn in_an_attempt() -> (Refusals, u64) {
    let mut refusals = Refusals::new(1);
    (1..=2).for_each(|serial| refuse(&mut refusals, 0, serial));
    let mut now_ms = 0;
    for _ in 0..2 {
        now_ms = refusals.next_deadline().unwrap();
        assert_eq!(probe(&mut refusals, now_ms), Some(1));
        refuse(&mut refusals, now_ms, 1);
    }
    (refusals, now_ms)
}

#[test]
fn a_message_that_is_refused_in_the_attempt_of_a_success_is_bad() {
    let (mut refusals, now_ms) = in_an_attempt();
    assert_eq!(probe(&mut refusals, now_ms), Some(2));
    let healed = refusals.on_accepted(&name()).unwrap();
    assert_eq!((healed.bad.len(), healed.again.len()), (1, 0));
}

#[test]
fn an_interrupted_attempt_begins_anew_with_the_oldest() {
    let (mut refusals, now_ms) = in_an_attempt();
    assert_eq!(probe(&mut refusals, now_ms + 500), Some(1), "the hub may have changed its mind");
    let healed = refusals.on_accepted(&name()).unwrap();
    assert_eq!((healed.bad.len(), healed.again.len()), (0, 1));
}

fn message_of(topic: &Utf8, serial: u64, bytes: u64) -> Message {
    let packed = Packed::of_rows(topic.clone(), Vec::new());
    Message { bytes, ..Message::new(packed, serial, false) }
}

fn message(serial: u64, bytes: u64) -> Message {
    message_of(&name(), serial, bytes)
}

fn swept(serial: u64) -> Message {
    Message { swept: true, ..message(serial, 1) }
}

/// A topic in back-off, of which so many messages are on their way.
fn refused(out: usize) -> Refusals {
    let mut refusals = Refusals::new(1);
    assert!(refusals.add(0, &name(), ReasonCode::QUOTA_EXCEEDED, out));
    refusals
}

/// One that holds so many messages of so many bytes.
fn holding(out: usize, messages: u64, bytes: u64) -> Refusals {
    let mut refusals = refused(out);
    let topic = refusals.topics.get_mut(&name()).unwrap();
    (1..=messages).for_each(|serial| topic.hold(message(serial, bytes), None));
    refusals.held_bytes = messages * bytes;
    refusals
}

#[test]
fn the_list_says_when_a_topic_is_tried_again() {
    let refusals = refused(0);
    let due_ms = refusals.next_deadline().unwrap();
    let retry_in_ms = |now_ms| refusals.list(now_ms, &MemorySpool::new(1, 1))[0].retry_in_ms;
    assert_eq!((retry_in_ms(0), retry_in_ms(due_ms - 1)), (Some(due_ms), Some(1)));
    assert_eq!(retry_in_ms(due_ms + 1), Some(0));
}

/// Parked rows as the list says them.
fn listed(refusals: &Refusals) -> u64 {
    refusals.list(0, &MemorySpool::new(1, 1))[0].parked
}

fn serials(messages: &[Message]) -> Vec<u64> {
    messages.iter().map(|message| message.serial).collect()
}

#[test]
fn eight_messages_are_held_then_the_topic_is_parked_once_all_are_answered() {
    for (out, messages, parks) in [(0, 8, true), (0, 9, true), (0, 7, false), (1, 9, false)] {
        assert_eq!(holding(out, messages, 1).parks(&name(), false).is_some(), parks, "{out} {messages}");
    }
    let mut refusals = holding(0, 8, 1);
    refusals.topics.get_mut(&name()).unwrap().phase = Phase::Healing;
    assert!(refusals.parks(&name(), false).is_none(), "it is taken again");
}

#[test]
fn topics_that_are_taken_again_are_not_counted_as_refused() {
    let mut refusals = refused(0);
    assert_eq!((refusals.refused_topics(), refusals.is_refused(&name())), (1, true));
    refusals.on_parked(&name(), 1);
    assert!(refusals.on_accepted(&name()).is_some());
    assert_eq!((refusals.refused_topics(), refusals.is_refused(&name())), (0, false));
    assert!(refusals.knows(&name()));
}

#[test]
fn a_new_topic_finds_room_up_to_the_limits() {
    let mut refusals = Refusals::new(1);
    let topic = |n: usize| Utf8::try_from(format!("t/{n}").as_str()).unwrap();
    let add = |refusals: &mut Refusals, n| refusals.add(0, &topic(n), ReasonCode::QUOTA_EXCEEDED, 0);
    assert!((0..TOPICS_MAX).all(|n| add(&mut refusals, n)));
    assert!(!add(&mut refusals, TOPICS_MAX) && add(&mut refusals, 0), "one of them has its room");
    let mut refusals = Refusals::new(1);
    for (held_bytes, finds) in
        [(HELD_BYTES_MAX, true), (HELD_BYTES_MAX + 1, false), (HELD_BYTES_MAX + 2, false)]
    {
        refusals.held_bytes = held_bytes;
        assert_eq!(add(&mut refusals, usize::try_from(held_bytes).unwrap()), finds);
    }
}

#[test]
fn each_attempt_sends_more_messages_up_to_eight() {
    let mut refusals = holding(0, 20, 1);
    let mut now_ms = 0;
    let sent: Vec<usize> = (0..6)
        .map(|_| {
            now_ms = refusals.next_deadline().unwrap();
            let mut sent = 0;
            while let Some(serial) = probe(&mut refusals, now_ms) {
                assert_eq!(refusals.next_deadline(), None, "one at a time");
                refuse(&mut refusals, now_ms, serial);
                sent += 1;
                let goes_on = refusals.next_deadline() == Some(0);
                assert_eq!(goes_on, sent < [1, 2, 4, 8, 8, 8][refusals.topics[&name()].attempt as usize - 1]);
            }
            sent
        })
        .collect();
    assert_eq!(sent, [1, 2, 4, 8, 8, 8]);
}

#[test]
fn an_attempt_is_over_when_all_that_is_held_was_sent() {
    let mut refusals = holding(0, 1, 1);
    for _ in 0..4 {
        let now_ms = refusals.next_deadline().unwrap();
        assert_eq!(probe(&mut refusals, now_ms), Some(1));
        refuse(&mut refusals, now_ms, 1);
        assert!(refusals.next_deadline().is_some_and(|due_ms| due_ms > now_ms), "it has had its turn");
        assert_eq!(probe(&mut refusals, now_ms + 1), None);
    }
}

#[test]
fn a_message_that_was_refused_before_an_interruption_is_not_bad() {
    let mut refusals = holding(0, 3, 1);
    let mut now_ms = 0;
    for serials in [&[1][..], &[1, 2], &[1]] {
        now_ms = refusals.next_deadline().unwrap().max(now_ms);
        for serial in serials {
            assert_eq!(probe(&mut refusals, now_ms), Some(*serial));
            refuse(&mut refusals, now_ms, *serial);
        }
    }
    assert_eq!(probe(&mut refusals, now_ms + 500), Some(1));
    let healed = refusals.on_accepted(&name()).unwrap();
    assert_eq!((healed.bad.len(), serials(&healed.again)), (0, vec![2, 3]));
}

#[test]
fn an_answer_after_the_end_of_the_attempts_says_nothing_of_those_refused_before() {
    let (mut refusals, now_ms) = in_an_attempt();
    assert_eq!(probe(&mut refusals, now_ms), Some(2));
    refusals.end_attempts();
    let healed = refusals.on_accepted(&name()).unwrap();
    assert_eq!((healed.bad.len(), healed.again.len()), (0, 1));
}

#[test]
fn a_topic_of_which_all_that_was_held_expired_probes_with_a_parked_row() {
    for parked in [0, 3] {
        let mut refusals = refused(0);
        refusals.on_parked(&name(), parked);
        let due_ms = refusals.next_deadline().unwrap();
        assert_eq!(probe(&mut refusals, due_ms), None);
        assert_eq!(refusals.knows(&name()), parked > 0);
        assert_eq!([refusals.take_sweep_wanted(), refusals.take_sweep_wanted()], [parked > 0, false]);
    }
}

#[test]
fn a_topic_with_parked_rows_is_forgotten_when_a_sweep_has_passed_them() {
    let mut refusals = refused(0);
    refusals.on_parked(&name(), 5);
    assert!(refusals.on_accepted(&name()).is_some() && refusals.take_sweep_wanted());
    refusals.on_sweep_begins(true);
    (0..4).for_each(|_| refusals.on_swept(&name()));
    assert_eq!(listed(&refusals), 1);
    refusals.on_parked(&name(), 2);
    refusals.on_left(&name(), 1);
    assert_eq!(listed(&refusals), 2);
    refusals.on_sweep_over();
    assert_eq!(listed(&refusals), 1, "one expired, two were parked since, one of these is in its place");
    assert!(refusals.take_sweep_wanted(), "those wait for the next");
    refusals.on_sweep_begins(true);
    refusals.on_sweep_over();
    assert!(!refusals.knows(&name()) && !refusals.take_sweep_wanted());
}

#[test]
fn what_a_sweep_meets_goes_behind_what_it_has_parked_again() {
    let mut refusals = refused(0);
    refusals.on_parked(&name(), 1);
    assert!(refusals.parks(&name(), true).is_none());
    refusals.on_passed(&name());
    refusals.on_parked(&name(), 1);
    assert!(refusals.parks(&name(), true).is_some());
    refusals.on_sweep_over();
    assert!(refusals.parks(&name(), true).is_some(), "rows that it met may still be in an open batch");
    refusals.on_sweep_begins(true);
    assert!(refusals.parks(&name(), true).is_none());
}

#[test]
fn a_healing_topic_that_is_refused_again_waits_for_what_is_on_its_way() {
    for is_bad in [true, false] {
        let mut refusals = holding(1, 2, 1);
        refusals.on_parked(&name(), 1);
        let topic = refusals.topics.get_mut(&name()).unwrap();
        for _ in 0..6 {
            topic.backoff.next_ms();
        }
        topic.attempt = 5;
        topic.held[0].refused_in = is_bad.then_some(5);
        let healed = refusals.on_accepted(&name()).unwrap();
        assert_eq!(healed.bad.len(), usize::from(is_bad));
        refusals.on_out(&name());
        refuse(&mut refusals, 90_000, 9);
        assert_eq!(refusals.next_deadline(), None, "what was held is on its way");
        let again = healed.again.len();
        (0..again).for_each(|_| refusals.on_gone(&name()));
        let due_ms = refusals.next_deadline().unwrap();
        assert!(due_ms > 90_000 && (due_ms <= 91_000) == is_bad, "{due_ms}: with a good reason soon");
        assert_eq!(refusals.topics[&name()].attempt, 6, "what was refused before is of another attempt");
    }
}

#[test]
fn rows_that_wait_to_be_parked_are_counted_by_topic() {
    let mut refusals = refused(1);
    assert!(!refusals.has_deferred(&name()) && refusals.is_settled(&name()));
    refusals.on_deferred(&name(), 2);
    assert!(refusals.has_deferred(&name()) && refusals.parks(&name(), false).is_some());
    refusals.on_not_deferred(&name(), 2);
    assert!(!refusals.has_deferred(&name()));
    for (out, messages, is_settled) in [(1, 7, true), (1, 8, false), (0, 9, false), (9, 0, false)] {
        let refusals = holding(out, messages, 1);
        assert_eq!((refusals.is_settled(&name()), refusals.all_settled()), (is_settled, is_settled));
    }
}

#[test]
fn the_end_of_a_refusal_is_told_if_the_refusal_was() {
    for is_told in [false, true] {
        let mut refusals = refused(1);
        if is_told {
            refusals.say(&name());
        }
        assert_eq!(refusals.is_said(&name()), is_told);
        assert_eq!(refusals.on_accepted(&name()).map(|healed| healed.said), Some(is_told));
    }
}

#[test]
fn parked_rows_that_are_sent_while_a_topic_heals_are_waited_for() {
    let mut refusals = refused(1);
    refusals.on_parked(&name(), 9);
    assert!(refusals.on_accepted(&name()).is_some());
    for serial in 1..=2 {
        assert!(matches!(refusals.route(swept(serial)), Route::Send(_)));
    }
    refuse(&mut refusals, 0, 1);
    assert_eq!(refusals.next_deadline(), None, "the other one has no answer");
    refuse(&mut refusals, 0, 2);
    assert!(refusals.next_deadline().is_some());
}
