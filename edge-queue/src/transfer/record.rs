//! Rows and losses in a block's body. Each stands for itself: no differences to the one before.
#![deny(clippy::indexing_slicing)]

use bytes::Bytes;

use crate::gap::Gap;
use crate::row::{Lane, StoredRow};
use crate::row_age::Expiry;
use crate::state::{GapRecord, Reason};
use crate::store::bytes::{Reader, put_bytes, put_signed, put_varint};
use crate::time::Stamp;

const SYNCED: u8 = 1;
const TTL: u8 = 2;
const STRICT: u8 = 4;

pub(super) fn put_row(out: &mut Vec<u8>, row: &StoredRow) {
    let flag = |on: bool, bit: u8| if on { bit } else { 0 };
    out.push(
        flag(row.stamp.synced, SYNCED)
            | flag(row.ttl_ms.is_some(), TTL)
            | flag(row.expiry == Expiry::Strict, STRICT),
    );
    put_varint(out, row.seq);
    put_varint(out, u64::from(row.epoch));
    out.extend_from_slice(&row.stamp.boot_id.to_le_bytes());
    put_varint(out, row.stamp.up_ms);
    put_signed(out, row.stamp.wall_ms);
    if let Some(ttl_ms) = row.ttl_ms {
        put_varint(out, ttl_ms);
    }
    put_varint(out, u64::from(row.weight));
    put_bytes(out, &row.key);
    put_bytes(out, &row.meta);
    put_bytes(out, &row.payload);
}

pub(super) fn get_row(r: &mut Reader<'_>, lane: Lane) -> Option<StoredRow> {
    let flags = r.u8()?;
    let (seq, epoch) = (r.varint()?, r.varint_u32()?);
    let stamp =
        Stamp { boot_id: r.u128()?, up_ms: r.varint()?, wall_ms: r.signed()?, synced: flags & SYNCED != 0 };
    let ttl_ms = if flags & TTL != 0 { Some(r.varint()?) } else { None };
    let expiry = if flags & STRICT != 0 { Expiry::Strict } else { Expiry::Lenient };
    let weight = r.varint_u32()?.max(1);
    let mut part = || r.bytes().map(Bytes::copy_from_slice);
    let (key, meta, payload) = (part()?, part()?, part()?);
    Some(StoredRow { lane, seq, epoch, stamp, ttl_ms, expiry, weight, key, meta, payload })
}

pub(super) fn put_gap(out: &mut Vec<u8>, consumer: &str, gap: &GapRecord) {
    put_bytes(out, consumer.as_bytes());
    put_varint(out, gap.first_seq);
    put_varint(out, gap.last_seq);
    put_signed(out, gap.first_ms);
    put_signed(out, gap.last_ms);
    put_varint(out, gap.count);
    out.push(gap.reason as u8);
}

pub(super) fn get_gap(r: &mut Reader<'_>, lane: Lane) -> Option<(String, Gap)> {
    let consumer = std::str::from_utf8(r.bytes()?).ok()?.to_owned();
    let record = GapRecord {
        first_seq: r.varint()?,
        last_seq: r.varint()?,
        first_ms: r.signed()?,
        last_ms: r.signed()?,
        count: r.varint()?,
        reason: Reason::from_code(r.u8()?)?,
    };
    Some((consumer, Gap::from((lane, record))))
}
