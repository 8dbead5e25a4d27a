//! Promises 2, 3 and 12: a store is opened on files that nobody wrote, drained and used, and nothing panics, hangs, breaks the
//! ledger or takes memory that the file does not account for. Most files are real ones, changed, with their checksums
//! made good again, so that what lies behind the checksums is reached.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs, reason = "test code")]
#![allow(unsafe_code, reason = "a counting allocator has to implement GlobalAlloc")]

#[path = "common/any_file.rs"]
mod any_file;
#[path = "common/queue_image.rs"]
mod queue_image;
#[path = "common/ring_mutation.rs"]
mod ring_mutation;

use std::alloc::{GlobalAlloc, Layout, System};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicUsize, Ordering};

use edge_queue::StoreKind;
use edge_queue::testing::{Rng, SimDir, fuzz_cases, mutate, seed};

use any_file::{file_of, run_queue, run_store};
use queue_image::QueueImage;
use ring_mutation::Mutation;

/// Memory of a case beside [`MEMORY_PER_BYTE`]: buffers of fixed size, and the simulated disk's new file when limits
/// changed.
const MEMORY_FIXED: usize = 1024 * 1024;
const MEMORY_PER_BYTE: usize = 8;

struct Counting;

static NOW: AtomicUsize = AtomicUsize::new(0);
static PEAK: AtomicUsize = AtomicUsize::new(0);

// SAFETY: every call goes to the system allocator unchanged.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let now = NOW.fetch_add(layout.size(), Ordering::Relaxed) + layout.size();
        PEAK.fetch_max(now, Ordering::Relaxed);
        // SAFETY: the caller keeps the contract of `alloc`.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, at: *mut u8, layout: Layout) {
        NOW.fetch_sub(layout.size(), Ordering::Relaxed);
        // SAFETY: the caller keeps the contract of `dealloc`.
        unsafe { System.dealloc(at, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// Peak of memory while `f` runs, above what was there before.
fn peak_of(f: impl FnOnce()) -> usize {
    let before = NOW.load(Ordering::Relaxed);
    PEAK.store(before, Ordering::Relaxed);
    f();
    PEAK.load(Ordering::Relaxed).saturating_sub(before)
}

/// Failures of all cases before the test fails.
#[derive(Default)]
struct Failures(Vec<String>);

impl Failures {
    /// Runs one case; gives the memory it took.
    fn run(&mut self, dir: &SimDir, bytes: usize, what: &str, run: impl FnOnce(&SimDir)) -> usize {
        let mut outcome = Ok(());
        let peak = peak_of(|| outcome = catch_unwind(AssertUnwindSafe(|| run(dir))));
        if outcome.is_err() {
            self.0.push(format!("{what}: a panic, told above"));
        }
        if peak > MEMORY_PER_BYTE * bytes + MEMORY_FIXED {
            self.0.push(format!("{what}: {peak} bytes of memory for a file of {bytes}"));
        }
        peak
    }
}

/// One test, since the allocator counts for the whole process.
#[test]
fn any_file_opens_drains_and_goes_on() {
    let (base, mut failures) = (seed(), Failures::default());
    let trusting = peak_of(|| drop(Vec::<u8>::with_capacity(64 * 1024 * 1024)));
    assert!(trusting >= 64 * 1024 * 1024, "the counter sees who trusts a length: {trusting}");
    let ring = QueueImage::new(StoreKind::Ring);
    let (mut peak, mut stores, mut queues) = (0, 0, 0);
    let mutation = Mutation::new(&ring.bytes);
    for case in 0..fuzz_cases(97_000) {
        let mut rng = Rng::new(base ^ (case << 8));
        let dir = mutation.apply(&mut rng, ring.copy());
        let what = format!("ring case {case} of seed {base}");
        let bytes = dir.content(ring.file).map_or(0, |content| content.len());
        if case % 8 == 0 {
            peak = peak.max(failures.run(&dir, bytes, &what, |dir| run_queue(dir, StoreKind::Ring)));
            queues += 1;
        } else {
            peak = peak.max(failures.run(&dir, bytes, &what, run_store));
            stores += 1;
        }
    }
    println!(
        "executed fuzz.ring.open: {} cases, {stores} stores, {queues} queues, peak {peak} bytes",
        stores + queues
    );

    let cases = fuzz_cases(1_000);
    for case in 0..cases {
        let mut rng = Rng::new(base ^ (case << 16));
        let len = usize::try_from(rng.below(300_000)).unwrap();
        let bytes = rng.bytes(len);
        let what = format!("random case {case} of seed {base}");
        failures.run(&file_of(ring.file, &bytes), len, &what, run_store);
    }
    println!("executed fuzz.random.open: {cases} cases");

    fuzz_redb(base, &mut failures);
    assert!(
        failures.0.is_empty(),
        "{} failures: {:#?}",
        failures.0.len(),
        &failures.0[..failures.0.len().min(20)]
    );
}

fn fuzz_redb(base: u64, failures: &mut Failures) {
    let redb = QueueImage::new(StoreKind::Redb);
    let usual = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |info| {
        if !info.location().is_some_and(|at| at.file().contains("/redb-")) {
            usual(info);
        }
    }));
    let (cases, mut peak, mut peak_of_pages) = (fuzz_cases(2_000), 0, 0);
    for case in 0..cases {
        let mut rng = Rng::new(base ^ (case << 24));
        let mut bytes = redb.bytes.clone();
        let what = format!("redb case {case} of seed {base}");
        let run = |dir: &SimDir| run_queue(dir, StoreKind::Redb);
        ring_mutation::mutate_values(&mut rng, &mut bytes);
        if case % 4 > 0 {
            peak = peak.max(failures.run(&file_of(redb.file, &bytes), bytes.len(), &what, run));
            continue;
        }
        // redb believes its own pages: a wrong number in one may cost any amount of memory, which is stated, not bounded.
        mutate(&mut rng, &mut bytes);
        if rng.one_in(4) {
            bytes.truncate(usize::try_from(rng.below(bytes.len() as u64)).unwrap());
        }
        let dir = file_of(redb.file, &bytes);
        let taken = peak_of(|| {
            if catch_unwind(AssertUnwindSafe(|| run(&dir))).is_err() {
                failures.0.push(format!("{what}: a panic, told above"));
            }
        });
        peak_of_pages = peak_of_pages.max(taken);
    }
    println!("executed fuzz.redb.open: {cases} cases, peak {peak} bytes, {peak_of_pages} with damaged pages");
}
