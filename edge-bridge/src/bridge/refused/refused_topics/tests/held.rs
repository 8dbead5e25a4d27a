//! Held messages: their bytes, their ends, their places before others.

use super::*;

#[test]
fn a_message_that_was_not_sent_goes_back_unless_its_topic_has_to_hold_it() {
    let mut refusals = refused(1);
    assert_eq!(refusals.take_back(message(1, 10)).map(|message| message.serial), Some(1));
    assert!(refusals.take_back(message_of(&Utf8::from_static("u"), 1, 10)).is_some());
    assert!(refusals.next_deadline().is_some(), "nothing is on its way");
    assert!(refusals.take_back(swept(2)).is_none());
    assert_eq!((refusals.held(), refusals.held_bytes), (1, 1));
    assert!(refusals.take_back(message(3, 10)).is_none(), "behind what was parked");
    assert_eq!((refusals.held(), refusals.held_bytes), (2, 11));
    for parked in [true, false] {
        let mut refusals = refused(1);
        if parked {
            refusals.on_parked(&name(), 1);
        } else {
            refusals.hold_swept(0, &name());
        }
        refusals.topics.get_mut(&name()).unwrap().phase = Phase::Healing;
        assert!(refusals.take_back(message(1, 10)).is_none(), "older than what is parked");
        assert!(refusals.is_refused(&name()), "and waits for an attempt");
    }
}

#[test]
fn topics_whose_messages_have_a_place_before_others_keep_them() {
    for (keeps, parked, holds, is_swept) in [
        (false, false, false, false),
        (true, true, false, false),
        (true, false, true, false),
        (true, false, false, true),
    ] {
        let mut refusals = refused(0);
        if parked {
            refusals.on_parked(&name(), 1);
        }
        if holds {
            refusals.hold_swept(0, &name());
        }
        let own = Message { swept: is_swept, ..message(1, 10) };
        refusals.topics.get_mut(&name()).unwrap().hold(own, None);
        refusals.held_bytes = 10;
        assert_eq!(refusals.take_held(false).is_empty(), keeps);
        assert_eq!((refusals.held_bytes, refusals.held()), if keeps { (10, 1) } else { (0, 0) });
    }
    let mut refusals = Refusals::new(1);
    refusals.hold_swept(0, &name());
    assert!(refusals.is_refused(&name()), "a topic that was not known waits too");
}

#[test]
fn held_messages_of_parked_rows_go_back_to_their_places() {
    let mut refusals = holding(0, 2, 10);
    let topic = refusals.topics.get_mut(&name()).unwrap();
    topic.hold(Message { bytes: 5, ..swept(3) }, None);
    refusals.held_bytes += 5;
    assert!(refusals.may_give_back_swept(), "those before it go first");
    assert_eq!(serials(&refusals.take_held_swept()), [3]);
    assert_eq!((refusals.held_bytes, refusals.held()), (20, 2));
    refusals.topics.get_mut(&name()).unwrap().hold(swept(0), None);
    assert!(!refusals.may_give_back_swept(), "younger ones would be sent before it");
}

#[test]
fn what_needs_not_be_held_is_parked_once_all_is_answered() {
    for (messages, bytes, kept) in
        [(9, 1, 8), (8, HELD_BYTES_MAX / 8, 8), (8, HELD_BYTES_MAX / 8 + 1, 1), (16, HELD_BYTES_MAX / 4, 1)]
    {
        let mut refusals = holding(0, messages, bytes);
        assert_eq!(refusals.trim().len() as u64, messages - kept);
        assert_eq!((refusals.held() as u64, refusals.held_bytes), (kept, kept * bytes));
        assert!(holding(1, messages, bytes).trim().is_empty(), "some are on their way");
    }
}

#[test]
fn held_messages_expire_once_their_topic_is_due() {
    let due_ms = refused(0).next_deadline().unwrap();
    for (now_ms, expired) in [(due_ms - 1, 0), (due_ms, 1), (due_ms + 1, 1)] {
        let mut refusals = holding(0, 2, 10);
        refusals.topics.get_mut(&name()).unwrap().held[0].message.packed.expires_ms = Some(1);
        assert_eq!(refusals.take_expired(now_ms, &MemorySpool::new(1, 1)).len(), expired);
        assert_eq!(refusals.held_bytes, 20 - 10 * expired as u64);
        assert_eq!(refusals.held(), 2 - expired);
    }
}

#[test]
fn nothing_new_is_made_while_much_is_held_that_waits_for_answers() {
    let each = HELD_BYTES_MAX / 9 + 1;
    for (out, messages, bytes, is_full) in [
        (1, 9, each, true),
        (2, 10, each, true),
        (0, 9, each, false),
        (1, 8, HELD_BYTES_MAX, false),
        (1, 9, 1, false),
        (1, 16, HELD_BYTES_MAX / 16, false),
    ] {
        assert_eq!(holding(out, messages, bytes).is_full(), is_full, "{out} {messages} {bytes}");
    }
}

#[test]
fn the_bytes_of_what_is_held_are_those_of_its_messages() {
    let mut refusals = refused(1);
    assert!(matches!(refusals.route(message(2, 70)), Route::Held));
    assert!(refusals.on_refused(0, message(1, 30), ReasonCode::QUOTA_EXCEEDED, 0).is_none());
    assert_eq!(refusals.held_bytes, 100);
    assert_eq!(refusals.take_oldest(&name()).map(|message| message.serial), Some(1));
    assert_eq!(refusals.held_bytes, 70);
    refusals.on_gone(&name());
    let due_ms = refusals.next_deadline().unwrap();
    assert_eq!(probe(&mut refusals, due_ms), Some(2));
    assert_eq!(refusals.held_bytes, 0);
    assert!(refusals.take_back(message(2, 70)).is_some());
    let mut refusals = holding(0, 3, 10);
    assert_eq!(refusals.take_held(true).len(), 3);
    assert_eq!(refusals.held_bytes, 0);
    let mut refusals = holding(0, 3, 10);
    assert_eq!(refusals.on_accepted(&name()).map(|healed| healed.again.len()), Some(3));
    assert_eq!(refusals.held_bytes, 0);
}

#[test]
fn the_oldest_held_message_begins_an_attempt_of_its_own() {
    let (mut refusals, now_ms) = in_an_attempt();
    assert_eq!(refusals.held_topics().collect::<Vec<_>>(), [&name()]);
    assert_eq!(refusals.take_oldest(&name()).map(|message| message.serial), Some(1));
    assert_eq!(refusals.next_deadline(), None, "it is on its way");
    refuse(&mut refusals, now_ms, 1);
    assert_eq!(refusals.take_oldest(&name()).map(|message| message.serial), Some(1));
    assert_eq!(refusals.take_oldest(&name()).map(|message| message.serial), Some(2));
    assert_eq!((refusals.held_topics().count(), refusals.take_oldest(&name()).is_none()), (0, true));
    // The older refusal was in an earlier attempt.
    let (mut refusals, _) = in_an_attempt();
    let topic = refusals.topics.get_mut(&name()).unwrap();
    topic.held.push_front(Held { message: message(0, 0), refused_in: None });
    assert_eq!(refusals.take_oldest(&name()).map(|message| message.serial), Some(0));
    let healed = refusals.on_accepted(&name()).unwrap();
    assert_eq!((healed.bad.len(), healed.again.len()), (0, 2));
}

/// Otherwise each message that is too large would cost the topic a delay of up to ten minutes.
#[test]
fn a_probe_that_is_not_sent_leaves_the_attempt_to_the_next_one() {
    let mut refusals = holding(0, 3, 10);
    let now_ms = refusals.next_deadline().unwrap();
    for serial in 1..=3 {
        assert_eq!(probe(&mut refusals, now_ms), Some(serial));
        refusals.on_not_sent(&name());
    }
    // One that is gone for another reason ends it.
    let mut refusals = holding(0, 3, 10);
    assert_eq!(probe(&mut refusals, now_ms), Some(1));
    refusals.on_gone(&name());
    assert_eq!(probe(&mut refusals, now_ms), None);
}
