use bytes::Bytes;

use crate::bridge::Packed;
use crate::bridge::spool::Identity;
use crate::row::Row;
use crate::wire::{PropertyId, ReasonCode};

use super::*;

const BATCHED: Format = Format(7);
const LIMITS: BatchLimits = BatchLimits { age_ms: 300, rows: 4, bytes: 20 };

/// Puts payloads one behind another into messages of at most so many bytes.
#[derive(Debug, Default)]
struct Joined {
    beside: Option<Packing>,
}

impl Encode for Joined {
    fn limits(&self, row: &Leased) -> Option<BatchLimits> {
        assert!(row.row.dead_letter.is_none(), "not asked about dead letters");
        (row.row.format == BATCHED).then_some(LIMITS)
    }

    fn encode(&mut self, now: Now, batch: &RowBatch, bytes_max: usize) -> Vec<Packing> {
        let mut out = Vec::new();
        let mut message = Packed::of_rows(batch.topic.clone(), Vec::new());
        let mut payload = Vec::new();
        for row in &batch.rows {
            if row.is_expired(now.up_ms) {
                out.push(Packing::Expired { rows: vec![row.id] });
                continue;
            }
            if payload.len() + row.row.payload.len() > bytes_max {
                message.publish.payload = std::mem::take(&mut payload).into();
                let next = Packed::of_rows(batch.topic.clone(), Vec::new());
                out.push(Packing::Message(std::mem::replace(&mut message, next)));
            }
            payload.extend_from_slice(&row.row.payload);
            message.rows.push(row.id);
        }
        message.publish.payload = payload.into();
        out.push(Packing::Message(message));
        out
    }

    fn poll(&mut self, _now: Now, _max_packet: usize) -> Option<Packing> {
        self.beside.take()
    }
}

fn at(up_ms: u64) -> Now {
    Now { up_ms, wall_ms: 0 }
}

fn row(seq: u64, format: Format) -> Leased {
    let mut row = Row::new(Utf8::from_static("out"), Bytes::from_static(b"12345"));
    row.format = format;
    Leased::new(LeaseId(seq), row, 0, 0, Some(Identity { gateway: 1, lane: 1, epoch: 1, seq }))
}

fn ids(packing: Packing) -> Vec<u64> {
    match packing {
        Packing::Message(packed) => packed.rows.iter().map(|row| row.0).collect(),
        other => panic!("{other:?}"),
    }
}

fn sent(pack: &mut BatchPack<Joined>, now: Now) -> Vec<Vec<u64>> {
    std::iter::from_fn(|| pack.poll(now, 1 << 20)).map(ids).collect()
}

#[test]
fn a_batch_goes_when_it_is_full_and_when_its_first_row_has_waited() {
    let mut pack = BatchPack::new(Joined::default());
    (1..=6).for_each(|seq| pack.add(at(10), row(seq, BATCHED)));
    assert_eq!(pack.held_bytes(), 30);
    assert_eq!(sent(&mut pack, at(309)), [[1, 2, 3, 4]]);
    assert_eq!((pack.held_bytes(), pack.next_deadline()), (10, Some(310)));
    assert_eq!(sent(&mut pack, at(310)), [[5, 6]]);
    assert_eq!((pack.held_bytes(), pack.next_deadline()), (0, None));
}

#[test]
fn what_the_hub_takes_and_the_limit_of_the_batch_bound_each_message() {
    let mut pack = BatchPack::new(Joined::default());
    (1..=3).for_each(|seq| pack.add(at(0), row(seq, BATCHED)));
    let room_for_two = PACKET_OVERHEAD_BYTES + "out".len() + 10;
    let packings: Vec<_> = std::iter::from_fn(|| pack.poll(at(300), room_for_two)).map(ids).collect();
    assert_eq!(packings, [vec![1, 2], vec![3]]);
}

#[test]
fn raw_rows_and_batches_take_turns_and_a_table_goes_before_the_batch() {
    let mut pack = BatchPack::new(Joined::default());
    pack.encoder.beside =
        Some(Packing::Message(Packed::of_rows(Utf8::from_static("table"), vec![LeaseId(99)])));
    (1..=4).for_each(|seq| pack.add(at(0), row(seq, BATCHED)));
    let mut order = Vec::new();
    for seq in 5..9 {
        pack.add(at(0), row(seq, Format::RAW));
        order.extend(pack.poll(at(0), 1 << 20).map(ids));
    }
    assert_eq!(order, [vec![5], vec![99], vec![6], vec![1, 2, 3, 4]]);
}

#[test]
fn promise_7_a_mark_a_start_or_a_format_cuts_a_batch_and_nothing_overtakes() {
    for cut in 0..3 {
        let mut pack = BatchPack::new(Joined::default());
        for seq in 1..=3 {
            let mut row = row(seq, BATCHED);
            match (seq, cut) {
                (2, 0) => row.row.possible_duplicate = true,
                (2.., 1) => row.identity = Some(Identity { gateway: 1, lane: 1, epoch: 2, seq }),
                (2, 2) => row.row.topic = Utf8::from_static("other"),
                _ => {}
            }
            pack.add(at(seq), row);
        }
        let expected = match cut {
            0 => vec![vec![1], vec![2], vec![3]],
            1 => vec![vec![1], vec![2, 3]],
            _ => vec![vec![1, 3], vec![2]],
        };
        assert_eq!(sent(&mut pack, at(400)), expected, "{cut}");
    }
}

/// A lease that was returned comes again behind a younger row, and finds an open batch that began before it.
#[test]
fn promise_7_numbers_rise_in_every_batch_although_a_row_comes_again() {
    let mut pack = BatchPack::new(Joined::default());
    [10, 12, 11, 13].into_iter().for_each(|seq| pack.add(at(seq), row(seq, BATCHED)));
    assert_eq!(sent(&mut pack, at(400)), [vec![10, 12, 13], vec![11]]);
}

#[test]
fn a_dead_letter_is_never_in_a_batch_and_has_a_topic_of_its_own() {
    let mut pack = BatchPack::new(Joined::default());
    let mut letter = row(1, BATCHED);
    letter.row.dead_letter = Some(ReasonCode::PAYLOAD_FORMAT_INVALID);
    assert_eq!(pack.topic(&letter).as_str(), "dead-letter/out");
    pack.add(at(0), letter);
    let Some(Packing::Message(packed)) = pack.poll(at(0), 1 << 20) else { panic!("a message") };
    assert_eq!(packed.publish.topic.as_str(), "dead-letter/out");
    assert!(packed.publish.properties.user_property("edge-reason").is_some());
}

#[test]
fn raw_rows_and_dead_letters_carry_their_identity_in_the_form_that_was_set() {
    for (form, expected) in [
        (None, (true, false)),
        (Some(IdentityForm::Binary), (false, true)),
        (Some(IdentityForm::Off), (false, false)),
    ] {
        let pack = BatchPack::new(Joined::default());
        let mut pack =
            form.map_or_else(|| BatchPack::new(Joined::default()), |form| pack.with_identity(form));
        let mut dead = row(2, BATCHED);
        dead.row.dead_letter = Some(ReasonCode::PAYLOAD_FORMAT_INVALID);
        for row in [row(1, Format::RAW), dead] {
            pack.add(at(0), row);
            let Some(Packing::Message(packed)) = pack.poll(at(0), 1 << 20) else {
                panic!("a message of its own")
            };
            let properties = &packed.publish.properties;
            let has_text = properties.user_property("edge-id").is_some();
            assert_eq!((has_text, properties.contains(PropertyId::CorrelationData)), expected, "{form:?}");
        }
    }
}

#[test]
fn a_stop_gives_every_row_back_once() {
    let mut pack = BatchPack::new(Joined::default());
    // Rows in all four places: of a message that is ready, in a closed batch, in an open one, raw.
    (1..=8).for_each(|seq| pack.add(at(0), row(seq, BATCHED)));
    assert_eq!(pack.poll(at(0), PACKET_OVERHEAD_BYTES + 13).map(ids), Some(vec![1, 2]));
    pack.add(at(0), row(9, BATCHED));
    pack.add(at(0), row(10, Format::RAW));
    let mut rows: Vec<_> = pack.take_rows().into_iter().map(|row| row.0).collect();
    rows.sort_unstable();
    assert_eq!(rows, (3..=10).collect::<Vec<_>>());
    assert_eq!((pack.held_bytes(), pack.next_deadline()), (0, None));
}
