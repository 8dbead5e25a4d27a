//! `queue.drain.*`: 100 000 messages taken out again, 100 at a time, their removal durable every 1 000.

use super::peers::{self, Raw};
use super::scratch;
use crate::measure::{Figure, median};
use std::time::Instant;

const MESSAGES: usize = 100_000;
const CHUNK: usize = 100;
const LAG: usize = 1_000;
const ROUNDS: usize = 5;

pub(super) fn names() -> Vec<String> {
    peers::NAMES.iter().map(|peer| format!("queue.drain.{peer}")).collect()
}

pub(super) fn run() -> Result<(), String> {
    let dir = scratch()?;
    let mut all = peers::all(dir.path(), false)?;
    all.insert(0, Box::new(Raw::create(dir.path())?));
    let mut times = vec![Vec::new(); all.len()];
    for _ in 0..ROUNDS {
        for (peer, times) in all.iter_mut().zip(&mut times) {
            (0..MESSAGES / 1_000).try_for_each(|_| peer.commit(1_000))?;
            let start = Instant::now();
            let count = peer.drain(CHUNK, LAG)?;
            times.push(start.elapsed());
            if count != MESSAGES {
                return Err(format!("{count} messages came out of {MESSAGES}"));
            }
        }
    }
    let medians: Vec<f64> = times.into_iter().map(|times| median(times).as_secs_f64()).collect();
    let Some((base, times)) = medians.split_first() else { return Ok(()) };
    for (name, time) in peers::NAMES.iter().zip(times) {
        Figure {
            figure: format!("queue.drain.{name}"),
            value: MESSAGES as f64 / time,
            unit: "messages/s",
            baseline: "raw.read".to_owned(),
            ratio: Some(base / time),
            runs: ROUNDS,
        }
        .print();
    }
    Ok(())
}
