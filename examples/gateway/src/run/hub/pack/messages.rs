//! Messages of a finished batch: each is encoded, read back once, and has the leases of its rows.

use edge_bridge::bridge::spool::Leased;
use edge_bridge::bridge::{Packed, Packing, RowBatch, Source};
use edge_bridge::ingest::Now;
use edge_bridge::wire::{ReasonCode, Utf8};
use edge_codec::{BatchId, Limits};

use crate::run::filters::reading_row::ReadingRow;
use crate::run::replaced_parts::PackedBatch;

use super::super::batch::{Head, Piece, encode};
use super::super::compact::Compact;
use super::super::formats::{BatchFormat, Shape, shape};
use super::super::read_back;
use super::OwnPacker;

/// Readings that are encoded in batches of their own, with the leases of their rows. Sequence numbers rise.
#[derive(Default)]
struct Part<'a> {
    rows: Vec<(u64, ReadingRow<'a>)>,
    leases: Vec<&'a Leased>,
}

impl<'a> Part<'a> {
    fn push(&mut self, (row, lease): ((u64, ReadingRow<'a>), &'a Leased)) {
        self.rows.push(row);
        self.leases.push(lease);
    }

    /// Returns one part, or two parts with known and unknown sensors: one sensor that is not in the hub's table would make a common batch carry
    /// all names. `None`: do not split.
    fn of_compact(self, is_known: Option<Vec<bool>>) -> Vec<Self> {
        let Some(is_known) = is_known else { return vec![self] };
        let (mut known, mut unknown) = (Self::default(), Self::default());
        for (reading, is_known) in self.rows.into_iter().zip(self.leases).zip(is_known) {
            if is_known { &mut known } else { &mut unknown }.push(reading);
        }
        vec![known, unknown]
    }
}

/// Makes the messages of a batch, each at most `max_bytes`.
pub(super) fn of_batch(batch: &RowBatch, now: Now, max_bytes: usize, compact: &mut Compact) -> Vec<Packing> {
    let Some(shape) = shape(batch.format) else { return Vec::new() };
    let mut out = Vec::new();
    let all = readable(batch, now, &mut out);
    let parts = match shape {
        Shape::Batch(_) => vec![all],
        Shape::Compact => {
            let is_known = compact.split(&batch.topic, &all.rows);
            all.of_compact(is_known)
        }
    };
    for part in parts {
        encode_part(batch, shape, &part, max_bytes, compact, &mut out);
    }
    out
}

/// Makes the messages of a batch with a packer of an embedding program, each of at most `max_bytes`.
pub(super) fn of_own(batch: &RowBatch, now: Now, max_bytes: usize, own: &mut OwnPacker) -> Vec<Packing> {
    let mut out = Vec::new();
    let all = readable(batch, now, &mut out);
    pack(batch, &all.rows, &all.leases, max_bytes, own, &mut out);
    out
}

/// Packs readings into one message or, if it is too large, into one for each half.
fn pack(
    batch: &RowBatch,
    rows: &[(u64, ReadingRow<'_>)],
    leases: &[&Leased],
    max_bytes: usize,
    own: &mut OwnPacker,
    out: &mut Vec<Packing>,
) {
    if rows.is_empty() {
        return;
    }
    let head = head_of(batch, rows);
    let Head { id, possible_duplicate } = head;
    let OwnPacker { packer, part } = own;
    let packed = part.call(|| {
        let payload = packer.pack(&PackedBatch { id, possible_duplicate, readings: rows });
        (payload, packer.content_type())
    });
    let Some((payload, content_type)) = packed else {
        out.extend(as_json(&batch.topic, head, rows, leases, max_bytes));
        return;
    };
    let leased = || leases.iter().copied();
    if payload.len() <= max_bytes {
        let message = Packed::batch(&batch.topic, content_type, payload, leased());
        out.push(Packing::Message(message));
    } else if rows.len() == 1 {
        out.push(Packing::unsendable(leased(), ReasonCode::PACKET_TOO_LARGE));
    } else {
        let (mut rows, mut leases, half) = (rows, leases, rows.len() / 2);
        pack(batch, split(&mut rows, half), split(&mut leases, half), max_bytes, own, out);
        pack(batch, rows, leases, max_bytes, own, out);
    }
}

/// Returns the readings that can be sent. Rows that have expired or cannot be read are settled in `out`.
fn readable<'a>(batch: &'a RowBatch, now: Now, out: &mut Vec<Packing>) -> Part<'a> {
    let mut part = Part::default();
    for leased in &batch.rows {
        if leased.is_expired(now.up_ms) {
            out.push(Packing::Expired { rows: vec![leased.id] });
            continue;
        }
        let seq = leased.identity.map_or(0, |own| own.seq);
        match ReadingRow::decode(&leased.row.payload) {
            Some(row) => part.push(((seq, row), leased)),
            None => out.push(Packing::unsendable([leased], ReasonCode::PAYLOAD_FORMAT_INVALID)),
        }
    }
    part
}

/// Returns the header of a batch of these readings.
fn head_of(batch: &RowBatch, rows: &[(u64, ReadingRow<'_>)]) -> Head {
    let first_seq = rows.first().map_or(0, |(seq, _)| *seq);
    let id = batch.source.map(|Source { gateway, lane, epoch }| BatchId { gateway, lane, epoch, first_seq });
    Head { id, possible_duplicate: batch.possible_duplicate }
}

/// Encodes a part and reads each message back once. Readings that differ after that are sent as JSON.
fn encode_part(
    batch: &RowBatch,
    shape: Shape,
    part: &Part<'_>,
    max_bytes: usize,
    compact: &mut Compact,
    out: &mut Vec<Packing>,
) {
    let (topic, head) = (&batch.topic, head_of(batch, &part.rows));
    let pieces = match shape {
        Shape::Batch(format) => encode(format, head, &part.rows, max_bytes),
        Shape::Compact => compact.encode(topic, head, &part.rows, max_bytes),
    };
    let (mut leases, mut rows) = (part.leases.as_slice(), part.rows.as_slice());
    for piece in pieces {
        let count = piece.rows();
        let (own, own_rows) = (split(&mut leases, count), split(&mut rows, count));
        let Piece::Batch(_, payload) = piece else {
            out.push(Packing::unsendable(own.iter().copied(), ReasonCode::PACKET_TOO_LARGE));
            continue;
        };
        let head = head_of(batch, own_rows);
        let read = match shape {
            Shape::Batch(format) => format.codec().decode(&payload, &Limits::default()),
            Shape::Compact => compact.decode(topic, &payload),
        };
        match read_back::compare(read, head, own_rows) {
            Ok(()) => out.push(Packing::Message(Packed::batch(
                &batch.topic,
                shape.content_type(),
                payload,
                own.iter().copied(),
            ))),
            Err(why) => {
                tracing::error!(%topic, %why, "a batch cannot be read back: it goes as JSON");
                out.extend(as_json(topic, head, own_rows, own, max_bytes));
            }
        }
    }
}

/// Encodes readings as JSON, which every reader understands, because the route's own format did not preserve them.
pub(super) fn as_json(
    topic: &Utf8,
    head: Head,
    rows: &[(u64, ReadingRow<'_>)],
    leases: &[&Leased],
    max_bytes: usize,
) -> Vec<Packing> {
    let mut leases = leases;
    let messages = encode(BatchFormat::Json, head, rows, max_bytes).into_iter().map(|piece| {
        let own = split(&mut leases, piece.rows());
        match piece {
            Piece::Batch(_, payload) => Packing::Message(Packed::batch(
                topic,
                edge_codec::content_type::JSON,
                payload,
                own.iter().copied(),
            )),
            Piece::Refused(_) => Packing::unsendable(own.iter().copied(), ReasonCode::PACKET_TOO_LARGE),
        }
    });
    messages.collect()
}

/// Takes the first `count` elements off `rest`, and returns them.
fn split<'a, T>(rest: &mut &'a [T], count: usize) -> &'a [T] {
    let (first, others) = rest.split_at(count.min(rest.len()));
    *rest = others;
    first
}
