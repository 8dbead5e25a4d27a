//! Real files, changed, with their checksums made good again.
#![allow(dead_code, reason = "each test uses its part")]

use edge_queue::testing::{Rng, SimDir, hostile_number, mutate};

const PAGE: usize = 4096;
const FILE: &str = "queue.ring";
/// A frame's header: offset and width of its numbers, as `docs/queue-format.md` draws them.
const FRAME_FIELDS: [(usize, usize); 20] = [
    (5, 1),
    (6, 1),
    (7, 1),
    (8, 4),
    (12, 4),
    (24, 8),
    (32, 4),
    (36, 4),
    (40, 8),
    (48, 8),
    (56, 8),
    (64, 8),
    (72, 8),
    (80, 4),
    (84, 4),
    (88, 8),
    (96, 8),
    (104, 8),
    (112, 8),
    (112, 8),
];
const SUPER_FIELDS: [(usize, usize); 12] = [
    (8, 2),
    (10, 1),
    (12, 4),
    (16, 8),
    (24, 8),
    (32, 4),
    (36, 4),
    (40, 4),
    (44, 4),
    (81, 8),
    (97, 8),
    (113, 8),
];
const FRAME_HEAD: usize = 136;

/// Changes of ring files.
pub(crate) struct Mutation<'a> {
    image: &'a [u8],
    /// Pages where a frame begins.
    frames: Vec<usize>,
}

impl<'a> Mutation<'a> {
    pub(crate) fn new(image: &'a [u8]) -> Mutation<'a> {
        let frames =
            (0..image.len() / PAGE).filter(|page| image[page * PAGE..].starts_with(b"EDGF")).collect();
        Mutation { image, frames }
    }

    /// Hurts the file in `dir` in one to six ways.
    pub(crate) fn apply(&self, rng: &mut Rng, dir: SimDir) -> SimDir {
        for _ in 0..rng.between(1, 6) {
            let frame = self.frames[pick(rng, self.frames.len())];
            match rng.below(12) {
                0..=3 => self.header(rng, &dir, frame),
                4..=6 => self.body(rng, &dir, frame),
                7 => self.duplicate(rng, &dir, frame),
                8 => self.superblock(rng, &dir),
                9 => self.storm(rng, &dir),
                10 => self.splice(rng, &dir, frame),
                _ if rng.one_in(8) => cut(rng, &dir),
                _ => self.header(rng, &dir, frame),
            }
        }
        dir
    }

    /// The frame as it is now, whole.
    fn frame(&self, dir: &SimDir, page: usize) -> Vec<u8> {
        let content = dir.content(FILE).unwrap();
        let at = page * PAGE;
        let Some(head) = content.get(at..at + PAGE) else { return Vec::new() };
        let pages = u32::from_le_bytes(head[8..12].try_into().unwrap()) as usize;
        content[at..].iter().copied().take(pages.clamp(1, 4) * PAGE).collect()
    }

    fn put(&self, rng: &mut Rng, dir: &SimDir, page: usize, mut frame: Vec<u8>) {
        if !rng.one_in(16) {
            fix_frame(&mut frame);
        }
        dir.damage(FILE, (page * PAGE) as u64, &frame);
    }

    /// Numbers of a header.
    fn header(&self, rng: &mut Rng, dir: &SimDir, page: usize) {
        let mut frame = self.frame(dir, page);
        if frame.len() < FRAME_HEAD {
            return;
        }
        for _ in 0..rng.between(1, 3) {
            set_field(rng, &mut frame, &FRAME_FIELDS);
        }
        self.put(rng, dir, page, frame);
    }

    /// Rows, changes or a snapshot.
    fn body(&self, rng: &mut Rng, dir: &SimDir, page: usize) {
        let mut frame = self.frame(dir, page);
        if frame.len() < FRAME_HEAD {
            return;
        }
        let used = u32::from_le_bytes(frame[84..88].try_into().unwrap()) as usize;
        let end = (FRAME_HEAD + used).clamp(FRAME_HEAD + 1, frame.len());
        mutate(rng, &mut frame[FRAME_HEAD..end]);
        self.put(rng, dir, page, frame);
    }

    /// The same frame once more somewhere else, at home there.
    fn duplicate(&self, rng: &mut Rng, dir: &SimDir, page: usize) {
        let mut frame = self.frame(dir, page);
        let to = 2 + pick(rng, self.image.len() / PAGE - 2);
        if frame.len() >= FRAME_HEAD {
            let slot = ((to - 2) / 16) as u32;
            frame[12..16].copy_from_slice(&slot.to_le_bytes());
            if rng.one_in(2) {
                set_field(rng, &mut frame, &FRAME_FIELDS);
            }
            self.put(rng, dir, to, frame);
        }
    }

    fn superblock(&self, rng: &mut Rng, dir: &SimDir) {
        let at = if rng.one_in(2) { 0 } else { PAGE };
        let mut sector = self.image[at..at + 512].to_vec();
        for _ in 0..rng.between(1, 3) {
            set_field(rng, &mut sector, &SUPER_FIELDS);
        }
        put_superblock(dir, at, sector);
    }

    /// Lays an input over frames and the first superblock, with their checksums made good again: the number of the frame (255 for the superblock),
    /// an offset, a length, so many bytes, and so on.
    pub(crate) fn patch(&self, mut input: &[u8], dir: SimDir) -> SimDir {
        while let Some((number, offset, bytes)) = next_patch(&mut input) {
            if number == usize::from(u8::MAX) {
                let mut sector = self.image[..512].to_vec();
                lay_over(&mut sector, offset, bytes);
                put_superblock(&dir, 0, sector);
                continue;
            }
            let page = self.frames[number % self.frames.len()];
            let mut frame = self.frame(&dir, page);
            if frame.len() >= FRAME_HEAD {
                lay_over(&mut frame, offset, bytes);
                fix_frame(&mut frame);
                dir.damage(FILE, (page * PAGE) as u64, &frame);
            }
        }
        dir
    }

    /// Bits anywhere, checksums left bad.
    fn storm(&self, rng: &mut Rng, dir: &SimDir) {
        let at = pick(rng, self.image.len() - PAGE);
        let mut bytes = self.image[at..at + 200].to_vec();
        mutate(rng, &mut bytes);
        dir.damage(FILE, at as u64, &bytes);
    }

    /// Any piece over any other.
    fn splice(&self, rng: &mut Rng, dir: &SimDir, page: usize) {
        let (from, len) = (pick(rng, self.image.len()), 1 + pick(rng, 3 * PAGE));
        let piece = &self.image[from..(from + len).min(self.image.len())];
        let room = self.image.len() - page * PAGE;
        dir.damage(FILE, (page * PAGE) as u64, &piece[..piece.len().min(room)]);
    }
}

fn put_superblock(dir: &SimDir, at: usize, mut sector: Vec<u8>) {
    // A later version is refused, rightly: not what is looked for here.
    sector[8..10].copy_from_slice(&1u16.to_le_bytes());
    let crc = crc32c::crc32c(&sector[..508]);
    sector[508..].copy_from_slice(&crc.to_le_bytes());
    dir.damage(FILE, at as u64, &sector);
}

/// Takes a patch off an input: what it changes, where, and the bytes.
fn next_patch<'i>(input: &mut &'i [u8]) -> Option<(usize, usize, &'i [u8])> {
    let ([number, low, high, length], rest) = input.split_first_chunk()?;
    let (bytes, rest) = rest.split_at(rest.len().min(usize::from(*length)));
    *input = rest;
    Some((usize::from(*number), usize::from(u16::from_le_bytes([*low, *high])), bytes))
}

fn lay_over(target: &mut [u8], offset: usize, bytes: &[u8]) {
    let at = offset % target.len();
    target[at..].iter_mut().zip(bytes).for_each(|(old, new)| *old = *new);
}

fn cut(rng: &mut Rng, dir: &SimDir) {
    use edge_queue::medium::Dir;
    let mut file = dir.open(FILE).unwrap();
    let len = file.len().unwrap();
    file.set_len(rng.below(len + 1)).unwrap();
}

fn set_field(rng: &mut Rng, bytes: &mut [u8], fields: &[(usize, usize)]) {
    let (at, width) = fields[pick(rng, fields.len())];
    let mut number = [0; 8];
    number[..width].copy_from_slice(&bytes[at..at + width]);
    let new = hostile_number(rng, u64::from_le_bytes(number)).to_le_bytes();
    bytes[at..at + width].copy_from_slice(&new[..width]);
}

fn fix_frame(frame: &mut [u8]) {
    // The body's checksum covers as many pages as the header says.
    let pages = u32::from_le_bytes(frame[8..12].try_into().unwrap()) as usize;
    let end = pages.saturating_mul(PAGE).clamp(PAGE, frame.len());
    let crc = crc32c::crc32c_append(crc32c::crc32c(&frame[..124]), &frame[FRAME_HEAD..end]);
    frame[124..128].copy_from_slice(&crc.to_le_bytes());
    let crc = crc32c::crc32c(&frame[..128]);
    frame[128..132].copy_from_slice(&crc.to_le_bytes());
}

/// Changes one to four values in a redb file and seals them again.
pub(crate) fn mutate_values(rng: &mut Rng, file: &mut [u8]) {
    let values = values(file);
    for _ in 0..rng.between(1, 4) {
        let at = values[pick(rng, values.len())];
        change_value(file, at, |value| mutate(rng, value));
    }
}

/// Lays an input over values of a redb file, as [`Mutation::patch`] does over frames.
pub(crate) fn patch_values(mut input: &[u8], file: &mut [u8]) {
    let values = values(file);
    while let Some((number, offset, bytes)) = next_patch(&mut input) {
        change_value(file, values[number % values.len()], |value| lay_over(value, offset, bytes));
    }
}

fn values(file: &[u8]) -> Vec<usize> {
    let is_value = |at: &usize| matches!(file.get(*at..*at + 4), Some(b"EQr1" | b"EQh1"));
    (0..file.len()).filter(is_value).collect()
}

/// Changes what a value holds, and seals it again.
fn change_value(file: &mut [u8], at: usize, change: impl FnOnce(&mut [u8])) {
    let len = u32::from_le_bytes(file[at + 8..at + 12].try_into().unwrap()) as usize;
    let Some(value) = file.get_mut(at..at + 12 + len).filter(|value| value.len() > 12) else { return };
    change(&mut value[12..]);
    let crc = crc32c::crc32c(&value[8..]);
    value[4..8].copy_from_slice(&crc.to_le_bytes());
}

fn pick(rng: &mut Rng, len: usize) -> usize {
    usize::try_from(rng.below(len as u64)).unwrap()
}
