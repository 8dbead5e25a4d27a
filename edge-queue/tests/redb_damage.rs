//! Promise 2 on redb, as far as it goes there: a damaged file opens, its rows are kept, counted as lost, or set aside as a
//! whole. Prints how often which: `cargo test -p edge-queue --test redb_damage -- --nocapture`.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs, reason = "test code")]

#[path = "common/queue_image.rs"]
mod queue_image;

use std::collections::BTreeMap;
use std::sync::Once;

use edge_queue::StoreKind;
use edge_queue::testing::{Rng, SimDir, budget_percent, seed};

use queue_image::{Kept, QueueImage};

const PAGE: usize = 4096;
/// Bytes between two damaged ones at the full budget; `EDGE_DAMAGE_STEP=1` takes them all.
const STEP: usize = 9;

/// redb panics on damaged pages, behind a fence: its messages would bury those of this test.
fn quiet() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let usual = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |info| {
            // Overflows are found in the standard library, on redb's behalf.
            let of_redb = |file: &str| file.contains("/redb-") || file.starts_with("/rustc/");
            if !info.location().is_some_and(|at| of_redb(at.file())) {
                usual(info);
            }
        }));
    });
}

/// Counts of damage of one kind by what it left.
#[derive(Default)]
struct Reached {
    counts: BTreeMap<(Kept, bool), u64>,
    again: u64,
    uncounted: u64,
    later_lost: u64,
    files: u64,
}

impl Reached {
    fn add(&mut self, image: &QueueImage, dir: &SimDir, what: &str) {
        let survived = image.survives(dir).unwrap_or_else(|e| panic!("{what}: {e}"));
        *self.counts.entry((survived.kept, survived.file_set_aside)).or_default() += 1;
        self.again += u64::from(survived.again > 0);
        self.uncounted += u64::from(survived.uncounted > 0);
        self.later_lost += u64::from(survived.later_lost > 0);
        assert!(survived.uncounted == 0 || survived.file_set_aside, "{what}: {survived:?}");
        self.files += 1;
    }

    fn print(&self, kind: &str) {
        let of = |kept, aside| self.counts.get(&(kept, aside)).copied().unwrap_or(0);
        println!(
            "redb {kind:>22}: {:6} files | all rows kept {:6} in place, {:5} salvaged | some lost {:5} in place, \
             {:5} salvaged | none kept {:4} | not all counted {:4} | acknowledged rows again {:4} | later rows lost {:3}",
            self.files,
            of(Kept::All, false),
            of(Kept::All, true),
            of(Kept::SomeLost, false),
            of(Kept::SomeLost, true),
            of(Kept::Nothing, false) + of(Kept::Nothing, true),
            self.uncounted,
            self.again,
            self.later_lost,
        );
    }
}

/// Pages that are not all zeros.
fn used(image: &QueueImage) -> Vec<usize> {
    let pages = image.bytes.chunks(PAGE).enumerate();
    pages.filter(|(_, page)| page.iter().any(|b| *b != 0)).map(|(n, _)| n).collect()
}

#[test]
fn a_damaged_redb_file_opens_and_what_is_missing_is_counted() {
    quiet();
    let image = QueueImage::new(StoreKind::Redb);
    let used = used(&image);
    println!("redb file: {} bytes, {} pages used", image.bytes.len(), used.len());
    let budget = usize::try_from(budget_percent()).unwrap();
    let step: usize =
        std::env::var("EDGE_DAMAGE_STEP").map_or(STEP * 100 / budget, |step| step.parse().unwrap());
    let first = usize::try_from(seed()).unwrap() % step;
    let places = || used.iter().flat_map(|page| page * PAGE..(page + 1) * PAGE).skip(first).step_by(step);
    let mut files = 0;
    for (kind, value) in
        [("one bit flipped", None), ("one byte zeroed", Some(0)), ("one byte 0xff", Some(0xff))]
    {
        let mut reached = Reached::default();
        for at in places() {
            let value = value.unwrap_or(image.bytes[at] ^ 1 << (at % 8));
            reached.add(&image, &image.with(at, &[value]), &format!("byte {at} to {value}"));
        }
        reached.print(kind);
        files += reached.files;
    }
    let mut rng = Rng::new(seed());
    let mut reached = Reached::default();
    for page in &used {
        for fill in [vec![0; PAGE], vec![0xff; PAGE], rng.bytes(PAGE)] {
            reached.add(&image, &image.with(page * PAGE, &fill), &format!("page {page}"));
        }
    }
    reached.print("one page overwritten");
    files += reached.files;
    let mut reached = Reached::default();
    for cut in (0..image.bytes.len()).step_by(16 * step) {
        reached.add(&image, &image.cut(cut), &format!("cut at {cut}"));
    }
    reached.print("cut short");
    files += reached.files;
    println!("executed redb.damage: {files} cases");
}
