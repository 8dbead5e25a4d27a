use crate::bridge::packing::pack::{Pack, Packed, Packing};
use crate::ingest::Now;
use crate::session::Token;

use super::super::spool::{LeaseId, Leased};
use super::super::test_uplink::{Rig, SUCCESS, text};
use super::super::uplink::Answer;
use super::*;

/// A hub that answers late holds rows here, and not only bytes: promise 6.
#[test]
fn rows_in_flight_are_bounded_however_small_their_batches_are() {
    const BATCH: usize = 500;
    let mut rig = Rig::with(BatchOf(BATCH, Vec::new()), 1_000, 1_000_000);
    for _ in 0..20_000 {
        rig.push("t", "x");
    }
    let in_flight = |rig: &Rig<BatchOf>| rig.uplink.sent.values().map(|m| m.packed.rows.len()).sum::<usize>();
    rig.pump();
    let most = in_flight(&rig);
    assert!(most <= ROWS_MAX && most + BATCH > ROWS_MAX, "{most} rows");
    let mut answered = 0;
    while in_flight(&rig) > 0 {
        rig.answer(SUCCESS);
        answered += 1;
        rig.pump();
        assert!(in_flight(&rig) <= ROWS_MAX, "after {answered} answers");
    }
    assert_eq!(answered * BATCH, 20_000, "none is left behind");
    // One batch goes, however many rows it has.
    let mut rig = Rig::with(BatchOf(2 * ROWS_MAX, Vec::new()), 1_000, 1_000_000);
    for _ in 0..4 * ROWS_MAX {
        rig.push("t", "x");
    }
    rig.pump();
    assert_eq!(in_flight(&rig), 2 * ROWS_MAX);
    // One that the hub never answers keeps no younger ones back.
    rig.uplink.sent.values_mut().for_each(|message| message.is_overdue = true);
    rig.uplink.on_connected(0, u32::MAX, None, &mut rig.stats);
    rig.pump();
    assert_eq!(in_flight(&rig), 4 * ROWS_MAX);
}

/// Those that the hub passes over keep nothing back, and are parked before they are many.
#[test]
fn rows_that_the_hub_passes_over_are_bounded_too() {
    const BATCH: usize = 500;
    let mut rig = Rig::with(BatchOf(BATCH, Vec::new()), 1_000, 1_000_000);
    for _ in 0..90_000 {
        rig.push("t", "x");
    }
    let mut most = 0;
    for _connection in 0..6 {
        for _ in 0..20 {
            rig.pump();
            let rows = rig.uplink.sent.values().map(|m| m.packed.rows.len()).sum::<usize>();
            most = rows.max(most);
            let youngest = *rig.uplink.sent.last_key_value().unwrap().0;
            let answer = Answer { token: Token(youngest), reason: SUCCESS, is_complete: true };
            rig.uplink.on_acked(0, answer, &mut rig.spool, &mut rig.stats);
        }
        let parked = rig.uplink.on_unanswered(0, 1_000, &mut rig.spool, &mut rig.stats);
        assert!(parked.iter().all(|token| !rig.uplink.sent.contains_key(&token.0)));
        rig.uplink.on_connected(0, u32::MAX, None, &mut rig.stats);
    }
    assert!(most > 2 * ROWS_MAX && most <= 3 * ROWS_MAX, "{most} rows");
}

/// A pack whose batches have so many rows, of a byte in all.
#[derive(Debug)]
struct BatchOf(usize, Vec<LeaseId>);

impl Pack for BatchOf {
    fn add(&mut self, _: Now, row: Leased) {
        self.1.push(row.id);
    }

    fn poll(&mut self, _: Now, _: usize) -> Option<Packing> {
        let rows = (self.1.len() >= self.0).then(|| self.1.drain(..self.0).collect())?;
        Some(Packing::Message(Packed::of_rows(text("t"), rows)))
    }

    fn next_deadline(&self) -> Option<u64> {
        None
    }

    fn held_bytes(&self) -> usize {
        self.1.len()
    }

    fn take_rows(&mut self) -> Vec<LeaseId> {
        std::mem::take(&mut self.1)
    }
}
