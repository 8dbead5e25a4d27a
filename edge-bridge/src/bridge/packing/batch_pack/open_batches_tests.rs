//! Tests of open batches that are filled beyond the room in the congestion window, because their rows shrink when they are encoded.

use bytes::Bytes;

use crate::bridge::Packed;
use crate::bridge::spool::Spool as _;
use crate::bridge::test_uplink::{Rig, SUCCESS, text};
use crate::row::Row;

use super::*;

const BATCHED: Format = Format(7);
const ROW_BYTES: usize = 60;
const NO_LIMIT: u64 = 1_000_000;

/// A thousand rows of a topic in a few bytes: their number.
#[derive(Debug)]
struct Counts;

impl Encode for Counts {
    fn limits(&self, row: &Leased) -> Option<BatchLimits> {
        (row.row.format == BATCHED).then_some(BatchLimits { age_ms: 1_000, rows: 1_000, bytes: 1_000 })
    }

    fn encode(&mut self, _now: Now, batch: &RowBatch, _bytes_max: usize) -> Vec<Packing> {
        let mut message = Packed::of_rows(batch.topic.clone(), batch.rows.iter().map(|row| row.id).collect());
        message.publish.payload = batch.rows.len().to_string().into();
        vec![Packing::Message(message)]
    }
}

fn rig(window_max: u64) -> Rig<BatchPack<Counts>> {
    Rig::with(BatchPack::new(Counts), 1_000, window_max)
}

fn push(rig: &mut Rig<BatchPack<Counts>>, topic: &str, format: Format, rows: usize) {
    for _ in 0..rows {
        let mut row = Row::new(text(topic), Bytes::from_static(&[b'x'; ROW_BYTES]));
        row.format = format;
        rig.push_row(row);
    }
}

/// Four thousand rows are 240 kB in the queue and a few hundred bytes on the wire: no batch waits for its time, whatever the window.
#[test]
fn a_backlog_fills_its_batches_through_a_small_window() {
    for window_max in [NO_LIMIT, 4_096, 100] {
        let mut rig = rig(window_max);
        push(&mut rig, "t", BATCHED, 4_000);
        let mut sent = rig.pump();
        while sent.len() < 4 && rig.uplink.unacknowledged() > 0 {
            rig.answer(SUCCESS);
            sent.extend(rig.pump());
        }
        assert_eq!(sent, ["1000"; 4], "a window of {window_max} bytes");
    }
}

/// Rows that are messages of their own are not taken from the queue before there is room for them: a younger live one may still go first.
#[test]
fn an_open_batch_brings_few_raw_rows_with_it() {
    let mut rig = rig(1_000);
    push(&mut rig, "t", BATCHED, 1);
    push(&mut rig, "raw", Format::RAW, 2_000);
    let sent = rig.pump().len();
    let taken = 2_000 - usize::try_from(rig.spool.waiting()).unwrap();
    assert!(sent > 0 && taken <= sent + 4_096 / ROW_BYTES + 1, "{sent} sent, {taken} taken");
}

/// Many topics: the largest batch goes before its time, so that all together are bounded and none keeps the others waiting.
#[test]
fn open_batches_are_bounded_together() {
    let mut rig = rig(NO_LIMIT);
    for _ in 0..900 {
        for topic in 0..20 {
            push(&mut rig, &format!("t/{topic}"), BATCHED, 1);
        }
    }
    let sent = rig.pump().iter().map(|rows| rows.parse::<usize>().unwrap()).sum::<usize>();
    let open = rig.uplink.pack.open.iter().map(|batch| batch.rows.len()).sum::<usize>();
    assert!(open * (ROW_BYTES + ROW_COST) < OPEN_COST_MAX, "{open} rows");
    assert!(sent > 3_000, "about as many as may be in flight: {sent}");
    while rig.uplink.unacknowledged() > 0 {
        rig.answer(SUCCESS);
        rig.pump();
    }
    let open = rig.uplink.pack.open.iter().map(|batch| batch.rows.len()).sum::<usize>();
    assert_eq!(rig.spool.waiting(), 0, "the rest waits for its time alone: {open}");
}
