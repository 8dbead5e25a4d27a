//! Promises 2 and 3 together: whatever byte of the file is wrong, the queue opens, its ledger adds up, what is missing is
//! counted, and it goes on.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs, reason = "test code")]

#[path = "common/queue_image.rs"]
mod queue_image;

use std::collections::BTreeMap;

use edge_queue::StoreKind;
use edge_queue::testing::budget_percent;

use queue_image::{Kept, QueueImage};

/// Bytes between two cases at the full budget; the store below is tried at every byte (`ring_damage.rs`).
const STEP: u64 = 7;

#[test]
fn a_ring_queue_with_any_wrong_byte_keeps_its_ledger() {
    let image = QueueImage::new(StoreKind::Ring);
    let step = usize::try_from(STEP * 100 / budget_percent()).unwrap();
    let (mut cases, mut outcomes) = (0, BTreeMap::<_, u64>::new());
    for at in (0..image.bytes.len()).step_by(step) {
        for value in [image.bytes[at] ^ 1 << (at % 8), 0, 0xff] {
            if value == image.bytes[at] {
                continue;
            }
            let survived = image.survives(&image.with(at, &[value]));
            let survived = survived.unwrap_or_else(|e| panic!("byte {at} to {value}: {e}"));
            assert!(
                survived.kept != Kept::Nothing && survived.later_lost == 0,
                "byte {at} to {value}: {survived:?}"
            );
            assert!(survived.uncounted == 0 || survived.tail_uncertain, "byte {at} to {value}: {survived:?}");
            *outcomes.entry(survived.kept).or_default() += 1;
            cases += 1;
        }
        let survived = image.survives(&image.cut(at)).unwrap_or_else(|e| panic!("cut at {at}: {e}"));
        *outcomes.entry(survived.kept).or_default() += 1;
        cases += 1;
    }
    println!("executed queue.ring.damage: {cases} cases, {outcomes:?}");
    assert!(outcomes.contains_key(&Kept::SomeLost), "{outcomes:?}");
}
