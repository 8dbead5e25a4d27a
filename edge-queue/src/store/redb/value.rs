//! Encoding of values in redb. Each starts with `magic, crc32c, length`, so that a value can be verified without redb, which does not verify
//! checksums on read; after redb has refused a file its raw pages are searched for values.

use std::collections::BTreeMap;

use bytes::Bytes;

use crate::per_lane::PerLane;
use crate::row::{LANES_MAX, Lane, Seq, StoredRow};
use crate::row_age::Expiry;
use crate::state::{ConsumerState, GapRecord, LaneState, Position, Reason, State};
use crate::store::bytes::Reader;
use crate::store::plausibility::{self, EPOCH_END};
use crate::time::Stamp;

/// Version of the values' layout.
pub(super) const FORMAT: u32 = 1;
pub(super) const ROW_MAGIC: [u8; 4] = *b"EQr1";
pub(super) const HEAD_MAGIC: [u8; 4] = *b"EQh1";
/// Bytes of magic, checksum and length.
pub(super) const PREFIX_BYTES: usize = 12;

/// Number and weight of all rows ever written to a lane: the difference between two neighbours is that of the rows between them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Totals {
    pub(super) rows: u64,
    pub(super) weight: u64,
}

/// A row, and the totals of its lane with this row included.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct RowValue {
    pub(super) row: StoredRow,
    pub(super) totals: Totals,
}

/// Durable state besides rows: one value, rewritten by every commit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Head {
    /// Raised by every commit: after a salvage the highest wins.
    pub(super) generation: u64,
    /// Set by a clean close.
    pub(super) clean: bool,
    /// Highest sequence number written in each lane, with the totals there.
    pub(super) written: [(Seq, Totals); LANES_MAX],
    /// Totals at the last row that was removed from each lane.
    pub(super) removed: [Totals; LANES_MAX],
    pub(super) state: State,
}

/// Reason why bytes are no valid value.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Bad {
    /// Wrong magic, length, checksum or content.
    Damaged,
    /// A valid value of a later layout.
    Newer(u32),
}

pub(super) fn encode_row(row: &StoredRow, totals: Totals) -> Vec<u8> {
    let mut out = Writer::new(ROW_MAGIC);
    out.u8(row.lane.0).u64(row.seq).u32(row.epoch).u64(totals.rows).u64(totals.weight);
    out.u128(row.stamp.boot_id).u64(row.stamp.up_ms).i64(row.stamp.wall_ms).u8(row.stamp.synced.into());
    out.u8(row.ttl_ms.is_some().into()).u64(row.ttl_ms.unwrap_or(0));
    out.u8((row.expiry == Expiry::Strict).into()).u32(row.weight);
    out.blob(&row.key).blob(&row.meta).blob(&row.payload);
    out.seal()
}

pub(super) fn decode_row(value: &[u8]) -> Result<RowValue, Bad> {
    open(value, ROW_MAGIC).and_then(read_row).ok_or(Bad::Damaged)
}

fn read_row(mut r: Reader<'_>) -> Option<RowValue> {
    let (lane, seq, epoch) = (Lane(r.u8()?), r.u64()?, r.u32()?);
    if !plausibility::seq(seq) || epoch >= EPOCH_END {
        return None;
    }
    let totals = Totals { rows: r.u64()?, weight: r.u64()? };
    let stamp =
        Stamp { boot_id: r.u128()?, up_ms: r.u64()?, wall_ms: r.u64()?.cast_signed(), synced: r.u8()? != 0 };
    let (has_ttl, ttl) = (r.u8()? != 0, r.u64()?);
    let expiry = if r.u8()? != 0 { Expiry::Strict } else { Expiry::Lenient };
    let weight = r.u32()?;
    let (key, meta, payload) = (blob(&mut r)?, blob(&mut r)?, blob(&mut r)?);
    let ttl_ms = has_ttl.then_some(ttl);
    let row = StoredRow { lane, seq, epoch, stamp, ttl_ms, expiry, weight, key, meta, payload };
    Some(RowValue { row, totals })
}

pub(super) fn encode_head(head: &Head) -> Vec<u8> {
    let mut out = Writer::new(HEAD_MAGIC);
    out.u32(FORMAT).u64(head.generation).u8(head.clean.into());
    for (seq, totals) in &head.written {
        out.u64(*seq).u64(totals.rows).u64(totals.weight);
    }
    for totals in &head.removed {
        out.u64(totals.rows).u64(totals.weight);
    }
    let state = &head.state;
    out.u64(state.gateway).u32(state.epoch).u8(state.lanes);
    for lane in &state.lane {
        out.u64(lane.next).u64(lane.floor).u64(lane.rows).u64(lane.weight).u64(lane.bytes);
        out.u8(lane.recount_due.into());
    }
    out.count(state.consumers.len());
    for consumer in &state.consumers {
        out.blob(consumer.name.as_bytes());
        for position in &consumer.lanes {
            encode_position(&mut out, position);
        }
    }
    out.seal()
}

pub(super) fn decode_head(value: &[u8]) -> Result<Head, Bad> {
    let mut r = open(value, HEAD_MAGIC).ok_or(Bad::Damaged)?;
    match r.u32() {
        Some(format) if format > FORMAT => Err(Bad::Newer(format)),
        Some(_) => read_head(r).ok_or(Bad::Damaged),
        None => Err(Bad::Damaged),
    }
}

fn read_head(mut r: Reader<'_>) -> Option<Head> {
    let (generation, clean) = (r.u64()?, r.u8()? != 0);
    let mut written = [(0, Totals::default()); LANES_MAX];
    for slot in &mut written {
        *slot = (r.u64()?, Totals { rows: r.u64()?, weight: r.u64()? });
    }
    let mut removed = [Totals::default(); LANES_MAX];
    for slot in &mut removed {
        *slot = Totals { rows: r.u64()?, weight: r.u64()? };
    }
    let mut state = State::new(r.u64()?, 0);
    (state.epoch, state.lanes) = (r.u32()?, r.u8()?);
    for lane in &mut state.lane {
        let (next, floor) = (r.u64()?, r.u64()?);
        let (rows, weight, bytes) = (r.u64()?, r.u64()?, r.u64()?);
        *lane = LaneState { next, floor, rows, weight, bytes, recount_due: r.u8()? != 0 };
    }
    if state.epoch >= EPOCH_END || !state.lane.iter().all(plausibility::lane) {
        return None;
    }
    for _ in 0..r.u32()? {
        let name = String::from_utf8(blob(&mut r)?.to_vec()).ok()?;
        let mut lanes = PerLane::<Position>::default();
        for position in &mut lanes {
            *position = read_position(&mut r)?;
        }
        state.consumers.push(ConsumerState { name, lanes });
    }
    Some(Head { generation, clean, written, removed, state })
}

fn encode_position(out: &mut Writer, position: &Position) {
    out.u64(position.floor).u64(position.accepted).u64(position.delivered).u64(position.moved);
    out.u64(position.queued_bytes);
    for dropped in &position.dropped.0 {
        out.u64(*dropped);
    }
    out.count(position.acked.len());
    for (first, last) in &position.acked {
        out.u64(*first).u64(*last);
    }
    out.count(position.gaps.len());
    for gap in &position.gaps {
        out.u64(gap.first_seq).u64(gap.last_seq).i64(gap.first_ms).i64(gap.last_ms);
        out.u64(gap.count).u8(gap.reason as u8);
    }
}

fn read_position(r: &mut Reader<'_>) -> Option<Position> {
    let (floor, accepted, delivered, moved) = (r.u64()?, r.u64()?, r.u64()?, r.u64()?);
    let mut position = Position { floor, accepted, delivered, moved, ..Position::default() };
    position.queued_bytes = r.u64()?;
    for dropped in &mut position.dropped.0 {
        *dropped = r.u64()?;
    }
    let mut acked = BTreeMap::new();
    for _ in 0..r.u32()? {
        acked.insert(r.u64()?, r.u64()?);
    }
    position.acked = acked;
    for _ in 0..r.u32()? {
        let (first_seq, last_seq) = (r.u64()?, r.u64()?);
        let (first_ms, last_ms, count) = (r.u64()?.cast_signed(), r.u64()?.cast_signed(), r.u64()?);
        let reason = Reason::from_code(r.u8()?)?;
        position.gaps.push(GapRecord { first_seq, last_seq, first_ms, last_ms, count, reason });
    }
    plausibility::position(&position).then_some(position)
}

struct Writer(Vec<u8>);

impl Writer {
    fn new(magic: [u8; 4]) -> Writer {
        let mut out = Vec::with_capacity(256);
        out.extend_from_slice(&magic);
        out.extend_from_slice(&[0; PREFIX_BYTES - 4]);
        Writer(out)
    }

    fn put(&mut self, bytes: &[u8]) -> &mut Writer {
        self.0.extend_from_slice(bytes);
        self
    }

    fn u8(&mut self, n: u8) -> &mut Writer {
        self.put(&[n])
    }

    fn u32(&mut self, n: u32) -> &mut Writer {
        self.put(&n.to_le_bytes())
    }

    fn u64(&mut self, n: u64) -> &mut Writer {
        self.put(&n.to_le_bytes())
    }

    fn i64(&mut self, n: i64) -> &mut Writer {
        self.put(&n.to_le_bytes())
    }

    fn u128(&mut self, n: u128) -> &mut Writer {
        self.put(&n.to_le_bytes())
    }

    fn count(&mut self, n: usize) -> &mut Writer {
        self.u32(u32::try_from(n).unwrap_or(u32::MAX))
    }

    fn blob(&mut self, bytes: &[u8]) -> &mut Writer {
        self.count(bytes.len()).put(bytes)
    }

    fn seal(mut self) -> Vec<u8> {
        let len = u32::try_from(self.0.len().saturating_sub(PREFIX_BYTES)).unwrap_or(u32::MAX);
        if let Some(slot) = self.0.get_mut(8..PREFIX_BYTES) {
            slot.copy_from_slice(&len.to_le_bytes());
        }
        let crc = crc32c::crc32c(self.0.get(8..).unwrap_or_default());
        if let Some(slot) = self.0.get_mut(4..8) {
            slot.copy_from_slice(&crc.to_le_bytes());
        }
        self.0
    }
}

/// Checks magic, length and checksum, and returns a reader of the fields; `None` when a check fails. `value` may be longer than
/// the value.
fn open(value: &[u8], magic: [u8; 4]) -> Option<Reader<'_>> {
    let mut prefix = Reader::new(value.get(..PREFIX_BYTES)?);
    if prefix.take(4)? != magic {
        return None;
    }
    let crc = prefix.u32()?;
    let end = PREFIX_BYTES.checked_add(usize::try_from(prefix.u32()?).ok()?)?;
    if crc32c::crc32c(value.get(8..end)?) != crc {
        return None;
    }
    Some(Reader::new(value.get(PREFIX_BYTES..end)?))
}

fn blob(r: &mut Reader<'_>) -> Option<Bytes> {
    let len = usize::try_from(r.u32()?).ok()?;
    Some(Bytes::copy_from_slice(r.take(len)?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{Rng, fuzz_cases, mutate, seed};

    fn sample() -> StoredRow {
        StoredRow {
            lane: Lane(1),
            seq: 7,
            epoch: 3,
            stamp: Stamp { boot_id: 5, up_ms: 6, wall_ms: -7, synced: true },
            ttl_ms: Some(9),
            expiry: Expiry::Strict,
            weight: 4,
            key: Bytes::from_static(b"k"),
            meta: Bytes::from_static(b"me"),
            payload: Bytes::from_static(b"payload"),
        }
    }

    #[test]
    fn a_flipped_bit_anywhere_is_noticed() {
        let row = sample();
        let totals = Totals { rows: 11, weight: 44 };
        let value = encode_row(&row, totals);
        assert_eq!(decode_row(&value), Ok(RowValue { row, totals }));
        for bit in 0..value.len() * 8 {
            let mut bad = value.clone();
            bad[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(decode_row(&bad), Err(Bad::Damaged), "bit {bit}");
        }
    }

    #[test]
    fn a_field_of_more_than_64_kib_survives_the_round_trip() {
        let (long, totals) = (Bytes::from(vec![7; 70_000]), Totals { rows: 11, weight: 44 });
        let rows = [
            StoredRow { payload: long.clone(), ..sample() },
            StoredRow { meta: long.clone(), ..sample() },
            StoredRow { key: long, ..sample() },
        ];
        for row in rows {
            let decoded = decode_row(&encode_row(&row, totals));
            assert!(decoded.is_ok_and(|found| found == RowValue { row, totals }));
        }
    }

    /// Promise 12: values changed anywhere, with good checksums.
    #[test]
    fn no_value_panics_or_invents_bytes() {
        let (mut rng, cases) = (Rng::new(seed() ^ 2), fuzz_cases(200_000));
        let mut state = State::new(77, 2);
        let position = Position { acked: [(5, 6), (9, 9)].into(), ..Position::default() };
        let lanes = crate::per_lane::PerLane::from_fn(|_| position.clone());
        state.consumers.push(ConsumerState { name: "hub".into(), lanes });
        let seeds = [encode_head(&Head::new(state)), encode_row(&sample(), Totals { rows: 11, weight: 44 })];
        let mut good = 0;
        for _ in 0..cases {
            let mut value = seeds[usize::from(rng.one_in(2))].clone();
            mutate(&mut rng, &mut value[PREFIX_BYTES..]);
            if rng.one_in(4) {
                value.truncate(usize::try_from(rng.below(value.len() as u64)).unwrap());
            }
            if value.len() > PREFIX_BYTES && !rng.one_in(16) {
                let whole = Writer(value).seal();
                value = whole;
            }
            if let Ok(found) = decode_row(&value) {
                assert!(found.row.payload.len() + found.row.key.len() + found.row.meta.len() <= value.len());
                assert!(plausibility::seq(found.row.seq));
                good += 1;
            }
            if let Ok(head) = decode_head(&value) {
                assert!(
                    head.state.lane.iter().all(plausibility::lane)
                        && head.state.consumers.len() <= value.len()
                );
                good += 1;
            }
        }
        println!("executed fuzz.redb.values: {cases} cases, {good} of them values");
        assert!(
            good * 20 > cases,
            "{good} of {cases} are values: the logic behind the checksum is hardly reached"
        );
    }

    #[test]
    fn the_head_survives_the_round_trip() {
        let mut state = State::new(77, 2);
        state.epoch = 4;
        let figures = LaneState { next: 30, floor: 3, rows: 10, weight: 11, bytes: 12, recount_due: true };
        state.lane.iter_mut().skip(1).take(1).for_each(|lane| lane.clone_from(&figures));
        let gap = GapRecord {
            first_seq: 1,
            last_seq: 2,
            first_ms: -1,
            last_ms: 5,
            count: 2,
            reason: Reason::Expired,
        };
        let position = Position {
            floor: 3,
            acked: [(5, 6), (9, 9)].into(),
            accepted: 20,
            delivered: 8,
            moved: 7,
            dropped: crate::Dropped([0, 1, 2, 3, 4, 5, 6]),
            queued_bytes: 9,
            gaps: vec![gap],
        };
        let lanes = [Position::default(), position, Position::default(), Position::default()];
        state.consumers.push(ConsumerState { name: "hub".into(), lanes: lanes.into() });
        let totals = Totals { rows: 6, weight: 9 };
        let head =
            Head { generation: 8, clean: true, written: [(2, totals); 4], removed: [totals; 4], state };
        assert_eq!(decode_head(&encode_head(&head)), Ok(head));
    }
}
