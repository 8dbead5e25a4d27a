//! Tests of the order of parked rows that are sent in batches, while the hub refuses some of them.

use bytes::Bytes;

use crate::bridge::Packed;
use crate::bridge::spool::Spool as _;
use crate::bridge::test_uplink::{QUOTA, Rig, SUCCESS, text};
use crate::random::Rng;
use crate::row::Row;

use super::*;

const BATCHED: Format = Format(7);

/// Encoder whose payload is the rows' numbers, one behind the other; a batch has at most `rows`.
#[derive(Debug)]
struct Numbers {
    rows: usize,
}

impl Encode for Numbers {
    fn limits(&self, row: &Leased) -> Option<BatchLimits> {
        (row.row.format == BATCHED).then_some(BatchLimits { age_ms: 300, rows: self.rows, bytes: 1_000 })
    }

    fn encode(&mut self, _now: Now, batch: &RowBatch, _bytes_max: usize) -> Vec<Packing> {
        let mut message = Packed::of_rows(batch.topic.clone(), batch.rows.iter().map(|row| row.id).collect());
        let payloads = batch.rows.iter().flat_map(|row| row.row.payload.iter().copied());
        message.publish.payload = payloads.collect::<Vec<_>>().into();
        vec![Packing::Message(message)]
    }
}

/// Parks rows with consecutive numbers, and sends them to a hub that refuses for a while and takes for a while. Returns their number, and the numbers
/// that the hub took, in its order. `seed` draws sizes and times.
fn taken(seed: u64) -> (usize, Vec<u32>) {
    let mut rng = Rng::new(seed);
    let limit = 1 + rng.below(6) as usize;
    let window_max = [1, 64, 600, 100_000][rng.below(4) as usize];
    let mut rig = Rig::with(BatchPack::new(Numbers { rows: limit }), 1 + rng.below(4) as u16, window_max);
    let total = 20 + rng.below(400) as usize;
    for n in 0..total {
        let mut row = Row::new(text("t"), Bytes::from(format!("{n:>60},")));
        row.format = BATCHED;
        let id = rig.push_row(row);
        rig.spool.park(id, QUOTA);
    }
    let (mut taken, mut refuses) = (Vec::new(), true);
    let mut sent = std::collections::VecDeque::new();
    for turn in 0..20_000 {
        sent.extend(rig.pump());
        // One answer for all that is on its way: a message refused beside others that are taken is bad by itself, and loses its place.
        if sent.is_empty() {
            refuses = turn <= 200 && rng.below(2) == 0;
        }
        match sent.pop_front() {
            None => rig.now_ms += 1 + rng.below(2_000),
            Some(_) if refuses => rig.answer(QUOTA),
            Some(numbers) => {
                rig.answer(SUCCESS);
                taken.extend(numbers.split_terminator(',').map(|n| n.trim().parse::<u32>().unwrap()));
            }
        }
        if taken.len() == total {
            break;
        }
    }
    (total, taken)
}

/// A row that is parked again while older ones of its topic wait in an open batch would be sent before them if that batch is parked, too.
#[test]
fn parked_rows_keep_their_order_through_open_batches() {
    for seed in 0..400 {
        let (total, taken) = taken(seed);
        let expected = (0..u32::try_from(total).unwrap()).collect::<Vec<_>>();
        assert_eq!(taken, expected, "seed {seed}");
    }
}
