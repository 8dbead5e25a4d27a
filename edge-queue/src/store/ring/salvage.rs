//! Salvage of rows from a ring that cannot be opened: every page is examined, and frames are verified by their checksums.
//!
//! Without superblocks and snapshots the segments are unknown; but each frame has its gateway, lane, epoch and number. Of two copies of a row
//! that of the later epoch and frame counts, as in `find_frames.rs`. Floors are taken from the newest readable changes. If these are lost too,
//! rows delivered long ago come back: a duplicate is better than a loss.
#![deny(clippy::indexing_slicing)]

use std::collections::BTreeMap;
use std::io;

use bytes::Bytes;

use super::encryption::FrameCipher;
use super::frame::{Head, Kind, into_body};
use super::layout::{FILE, PAGE, SEGMENTS_AT};
use super::record::{Cursor, Order, Record, get_change};
use super::snapshot::get_snapshot;
use crate::key::Key;
use crate::medium::{Dir, Medium};
use crate::row::{LANES_MAX, Lane, Seq, StoredRow};
use crate::state::{Change, State};

/// Most pages of a frame that is looked at: one row of 16 MiB.
const FRAME_PAGES_MAX: u32 = 4352;

/// Index of all rows found, with about 64 bytes of RAM for each.
pub(crate) struct Salvage {
    medium: Box<dyn Medium>,
    pub(crate) gateway: u64,
    pub(crate) epoch: u32,
    /// Position of the frame of each row, by lane and sequence number, and the frame's age.
    rows: BTreeMap<(u8, Seq), Place>,
    floors: [(Order, Seq); LANES_MAX],
    /// Offset, header and body of the frame read last; `None` before the first.
    frame: Option<(u64, Head, Bytes)>,
    key: Option<Key>,
    /// Ciphers that the ring whose frame was read last may have, by its gateway id; the one that opened a frame last is the first.
    ciphers: Option<(u64, Vec<FrameCipher>)>,
    /// Number of whole frames that are encrypted and did not open, or are not encrypted although there is a key.
    pub(crate) unopened: Unopened,
}

/// Whole frames that were not opened.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Unopened {
    /// Number of encrypted frames, with another key or without one.
    pub(crate) encrypted: u64,
    /// Number of frames that are not encrypted, though there is a key.
    pub(crate) plain: u64,
}

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Place {
    epoch: u32,
    counter: u64,
    offset: u64,
}

impl Salvage {
    /// Examines every page of the ring in `dir`.
    ///
    /// # Errors
    /// There is no such file, or its length is unknown. A page that cannot be read is skipped.
    pub(crate) fn of(dir: &dyn Dir, key: Option<&Key>) -> io::Result<Salvage> {
        let medium = dir.open(FILE)?;
        let len = medium.len()?;
        let mut found = Salvage {
            medium,
            gateway: 0,
            epoch: 0,
            rows: BTreeMap::new(),
            floors: [((0, 0), 0); LANES_MAX],
            frame: None,
            key: key.cloned(),
            ciphers: None,
            unopened: Unopened::default(),
        };
        let mut offset = SEGMENTS_AT;
        while offset < len {
            let pages = found.look(offset);
            offset = offset.saturating_add(u64::from(pages) * PAGE as u64);
        }
        let floors = found.floors;
        found
            .rows
            .retain(|(lane, seq), _| floors.get(usize::from(*lane)).is_some_and(|(_, floor)| *seq >= *floor));
        Ok(found)
    }

    /// Returns whether no row was found.
    pub(crate) fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// Calls `f` with every row found, lane by lane, ascending.
    pub(crate) fn each_row<E>(&mut self, mut f: impl FnMut(&StoredRow) -> Result<(), E>) -> Result<(), E> {
        let rows: Vec<((u8, Seq), u64)> = self.rows.iter().map(|(key, place)| (*key, place.offset)).collect();
        let mut rest = rows.iter().peekable();
        while let Some(((lane, _), offset)) = rest.peek().copied() {
            let mut wanted = Vec::new();
            while let Some((key, _)) = rest.next_if(|((l, _), o)| l == lane && o == offset) {
                wanted.push(key.1);
            }
            let Some((head, body)) = self.load(*offset) else { continue };
            let mut cursor = Cursor::new(head.lane, head.epoch, head.first_seq);
            while let Some(record) = cursor.next(&body) {
                if let Record::Row(row) = record
                    && wanted.binary_search(&row.seq).is_ok()
                {
                    f(&row.to_row(&body))?;
                }
            }
        }
        Ok(())
    }

    /// Indexes the frame that begins at `offset`, if one does, and returns the number of pages to the next position.
    fn look(&mut self, offset: u64) -> u32 {
        let Some((head, body)) = self.load(offset) else { return 1 };
        if head.kind == Kind::Snapshot {
            let state = get_snapshot(&body, head.gateway, head.epoch);
            state.into_iter().for_each(|state| self.note_floors((head.commit, 0), &state));
            return head.pages;
        }
        let mut rows = Vec::new();
        let mut changes = Vec::new();
        let mut cursor = Cursor::new(head.lane, head.epoch, head.first_seq);
        while let Some(record) = cursor.next(&body) {
            match record {
                Record::Row(row) => rows.push(row.seq),
                Record::Change(order, bytes, tag) => {
                    changes.extend(get_change(bytes, tag).map(|change| (order, change)));
                }
            }
        }
        if head.epoch >= self.epoch {
            // A file that once held another ring: the later one is it.
            (self.gateway, self.epoch) = (head.gateway, head.epoch);
        }
        let place = Place { epoch: head.epoch, counter: head.counter, offset };
        for seq in rows {
            let slot = self.rows.entry((head.lane, seq)).or_insert(place);
            *slot = place.max(*slot);
        }
        for (order, change) in changes {
            if let Change::Lane { lane: Lane(lane), state } = change
                && let Some(slot) = self.floors.get_mut(usize::from(lane))
            {
                *slot = (order, state.floor).max(*slot);
            }
        }
        head.pages
    }

    fn note_floors(&mut self, order: Order, state: &State) {
        for (slot, lane) in self.floors.iter_mut().zip(&state.lane) {
            *slot = (order, lane.floor).max(*slot);
        }
    }

    fn load(&mut self, offset: u64) -> Option<(Head, Bytes)> {
        if self.frame.as_ref().is_none_or(|(at, ..)| *at != offset) {
            let mut bytes = vec![0; PAGE];
            self.medium.read_at(offset, &mut bytes).ok()?;
            let head = Head::decode(&bytes).filter(|head| head.pages <= FRAME_PAGES_MAX)?;
            bytes.resize(head.pages as usize * PAGE, 0);
            self.medium.read_at(offset, &mut bytes).ok()?;
            if !head.is_whole(&bytes) {
                return None;
            }
            into_body(&head, &mut bytes);
            if !self.open_body(&head, &mut bytes) {
                return None;
            }
            self.frame = Some((offset, head, bytes.into()));
        }
        self.frame.as_ref().map(|(_, head, body)| (*head, body.clone()))
    }

    /// Decrypts a body; `false` if it does not open, or is not encrypted although there is a key: whoever had the disk may have written it.
    fn open_body(&mut self, head: &Head, body: &mut Vec<u8>) -> bool {
        let opened = match &self.key {
            None => !head.encrypted,
            Some(_) if !head.encrypted => {
                self.unopened.plain += 1;
                return false;
            }
            Some(key) => {
                if self.ciphers.as_ref().is_none_or(|(gateway, _)| *gateway != head.gateway) {
                    self.ciphers =
                        FrameCipher::all(key, head.gateway).ok().map(|ciphers| (head.gateway, ciphers));
                }
                self.ciphers.as_mut().is_some_and(|(_, ciphers)| opened_by_one(ciphers, head, body))
            }
        };
        if !opened && head.kind == Kind::Records {
            self.unopened.encrypted += 1;
        }
        opened
    }
}

/// Decrypts a body with the cipher that fits, which is the first from then on; `false` if none does.
fn opened_by_one(ciphers: &mut [FrameCipher], head: &Head, body: &mut Vec<u8>) -> bool {
    for n in 0..ciphers.len() {
        // A cipher that does not fit may leave anything in the body.
        let mut copy = body.clone();
        if ciphers.get(n).is_some_and(|cipher| cipher.decrypt(head, &mut copy)) {
            *body = copy;
            ciphers.swap(0, n);
            return true;
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::state::LaneState;
    use crate::store::{Options, RingStore, Store};
    use crate::testing::{SimDir, row_at};

    #[test]
    fn the_newest_ring_in_the_file_is_it_and_floors_of_a_snapshot_count() {
        let lane_bytes = [1 << 20; 4].into();
        let options = Options {
            lanes: 1,
            lane_bytes,
            segment_bytes: 65_536,
            row_bytes_max: 1000,
            gateway: 0x1d,
            epoch_step: 1,
        };
        let (dir, mut seq) = (SimDir::new(), 0);
        let open = || RingStore::open(Box::new(dir.clone()), &options).unwrap();
        for _ in 0..3 {
            let (mut store, found) = open();
            let mut state = found.state;
            let mut push = |store: &mut RingStore, state: &State, rows: u64| {
                let rows: Vec<_> = (seq + 1..=seq + rows).map(|n| row_at(Lane(0), n, state.epoch)).collect();
                seq += rows.len() as u64;
                rows.chunks(20).for_each(|rows| {
                    store.append(rows).unwrap();
                    store.commit(&[], state).unwrap();
                });
            };
            push(&mut store, &state, 100);
            let change = Change::Lane { lane: Lane(0), state: LaneState { floor: 90, ..state.lane[0] } };
            if state.epoch == 2 {
                state.apply(&change);
                store.commit(&[change], &state).unwrap();
            }
            push(&mut store, &state, 400);
        }
        let epoch = 3;
        // The frames that say the floor are gone; the snapshots behind them are not.
        let bytes = dir.content(FILE).unwrap();
        for (page, head) in
            bytes.chunks(PAGE).enumerate().filter_map(|(n, page)| Some((n, Head::decode(page)?)))
        {
            let mut frame = bytes[page * PAGE..(page + head.pages as usize) * PAGE].to_vec();
            into_body(&head, &mut frame);
            let mut cursor = Cursor::new(head.lane, head.epoch, head.first_seq);
            let mut says = false;
            while let Some(record) = cursor.next(&frame) {
                says |= head.kind == Kind::Records && matches!(record, Record::Change(..));
            }
            if says {
                assert!(dir.damage(FILE, (page * PAGE) as u64, &[0; PAGE]));
            }
        }
        let mut salvage = Salvage::of(&dir, None).unwrap();
        assert_eq!((salvage.gateway, salvage.epoch), (0x1d, epoch));
        let mut seqs = Vec::new();
        let all = salvage.each_row(|row| {
            seqs.push(row.seq);
            Ok::<_, ()>(())
        });
        assert!(all.is_ok());
        assert!(seqs.first().is_some_and(|first| *first >= 90), "{:?}", seqs.first());
        assert_eq!(seqs.last(), Some(&1500));
    }

    /// A file may have held another ring, whose floor was higher.
    #[test]
    fn the_latest_floor_counts_and_not_the_highest() {
        let dir = SimDir::new();
        drop(RingStore::open(Box::new(dir.clone()), &crate::testing::small_options()).unwrap());
        let mut salvage = Salvage::of(&dir, None).unwrap();
        let mut state = State::new(1, 1);
        for (commit, floor) in [(8, 400), (9, 90), (7, 500)] {
            state.lane[0].floor = floor;
            salvage.note_floors((commit, 0), &state);
        }
        assert_eq!(salvage.floors[0], ((9, 0), 90));
    }
}
