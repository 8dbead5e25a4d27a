//! Superblocks: two pages with identity and geometry of the file. They are written alternately, so that one valid copy always remains.
#![deny(clippy::indexing_slicing)]

use std::io;

use super::bytes::{Reader, set};
use super::checkpoint::Checkpoint;
use super::encryption::{CHECK_BYTES, KeyCheck};
use super::layout::{FORMAT, FORMAT_ENCRYPTED, Geometry, PAGE};
use crate::medium::Medium;
use crate::store::plausibility::EPOCH_END;

const MAGIC: &[u8; 8] = b"EDGERING";
/// Offset of the CRC, which ends the first sector. All fields lie in that sector, the most that drives write whole or not at all,
/// so that a power cut does not look like damage. The CRC stands there in every version, so that a newer one can be told from a
/// broken one.
const CRC_AT: usize = 512 - 4;
/// Most waived gaps that are kept; at the limit the oldest is dropped.
const WAIVED_MAX: usize = 8;
const WAIVED_AT: usize = 80;
const WAIVED_BYTES: usize = 49;
const CHECK_AT: usize = WAIVED_AT + WAIVED_MAX * WAIVED_BYTES;

const _: () = assert!(CHECK_AT + CHECK_BYTES <= CRC_AT);

/// Waived frames: missing because they were torn in a commit without receipts, so that they do not count as lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Waived {
    pub(super) lane: u8,
    /// Counters of the first and the last of these frames.
    pub(super) first: u64,
    pub(super) last: u64,
    /// Number of rows in these frames; with their weight in `weight`.
    pub(super) rows: u64,
    pub(super) weight: u64,
    /// Number of rows written to the lane before these frames; `weight_before` is their weight.
    pub(super) rows_before: u64,
    pub(super) weight_before: u64,
}

/// Identity and geometry of the file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Superblock {
    /// Number raised by every write; the copy with the higher one counts.
    pub(super) counter: u64,
    pub(super) gateway: u64,
    pub(super) epoch: u32,
    pub(super) geometry: Geometry,
    /// Check value of the key; `None` in a file that is not encrypted.
    pub(super) key_check: Option<KeyCheck>,
    pub(super) waived: Vec<Waived>,
    /// High-water marks of the lanes, and the bookkeeping of a clean close; after a read, the newest of both copies.
    pub(super) known: Box<Checkpoint>,
}

/// Result of reading the two pages.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Found {
    /// The newer good copy, and the number of damaged copies.
    Good { superblock: Superblock, damaged: usize },
    /// A whole copy written by a later version.
    Newer(u16),
    /// Neither copy is valid.
    Nothing,
}

enum Copy {
    Good(Superblock),
    Newer(u16),
    Bad,
}

impl Superblock {
    /// Reads both copies. An error when the medium does not answer; one bad sector counts as damage.
    pub(super) fn read(medium: &dyn Medium) -> io::Result<Found> {
        let mut copies = Vec::new();
        let mut refused = None;
        for at in [0, PAGE as u64] {
            let mut page = vec![0; PAGE];
            let done = medium.read_at(at, &mut page).or_else(|_| medium.read_at(at, &mut page));
            match done {
                Ok(()) => copies.push(decode(&page)),
                Err(_) if medium.len()? < at + PAGE as u64 => copies.push(Copy::Bad),
                Err(e) => refused = Some(e),
            }
        }
        if let Some(e) = refused {
            if copies.is_empty() {
                return Err(e);
            }
            copies.push(Copy::Bad);
        }
        let mut best: Option<Superblock> = None;
        let (mut known, mut damaged) = (Checkpoint::default(), 0);
        for copy in copies {
            match copy {
                Copy::Newer(found) => return Ok(Found::Newer(found)),
                Copy::Bad => damaged += 1,
                Copy::Good(mut s) => {
                    known.merge(*std::mem::take(&mut s.known));
                    if best.as_ref().is_none_or(|b| b.counter < s.counter) {
                        best = Some(s);
                    }
                }
            }
        }
        Ok(match best {
            Some(superblock) => {
                Found::Good { superblock: Superblock { known: Box::new(known), ..superblock }, damaged }
            }
            None => Found::Nothing,
        })
    }

    /// Writes this superblock over the older copy. Durable after a sync.
    pub(super) fn write_next(&mut self, medium: &mut dyn Medium) -> io::Result<()> {
        self.counter = self.counter.saturating_add(1);
        let at = (self.counter % 2) * PAGE as u64;
        medium.write_at(at, &self.encode())
    }

    /// Records a gap as waived, so that its frames are not reported as lost. At the limit the oldest one is dropped.
    pub(super) fn waive(&mut self, gap: Waived) {
        if self.waived.contains(&gap) {
            return;
        }
        if self.waived.len() >= WAIVED_MAX {
            self.waived.remove(0);
        }
        self.waived.push(gap);
    }

    fn encode(&self) -> Vec<u8> {
        let mut page = vec![0; PAGE];
        set(&mut page, 0, MAGIC);
        let format = if self.key_check.is_some() { FORMAT_ENCRYPTED } else { FORMAT };
        set(&mut page, 8, &format.to_le_bytes());
        set(&mut page, 10, &[self.geometry.lanes, 0]);
        set(&mut page, 12, &self.geometry.segment_bytes.to_le_bytes());
        set(&mut page, 16, &self.counter.to_le_bytes());
        set(&mut page, 24, &self.gateway.to_le_bytes());
        set(&mut page, 32, &self.epoch.to_le_bytes());
        set(&mut page, 36, &(self.waived.len() as u32).to_le_bytes());
        for (n, count) in self.geometry.segments.iter().enumerate() {
            set(&mut page, 40 + 4 * n, &count.to_le_bytes());
        }
        for (n, gap) in self.waived.iter().take(WAIVED_MAX).enumerate() {
            let at = WAIVED_AT + n * WAIVED_BYTES;
            set(&mut page, at, &[gap.lane]);
            let numbers = [gap.first, gap.last, gap.rows, gap.weight, gap.rows_before, gap.weight_before];
            for (number, at) in numbers.iter().zip((at + 1..).step_by(8)) {
                set(&mut page, at, &number.to_le_bytes());
            }
        }
        self.key_check.iter().for_each(|check| set(&mut page, CHECK_AT, check));
        let crc = crc32c::crc32c(page.get(..CRC_AT).unwrap_or_default());
        set(&mut page, CRC_AT, &crc.to_le_bytes());
        self.known.put(&mut page, self.gateway, &self.geometry);
        page
    }
}

fn decode(page: &[u8]) -> Copy {
    let whole = || -> Option<u16> {
        let (body, crc) = page.get(..CRC_AT + 4)?.split_at_checked(CRC_AT)?;
        let mut r = Reader::new(body);
        let good = r.take(8)? == MAGIC && Reader::new(crc).u32()? == crc32c::crc32c(body);
        if good { r.u16() } else { None }
    };
    match whole() {
        None => Copy::Bad,
        Some(version) if version > FORMAT_ENCRYPTED => Copy::Newer(version),
        Some(version) => fields(page, version).map_or(Copy::Bad, Copy::Good),
    }
}

fn fields(page: &[u8], version: u16) -> Option<Superblock> {
    let mut r = Reader::new(page);
    r.take(10)?;
    let lanes = r.u8()?;
    r.u8()?;
    let segment_bytes = r.u32()?;
    let counter = r.u64()?;
    let gateway = r.u64()?;
    let epoch = r.u32()?;
    let waived_len = r.u32()? as usize;
    let mut segments = [0; 4];
    for count in &mut segments {
        *count = r.u32()?;
    }
    let geometry = Geometry { segment_bytes, lanes, segments };
    let mut r = Reader::new(page.get(WAIVED_AT..)?);
    let mut waived = Vec::new();
    for _ in 0..waived_len.min(WAIVED_MAX) {
        waived.push(Waived {
            lane: r.u8()?,
            first: r.u64()?,
            last: r.u64()?,
            rows: r.u64()?,
            weight: r.u64()?,
            rows_before: r.u64()?,
            weight_before: r.u64()?,
        });
    }
    let mut key_check = None;
    if version == FORMAT_ENCRYPTED {
        key_check = page.get(CHECK_AT..).and_then(|rest| rest.first_chunk()).copied();
    }
    // They are raised by every open: one at its end could not be.
    let sane = geometry.is_sane() && counter < u64::MAX / 2 && epoch < EPOCH_END;
    let known = Box::new(Checkpoint::get(page, gateway).unwrap_or_default());
    sane.then_some(Superblock { counter, gateway, epoch, geometry, key_check, waived, known })
}

impl Waived {
    /// Returns whether the frame of `lane` with this counter is waived.
    pub(super) fn covers(&self, lane: u8, counter: u64) -> bool {
        self.lane == lane && (self.first..=self.last).contains(&counter)
    }
}

#[cfg(test)]
pub(super) mod fuzz {
    use super::*;

    /// Turns a page into a superblock with a good checksum.
    pub(in super::super) fn fix(page: &mut [u8]) {
        set(page, 0, MAGIC);
        set(page, 8, &FORMAT.to_le_bytes());
        let crc = crc32c::crc32c(&page[..CRC_AT]);
        set(page, CRC_AT, &crc.to_le_bytes());
    }

    pub(in super::super) fn decode(page: &[u8]) -> Option<Superblock> {
        match super::decode(page) {
            Copy::Good(superblock) => Some(superblock),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::ring::test_sectors::Sectors;

    fn sample() -> Superblock {
        let geometry = Geometry { segment_bytes: 65_536, lanes: 2, segments: [5, 9, 0, 0] };
        let waived = vec![Waived {
            lane: 1,
            first: 7,
            last: 9,
            rows: 40,
            weight: 41,
            rows_before: 5,
            weight_before: 6,
        }];
        let (gateway, known) = (0xabcd, Box::default());
        Superblock { counter: 3, gateway, epoch: 9, geometry, key_check: None, waived, known }
    }

    /// Every open finds it again until the lane is written to.
    #[test]
    fn a_gap_is_forgiven_once_and_costs_no_other_its_place() {
        let mut superblock = sample();
        let known = superblock.waived[0];
        (0..20).for_each(|_| superblock.waive(Waived { first: 2, ..known }));
        assert_eq!(superblock.waived, [known, Waived { first: 2, ..known }]);
        (0..20).for_each(|first| superblock.waive(Waived { first, last: 99, ..known }));
        assert_eq!(
            superblock.waived.iter().map(|gap| gap.first).collect::<Vec<_>>(),
            [12, 13, 14, 15, 16, 17, 18, 19]
        );
    }

    #[test]
    fn a_superblock_comes_back() {
        for key_check in [None, Some([0x5a; CHECK_BYTES])] {
            let superblock = Superblock { key_check, ..sample() };
            match decode(&superblock.encode()) {
                Copy::Good(s) => assert_eq!(s, superblock),
                _ => panic!("not good"),
            }
        }
    }

    #[test]
    fn every_flipped_bit_is_noticed() {
        let page = sample().encode();
        for at in 0..CRC_AT + 4 {
            let mut bad = page.clone();
            bad[at] ^= 1 << (at % 8);
            assert!(matches!(decode(&bad), Copy::Bad), "byte {at}");
        }
    }

    #[test]
    fn a_later_version_is_told_from_damage() {
        let mut page = sample().encode();
        set(&mut page, 8, &(FORMAT_ENCRYPTED + 1).to_le_bytes());
        let crc = crc32c::crc32c(&page[..CRC_AT]);
        set(&mut page, CRC_AT, &crc.to_le_bytes());
        assert!(matches!(decode(&page), Copy::Newer(v) if v == FORMAT_ENCRYPTED + 1));
    }

    #[test]
    fn numbers_that_could_not_be_raised_are_not_believed() {
        let good = |counter, epoch| {
            matches!(decode(&Superblock { counter, epoch, ..sample() }.encode()), Copy::Good(_))
        };
        assert!(good(u64::MAX / 2 - 1, u32::MAX / 2 - 1));
        assert!(!good(u64::MAX / 2, 9) && !good(3, u32::MAX / 2));
    }

    #[test]
    fn two_copies_that_cannot_be_read_are_an_error_and_no_empty_file() {
        let mut file = Sectors::new(4, 0);
        let mut superblock = sample();
        (0..2).for_each(|_| superblock.write_next(&mut file).unwrap());
        assert!(matches!(Superblock::read(&file).unwrap(), Found::Good { damaged: 0, .. }));
        for (bad, damaged) in [(0, 1), (1, 1)] {
            let file = Sectors { bytes: file.bytes.clone(), ..Sectors::default() }.with_bad(&[bad]);
            assert!(
                matches!(Superblock::read(&file).unwrap(), Found::Good { damaged: d, .. } if d == damaged)
            );
        }
        assert!(Superblock::read(&file.with_bad(&[0, 1])).is_err());
        assert!(Superblock::read(&Sectors::new(2, 0).with_bad(&[0, 1])).is_err());
        assert_eq!(Superblock::read(&Sectors::new(1, 0)).unwrap(), Found::Nothing, "cut off");
    }

    #[test]
    fn only_frames_of_a_forgiven_gap_are_covered_by_it() {
        let gap = sample().waived[0];
        let covered: Vec<_> = (5..12).filter(|counter| gap.covers(1, *counter)).collect();
        assert_eq!(covered, [7, 8, 9]);
        assert!((5..12).all(|counter| !gap.covers(0, counter)));
    }
}
