//! Order of the parked rows over passes, closings of holes that end early, restarts and failing disks.

use std::collections::BTreeSet;

use super::*;
use crate::random::{Rng, budget, replayed_seed};

/// Room among the parked rows, by weight.
const MESSAGES: u64 = 320;

/// Some rows are so heavy that there is no room to move them, but for others behind them.
fn weight(n: u32) -> u64 {
    if n % 23 == 5 { 60 } else { 1 }
}

/// Rows that are parked, over the lives of a link.
struct Story {
    rng: Rng,
    dirs: (SimDir, SimDir),
    clock: Arc<ManualClock>,
    rig: Rig,
    next: u32,
    /// Parked and not acknowledged.
    left: BTreeSet<u32>,
    /// Leased and neither parked again nor acknowledged.
    held: Vec<LeaseId>,
}

impl Story {
    async fn new(seed: u64) -> Self {
        let (dirs, clock) = ((SimDir::new(), SimDir::new()), still());
        let open = opens(&dirs.1, parked_config().max_messages(MESSAGES), clock.clone());
        let rig = Rig::new(on(&dirs.0, config(), clock.clone()), false, open).await;
        let (left, held) = (BTreeSet::new(), Vec::new());
        Self { rng: Rng::new(seed), dirs, clock, rig, next: 0, left, held }
    }

    /// Refused rows are parked, as far as there is room beside what is kept free for moving.
    async fn park(&mut self, rows: u32) {
        let mut messages: u64 = self.left.iter().map(|n| weight(*n)).sum();
        let fits = |n: &u32| {
            messages += weight(*n);
            messages <= MESSAGES - MESSAGES / 8
        };
        let rows = (self.next..self.next + rows).take_while(fits).count() as u32;
        self.settle().await;
        let new: u64 = (self.next..self.next + rows).map(weight).sum();
        let moved = ledger(&self.rig.main).moved + new;
        let row = |n: u32| {
            let mut row = Row::new(Utf8::try_from("t").unwrap(), Bytes::from(n.to_be_bytes().to_vec()));
            row.weight = weight(n) as u32;
            row
        };
        self.rig.push((self.next..self.next + rows).map(row)).await;
        let leased = self.rig.lease(false, rows as usize).await;
        self.rig.park(&leased);
        self.rig.all_moved(moved).await;
        self.left.extend(self.next..self.next + rows);
        self.next += rows;
    }

    /// Hands out parked rows, `some` of every eight of which the hub takes. `calls`: after so many the pass ends early.
    async fn pass(&mut self, some: u64, calls: u64) -> Result<(), String> {
        let mut last = None;
        for _ in 0..calls {
            let at_most = 1 + self.rng.below(30) as usize;
            let rows = self.rig.spool.lease_parked(0, at_most, usize::MAX);
            for row in &rows {
                let n = u32::from_be_bytes(row.row.payload[..4].try_into().unwrap());
                if last.is_some_and(|last| last >= n) || !self.left.contains(&n) {
                    return Err(format!("{n} behind {last:?}"));
                }
                last = Some(n);
                match self.rng.below(8) {
                    at if at < some => {
                        self.rig.spool.ack(row.id);
                        self.left.remove(&n);
                    }
                    // Heavy ones would take up what may be leased at a time.
                    7 if weight(n) == 1 && self.rng.below(8) == 0 => self.held.push(row.id),
                    _ => self.rig.spool.park(row.id, REFUSED),
                }
            }
            if self.rig.spool.is_scanned() == Some(true) {
                break;
            }
            // As between two sweeps.
            if some < 8 && self.rng.below(6) == 0 {
                let rows = 1 + self.rng.below(3) as u32;
                self.park(rows).await;
                // Its waiting may have taken the wake.
                continue;
            }
            if rows.is_empty() {
                soon(self.rig.wake.notified()).await;
            }
        }
        Ok(())
    }

    /// Nothing is on its way to the end.
    async fn settle(&mut self) {
        while !self.rig.spool.is_settled() {
            soon(self.rig.wake.notified()).await;
        }
    }

    fn release(&mut self) {
        self.held.drain(..).for_each(|id| self.rig.spool.give_back(id));
    }

    async fn restart(&mut self) {
        self.held.clear();
        let (dirs, clock) = (&self.dirs, &self.clock);
        // Both queues close before they are opened again.
        let old = std::mem::replace(&mut self.rig, {
            let (dir, config) = (SimDir::new(), config());
            Rig::new(on(&dir, config.clone(), clock.clone()), false, opens(&dir, config, clock.clone())).await
        });
        old.end().await.close().await.unwrap();
        let open = opens(&dirs.1, parked_config().max_messages(MESSAGES), clock.clone());
        self.rig = Rig::new(on(&dirs.0, config(), clock.clone()), true, open).await;
    }
}

async fn play(seed: u64) -> Result<(), String> {
    let mut story = Story::new(seed).await;
    for _ in 0..12 {
        if story.rng.below(2) == 0 {
            let rows = 1 + story.rng.below(200) as u32;
            story.park(rows).await;
        }
        if story.rng.below(4) == 0 {
            story.restart().await;
        }
        if story.rng.below(3) > 0 {
            story.release();
        }
        if story.rng.below(4) > 0 {
            story.settle().await;
            story.rig.spool.close_holes();
        }
        story.rig.spool.scan_parked();
        let (some, calls) = (story.rng.below(5), [1, 3, 10, 100_000][story.rng.below(4) as usize]);
        story.pass(some, calls).await?;
        if story.rng.below(3) == 0 {
            story.restart().await;
        }
    }
    story.release();
    story.settle().await;
    story.rig.spool.scan_parked();
    story.pass(8, 100_000).await?;
    if story.left.is_empty() { Ok(()) } else { Err(format!("{} rows are left", story.left.len())) }
}

/// Promise 12: whenever a closing of holes ends, and whatever is parked meanwhile, each pass hands the rows out in their order.
#[tokio::test]
async fn parked_rows_come_in_order_whenever_a_closing_of_holes_ends() {
    let seeds = replayed_seed().map_or(0..budget(300), |seed| seed..seed + 1);
    for seed in seeds.clone() {
        let played = play(seed).await;
        assert_eq!(played, Ok(()), "EDGE_SEED {seed}");
    }
    println!("executed parked order: {} cases", seeds.end - seeds.start);
}
