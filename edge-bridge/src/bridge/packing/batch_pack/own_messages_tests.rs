//! Tests of messages without rows that an encoder makes, such as tables.

use std::cell::RefCell;
use std::rc::Rc;

use crate::bridge::connection::HubClose;
use crate::bridge::spool::Spool;
use crate::bridge::test_uplink::{QUOTA, Rig, SUCCESS, text};
use crate::bridge::{Packed, UplinkEvent};
use crate::session::Token;
use crate::wire::{Properties, QoS};

use super::*;

const DUE_MS: u64 = 5_000;

/// One message at [`DUE_MS`]; rows are messages of their own.
#[derive(Default)]
struct Own {
    is_made: bool,
    delivered: Rc<RefCell<Vec<String>>>,
    answers: Rc<RefCell<Vec<String>>>,
}

impl Encode for Own {
    fn limits(&self, _row: &Leased) -> Option<BatchLimits> {
        None
    }

    fn encode(&mut self, _now: Now, _batch: &RowBatch, _bytes_max: usize) -> Vec<Packing> {
        Vec::new()
    }

    fn poll(&mut self, now: Now, _max_packet: usize) -> Option<Packing> {
        if self.is_made || now.up_ms < DUE_MS {
            return None;
        }
        self.is_made = true;
        let publish = Publish {
            dup: false,
            qos: QoS::AtLeastOnce,
            retain: false,
            topic: text("own"),
            packet_id: None,
            properties: Properties::default(),
            payload: "own".into(),
        };
        Some(Packing::Message(Packed { publish, rows: Vec::new(), expires_ms: None }))
    }

    fn next_deadline(&self) -> Option<u64> {
        (!self.is_made).then_some(DUE_MS)
    }

    fn on_delivered(&mut self, message: &Publish) {
        self.delivered.borrow_mut().push(message.topic.as_str().to_owned());
    }

    fn on_answer(&mut self, answer: &HubAnswer<'_>) {
        let HubAnswer { message, rows, reason, took_ms } = answer;
        let line =
            format!("{} {} {rows} {:#04x} {took_ms:?}", message.topic, message.payload.len(), reason.get());
        self.answers.borrow_mut().push(line);
    }
}

fn rig() -> (Rig<BatchPack<Own>>, Rc<RefCell<Vec<String>>>) {
    let own = Own::default();
    let delivered = own.delivered.clone();
    (Rig::with(BatchPack::new(own), 10, 1_000_000), delivered)
}

#[test]
fn the_encoder_hears_that_the_hub_has_its_own_message_and_of_no_other() {
    let (mut rig, delivered) = rig();
    rig.push("t", "row");
    assert_eq!(rig.pump(), ["row"]);
    rig.answer(SUCCESS);
    rig.now_ms = DUE_MS;
    assert_eq!(rig.pump(), ["own"]);
    assert!(delivered.borrow().is_empty());
    rig.answer(SUCCESS);
    assert_eq!(*delivered.borrow(), ["own"]);
}

#[test]
fn a_refusal_of_its_own_message_is_told_and_keeps_nothing_back() {
    let (mut rig, delivered) = rig();
    rig.now_ms = DUE_MS;
    assert_eq!(rig.pump(), ["own"]);
    rig.answer(QUOTA);
    rig.now_ms += 60_000;
    assert!(rig.pump().is_empty(), "it is not sent again");
    assert!(delivered.borrow().is_empty());
    assert_eq!((rig.spool.parked(), rig.stats.acknowledged), (0, 0));
    rig.push("t", "row");
    assert_eq!(rig.pump(), ["row"]);
}

/// Nothing of it is kept, so no report says so.
#[test]
fn its_own_message_is_dropped_where_it_is_too_large_or_the_hub_closes_at_it() {
    for closes in [false, true] {
        let (mut rig, _) = rig();
        rig.now_ms = DUE_MS;
        assert_eq!(rig.pump(), ["own"]);
        for _ in 0..4 {
            let Rig { uplink, spool, stats, now_ms, .. } = &mut rig;
            uplink.on_connected(*now_ms, if closes { u32::MAX } else { 10 }, None, stats);
            if closes {
                let close = HubClose { reason: QUOTA, names_a_message: true };
                uplink.on_hub_closed(*now_ms, 1, close, spool, stats);
            } else {
                uplink.on_unsendable(*now_ms, Token(1), spool, stats);
            }
        }
        let told: Vec<_> = std::iter::from_fn(|| rig.uplink.poll_event()).collect();
        let is_dropped = |event: &&UplinkEvent| matches!(event, UplinkEvent::Dropped(_));
        let is_kept = |event: &UplinkEvent| matches!(event, UplinkEvent::Parked(_) | UplinkEvent::Poison(_));
        assert!(told.iter().filter(is_dropped).count() == 1 && !told.iter().any(is_kept), "{told:?}");
        assert_eq!((rig.stats.poison, rig.spool.parked(), rig.uplink.unacknowledged()), (0, 0, 0));
    }
}

#[test]
fn the_encoder_hears_every_answer_of_the_hub() {
    let own = Own::default();
    let answers = own.answers.clone();
    let mut rig = Rig::with(BatchPack::new(own), 10, 1_000_000);
    rig.push("t", "row");
    rig.push("u", "refused");
    assert_eq!(rig.pump(), ["row", "refused"]);
    assert!(answers.borrow().is_empty(), "no answer yet");
    rig.now_ms += 40;
    rig.answer(SUCCESS);
    rig.now_ms += 60;
    rig.answer(QUOTA);
    rig.now_ms = DUE_MS;
    assert_eq!(rig.pump().len(), 2, "its own, and what was refused again");
    rig.answer(SUCCESS);
    rig.answer(SUCCESS);
    let mut answers = answers.borrow().clone();
    answers[2..].sort();
    let expected =
        ["t 3 1 0x00 Some(40)", "u 7 1 0x97 Some(100)", "own 3 0 0x00 Some(0)", "u 7 1 0x00 Some(0)"];
    assert_eq!(answers, expected);
}

/// The deadline of a message that is not made of rows is none of rows: what probes a refused link does not wait for it.
#[test]
fn a_deadline_of_its_own_is_no_row() {
    let (mut rig, _) = rig();
    assert!(rig.uplink.pack.is_empty() && rig.uplink.pack.next_deadline() == Some(DUE_MS));
    rig.push("t", "");
    let row = rig.spool.lease(0, 1, 100).remove(0);
    rig.uplink.pack.add(Now::default(), row);
    assert!(!rig.uplink.pack.is_empty(), "a row without a byte");
}
