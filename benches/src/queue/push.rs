//! `queue.push.*`: messages per second that are durable when a commit returns, at so many messages per commit.

use edge_queue::StoreKind;

use super::peer::Peer;
use super::peers::{self, Ours, Raw};
use super::scratch;
use crate::measure::{Candidate, Figure, interleaved};

const BATCHES: [usize; 4] = [1, 10, 100, 1_000];
/// Commits in one timed turn, so that a turn is long against the clock and short against the machine's drift.
const COMMITS: usize = 8;
const ROUNDS: usize = 40;
const WARM_UP: usize = 5;
/// Ours with a call of `push` per message.
const SINGLY: &str = "ring_singly";

pub(super) fn names() -> Vec<String> {
    let names = peers::NAMES.into_iter().chain([SINGLY]);
    names.flat_map(|peer| BATCHES.map(|batch| format!("queue.push.{peer}.b{batch}"))).collect()
}

pub(super) fn run() -> Result<(), String> {
    BATCHES.into_iter().try_for_each(push)
}

fn push(batch: usize) -> Result<(), String> {
    let dir = scratch()?;
    let mut raw = Raw::create(dir.path())?;
    let mut peers = peers::all(dir.path(), true)?;
    let mut singly = Ours::open(&dir.path().join(SINGLY), StoreKind::Ring)?;
    singly.go_round()?;
    let commits = |peer: &mut dyn Peer| (0..COMMITS).try_for_each(|_| peer.commit(batch));
    let mut candidates = vec![Candidate { name: "raw.prewritten", run: Box::new(|| commits(&mut raw)) }];
    for (name, peer) in peers::NAMES.into_iter().zip(&mut peers) {
        candidates.push(Candidate { name, run: Box::new(move || commits(peer.as_mut())) });
    }
    let run = || (0..COMMITS).try_for_each(|_| singly.commit_singly(batch));
    candidates.push(Candidate { name: SINGLY, run: Box::new(run) });
    let medians = interleaved(&mut candidates, WARM_UP, ROUNDS)?;
    let Some((base, times)) = medians.split_first() else { return Ok(()) };
    for (candidate, time) in candidates.iter().skip(1).zip(times) {
        Figure {
            figure: format!("queue.push.{}.b{batch}", candidate.name),
            value: (COMMITS * batch) as f64 / time.as_secs_f64(),
            unit: "messages/s",
            baseline: "raw.prewritten".to_owned(),
            ratio: Some(base.as_secs_f64() / time.as_secs_f64()),
            runs: ROUNDS,
        }
        .print();
    }
    Ok(())
}
