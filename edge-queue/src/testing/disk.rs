//! Simulated disk: every file and name twice, as the program sees it and as a power cut would leave it.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::image::Image;
use super::rng::Rng;

/// Bytes over which one sector write is atomic; drives of today promise no more.
const SECTOR_BYTES: u64 = 512;

/// Fate of the writes that were not yet synced when the power went. Growth of files and directory
/// operations are decided apart from the data in every case but `Kept`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Nothing of the write arrived.
    Lost,
    /// Every unsynced write arrived.
    Kept,
    /// The writes before some point arrived, the one at that point only in some of its 512-byte sectors.
    Torn,
    /// Later writes arrived without earlier ones, in any order.
    Reordered,
    /// Any subset of the sectors of any of the writes arrived.
    Subset,
}

impl Outcome {
    /// All five outcomes.
    pub const ALL: [Outcome; 5] =
        [Outcome::Lost, Outcome::Kept, Outcome::Torn, Outcome::Reordered, Outcome::Subset];
}

/// One recorded operation that changed something.
#[derive(Clone, Debug)]
pub(super) enum Op {
    Write {
        file: usize,
        offset: u64,
        data: Arc<[u8]>,
    },
    SetLen {
        file: usize,
        len: u64,
    },
    Allocate {
        file: usize,
        offset: u64,
        len: u64,
    },
    Sync {
        file: usize,
    },
    /// A sync that failed: a part (by seed) is durable, the rest is forgotten.
    FailedSync {
        file: usize,
        seed: u64,
    },
    /// A sync that says Ok and makes durable only what lies below `below`: a planted bug.
    PartSync {
        file: usize,
        below: u64,
    },
    Create {
        name: String,
        file: usize,
    },
    Rename {
        from: String,
        to: String,
    },
    Remove {
        name: String,
    },
    SyncDir,
}

#[derive(Clone, Debug, Default)]
struct SimNode {
    live: Image,
    durable: Image,
    unsynced: Vec<Op>,
}

/// A change of names that no directory sync covers yet. `Rename` keeps the file it moved, so that any subset of the
/// pending changes has a meaning.
#[derive(Clone, Debug)]
enum NameOp {
    Link { name: String, file: usize },
    Rename { from: String, to: String, file: usize },
    Unlink { name: String },
}

/// Names and files, live and durable.
#[derive(Clone, Debug, Default)]
pub(super) struct Disk {
    files: Vec<SimNode>,
    names: BTreeMap<String, usize>,
    durable_names: BTreeMap<String, usize>,
    unsynced_names: Vec<NameOp>,
}

impl Disk {
    pub(super) fn lookup(&self, name: &str) -> Option<usize> {
        self.names.get(name).copied()
    }

    pub(super) fn names(&self) -> Vec<String> {
        self.names.keys().cloned().collect()
    }

    pub(super) fn next_file(&self) -> usize {
        self.files.len()
    }

    pub(super) fn live(&self, file: usize) -> Option<&Image> {
        self.files.get(file).map(|node| &node.live)
    }

    /// Overwrites bytes in both images at once, as damage on the medium does, without the program's knowledge.
    pub(super) fn damage(&mut self, file: usize, offset: u64, data: &[u8]) {
        if let Some(node) = self.files.get_mut(file) {
            node.live.write(offset, data);
            node.durable.write(offset, data);
        }
    }

    /// Space taken by the files that have a name.
    pub(super) fn allocated_bytes(&self) -> u64 {
        self.names.values().filter_map(|&file| self.live(file)).map(Image::allocated_bytes).sum()
    }

    pub(super) fn apply(&mut self, op: &Op) {
        match op {
            Op::Write { file, .. } | Op::SetLen { file, .. } | Op::Allocate { file, .. } => {
                if let Some(node) = self.files.get_mut(*file) {
                    apply_to(&mut node.live, op);
                    node.unsynced.push(op.clone());
                }
            }
            Op::Sync { file } => {
                if let Some(node) = self.files.get_mut(*file) {
                    // Not a copy of `live`: what a failed sync forgot stays forgotten.
                    for op in node.unsynced.drain(..) {
                        apply_to(&mut node.durable, &op);
                    }
                }
            }
            Op::FailedSync { file, seed } => {
                if let Some(node) = self.files.get_mut(*file) {
                    let mut rng = Rng::new(*seed);
                    let outcome = if rng.one_in(2) { Outcome::Lost } else { Outcome::Subset };
                    node.durable = survive(node, outcome, &mut rng);
                    node.unsynced.clear();
                }
            }
            Op::PartSync { file, below } => {
                if let Some(node) = self.files.get_mut(*file) {
                    let kept = |op: &mut Op| !matches!(op, Op::Write { offset, .. } if *offset >= *below);
                    for op in node.unsynced.extract_if(.., kept) {
                        apply_to(&mut node.durable, &op);
                    }
                }
            }
            Op::Create { name, file } => {
                while self.files.len() <= *file {
                    self.files.push(SimNode::default());
                }
                self.names.insert(name.clone(), *file);
                self.unsynced_names.push(NameOp::Link { name: name.clone(), file: *file });
            }
            Op::Rename { from, to } => {
                if let Some(file) = self.names.remove(from) {
                    self.names.insert(to.clone(), file);
                    self.unsynced_names.push(NameOp::Rename { from: from.clone(), to: to.clone(), file });
                }
            }
            Op::Remove { name } => {
                self.names.remove(name);
                self.unsynced_names.push(NameOp::Unlink { name: name.clone() });
            }
            Op::SyncDir => {
                self.durable_names.clone_from(&self.names);
                self.unsynced_names.clear();
            }
        }
    }

    /// Returns the disk as a power cut now would leave it.
    pub(super) fn crash(&self, outcome: Outcome, seed: u64) -> Disk {
        let mut rng = Rng::new(seed);
        let mut names = self.durable_names.clone();
        for op in &self.unsynced_names {
            if outcome != Outcome::Kept && rng.one_in(2) {
                continue;
            }
            match op {
                NameOp::Link { name, file } => {
                    names.insert(name.clone(), *file);
                }
                NameOp::Rename { from, to, file } => {
                    names.remove(from);
                    names.insert(to.clone(), *file);
                }
                NameOp::Unlink { name } => {
                    names.remove(name);
                }
            }
        }
        let files = self
            .files
            .iter()
            .map(|node| {
                let image = survive(node, outcome, &mut rng);
                SimNode { live: image.clone(), durable: image, unsynced: Vec::new() }
            })
            .collect();
        Disk { files, durable_names: names.clone(), names, unsynced_names: Vec::new() }
    }
}

fn apply_to(image: &mut Image, op: &Op) {
    match op {
        Op::Write { offset, data, .. } => image.write(*offset, data),
        Op::SetLen { len, .. } => image.set_len(*len),
        Op::Allocate { offset, len, .. } => image.allocate(*offset, *len),
        _ => {}
    }
}

/// Returns what of a file's unsynced operations reaches the durable image.
fn survive(node: &SimNode, outcome: Outcome, rng: &mut Rng) -> Image {
    let mut image = node.durable.clone();
    if outcome == Outcome::Kept {
        node.unsynced.iter().for_each(|op| apply_to(&mut image, op));
        return image;
    }
    let writes = node.unsynced.iter().filter(|op| matches!(op, Op::Write { .. })).count() as u64;
    // Reordered: a seeded share of the writes, in a seeded order; Torn: those before `cut`, and a part of it.
    let cut = rng.below(writes);
    let mut order: Vec<&Op> = node.unsynced.iter().collect();
    if outcome == Outcome::Reordered {
        rng.shuffle(&mut order);
    }
    let mut nth = 0;
    for op in order {
        match op {
            Op::SetLen { len, .. } if rng.one_in(2) => image.set_len(*len),
            Op::Allocate { offset, len, .. } if rng.one_in(2) => image.allocate(*offset, *len),
            Op::Write { offset, data, .. } => {
                // The new length is metadata: without it, what lies beyond the old end is gone as well.
                let end = if rng.one_in(2) { u64::MAX } else { image.len() };
                let sectors = match outcome {
                    Outcome::Torn if nth < cut => Sectors::All,
                    Outcome::Torn if nth == cut => Sectors::Some,
                    Outcome::Reordered if rng.one_in(2) => Sectors::All,
                    Outcome::Subset => Sectors::Some,
                    _ => Sectors::None,
                };
                write_sectors(&mut image, *offset, data, end, sectors, rng);
                nth += 1;
            }
            _ => {}
        }
    }
    image
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Sectors {
    None,
    Some,
    All,
}

fn write_sectors(image: &mut Image, offset: u64, data: &[u8], end: u64, which: Sectors, rng: &mut Rng) {
    let mut done: u64 = 0;
    let total = data.len() as u64;
    if end == u64::MAX && offset.saturating_add(total) > image.len() {
        image.set_len(offset.saturating_add(total));
    }
    while done < total {
        let at = offset.saturating_add(done);
        let take = (SECTOR_BYTES - at % SECTOR_BYTES).min(total - done);
        let range =
            usize::try_from(done).unwrap_or(usize::MAX)..usize::try_from(done + take).unwrap_or(usize::MAX);
        let keep = which == Sectors::All || (which == Sectors::Some && rng.one_in(2));
        if let (true, Some(bytes)) = (keep && at < end, data.get(range)) {
            let room = usize::try_from(end - at).unwrap_or(usize::MAX).min(bytes.len());
            image.write(at, bytes.get(..room).unwrap_or(bytes));
        }
        done += take;
    }
}
