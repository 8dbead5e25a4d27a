//! The drain: after the sensors' last message the drill goes on until nothing waits, or the time for it is over.

use std::io;
use std::sync::atomic::Ordering;

use super::surroundings::Crew;
use super::{Conductor, SensorRecord};
use crate::story::{DRAIN_MS_MAX, DRAIN_OF_OTHERS_MS_MAX};

/// Milliseconds without an arrival after which a gateway that does not say what waits counts as done, if all that was acknowledged arrived.
const SILENT_MS: u64 = 3_000;

/// Silence at the hub, which tells that a gateway has delivered everything if it does not say so itself.
#[derive(Debug, Default)]
pub(super) struct Silence {
    arrivals: usize,
    /// Time since which nothing arrived.
    since_ms: u64,
    /// Number of arrivals without copies; `None` until they are counted.
    different: Option<u64>,
}

impl Silence {
    /// Returns whether nothing more is to come. `different` counts the arrivals without copies.
    fn is_end(
        &mut self,
        now_ms: u64,
        acknowledged: u64,
        arrivals: usize,
        different: impl FnOnce() -> u64,
    ) -> bool {
        if arrivals > self.arrivals {
            *self = Self { arrivals, since_ms: now_ms, different: None };
        }
        // A link that waits for its next dial is silent too: then there is something to come.
        now_ms.saturating_sub(self.since_ms) >= SILENT_MS
            && *self.different.get_or_insert_with(different) >= acknowledged
    }
}

impl Conductor {
    /// Returns whether nothing waits at the gateway, as far as can be known.
    fn is_empty(&mut self) -> bool {
        if self.gateway.reports_itself() {
            return self.samples.last().is_some_and(|sample| sample.waiting == 0);
        }
        let acknowledged = self.counts.acknowledged.load(Ordering::Relaxed);
        let (now_ms, arrivals, hub) = (self.clock.story_ms(), self.hub.arrivals(), &self.hub);
        self.silence.is_end(now_ms, acknowledged, arrivals, || hub.different())
    }

    /// Waits until every sensor has all its acknowledgments and nothing waits at the gateway, or the time for it is over.
    pub(super) async fn drain(&mut self, crew: Crew) -> io::Result<Vec<SensorRecord>> {
        let Crew { mut tasks, stop, .. } = crew;
        let longest_ms = if self.gateway.reports_itself() { DRAIN_MS_MAX } else { DRAIN_OF_OTHERS_MS_MAX };
        let deadline_ms = self.story.publish_ms + longest_ms;
        let mut records = Vec::new();
        loop {
            while let Some(done) = tasks.try_join_next() {
                records.push(done.map_err(io::Error::other)?);
            }
            // Asked in any case: it sees when something arrived last.
            let is_empty = self.is_empty();
            if tasks.is_empty() && is_empty {
                break;
            }
            if self.clock.story_ms() >= deadline_ms {
                let now_ms = self.clock.story_ms();
                self.event(
                    now_ms,
                    "drain.timeout",
                    format!("not everything was delivered within {longest_ms} ms"),
                );
                break;
            }
            self.clock.until(self.next_sample_ms).await;
            self.sample_if_due().await?;
        }
        // Only sensors that still wait are left to hear it.
        let _ = stop.send(true);
        while let Some(done) = tasks.join_next().await {
            records.push(done.map_err(io::Error::other)?);
        }
        Ok(records)
    }
}

#[cfg(test)]
#[allow(clippy::panic, reason = "test code")]
mod tests {
    use super::*;

    #[test]
    fn a_silence_before_all_has_arrived_is_no_end() {
        let mut silence = Silence::default();
        let never = || -> u64 { panic!("counted for nothing") };
        assert!(!silence.is_end(1_000, 9, 12, never));
        assert!(!silence.is_end(3_999, 9, 12, never));
        // A kill made copies of what had arrived; the rest waits for the link.
        assert!(!silence.is_end(4_000, 9, 12, || 8));
        assert!(!silence.is_end(60_000, 9, 12, never), "counted once");
        assert!(!silence.is_end(61_000, 9, 13, never));
        assert!(!silence.is_end(63_999, 9, 13, never), "copies may follow");
        assert!(silence.is_end(64_000, 9, 13, || 9));
    }
}
