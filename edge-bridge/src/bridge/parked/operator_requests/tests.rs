use bytes::Bytes;

use crate::bridge::packing::pack::RawPack;
use crate::bridge::refused::message_retries::Retries;
use crate::bridge::refused::poison::RowKey;
use crate::bridge::refused::refused_topic::Phase;
use crate::bridge::spool::{LeaseId, MemorySpool};
use crate::bridge::uplink_event::UplinkEvent;
use crate::row::Row;

use super::*;

/// Returns whether a topic in back-off of which nothing is held or parked is still in back-off after a pass.
fn is_refused_after(work: Work) -> bool {
    let (topic, all) = (Utf8::from_static("t"), Utf8::from_static("#"));
    let mut spool = MemorySpool::new(10, 1_000);
    let mut uplink = Uplink::new(RawPack::default(), 1_000, 1);
    assert!(uplink.refusals.add(0, &topic, ReasonCode::NOT_AUTHORIZED, 0));
    assert!(uplink.begin_pass(0, all, work, &mut spool));
    uplink.continue_operator_pass(0, &mut spool);
    assert!(uplink.operator_pass.is_none());
    uplink.refusals.knows(&topic)
}

#[test]
fn a_drop_ends_the_back_off_of_a_topic_without_messages_and_a_look_does_not() {
    assert_eq!([Work::Copy, Work::Drop].map(is_refused_after), [true, false]);
}

fn text(text: &str) -> Utf8 {
    Utf8::try_from(text).unwrap()
}

fn message(topic: &str, bytes: u64) -> Message {
    let packed = crate::bridge::packing::pack::Packed::of_rows(text(topic), Vec::new());
    Message { bytes, ..Message::new(packed, 1, false) }
}

/// An uplink with two parked rows.
fn parked() -> (Uplink<RawPack>, MemorySpool) {
    let mut spool = MemorySpool::new(10, 1_000);
    for _ in 0..2 {
        spool.push(0, Row::new(text("t"), Bytes::from_static(b"1"))).unwrap();
    }
    for row in spool.lease(0, 2, 100) {
        spool.park(row.id, ReasonCode::NOT_AUTHORIZED);
    }
    (Uplink::new(RawPack::default(), 1_000, 1), spool)
}

fn ended(uplink: &mut Uplink<RawPack>) -> Option<(u64, Option<LeftOut>)> {
    match uplink.poll_event()? {
        UplinkEvent::ByHand { count, left_out, .. } => Some((count.messages, left_out)),
        other => panic!("{other:?}"),
    }
}

#[test]
fn what_is_taken_out_leaves_its_room() {
    let mut refusals = Refusals::new(1);
    for (topic, bytes) in [("t", 10), ("u", 5)] {
        assert!(refusals.on_refused(0, message(topic, bytes), ReasonCode::NOT_AUTHORIZED, 0).is_none());
    }
    assert_eq!((refusals.take_matching("t").len(), refusals.held_bytes), (1, 5));
    let mut retries = Retries::new(1);
    for (topic, bytes) in [("t", 10), ("u", 5)] {
        assert!(retries.push(1_000, message(topic, bytes)).is_none());
    }
    assert_eq!((retries.take_matching("t").len(), retries.bytes, retries.len()), (1, 5, 1));
}

#[test]
fn messages_of_matching_topics_alone_are_tried_at_once() {
    let mut retries = Retries::new(1);
    for topic in ["t", "u"] {
        assert!(retries.push(1_000, message(topic, 1)).is_none());
    }
    retries.retry_now("u");
    assert_eq!(retries.pop_due(0).map(|message| message.topic().clone()), Some(text("u")));
    assert!(retries.pop_due(0).is_none());
}

/// Also while a pass is under way: the sweep then begins behind it.
#[test]
fn a_retry_makes_due_whatever_waits() {
    let (mut uplink, mut spool) = parked();
    assert!(uplink.retries.push(1_000, message("u", 1)).is_none());
    for _ in 0..20 {
        uplink.link.on_answer(1_000, ReasonCode::NOT_AUTHORIZED, &text("t"), false);
    }
    assert!(uplink.link.due_ms().is_some_and(|due_ms| due_ms > 1_000));
    assert!(uplink.begin_pass(1_000, text("#"), Work::Copy, &mut spool));
    uplink.retry_parked(1_007, &text("u"));
    assert_eq!(uplink.retries.pop_due(1_007).map(|message| message.topic().clone()), Some(text("u")));
    assert_eq!(uplink.link.due_ms(), Some(1_007));
    assert_eq!(uplink.operator_pass.as_ref().map(|pass| pass.sweep_ms), Some(Some(1_007)));
}

/// Ends a pass over two parked rows, of which copies are taken at once.
fn pass_over(uplink: &mut Uplink<RawPack>, spool: &mut MemorySpool, work: Work) {
    assert!(uplink.begin_pass(100, text("#"), work, spool));
    for now_ms in 100..110 {
        uplink.continue_operator_pass(now_ms, spool);
        uplink.operator_pass.iter_mut().for_each(|pass| pass.found.clear());
    }
    assert_eq!(ended(uplink), Some((2, None)));
}

#[test]
fn a_copy_leaves_the_count_of_messages_that_are_refused_for_themselves() {
    let (mut uplink, mut spool) = parked();
    uplink.refused_messages.on_parked(&text("t"), Some(ReasonCode::NOT_AUTHORIZED), 2);
    pass_over(&mut uplink, &mut spool, Work::Copy);
    let counts: Vec<u64> = uplink.refused_messages.list(None).map(|topic| topic.parked).collect();
    assert_eq!((counts, spool.parked()), (vec![2], 2));
}

/// Another row may get the lease's number later, and is no poison message for that.
#[test]
fn a_dropped_row_is_no_poison_message_any_more() {
    for (work, known) in [(Work::Copy, 20), (Work::Drop, 18)] {
        let (mut uplink, mut spool) = parked();
        (0..20).for_each(|id| uplink.poison.on_parked(100, &[RowKey::Lease(LeaseId(id))]));
        pass_over(&mut uplink, &mut spool, work);
        assert_eq!(uplink.poison.register.known(), known, "{work:?}");
    }
}

#[test]
fn a_topic_of_which_something_is_left_stays_refused() {
    for (held, parked, out, stays) in [(1, 0, 0, true), (0, 1, 0, true), (0, 0, 1, true), (0, 0, 0, false)] {
        let mut refusals = Refusals::new(1);
        assert!(refusals.add(0, &text("t"), ReasonCode::NOT_AUTHORIZED, out));
        refusals.on_parked(&text("t"), parked);
        let topic = refusals.topics.get_mut(&text("t")).unwrap();
        (0..held).for_each(|_| topic.hold(message("t", 1), None));
        refusals.forget_empty();
        assert_eq!(refusals.knows(&text("t")), stays, "{held} {parked} {out}");
    }
}

#[test]
fn the_list_has_a_time_of_the_next_attempt_while_none_is_on_its_way() {
    for (out, phase, in_ms) in
        [(0, Phase::BackOff, true), (1, Phase::BackOff, false), (0, Phase::Healing, false)]
    {
        let mut refusals = Refusals::new(1);
        assert!(refusals.add(0, &text("t"), ReasonCode::NOT_AUTHORIZED, out));
        refusals.topics.get_mut(&text("t")).unwrap().phase = phase;
        let list = refusals.list(0, &MemorySpool::new(1, 1));
        assert_eq!(list[0].retry_in_ms.is_some(), in_ms, "{out} {phase:?}");
    }
}

#[test]
fn the_list_counts_messages_that_are_refused_for_themselves() {
    let mut uplink = parked().0;
    let mut spool = MemorySpool::new(10, 100);
    for (topic, weight) in [("t", 20), ("u", 3), ("t", 4)] {
        let mut row = Row::new(text(topic), Bytes::new());
        row.weight = weight;
        spool.push(0, row).unwrap();
        let rows = spool.lease(0, 1, 100).iter().map(|row| row.id).collect();
        let packed = crate::bridge::packing::pack::Packed::of_rows(text(topic), rows);
        assert!(uplink.retries.push(0, Message::new(packed, 1, false)).is_none());
    }
    let list = uplink.refused_list(0, &spool);
    let counts: Vec<_> = list.iter().map(|topic| (topic.held, topic.held_readings)).collect();
    assert_eq!(counts, [(2, 24), (1, 3)]);
}

#[test]
fn copies_wait_for_five_seconds() {
    let (mut uplink, mut spool) = parked();
    assert!(uplink.refusals.add(0, &text("t"), ReasonCode::QUOTA_EXCEEDED, 0));
    assert!(uplink.begin_pass(100, text("#"), Work::Copy, &mut spool));
    for now_ms in [100, 100 + WITHIN_MS - 1] {
        uplink.continue_operator_pass(now_ms, &mut spool);
        let pass = uplink.operator_pass.as_ref().unwrap();
        let reasons: Vec<_> = pass.found.iter().map(|copy| copy.reason).collect();
        assert_eq!(reasons, [Some(ReasonCode::QUOTA_EXCEEDED); 2], "at {now_ms}");
        assert_eq!(uplink.hand_timeout(), Some(100 + WITHIN_MS));
    }
    uplink.continue_operator_pass(100 + WITHIN_MS, &mut spool);
    assert_eq!(ended(&mut uplink), Some((2, Some(LeftOut::NotTaken))));
}

#[test]
fn a_pass_waits_for_rows_that_it_would_overtake() {
    let (mut uplink, mut spool) = parked();
    uplink.sweep.begin(&mut spool);
    uplink.sweep.on_row(LeaseId(99), text("t"));
    assert!(uplink.begin_pass(100, text("#"), Work::Copy, &mut spool));
    for now_ms in [100, 100 + WITHIN_MS - 1] {
        uplink.continue_operator_pass(now_ms, &mut spool);
        assert!(
            uplink.operator_pass.as_ref().is_some_and(|pass| pass.waits && pass.found.is_empty()),
            "at {now_ms}"
        );
        assert_eq!((uplink.hand_timeout(), uplink.sweep.room()), (Some(100 + WITHIN_MS), 2));
    }
    uplink.continue_operator_pass(100 + WITHIN_MS, &mut spool);
    assert_eq!(uplink.operator_pass.as_ref().map(|pass| (pass.waits, pass.found.len())), Some((false, 2)));
}

#[test]
fn a_pass_begins_behind_the_rest_of_a_sweep() {
    let (mut uplink, mut spool) = parked();
    uplink.sweep.begin(&mut spool);
    assert!(uplink.begin_pass(100, text("#"), Work::Copy, &mut spool));
    assert!(uplink.operator_pass.as_ref().is_some_and(|pass| pass.waits));
    uplink.continue_operator_pass(100, &mut spool);
    assert_eq!(
        uplink.operator_pass.as_ref().map(|pass| (pass.waits, pass.found.len())),
        Some((false, 2)),
        "at once"
    );
}

#[test]
fn a_pass_goes_on_in_a_millisecond_after_a_thousand_rows() {
    let mut spool = MemorySpool::new(2_000, 2_000);
    let mut uplink = Uplink::new(RawPack::default(), 1_000, 1);
    for _ in 0..ROWS_PER_TURN + 1 {
        spool.push(0, Row::new(text("u"), Bytes::new())).unwrap();
    }
    for row in spool.lease(0, 2_000, 2_000) {
        spool.park(row.id, ReasonCode::NOT_AUTHORIZED);
    }
    assert!(uplink.begin_pass(100, text("t"), Work::Copy, &mut spool));
    uplink.continue_operator_pass(100, &mut spool);
    assert_eq!(uplink.hand_timeout(), Some(101));
    uplink.continue_operator_pass(101, &mut spool);
    assert_eq!(ended(&mut uplink), Some((0, None)));
}

/// A spool in which rows that are parked again go behind the others does not know its end.
#[test]
fn rows_that_expired_are_not_said_to_be_left_out() {
    let (mut uplink, mut spool) = parked();
    // Held elsewhere: the spool gives none.
    assert_eq!(spool.lease_parked(0, 2, 100).len(), 2);
    assert!(uplink.begin_pass(100, text("#"), Work::Copy, &mut spool));
    for now_ms in [100, 5_099] {
        uplink.continue_operator_pass(now_ms, &mut spool);
        assert_eq!(ended(&mut uplink), None);
    }
    uplink.continue_operator_pass(5_100, &mut spool);
    assert_eq!(ended(&mut uplink), Some((0, None)));
}

/// A spool that does not know yet what is parked, and whose commits do not end.
struct Slow(MemorySpool);

impl Spool for Slow {
    fn lease(&mut self, now_ms: u64, max_rows: usize, max_bytes: usize) -> Vec<Leased> {
        self.0.lease(now_ms, max_rows, max_bytes)
    }

    fn ack(&mut self, id: LeaseId) {
        self.0.ack(id);
    }

    fn settle(&mut self, id: LeaseId, why: Settled) {
        self.0.settle(id, why);
    }

    fn give_back(&mut self, id: LeaseId) {
        self.0.give_back(id);
    }

    fn park(&mut self, id: LeaseId, why: ReasonCode) {
        self.0.park(id, why);
    }

    fn lease_parked(&mut self, now_ms: u64, max_rows: usize, max_bytes: usize) -> Vec<Leased> {
        self.0.lease_parked(now_ms, max_rows, max_bytes)
    }

    fn is_settled(&self) -> bool {
        false
    }

    fn is_committed(&self) -> bool {
        false
    }

    fn waiting(&self) -> u64 {
        self.0.waiting()
    }

    fn parked(&self) -> u64 {
        self.0.parked()
    }
}

/// It waits for either for five seconds at most, and asks for no turn before: a turn each millisecond would be a processor's whole time.
#[test]
fn a_pass_waits_for_a_slow_spool_without_turns() {
    let (mut uplink, spool) = parked();
    let mut spool = Slow(spool);
    assert!(uplink.begin_pass(100, text("#"), Work::Drop, &mut spool));
    let wait = |uplink: &mut Uplink<RawPack>, spool: &mut Slow, from_ms: u64, parked: u64| {
        for now_ms in [from_ms, from_ms + 1, from_ms + WITHIN_MS - 1] {
            uplink.continue_operator_pass(now_ms, spool);
            assert_eq!(
                (uplink.hand_timeout(), spool.parked()),
                (Some(from_ms + WITHIN_MS), parked),
                "at {now_ms}"
            );
        }
    };
    wait(&mut uplink, &mut spool, 100, 2);
    uplink.continue_operator_pass(100 + WITHIN_MS, &mut spool);
    assert_eq!((uplink.hand_timeout(), spool.parked()), (Some(100 + 2 * WITHIN_MS), 0));
    wait(&mut uplink, &mut spool, 100 + WITHIN_MS, 0);
    uplink.continue_operator_pass(100 + 2 * WITHIN_MS, &mut spool);
    assert_eq!(ended(&mut uplink), Some((2, Some(LeftOut::NotDurable))));
}
