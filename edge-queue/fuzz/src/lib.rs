//! Targets of edge-queue. Each takes one input, lays it over the file of a queue and holds that against promises 2, 3 and 12 with the asserts of the
//! tests' own loop.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs, reason = "test code")]

#[path = "../../tests/common/any_file.rs"]
mod any_file;
#[path = "../../tests/common/queue_image.rs"]
mod queue_image;
#[path = "../../tests/common/ring_mutation.rs"]
mod ring_mutation;

use std::sync::LazyLock;

use edge_queue::StoreKind;
use queue_image::QueueImage;
use ring_mutation::Mutation;

/// A ring's file: the first byte chooses whether the store opens it alone, or the whole queue. Checksums are made good again.
pub fn ring_file(input: &[u8]) {
    static IMAGE: LazyLock<QueueImage> = LazyLock::new(|| QueueImage::new(StoreKind::Ring));
    static MUTATION: LazyLock<Mutation<'static>> = LazyLock::new(|| Mutation::new(&IMAGE.bytes));
    let Some((how, patches)) = input.split_first() else { return };
    let dir = MUTATION.patch(patches, IMAGE.copy());
    if how & 1 == 0 { any_file::run_store(&dir) } else { any_file::run_queue(&dir, StoreKind::Ring) }
}

/// Values of a redb file, under good checksums. redb's own pages are redb's.
pub fn redb_file(input: &[u8]) {
    static IMAGE: LazyLock<QueueImage> = LazyLock::new(|| QueueImage::new(StoreKind::Redb));
    let mut bytes = IMAGE.bytes.clone();
    ring_mutation::patch_values(input, &mut bytes);
    any_file::run_queue(&any_file::file_of(IMAGE.file, &bytes), StoreKind::Redb);
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Patches of each field of a header, of a body's first bytes, and of a superblock.
    fn made() -> Vec<(&'static str, Vec<u8>)> {
        let edges = [0, 1, 0x7f, 0xff];
        let ring = edges.into_iter().flat_map(|edge| {
            let patch = move |number: u8, at: u8| [0, number, at, 0, 4, edge, edge, edge, edge];
            [8, 12, 24, 40, 48, 64, 80, 84, 88, 136, 140, 150]
                .into_iter()
                .flat_map(move |at| [patch(1, at), patch(255, at)])
        });
        let ring = ring.enumerate().map(|(nth, mut seed)| {
            seed[0] = u8::from(nth % 3 == 0);
            ("ring_file", seed.to_vec())
        });
        let redb = edges
            .into_iter()
            .flat_map(|edge| (0..48).step_by(4).map(move |at| [0, at, 0, 4, edge, edge, edge, edge]));
        ring.chain(redb.map(|seed| ("redb_file", seed.to_vec()))).collect()
    }

    #[test]
    fn the_committed_seeds_pass() {
        let targets: [fuzz_replay::Target; 2] = [("ring_file", ring_file), ("redb_file", redb_file)];
        fuzz_replay::replay_seeds(env!("CARGO_MANIFEST_DIR"), &targets, &made());
    }
}
