//! Records of a frame's body: rows and changes, one after the other.
//!
//! A row's stamp and number are stored as differences to the row before it in the same frame (delta encoding), so a usual row costs eight bytes
//! besides its own. A change has its commit and its position in it, because a grown frame repeats older ones.
#![deny(clippy::indexing_slicing)]

use bytes::Bytes;

use super::bytes::{Reader, put_bytes, put_signed, put_varint};
use super::high_water::HighWaterMarks;
use super::snapshot::{get_lane, get_position, put_lane, put_position};
use crate::row::{Lane, Seq, StoredRow};
use crate::row_age::Expiry;
use crate::state::Change;
use crate::store::plausibility;
use crate::time::Stamp;

/// Bits of a row's first byte, which tell the fields that follow. The top bit is clear.
const STAMP: u8 = 1;
const SYNCED: u8 = 2;
const EPOCH: u8 = 4;
const TTL: u8 = 8;
const STRICT: u8 = 16;
const WEIGHT: u8 = 32;
/// First byte of a change: its kind, with the top bit set.
const POSITION: u8 = 0x81;
const LANE: u8 = 0x82;
const FORGET: u8 = 0x83;
const CLOSED: u8 = 0x84;
/// Kind of the record with the high-water marks of all lanes, which goes with the close mark.
const ENDS: u8 = 0x85;

/// Position of a change among all changes ever: (commit, place in the commit).
pub(super) type Order = (u64, u32);

/// Values of the row before, to which the next row is encoded as a difference.
#[derive(Clone, Copy, Debug)]
pub(super) struct Before {
    epoch: u32,
    seq: Seq,
    stamp: Option<Stamp>,
}

impl Before {
    /// Returns the values at the start of a frame, before its first row.
    pub(super) fn frame(epoch: u32, first_seq: Seq) -> Before {
        Before { epoch, seq: first_seq, stamp: None }
    }
}

/// Appends a row to a frame.
pub(super) fn put_row(out: &mut Vec<u8>, before: &mut Before, row: &StoredRow) {
    let near = before.stamp.filter(|s| s.boot_id == row.stamp.boot_id && s.synced == row.stamp.synced);
    let flag = |on: bool, bit: u8| if on { bit } else { 0 };
    out.push(
        flag(near.is_none(), STAMP)
            | flag(row.stamp.synced, SYNCED)
            | flag(row.epoch != before.epoch, EPOCH)
            | flag(row.ttl_ms.is_some(), TTL)
            | flag(row.expiry == Expiry::Strict, STRICT)
            | flag(row.weight != 1, WEIGHT),
    );
    put_varint(out, row.seq.saturating_sub(before.seq));
    match near {
        Some(last) => {
            let up = row.stamp.up_ms.wrapping_sub(last.up_ms) as i64;
            put_signed(out, up);
            // The wall clock usually moves with the other one: then this is one byte.
            put_signed(out, row.stamp.wall_ms.wrapping_sub(last.wall_ms).wrapping_sub(up));
        }
        None => {
            out.extend_from_slice(&row.stamp.boot_id.to_le_bytes());
            put_varint(out, row.stamp.up_ms);
            put_signed(out, row.stamp.wall_ms);
        }
    }
    if row.epoch != before.epoch {
        put_varint(out, u64::from(row.epoch));
    }
    if let Some(ttl) = row.ttl_ms {
        put_varint(out, ttl);
    }
    if row.weight != 1 {
        put_varint(out, u64::from(row.weight));
    }
    let data = [&row.key, &row.meta, &row.payload];
    data.iter().for_each(|part| put_varint(out, part.len() as u64));
    data.into_iter().filter(|part| !part.is_empty()).for_each(|part| out.extend_from_slice(part));
    before.seq = row.seq;
    before.stamp = Some(row.stamp);
}

/// Appends the high-water marks of all lanes.
pub(super) fn put_ends(out: &mut Vec<u8>, order: Order, ends: &HighWaterMarks) {
    let mut body = Vec::new();
    put_varint(&mut body, order.0);
    put_varint(&mut body, u64::from(order.1));
    ends.put(&mut body);
    out.push(ENDS);
    put_bytes(out, &body);
}

/// Returns the high-water marks in a record's body; `None` for a record of another kind.
pub(super) fn get_ends(body: &[u8], tag: u8) -> Option<HighWaterMarks> {
    HighWaterMarks::get(&mut Reader::new(body)).filter(|_| tag == ENDS)
}

/// Appends a change to a frame.
pub(super) fn put_change(out: &mut Vec<u8>, order: Order, change: &Change) {
    let kind = match change {
        Change::Position { .. } => POSITION,
        Change::Lane { .. } => LANE,
        Change::Forget { .. } => FORGET,
        Change::Closed => CLOSED,
    };
    out.push(kind);
    let start = out.len();
    put_varint(out, order.0);
    put_varint(out, u64::from(order.1));
    match change {
        Change::Position { consumer, lane, position } => {
            put_bytes(out, consumer.as_bytes());
            out.push(lane.0);
            put_position(out, position);
        }
        Change::Lane { lane, state } => {
            out.push(lane.0);
            put_lane(out, state);
        }
        Change::Forget { consumer } => put_bytes(out, consumer.as_bytes()),
        Change::Closed => {}
    }
    // Its length goes before it.
    let end = out.len();
    put_varint(out, (end - start) as u64);
    let len_bytes = out.len() - end;
    out.get_mut(start..).into_iter().for_each(|body| body.rotate_right(len_bytes));
}

/// Position in a frame's body. Holds no reference, so that reading can go on in a later call.
#[derive(Clone, Copy, Debug)]
pub(super) struct Cursor {
    at: usize,
    lane: Lane,
    before: Before,
}

/// One record of a frame.
#[derive(Debug)]
pub(super) enum Record<'a> {
    Row(RowRef<'a>),
    Change(Order, &'a [u8], u8),
}

/// Row inside a frame that was not copied.
#[derive(Clone, Copy, Debug)]
pub(super) struct RowRef<'a> {
    pub(super) seq: Seq,
    lane: Lane,
    epoch: u32,
    stamp: Stamp,
    ttl_ms: Option<u64>,
    expiry: Expiry,
    weight: u32,
    key_len: usize,
    meta_len: usize,
    /// Offset of `data` in the body.
    at: usize,
    /// Key, meta and payload, one after the other.
    data: &'a [u8],
}

impl RowRef<'_> {
    /// Returns the bytes of key, meta and payload.
    pub(super) fn bytes(&self) -> usize {
        self.data.len()
    }

    /// Returns the row as slices of `body`, the frame in which it was found. Nothing is copied; a row that is kept for long keeps its frame.
    pub(super) fn to_row(self, body: &Bytes) -> StoredRow {
        let end = self.at.saturating_add(self.data.len()).min(body.len());
        let mut rest = body.slice(self.at.min(end)..end);
        let key = rest.split_to(self.key_len.min(rest.len()));
        let meta = rest.split_to(self.meta_len.min(rest.len()));
        StoredRow {
            lane: self.lane,
            seq: self.seq,
            epoch: self.epoch,
            stamp: self.stamp,
            ttl_ms: self.ttl_ms,
            expiry: self.expiry,
            weight: self.weight,
            key,
            meta,
            payload: rest,
        }
    }
}

impl Cursor {
    /// Makes a cursor at the start of a frame's body.
    pub(super) fn new(lane: u8, epoch: u32, first_seq: Seq) -> Cursor {
        Cursor { at: 0, lane: Lane(lane), before: Before::frame(epoch, first_seq) }
    }

    /// Returns the next record; `None` at the end, or if the body is malformed (its CRC was valid, so that would be a writer's error, and still
    /// no reason to panic).
    pub(super) fn next<'a>(&mut self, body: &'a [u8]) -> Option<Record<'a>> {
        let mut r = Reader::new(body.get(self.at..)?);
        let tag = r.u8()?;
        let mut record = if tag & 0x80 == 0 { self.row(tag, &mut r)? } else { change(tag, &mut r)? };
        self.at = body.len() - r.left();
        if let Record::Row(row) = &mut record {
            row.at = self.at - row.data.len();
        }
        Some(record)
    }

    fn row<'a>(&mut self, flags: u8, r: &mut Reader<'a>) -> Option<Record<'a>> {
        let seq = self.before.seq.checked_add(r.varint()?).filter(|seq| plausibility::seq(*seq))?;
        let synced = flags & SYNCED != 0;
        let stamp = if flags & STAMP != 0 {
            Stamp { boot_id: r.u128()?, up_ms: r.varint()?, wall_ms: r.signed()?, synced }
        } else {
            let last = self.before.stamp?;
            let up = r.signed()?;
            let wall_ms = last.wall_ms.wrapping_add(up).wrapping_add(r.signed()?);
            Stamp { boot_id: last.boot_id, up_ms: last.up_ms.wrapping_add(up as u64), wall_ms, synced }
        };
        let epoch = if flags & EPOCH != 0 { r.varint_u32()? } else { self.before.epoch };
        let ttl_ms = if flags & TTL != 0 { Some(r.varint()?) } else { None };
        let expiry = if flags & STRICT != 0 { Expiry::Strict } else { Expiry::Lenient };
        let weight = if flags & WEIGHT != 0 { r.varint_u32()? } else { 1 };
        let (key_len, meta_len, payload_len) = (r.len()?, r.len()?, r.len()?);
        let data = r.take(key_len.checked_add(meta_len)?.checked_add(payload_len)?)?;
        self.before.seq = seq;
        self.before.stamp = Some(stamp);
        let lane = self.lane;
        let at = 0;
        Some(Record::Row(RowRef {
            seq,
            lane,
            epoch,
            stamp,
            ttl_ms,
            expiry,
            weight,
            key_len,
            meta_len,
            at,
            data,
        }))
    }
}

fn change<'a>(tag: u8, r: &mut Reader<'a>) -> Option<Record<'a>> {
    let mut body = Reader::new(r.bytes()?);
    let order = (body.varint()?, body.varint_u32()?);
    let left = body.left();
    Some(Record::Change(order, body.take(left)?, tag))
}

/// Decodes the change of a [`Record::Change`]; `None` if the bytes are malformed.
pub(super) fn get_change(body: &[u8], tag: u8) -> Option<Change> {
    let mut r = Reader::new(body);
    let name = |r: &mut Reader<'_>| Some(std::str::from_utf8(r.bytes()?).ok()?.to_owned());
    match tag {
        POSITION => Some(Change::Position {
            consumer: name(&mut r)?,
            lane: Lane(r.u8()?),
            position: get_position(&mut r)?,
        }),
        LANE => {
            let lane = Lane(r.u8()?);
            Some(Change::Lane { lane, state: get_lane(&mut r)? })
        }
        FORGET => Some(Change::Forget { consumer: name(&mut r)? }),
        CLOSED => Some(Change::Closed),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::state::LaneState;
    use crate::store::ring::layout::RECORD_OVERHEAD;

    fn rows() -> Vec<StoredRow> {
        let stamp = |boot, up, wall, synced| Stamp { boot_id: boot, up_ms: up, wall_ms: wall, synced };
        let row = |seq, stamp, ttl_ms, weight, payload: &'static [u8]| StoredRow {
            lane: Lane(2),
            seq,
            epoch: if seq == 9 { u32::MAX } else { 5 },
            stamp,
            ttl_ms,
            expiry: if seq == 8 { Expiry::Strict } else { Expiry::Lenient },
            weight,
            key: Bytes::from_static(b"key"),
            meta: Bytes::new(),
            payload: Bytes::from_static(payload),
        };
        vec![
            row(7, stamp(1, 10, 1000, false), None, 1, b"a"),
            row(8, stamp(1, 20, 1010, false), Some(u64::MAX), u32::MAX, b""),
            row(9, stamp(1, 15, i64::MIN, false), None, 1, b"ccc"),
            row((1 << 60) - 1, stamp(u128::MAX, u64::MAX, i64::MAX, true), Some(0), 2, b"dd"),
            row(1 << 60, stamp(u128::MAX, 0, i64::MIN, true), None, 1, b"e"),
        ]
    }

    #[test]
    fn rows_and_changes_come_back_and_no_row_exceeds_its_overhead() {
        let rows = rows();
        let changes = [
            Change::Lane {
                lane: Lane(1),
                state: LaneState { next: 9, floor: 3, rows: 6, weight: 7, bytes: 8, recount_due: true },
            },
            Change::Forget { consumer: "hub".into() },
            Change::Closed,
        ];
        let (mut out, mut before) = (Vec::new(), Before::frame(5, 7));
        for row in &rows {
            let start = out.len();
            put_row(&mut out, &mut before, row);
            let own = row.key.len() + row.meta.len() + row.payload.len();
            assert!(out.len() - start - own <= RECORD_OVERHEAD as usize);
        }
        changes.iter().zip(0..).for_each(|(c, n)| put_change(&mut out, (77, n), c));
        let body = Bytes::from(out.clone());
        let mut cursor = Cursor::new(2, 5, 7);
        for row in &rows {
            match cursor.next(&out) {
                Some(Record::Row(r)) => assert_eq!(&r.to_row(&body), row),
                other => panic!("{other:?}"),
            }
        }
        for (n, change) in changes.iter().enumerate() {
            match cursor.next(&out) {
                Some(Record::Change(order, body, tag)) => {
                    assert_eq!(order, (77, n as u32));
                    assert_eq!(get_change(body, tag).as_ref(), Some(change));
                }
                other => panic!("{other:?}"),
            }
        }
        assert!(cursor.next(&out).is_none());
    }

    #[test]
    fn a_cut_body_ends_and_never_panics() {
        let (mut out, mut before) = (Vec::new(), Before::frame(5, 7));
        rows().iter().for_each(|row| put_row(&mut out, &mut before, row));
        put_change(&mut out, (1, 2), &Change::Forget { consumer: "x".into() });
        for cut in 0..out.len() {
            for flip in [0u8, 0xff, 0x80] {
                let mut bad = out[..cut].to_vec();
                bad.iter_mut().skip(cut / 2).take(1).for_each(|b| *b ^= flip);
                let mut cursor = Cursor::new(2, 5, 7);
                while let Some(record) = cursor.next(&bad) {
                    if let Record::Change(_, body, tag) = record {
                        let _ = get_change(body, tag);
                    }
                }
            }
        }
    }
}
