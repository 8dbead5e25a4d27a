use crate::bridge::packing::pack::RawPack;
use crate::bridge::refused::retry_sweep::Deferred;
use crate::ingest::Now;
use crate::row::Row;

use super::super::connection::HubClose;
use super::super::spool::{Identity, Leased};
use super::super::test_uplink::{DENIED, QUOTA, Rig, SUCCESS, text};
use super::*;

const MALFORMED: ReasonCode = ReasonCode::PAYLOAD_FORMAT_INVALID;

fn told(rig: &mut Rig<RawPack>, is_kind: fn(&UplinkEvent) -> bool) -> usize {
    std::iter::from_fn(|| rig.uplink.poll_event()).filter(is_kind).count()
}

fn parked_told(rig: &mut Rig<RawPack>) -> usize {
    told(rig, |event| matches!(event, UplinkEvent::Parked(_)))
}

fn topics_told(rig: &mut Rig<RawPack>) -> usize {
    told(rig, |event| matches!(event, UplinkEvent::TopicRefused(_)))
}

#[test]
fn what_is_in_flight_on_a_new_connection_takes_its_window_and_is_counted() {
    let mut rig = Rig::new(10, 1_000_000);
    rig.fill(&["t", "t"]);
    assert_eq!(rig.pump().len(), 2);
    let in_flight = rig.uplink.window.in_flight();
    rig.uplink.youngest_answered = 1;
    rig.uplink.on_connected(1, u32::MAX, None, &mut rig.stats);
    assert_eq!((rig.stats.resent, rig.stats.sent), (2, 2));
    assert_eq!((rig.uplink.window.in_flight(), rig.uplink.youngest_answered), (in_flight, 0));
    assert!(rig.uplink.sent.values().all(|message| message.sent_ms.is_none()));
}

#[test]
fn the_oldest_message_is_the_first_without_an_answer() {
    let mut rig = Rig::new(10, 1_000_000);
    rig.fill(&["t", "t"]);
    rig.pump();
    let oldest = |rig: &Rig<RawPack>| [1, 2].map(|token| rig.uplink.is_oldest(Token(token)));
    assert_eq!(oldest(&rig), [true, false]);
    rig.answer(SUCCESS);
    assert_eq!(oldest(&rig), [false, true]);
    rig.answer(SUCCESS);
    assert_eq!(oldest(&rig), [true, true], "none is older");
    assert_eq!((rig.stats.acknowledged, rig.stats.rows_delivered), (2, 2));
}

/// Four messages in a row called poison may have been the hub: they are tried a second after its next answer.
#[test]
fn doubtful_poison_is_tried_soon_after_an_answer() {
    let mut rig = Rig::new(10, 1_000_000);
    rig.now_ms = 5_000;
    (0..4).for_each(|_| rig.uplink.poison.blame.on_message_parked());
    rig.push("t", "x");
    rig.pump();
    rig.answer(SUCCESS);
    assert_eq!(rig.uplink.sweep.next_deadline(), Some(6_000));
}

#[test]
fn poison_is_tried_again_when_it_is_due() {
    let mut rig = Rig::new(10, 1_000_000);
    rig.uplink.note_poison(1_000, &[RowKey::Lease(LeaseId(1))]);
    assert_eq!(rig.uplink.sweep.next_deadline(), Some(6_000));
}

/// A hub that takes what it never answered before may take the rest of that kind.
#[test]
fn messages_without_an_answer_are_tried_a_second_after_one_is_taken() {
    let mut rig = Rig::new(10, 1_000_000);
    rig.now_ms = 5_000;
    let row = rig.push("t", "x");
    rig.uplink.poison.register.on_unanswered(0, &[RowKey::Lease(row), RowKey::Lease(LeaseId(99))]);
    rig.pump();
    rig.answer(SUCCESS);
    assert_eq!((rig.uplink.poison.register.known(), rig.uplink.sweep.next_deadline()), (1, Some(6_000)));
}

#[test]
fn poison_that_the_hub_takes_is_poison_no_more() {
    let mut rig = Rig::new(10, 1_000_000);
    let row = rig.push("t", "x");
    rig.uplink.poison.on_parked(0, &[RowKey::Lease(row)]);
    rig.pump();
    rig.answer(SUCCESS);
    assert_eq!(rig.uplink.poison.register.known(), 0);
}

/// The oldest message is parked when the hub closes at it alone: for a reason that may be about it, or if it is known as poison.
#[test]
fn a_message_is_to_blame_by_the_hubs_reason_or_by_what_is_known_of_it() {
    for (names_a_message, is_known) in [(true, false), (false, true), (false, false)] {
        let mut rig = Rig::new(10, 1_000_000);
        let row = rig.push("t", "x");
        let (known, other) = (RowKey::Lease(row), RowKey::Lease(LeaseId(99)));
        rig.uplink.poison.on_parked(0, &[if is_known { known } else { other }]);
        // Tried again: one message at a time.
        assert!(!rig.uplink.poison.holds(5_000, if is_known { known } else { other }));
        rig.pump();
        let close = HubClose { reason: QUOTA, names_a_message };
        let parked = rig.uplink.on_hub_closed(5_000, 1, close, &mut rig.spool, &mut rig.stats);
        assert_eq!(!parked.is_empty(), names_a_message || is_known);
    }
}

/// Under a refused link a message goes back to its place, unless it came from the parked ones or its topic is known: it is held then, as others are.
#[test]
fn a_refused_probe_of_parked_rows_is_held() {
    for (swept, is_known) in [(false, false), (true, false), (false, true)] {
        let mut rig = Rig::new(10, 1_000_000);
        assert!(!is_known || rig.uplink.refusals.add(0, &text("t"), DENIED, 0));
        let message = rig.message("t", swept);
        rig.send(message);
        rig.refuse_link();
        rig.answer(DENIED);
        let held = usize::from(swept || is_known);
        assert_eq!((rig.uplink.refusals.held(), rig.spool.waiting()), (held, 1 - held as u64));
        assert_eq!(topics_told(&mut rig), 0, "the link was told");
    }
}

/// Refusals make a sweep give up only if they are of its own messages.
#[test]
fn refusals_of_new_messages_say_nothing_of_a_sweep() {
    let mut rig = Rig::new(100, 1_000_000);
    for n in 0..20 {
        rig.push(&format!("t/{n}"), "x");
    }
    assert_eq!(rig.pump().len(), 20);
    (0..20).for_each(|_| rig.answer(QUOTA));
    assert_eq!((rig.uplink.refusals.refused_topics(), rig.uplink.sweep.gives_up()), (20, None));
}

/// A message that was refused for itself before speaks for itself still, and is told once.
#[test]
fn a_retried_message_that_is_refused_again_waits_alone() {
    for reason in [QUOTA, MALFORMED] {
        let mut rig = Rig::new(10, 1_000_000);
        let mut message = rig.message("t", false);
        message.refusals = 1;
        rig.send(message);
        rig.answer(reason);
        assert_eq!((rig.uplink.retries.len(), rig.uplink.refusals.held()), (1, 0), "{reason}");
        assert_eq!(parked_told(&mut rig), 0);
        assert_eq!(rig.stats.last_refusal.map(|refusal| refusal.reason), Some(reason));
    }
    let mut rig = Rig::new(10, 1_000_000);
    rig.push("t", "x");
    rig.pump();
    rig.answer(MALFORMED);
    assert_eq!(parked_told(&mut rig), 1, "the first time");
}

/// Without room for another topic a refused message is parked, or goes back to its place while the whole link is refused.
#[test]
fn a_message_of_one_topic_too_many_is_parked_or_given_back() {
    for link_is_refused in [false, true] {
        let mut rig = Rig::new(10, 1_000_000);
        let mut n = 0;
        while rig.uplink.refusals.add(0, &text(&format!("full/{n}")), QUOTA, 0) {
            n += 1;
        }
        // The other one is still on its way.
        rig.fill(&["t", "t"]);
        rig.pump();
        if link_is_refused {
            rig.refuse_link();
        }
        rig.answer(DENIED);
        let is_parked = u64::from(!link_is_refused);
        assert_eq!((rig.spool.parked(), rig.spool.waiting()), (is_parked, 1 - is_parked));
    }
}

#[test]
fn a_refused_topic_is_told_once_until_it_heals() {
    let mut rig = Rig::new(10, 1_000_000);
    for (at_ms, expected) in [(0, 1), (61_000, 0), (122_000, 0)] {
        rig.now_ms = at_ms;
        let message = rig.message("t", false);
        rig.uplink.again.push_back(message);
        // With it goes what is held, as an attempt.
        (0..rig.pump().len()).for_each(|_| rig.answer(QUOTA));
        assert_eq!(topics_told(&mut rig), expected, "at {at_ms}");
    }
    rig.now_ms = 200_000;
    assert!(!rig.pump().is_empty());
    rig.answer(SUCCESS);
    assert_eq!(told(&mut rig, |event| matches!(event, UplinkEvent::TopicHealed { .. })), 1);
}

#[test]
fn a_link_that_stops_gives_every_row_back() {
    let mut rig = Rig::new(1, 1_000_000);
    let held = rig.message("held", false);
    assert!(rig.uplink.refusals.on_refused(0, held, QUOTA, 0).is_none());
    let retried = rig.message("retried", false);
    assert!(rig.uplink.retries.push(0, retried).is_none());
    let first = rig.message("sent", false);
    rig.send(first);
    let again = rig.message("again", false);
    rig.uplink.again.push_back(again);
    assert_eq!(rig.uplink.unacknowledged(), 4);
    let deferred = rig.message("held", false);
    let deferred = Deferred { topic: text("held"), rows: deferred.packed.rows, bytes: 1, reason: QUOTA };
    rig.uplink.sweep.defer(deferred);
    rig.push("packed", "x");
    let row = rig.spool.lease(0, 1, 1_000).remove(0);
    rig.uplink.pack.add(Now::default(), row);
    assert_eq!(rig.spool.waiting(), 0);
    rig.uplink.give_back(0, &mut rig.spool);
    assert_eq!((rig.spool.waiting(), rig.uplink.unacknowledged()), (6, 0));
}

/// Rows of parked topics that go back to their place keep the newer ones of their topic behind them, unless the link stops altogether.
#[test]
fn topics_of_parked_rows_that_go_back_wait() {
    let waits = |all: bool, prepare: fn(&mut Rig<RawPack>)| {
        let mut rig = Rig::new(10, 1_000_000);
        prepare(&mut rig);
        rig.uplink.give_back_waiting(0, all, &mut rig.spool);
        rig.uplink.refusals.knows(&text("t"))
    };
    let inside: fn(&mut Rig<RawPack>) = |rig| {
        let id = rig.park("t", "x");
        rig.spool.lease_parked(0, 1, 1_000);
        rig.uplink.sweep.on_row(id, text("t"));
    };
    let again: fn(&mut Rig<RawPack>) = |rig| {
        let message = rig.message("t", true);
        rig.uplink.again.push_back(message);
    };
    let new: fn(&mut Rig<RawPack>) = |rig| {
        let message = rig.message("t", false);
        rig.uplink.again.push_back(message);
    };
    let found = [inside, again, new].map(|prepare| [false, true].map(|all| waits(all, prepare)));
    assert_eq!(found, [[true, false], [true, false], [false, false]]);
}

/// A topic with parked rows holds eight messages at most, under a refused link too.
#[test]
fn what_a_topic_need_not_hold_is_parked_when_the_rest_goes_back() {
    let mut rig = Rig::new(10, 1_000_000);
    for _ in 0..10 {
        let message = rig.message("t", false);
        assert!(rig.uplink.refusals.on_refused(0, message, QUOTA, 0).is_none());
    }
    rig.uplink.refusals.on_parked(&text("t"), 1);
    rig.uplink.give_back_waiting(0, false, &mut rig.spool);
    assert_eq!((rig.uplink.refusals.held(), rig.spool.parked()), (8, 2));
}

/// A sweep that goes on passes what it had leased and gave back once more.
#[test]
fn a_sweep_has_to_pass_again_what_goes_back() {
    let mut rig = Rig::new(10, 1_000_000);
    let ids = ["a", "b", "c"].map(|topic| rig.park(topic, "x"));
    rig.uplink.sweep.begin(&mut rig.spool);
    let retried = rig.message_of(ids[0], "a", true);
    assert!(rig.uplink.retries.push(0, retried).is_none());
    assert_eq!(rig.spool.lease_parked(0, 1, 1)[0].id, ids[1]);
    rig.uplink.sweep.on_row(ids[1], text("b"));
    assert!(!rig.uplink.sweep.on_leased(0, 2, &rig.spool));
    rig.uplink.sweep.on_parked(RowKey::Lease(LeaseId(99)));
    assert_eq!(rig.uplink.sweep.room(), 1);
    rig.uplink.give_back_waiting(0, false, &mut rig.spool);
    assert_eq!(rig.uplink.sweep.room(), 3);
}

#[test]
fn a_message_parked_for_itself_is_listed_by_its_readings() {
    let mut rig = Rig::new(10, 1_000_000);
    let id = rig.push_row(Row { weight: 3, ..Row::new(text("t"), bytes::Bytes::from_static(b"x")) });
    let message = rig.message_of(id, "t", false);
    rig.uplink.set_aside(0, &message, MALFORMED, &mut rig.spool, &mut rig.stats);
    let parked: Vec<_> = rig.uplink.refused_messages.list(None).map(|line| line.parked).collect();
    assert_eq!((parked, rig.spool.parked()), (vec![3], 3));
}

/// A spool that gives its rows an identity.
struct Named;

impl Spool for Named {
    fn lease(&mut self, _now_ms: u64, _max_rows: usize, _max_bytes: usize) -> Vec<Leased> {
        Vec::new()
    }

    fn ack(&mut self, _id: LeaseId) {}

    fn settle(&mut self, _id: LeaseId, _why: Settled) {}

    fn give_back(&mut self, _id: LeaseId) {}

    fn park(&mut self, _id: LeaseId, _why: ReasonCode) {}

    fn lease_parked(&mut self, _now_ms: u64, _max_rows: usize, _max_bytes: usize) -> Vec<Leased> {
        Vec::new()
    }

    fn identity(&self, id: LeaseId) -> Option<Identity> {
        Some(Identity { gateway: 7, lane: 1, epoch: 1, seq: id.0 })
    }

    fn waiting(&self) -> u64 {
        0
    }

    fn parked(&self) -> u64 {
        0
    }
}

#[test]
fn a_refusal_names_the_first_row() {
    let mut rig = Rig::new(10, 1_000_000);
    let mut message = rig.message("t", false);
    message.packed.rows = vec![LeaseId(5), LeaseId(6)];
    rig.uplink.set_aside(0, &message, MALFORMED, &mut Named, &mut rig.stats);
    let identity = rig.stats.last_refusal.unwrap().identity;
    assert_eq!(identity.map(|identity| (identity.gateway, identity.seq)), Some((7, 5)));
}
