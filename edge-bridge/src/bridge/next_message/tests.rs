use std::collections::VecDeque;

use crate::bridge::packing::pack::{Packing, RawPack};
use crate::bridge::refused::poison::RowKey;
use crate::row::Row;
use crate::session::ClientConfig;

use super::super::Core;
use super::super::config::LinkConfig;
use super::super::spool::{LeaseId, Leased, MemorySpool};
use super::super::test_uplink::{QUOTA, Rig, SUCCESS, text};
use super::*;

/// Sends one message after the other, answered with `reason` each, until nothing more is to be sent now.
fn send_all(rig: &mut Rig<RawPack>, reason: ReasonCode) -> Vec<String> {
    let mut sent = Vec::new();
    loop {
        let now = rig.pump();
        if now.is_empty() {
            return sent;
        }
        now.iter().for_each(|_| rig.answer(reason));
        sent.extend(now);
    }
}

fn row_with_ttl(ttl_ms: u64) -> Row {
    let mut row = Row::new(text("t"), bytes::Bytes::from_static(b"x"));
    row.ttl_ms = Some(ttl_ms);
    row
}

#[test]
fn parked_and_new_rows_take_turns() {
    let mut rig = Rig::new(10, 1);
    for n in 0..3 {
        rig.park("parked", &format!("p{n}"));
        rig.push("new", &format!("n{n}"));
    }
    rig.uplink.sweep.want(0);
    assert_eq!(send_all(&mut rig, SUCCESS), ["p0", "n0", "p1", "n1", "p2", "n2"]);
}

/// After eight refusals in a row a sweep sends no row of a topic that it knows nothing of. Such a topic waits like a refused one, unless it is the
/// messages that the hub refuses.
#[test]
fn a_sweep_gives_up_on_a_hub_that_refuses_whatever_comes() {
    for (reason, waits) in [(QUOTA, true), (ReasonCode::PAYLOAD_FORMAT_INVALID, false)] {
        let mut rig = Rig::new(1, 1);
        for n in 0..20 {
            rig.park(&format!("t/{n}"), &n.to_string());
        }
        rig.uplink.sweep.want(0);
        assert_eq!(send_all(&mut rig, reason).len(), 8, "{reason}");
        assert!(!rig.uplink.sweep.is_active());
        assert_eq!(rig.uplink.refusals.knows(&text("t/19")), waits, "{reason}");
    }
}

/// A turn parks a bounded number of rows, and the next turn comes a millisecond later, not at once.
#[test]
fn a_turn_that_parks_many_rows_ends() {
    let mut rig = Rig::new(10, 1_000_000);
    rig.now_ms = 1_000;
    assert!(rig.uplink.refusals.add(1_000, &text("t"), QUOTA, 0));
    rig.uplink.refusals.on_parked(&text("t"), 1);
    rig.fill(&["t"; 1_500]);
    assert!(rig.pump().is_empty());
    assert_eq!((rig.spool.parked(), rig.uplink.next_deadline(&rig.session)), (1_024, Some(1_001)));
    rig.now_ms = 1_001;
    rig.pump();
    assert_eq!(rig.spool.parked(), 1_500);
}

#[test]
fn a_sweep_is_planned_while_rows_are_parked_and_none_without() {
    let mut rig = Rig::new(10, 1_000);
    rig.pump();
    assert_eq!(rig.uplink.next_deadline(&rig.session), None);
    rig.uplink.retry_filter = Some(text("t"));
    rig.uplink.plan_sweep(0, &rig.spool);
    assert_eq!((rig.uplink.sweep.next_deadline(), &rig.uplink.retry_filter), (None, &None));
    // Of an earlier life.
    rig.park("t", "x");
    rig.pump();
    assert!(rig.uplink.next_deadline(&rig.session).is_some());
    let mut rig = Rig::new(10, 1_000);
    rig.park("t", "x");
    rig.uplink.plan_sweep(0, &rig.spool);
    assert!(rig.uplink.sweep.is_planned());
}

/// The next sweep comes when the first poison message is due; one that was due and did not come by is looked for ten minutes later.
#[test]
fn a_sweep_is_planned_for_poison() {
    for (now_ms, expected_ms) in [(4_999, 5_000), (5_000, 605_000), (6_000, 606_000)] {
        let mut rig = Rig::new(10, 1_000);
        rig.uplink.poison.on_parked(0, &[RowKey::Lease(LeaseId(1))]);
        rig.uplink.plan_sweep(now_ms, &rig.spool);
        assert_eq!(rig.uplink.sweep.next_deadline(), Some(expected_ms));
    }
}

#[test]
fn no_sweep_begins_while_the_link_is_refused_or_a_person_looks() {
    let mut rig = Rig::new(10, 1_000);
    rig.park("t", "x");
    rig.uplink.sweep.want(0);
    rig.refuse_link();
    rig.uplink.begin_sweep(0, &mut rig.spool);
    assert!(!rig.uplink.sweep.is_active());

    let config = LinkConfig::new(ClientConfig::new(text("site7")));
    let mut core = Core::new(config, MemorySpool::new(10, 1_000), RawPack::new(false));
    let id = core.spool.push(0, Row::new(text("t"), bytes::Bytes::new())).unwrap();
    core.spool.park(id, QUOTA);
    // The pass waits for a row on its way into a message.
    core.uplink.sweep.on_row(LeaseId(99), text("t"));
    assert!(core.copy_parked(Now { up_ms: 0, wall_ms: 0 }, text("#")));
    core.uplink.sweep.take(&[LeaseId(99)]);
    core.uplink.sweep.want(0);
    core.uplink.begin_sweep(0, &mut core.spool);
    assert!(core.uplink.operator_pass.is_some() && !core.uplink.sweep.is_active());
}

/// Held messages of parked rows go back to their places before the spool closes holes, but not while others of parked rows are on their way.
#[test]
fn held_messages_go_back_unless_others_are_on_their_way() {
    for is_out in [false, true] {
        let mut rig = Rig::new(10, 1_000_000);
        let held = rig.message("t", true);
        assert!(rig.uplink.refusals.on_refused(0, held, QUOTA, 0).is_none());
        if is_out {
            let other = rig.message("u", true);
            rig.uplink.again.push_back(other);
        }
        rig.uplink.give_back_held_swept(&mut rig.spool);
        assert_eq!(rig.uplink.refusals.held(), usize::from(is_out));
    }
}

/// New rows of a refused topic wait while older ones of it may still be parked: those of a sweep, those that waited before, those on their way.
#[test]
fn new_rows_are_parked_behind_older_ones() {
    let park = |prepare: fn(&mut Rig<RawPack>)| {
        let mut rig = Rig::new(10, 1_000_000);
        assert!(rig.uplink.refusals.add(0, &text("t"), QUOTA, 0));
        prepare(&mut rig);
        let (parked, message) = (rig.spool.parked(), rig.message("t", false));
        let new = Deferred { topic: text("t"), rows: message.packed.rows, bytes: 1, reason: QUOTA };
        rig.uplink.park_new(0, new, &mut rig.spool);
        rig.spool.parked() > parked
    };
    assert!(park(|_| {}));
    assert!(!park(|rig| {
        rig.park("t", "x");
        rig.uplink.sweep.begin(&mut rig.spool);
    }));
    assert!(!park(|rig| rig.uplink.refusals.on_deferred(&text("t"), 1)));
    assert!(!park(|rig| (0..9).for_each(|_| rig.uplink.refusals.on_out(&text("t")))));
}

/// Poison rows are counted for themselves: the rows of their topic that a sweep comes to later are sent.
#[test]
fn a_poison_row_that_stays_parked_holds_nothing_of_its_topic_back() {
    for is_poison in [false, true] {
        let mut rig = Rig::new(10, 1_000_000);
        assert!(rig.uplink.refusals.add(0, &text("t"), QUOTA, 0));
        rig.park("t", "x");
        let row = rig.spool.lease_parked(0, 1, 1_000).remove(0);
        if is_poison {
            rig.uplink.poison.on_parked(0, &[RowKey::Lease(row.id)]);
        }
        rig.uplink.park_row_again(&row, QUOTA, &mut rig.spool);
        assert_eq!(rig.uplink.refusals.parks(&text("t"), true).is_none(), is_poison);
    }
}

/// A denial of what was refused before says nothing new of the link.
#[test]
fn a_message_is_an_attempt_if_it_or_its_topic_was_refused() {
    for (was_refused, topic_is_refused) in [(false, false), (true, false), (false, true)] {
        let mut rig = Rig::new(10, 1_000_000);
        let mut message = rig.message("t", false);
        message.refusals = u32::from(was_refused);
        assert!(!topic_is_refused || rig.uplink.refusals.add(0, &text("t"), QUOTA, 0));
        rig.send(message);
        let is_attempt = rig.uplink.sent.values().map(|message| message.is_attempt).collect::<Vec<_>>();
        assert_eq!((is_attempt, rig.stats.sent), (vec![was_refused || topic_is_refused], 1));
    }
}

/// A parked message that the hub never answered is tried beside the others, and takes no room of theirs. Parked ones of another kind take theirs.
#[test]
fn only_parked_messages_without_an_answer_take_no_room() {
    for (swept, is_unanswered) in [(false, false), (false, true), (true, false), (true, true)] {
        let mut rig = Rig::new(10, 1_000_000);
        let id = if swept { rig.park("t", "x") } else { rig.push("t", "x") };
        if is_unanswered {
            rig.uplink.poison.register.on_unanswered(0, &[RowKey::Lease(id)]);
        }
        rig.now_ms = 5_000;
        if swept {
            rig.uplink.sweep.want(0);
        }
        assert_eq!(rig.pump().len(), 1);
        let bytes = rig.uplink.sent.values().map(|message| message.bytes).sum::<u64>();
        assert!(bytes > 1);
        let expected = if swept && is_unanswered { 0 } else { bytes };
        assert_eq!(rig.uplink.window.in_flight(), expected, "{swept} {is_unanswered}");
    }
}

/// A pack that keeps its rows for more of their batch.
#[derive(Debug, Default)]
struct OpenBatch {
    rows: VecDeque<Leased>,
    due_ms: Option<u64>,
}

impl Pack for OpenBatch {
    fn add(&mut self, _now: Now, row: Leased) {
        self.rows.push_back(row);
    }

    fn poll(&mut self, _now: Now, _max_packet: usize) -> Option<Packing> {
        None
    }

    fn next_deadline(&self) -> Option<u64> {
        self.due_ms
    }

    fn held_bytes(&self) -> usize {
        self.rows.iter().map(|row| row.row.payload.len()).sum()
    }

    fn take_rows(&mut self) -> Vec<LeaseId> {
        self.rows.drain(..).map(|row| row.id).collect()
    }
}

/// A row of a refused topic goes behind those of an open batch, which are older, whatever they say of the batch.
#[test]
fn a_row_behind_an_open_batch_is_not_parked_before_it() {
    for (payload, due_ms) in [("x", None), ("", Some(9)), ("x", Some(9))] {
        let mut rig = Rig::with(OpenBatch { rows: VecDeque::new(), due_ms }, 10, 1_000_000);
        rig.push("t", payload);
        rig.pump();
        assert!(rig.uplink.refusals.add(0, &text("t"), QUOTA, 0));
        rig.uplink.refusals.on_parked(&text("t"), 1);
        rig.push("t", payload);
        rig.pump();
        assert_eq!((rig.uplink.pack.rows.len(), rig.spool.parked()), (2, 0), "{payload:?} {due_ms:?}");
    }
}

/// While a PUBACK alone can make room there is no other time to do anything: a date in the past would be served without end.
#[test]
fn a_full_window_has_no_timeout() {
    let mut rig = Rig::new(10, 1);
    for _ in 0..2 {
        let message = rig.message("t", false);
        rig.uplink.again.push_back(message);
    }
    let retried = rig.message("u", false);
    assert!(rig.uplink.retries.push(0, retried).is_none());
    assert_eq!(rig.pump().len(), 1);
    rig.now_ms = 10_000;
    assert!(rig.pump().is_empty());
    assert_eq!(rig.uplink.next_deadline(&rig.session), None);

    // A sweep to which the spool gives nothing ends by a lease, for which there is no room.
    let mut rig = Rig::new(10, 1);
    rig.park("t", "x");
    rig.spool.lease_parked(0, 1, 1_000);
    rig.uplink.sweep.want(0);
    rig.pump();
    assert_eq!(rig.uplink.next_deadline(&rig.session), Some(5_000));
    rig.push("u", "x");
    assert_eq!(rig.pump().len(), 1);
    rig.now_ms = 6_000;
    rig.pump();
    assert_eq!(rig.uplink.next_deadline(&rig.session), None);
}

/// The same where the rows of an open batch take all the room: a sweep to which the spool gives nothing ends when the batch has gone.
#[test]
fn an_open_batch_that_fills_the_window_leaves_no_timeout_in_the_past() {
    let mut rig = Rig::with(OpenBatch { rows: VecDeque::new(), due_ms: Some(60_000) }, 10, 100);
    rig.park("t", "x");
    rig.spool.lease_parked(0, 1, 1_000);
    rig.uplink.sweep.want(0);
    rig.pump();
    assert_eq!(rig.uplink.next_deadline(&rig.session), Some(5_000));
    for _ in 0..200 {
        rig.push("u", "x");
    }
    rig.pump();
    assert_eq!(rig.uplink.pack.held_bytes(), 100);
    rig.now_ms = 6_000;
    rig.pump();
    assert_eq!(rig.uplink.next_deadline(&rig.session), Some(60_000), "that of the batch");
    let rows = rig.uplink.pack.take_rows();
    rows.into_iter().for_each(|row| rig.spool.give_back(row));
    rig.uplink.pack.due_ms = None;
    rig.pump();
    assert!(!rig.uplink.sweep.is_active());
}

#[test]
fn what_the_hub_has_no_place_for_stays_in_the_spool() {
    let mut rig = Rig::new(1, 1_000_000);
    rig.push("t", "a");
    assert_eq!(rig.pump(), ["a"]);
    rig.push("t", "b");
    assert!(rig.pump().is_empty());
    assert_eq!((rig.spool.waiting(), rig.uplink.unacknowledged()), (1, 1));
    rig.answer(SUCCESS);
    assert_eq!(rig.pump(), ["b"]);
}

#[test]
fn rows_that_expire_after_their_lease_are_counted() {
    // In the pack.
    let mut rig = Rig::new(1, 1_000_000);
    for _ in 0..3 {
        rig.push_row(row_with_ttl(1_000));
    }
    assert_eq!(rig.pump().len(), 1);
    rig.now_ms = 1_000;
    rig.answer(SUCCESS);
    assert!(rig.pump().is_empty());
    assert_eq!((rig.stats.expired, rig.spool.expired(), rig.spool.len()), (2, 2, 0));
    // In a message that is to go again.
    let mut rig = Rig::new(1, 1_000_000);
    for _ in 0..2 {
        let id = rig.push_row(row_with_ttl(1_000));
        let message = rig.message_of(id, "t", false);
        rig.uplink.again.push_back(message);
    }
    rig.now_ms = 1_000;
    assert!(rig.pump().is_empty());
    assert_eq!((rig.stats.expired, rig.spool.expired(), rig.spool.len()), (2, 2, 0));
}
