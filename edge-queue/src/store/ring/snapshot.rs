//! Encoding of the bookkeeping before a commit: the body of a segment's first frame, and the figures and positions inside changes.
#![deny(clippy::indexing_slicing)]

use super::bytes::{Reader, put_bytes, put_signed, put_varint};
use super::high_water::HighWaterMarks;
use super::layout::Geometry;
use crate::per_lane::PerLane;
use crate::row::LANES_MAX;
use crate::state::{ConsumerState, GapRecord, LaneState, Position, Reason, State};
use crate::store::plausibility;

/// Appends geometry and state. With the geometry a lost superblock can be rebuilt.
pub(super) fn put_snapshot(out: &mut Vec<u8>, geometry: &Geometry, state: &State) {
    out.extend_from_slice(&geometry.segment_bytes.to_le_bytes());
    out.push(geometry.lanes);
    for count in geometry.segments {
        out.extend_from_slice(&count.to_le_bytes());
    }
    out.push(state.lanes);
    for lane in state.lane {
        put_lane(out, &lane);
    }
    put_varint(out, state.consumers.len() as u64);
    for consumer in &state.consumers {
        put_bytes(out, consumer.name.as_bytes());
        consumer.lanes.iter().for_each(|position| put_position(out, position));
    }
}

/// Returns the geometry in a snapshot; `None` if it is not plausible.
pub(super) fn get_geometry(body: &[u8]) -> Option<Geometry> {
    geometry(&mut Reader::new(body))
}

fn geometry(r: &mut Reader<'_>) -> Option<Geometry> {
    let (segment_bytes, lanes) = (r.u32()?, r.u8()?);
    let mut segments = [0; LANES_MAX];
    for count in &mut segments {
        *count = r.u32()?;
    }
    Some(Geometry { segment_bytes, lanes, segments }).filter(Geometry::is_sane)
}

/// Returns the state in a snapshot, with gateway and epoch from the frame's header; `None` if the bytes are malformed.
pub(super) fn get_snapshot(body: &[u8], gateway: u64, epoch: u32) -> Option<State> {
    get_state(&mut Reader::new(body), gateway, epoch)
}

/// Returns the state in a segment's first frame and the high-water marks of all lanes behind it; `None` when the bytes make no
/// sense.
pub(super) fn get_head(body: &[u8], gateway: u64, epoch: u32) -> Option<(State, HighWaterMarks)> {
    let mut r = Reader::new(body);
    Some((get_state(&mut r, gateway, epoch)?, HighWaterMarks::get(&mut r)?))
}

fn get_state(r: &mut Reader<'_>, gateway: u64, epoch: u32) -> Option<State> {
    geometry(r)?;
    let mut state = State::new(gateway, r.u8()?);
    state.epoch = epoch;
    for lane in &mut state.lane {
        *lane = get_lane(r)?;
    }
    for _ in 0..r.len()? {
        let name = std::str::from_utf8(r.bytes()?).ok()?.to_owned();
        let mut lanes = PerLane::<Position>::default();
        for position in &mut lanes {
            *position = get_position(r)?;
        }
        state.consumers.push(ConsumerState { name, lanes });
    }
    Some(state)
}

/// Appends a lane's figures.
pub(super) fn put_lane(out: &mut Vec<u8>, lane: &LaneState) {
    for value in [lane.next, lane.floor, lane.rows, lane.weight, lane.bytes] {
        put_varint(out, value);
    }
    out.push(lane.recount_due.into());
}

/// Decodes a lane's figures; `None` when they are cut or not believable.
pub(super) fn get_lane(r: &mut Reader<'_>) -> Option<LaneState> {
    let lane = LaneState {
        next: r.varint()?,
        floor: r.varint()?,
        rows: r.varint()?,
        weight: r.varint()?,
        bytes: r.varint()?,
        recount_due: r.u8()? != 0,
    };
    Some(lane).filter(plausibility::lane)
}

/// Appends a position to the snapshot.
pub(super) fn put_position(out: &mut Vec<u8>, position: &Position) {
    put_varint(out, position.floor);
    put_varint(out, position.accepted);
    put_varint(out, position.delivered);
    put_varint(out, position.moved);
    put_varint(out, position.queued_bytes);
    position.dropped.0.iter().for_each(|count| put_varint(out, *count));
    put_varint(out, position.acked.len() as u64);
    let mut before = position.floor;
    for (first, last) in &position.acked {
        put_varint(out, first.wrapping_sub(before));
        put_varint(out, last.wrapping_sub(*first));
        before = *last;
    }
    put_varint(out, position.gaps.len() as u64);
    for gap in &position.gaps {
        put_varint(out, gap.first_seq);
        put_varint(out, gap.last_seq.wrapping_sub(gap.first_seq));
        put_signed(out, gap.first_ms);
        put_signed(out, gap.last_ms.wrapping_sub(gap.first_ms));
        put_varint(out, gap.count);
        out.push(gap.reason as u8);
    }
}

/// Reads a position from the snapshot; `None` when it is cut or not believable.
pub(super) fn get_position(r: &mut Reader<'_>) -> Option<Position> {
    let mut position = Position { floor: r.varint()?, ..Position::default() };
    position.accepted = r.varint()?;
    position.delivered = r.varint()?;
    position.moved = r.varint()?;
    position.queued_bytes = r.varint()?;
    for count in &mut position.dropped.0 {
        *count = r.varint()?;
    }
    let mut before = position.floor;
    for _ in 0..r.len()? {
        let first = before.wrapping_add(r.varint()?);
        let last = first.wrapping_add(r.varint()?);
        position.acked.insert(first, last);
        before = last;
    }
    for _ in 0..r.len()? {
        position.gaps.push(get_gap(r)?);
    }
    Some(position).filter(plausibility::position)
}

fn get_gap(r: &mut Reader<'_>) -> Option<GapRecord> {
    let first_seq = r.varint()?;
    let last_seq = first_seq.wrapping_add(r.varint()?);
    let first_ms = r.signed()?;
    let last_ms = first_ms.wrapping_add(r.signed()?);
    let count = r.varint()?;
    let reason = Reason::from_code(r.u8()?).unwrap_or(Reason::Quarantined);
    Some(GapRecord { first_seq, last_seq, first_ms, last_ms, count, reason })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_state_comes_back_and_a_cut_one_is_refused() {
        let gap = |reason| GapRecord {
            first_seq: 5,
            last_seq: 9,
            first_ms: -3,
            last_ms: i64::MAX,
            count: 4,
            reason,
        };
        let position = Position {
            floor: 12,
            acked: [(14, 20), (30, 30), (plausibility::NUMBER_MAX - 1, plausibility::NUMBER_MAX)].into(),
            accepted: 100,
            delivered: 60,
            moved: 7,
            dropped: crate::Dropped([0, 1, 2, 3, 4, 5, plausibility::NUMBER_MAX]),
            queued_bytes: 700,
            gaps: vec![gap(Reason::Overflow), gap(Reason::Quarantined)],
        };
        let mut state = State::new(77, 2);
        state.epoch = 3;
        state.lane[1] =
            LaneState { next: 50, floor: 12, rows: 9, weight: 10, bytes: 2000, recount_due: true };
        for name in ["hub", "second", ""] {
            let mut lanes = PerLane::<Position>::default();
            lanes[1] = position.clone();
            state.consumers.push(ConsumerState { name: name.into(), lanes });
        }
        let geometry = Geometry { segment_bytes: 65_536, lanes: 2, segments: [5, 6, 0, 0] };
        let mut out = Vec::new();
        put_snapshot(&mut out, &geometry, &state);
        assert_eq!(get_geometry(&out), Some(geometry));
        assert_eq!(get_snapshot(&out, 77, 3), Some(state));
        for cut in 0..out.len() {
            assert_eq!(get_snapshot(&out[..cut], 77, 3), None);
        }
    }
}
