//! `queue.push_us.*`: how long a push keeps its caller while a disk whose sync takes 20 ms is at it all the time.
//! `queue.producers.*`: eight threads, each waiting for every receipt.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Barrier};
use std::time::{Duration, Instant};

use edge_queue::medium::os::OsDir;
use edge_queue::medium::{Call, Dir, Hooked, Verdict};
use edge_queue::{Config, Queue, Row, SystemClock};

use super::incoming::Incoming;
use super::peer::Peer;
use super::peers::Raw;
use super::{scratch, text};
use crate::measure::{Figure, median};

const SYNC: Duration = Duration::from_millis(20);
const PUSHES: usize = 2_000;
const THREADS: usize = 8;
const PER_THREAD: usize = 100;
const ROUNDS: usize = 3;

pub(super) fn names() -> Vec<String> {
    ["queue.push_us.ring.p50", "queue.push_us.ring.p99", "queue.producers.ring.t8"]
        .map(str::to_owned)
        .to_vec()
}

pub(super) fn run() -> Result<(), String> {
    push()?;
    producers()
}

fn push() -> Result<(), String> {
    let dir = scratch()?;
    let slow = slow(OsDir::new(dir.path()).map_err(text)?);
    let queue = Queue::open_in(slow, Config::default(), Arc::new(SystemClock::new())).map_err(text)?;
    let (mut incoming, mut times, over) = (Incoming::new(), Vec::new(), AtomicBool::new(false));
    std::thread::scope(|scope| {
        let commits = scope.spawn(|| {
            while !over.load(Ordering::Relaxed) {
                queue.commit().map_err(text)?;
            }
            Ok::<(), String>(())
        });
        for _ in 0..PUSHES {
            let row = Row::new(incoming.next());
            let start = Instant::now();
            let pushed = queue.push(row).map_err(text);
            times.push(start.elapsed());
            over.store(pushed.is_err(), Ordering::Relaxed);
            let _receipt = pushed?;
            // 2 000 pushes over some twenty syncs.
            std::thread::sleep(Duration::from_micros(200));
        }
        over.store(true, Ordering::Relaxed);
        commits.join().map_err(|_| "the committing thread panicked".to_owned())?
    })?;
    times.sort_unstable();
    for (name, at) in [("p50", PUSHES / 2), ("p99", PUSHES * 99 / 100)] {
        let time = times.get(at).copied().unwrap_or_default();
        Figure {
            figure: format!("queue.push_us.ring.{name}"),
            value: time.as_secs_f64() * 1e6,
            unit: "µs",
            baseline: "a sync, 20 ms".to_owned(),
            ratio: Some(time.as_secs_f64() / SYNC.as_secs_f64()),
            runs: PUSHES,
        }
        .print();
    }
    Ok(())
}

fn producers() -> Result<(), String> {
    let dir = scratch()?;
    let mut raw = Raw::create(dir.path())?;
    let queue = Queue::open(dir.path().join("ring"), Config::default()).map_err(text)?;
    let (mut alone, mut together) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        let start = Instant::now();
        (0..THREADS * PER_THREAD).try_for_each(|_| raw.commit(1))?;
        alone.push(start.elapsed());
        together.push(eight(&queue)?);
    }
    let (alone, together) = (median(alone).as_secs_f64(), median(together).as_secs_f64());
    Figure {
        figure: "queue.producers.ring.t8".to_owned(),
        value: (THREADS * PER_THREAD) as f64 / together,
        unit: "messages/s",
        baseline: "raw.prewritten, one thread, a sync for each".to_owned(),
        ratio: Some(alone / together),
        runs: ROUNDS,
    }
    .print();
    Ok(())
}

/// Returns how long it takes once each thread is known to wait every time: its first two waits are for company, a second each.
fn eight(queue: &Queue) -> Result<Duration, String> {
    let known = Barrier::new(THREADS);
    let times = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..THREADS).map(|_| scope.spawn(|| produce(queue, &known))).collect();
        let joined = threads.into_iter().map(|t| t.join().map_err(|_| "a producer panicked".to_owned())?);
        joined.collect::<Result<Vec<Duration>, String>>()
    })?;
    times.into_iter().max().ok_or_else(|| "no producer".to_owned())
}

fn produce(queue: &Queue, known: &Barrier) -> Result<Duration, String> {
    let mut incoming = Incoming::of(64);
    let mut push = || queue.push(Row::new(incoming.next())).map_err(text)?.wait().map_err(text);
    let warm = (0..3).try_for_each(|_| push().map(drop));
    known.wait();
    let start = Instant::now();
    warm?;
    (0..PER_THREAD).try_for_each(|_| push().map(drop))?;
    Ok(start.elapsed())
}

/// Real files whose sync takes 20 ms, like an SD card's.
fn slow(dir: OsDir) -> Box<dyn Dir> {
    Box::new(Hooked::new(dir, |call| {
        if call == Call::Sync {
            std::thread::sleep(SYNC);
        }
        Verdict::Make
    }))
}
