//! Maker of snapshots, from the running gateway's figures and from the recorder.

#![allow(clippy::disallowed_types, reason = "a shell: locks between the tasks that look and those that ask")]

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use edge_bridge::bridge::LinkState;
use edge_bridge::net::Clock;

use crate::run::queue::status_without_queue::{Surface, Without};
use crate::run::status::outputs::snapshot_metrics;
use crate::run::status::prometheus_text::Page;
use crate::run::status::verdict::Status;

use super::Snapshot;
use super::facts::{CurrentFacts, Facts};
use super::figures::Figures;
use super::history::Slot;
use super::recorder::Recorder;
use super::snapshot_from_figures::{self, WithoutQueue};

/// Handle to the recorder, which is updated at each check and read for each answer; cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct Memory(Arc<Mutex<Recorder>>);

impl Memory {
    pub(crate) fn new(clock: &Clock) -> Self {
        Self(Arc::new(Mutex::new(Recorder::new(clock.now().up_ms))))
    }

    pub(crate) fn note(&self, clock: &Clock, figures: &Figures) {
        self.lock().note(clock.now().up_ms, &snapshot_from_figures::look(figures));
    }

    pub(crate) fn note_without_queue(&self, clock: &Clock, state: &WithoutQueue<'_>) {
        self.lock().note(clock.now().up_ms, &snapshot_from_figures::look_without_queue(state));
    }

    /// Writes the metrics of recorded state and of the figures, which were just collected.
    pub(crate) fn render(&self, facts: &Facts, clock: &Clock, figures: &Figures, page: &mut Page) {
        self.note(clock, figures);
        snapshot_metrics::render(facts, figures, &self.lock(), page);
    }

    pub(crate) fn render_without_queue(&self, facts: &Facts, page: &mut Page) {
        snapshot_metrics::render_without_queue(facts, &self.lock(), page);
    }

    /// Returns the snapshot of figures that were just collected.
    pub(crate) fn snapshot(&self, facts: &Facts, clock: &Clock, figures: &Figures) -> Snapshot {
        self.note(clock, figures);
        snapshot_from_figures::snapshot(facts, clock.now(), figures, &self.lock())
    }

    /// Locks the recorder. A poisoned lock is used nevertheless, because a panic under it would have ended the runtime's only thread.
    fn lock(&self) -> MutexGuard<'_, Recorder> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Handle to the maker of snapshots; cheap to clone.
#[derive(Clone)]
pub(crate) struct Snapshots {
    surface: Surface,
    facts: CurrentFacts,
    memory: Memory,
    clock: Clock,
}

impl Snapshots {
    pub(crate) fn new(surface: Surface, facts: CurrentFacts, memory: Memory, clock: Clock) -> Self {
        Self { surface, facts, memory, clock }
    }

    /// Returns the snapshot of the present state.
    pub(crate) async fn snapshot(&self) -> Snapshot {
        self.of(self.surface.figures().await)
    }

    /// Returns the present state in short.
    pub(crate) async fn status(&self) -> Status {
        let figures = self.surface.present_figures().await;
        let (verdict, link, messages) = match &figures {
            Ok(Figures { sample, .. }) => {
                (sample.verdict, sample.link, Some((sample.queue_messages, sample.refused.parked)))
            }
            Err(without) => (without.verdict, LinkState::Offline, None),
        };
        let Snapshot { sentence, lost, .. } = self.of(figures);
        let (queued, parked) = messages.unzip();
        Status { verdict, reason: sentence, link, queued, parked, lost }
    }

    fn of(&self, figures: Result<Figures, Without>) -> Snapshot {
        let now = self.clock.now();
        match figures {
            Ok(figures) => self.memory.snapshot(&self.facts.get(), &self.clock, &figures),
            Err(without) => {
                let state = without.as_state();
                self.memory.note_without_queue(&self.clock, &state);
                snapshot_from_figures::without_queue(&self.facts.get(), now, &state, &self.memory.lock())
            }
        }
    }

    /// Returns the history of the last day, the oldest slot first.
    pub(crate) fn slots(&self) -> Vec<Slot> {
        self.memory.lock().history().slots().copied().collect()
    }
}
