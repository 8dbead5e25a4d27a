//! SIGPWR: the supply of power is failing. What is in memory is made durable at once, and the gateway goes on.

#![allow(clippy::disallowed_methods, clippy::disallowed_types, reason = "a shell: a task, signals, threads")]

use std::time::Duration;

use control_loop::restart_memory::WriteNow;
use edge_bridge::net::Clock;
use edge_bridge::net::intake::Intake;
use edge_bridge::net::server::LocalPublisher;
use edge_queue::aio;
use tokio::signal::unix::Signal;
use tokio::sync::oneshot;
use tokio::time::timeout;

use super::local_control::control::Control;
use super::queue::open_queue::OpenQueue;
use super::queue::store;
use super::sensors::held_receipts::Tell;
use super::sensors::ingest::GatewayIngest;

/// Time limit of each part. A supply lasts seconds, and a disk that hangs may not keep the next signal waiting.
const WITHIN: Duration = Duration::from_secs(2);

/// Parts that have state in memory.
pub(super) struct InMemory {
    ingest: GatewayIngest,
    intake: Intake,
    clock: Clock,
    /// Queue, once it is open.
    queue: OpenQueue,
    /// State of the control loops; `None`: there are none.
    control: Option<WriteNow>,
    /// Listener, which saves its clients; `None`: the sensors are behind a broker.
    listener: Option<LocalPublisher>,
}

impl InMemory {
    pub(super) fn new(
        (ingest, intake, clock): (&GatewayIngest, &Intake, Clock),
        queue: OpenQueue,
        control: Option<&Control>,
        listener: Option<LocalPublisher>,
    ) -> Self {
        let (ingest, intake) = (ingest.clone(), intake.clone());
        Self { ingest, intake, clock, queue, control: control.and_then(Control::write_now), listener }
    }

    /// Makes everything durable at each signal.
    pub(super) async fn keep_at_each(self, mut power: Signal) {
        while power.recv().await.is_some() {
            self.make_durable().await;
        }
    }

    /// Makes everything durable: queue, clients and loops at the same time, each within [`WITHIN`].
    async fn make_durable(&self) {
        let (rows, clients, control) = tokio::join!(
            timeout(WITHIN, self.rows()),
            timeout(WITHIN, self.clients()),
            timeout(WITHIN + WITHIN, self.control())
        );
        let queued = rows.ok().flatten();
        let parts = [
            (queued.is_some(), "the queue"),
            (clients == Ok(true), "sessions and retained messages of clients"),
            (control == Ok(true), "the states of the control loops"),
        ];
        let left: Vec<&str> = parts.iter().filter(|(is_safe, _)| !is_safe).map(|(_, part)| *part).collect();
        let queued = queued.unwrap_or(0);
        match left.is_empty() {
            true => tracing::info!(queued, "SIGPWR: what was in memory is on disk"),
            false => {
                let left = left.join(", ");
                tracing::warn!(queued, left, "SIGPWR: not all that was in memory is on disk");
            }
        }
    }

    /// Commits what the queue has, and then what filters hold and what was on the way. Returns how many messages wait; `None` if not all of it is safe.
    async fn rows(&self) -> Option<u64> {
        let queue = self.queue.open()?;
        self.commit(&queue, || self.queue.parked()).await
    }

    /// Does the same with this queue, and the queue of the parked messages as it is then, if there is one.
    async fn commit(&self, queue: &aio::Queue, parked: impl FnOnce() -> Option<aio::Queue>) -> Option<u64> {
        // First what needs nothing else: the supply may end at any moment.
        let committed = queue.commit().await;
        let is_let_go = self.let_go().await.is_some() && self.pushed().await.is_some();
        committed.and(queue.commit().await).ok()?;
        queue.commit_ends().await.ok()?;
        if let Some(parked) = parked() {
            parked.commit().await.ok()?;
        }
        is_let_go.then(|| store::waiting(queue))
    }

    /// Puts the readings that stages hold on the way to the queue. The stages go on empty: a kill may follow, and nothing else of them is kept over it.
    async fn let_go(&self) -> Option<()> {
        let permit = self.intake.reserve().await?;
        let (mut rows, mut link) = self.ingest.tick(self.clock.now(), true);
        let (held, more) = self.ingest.flush();
        rows.extend(held);
        link.join(more);
        permit.put(rows, link.then(Tell::Nobody));
        Some(())
    }

    /// Waits until all messages before this one are in the queue, or wait because their lane is full.
    async fn pushed(&self) -> Option<()> {
        let (told, passed) = oneshot::channel();
        self.intake.reserve().await?.put(Vec::new(), move || {
            // A timeout may have dropped the other end.
            let _ = told.send(());
        });
        passed.await.ok()?;
        (self.intake.without_room() == 0).then_some(())
    }

    /// Returns whether the clients are saved.
    async fn clients(&self) -> bool {
        let Some(listener) = &self.listener else { return true };
        match listener.save_now().await {
            Ok(saving) => saving.await.is_ok(),
            Err(_) => false,
        }
    }

    /// Returns whether the control loops' states are written.
    async fn control(&self) -> bool {
        let Some(control) = self.control.clone() else { return true };
        tokio::task::spawn_blocking(move || control.write(WITHIN)).await.unwrap_or(false)
    }
}

#[cfg(test)]
mod tests;
