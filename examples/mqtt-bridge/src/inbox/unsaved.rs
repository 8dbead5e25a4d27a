//! Messages that wait in clients' sessions: they stay on disk here until the sessions are.

use std::collections::VecDeque;
use std::future::{Future, pending};
use std::pin::Pin;

use edge_bridge::net::server::{Ended, LocalPublisher};
use edge_queue::Lease;

/// Messages and bytes for which a save is waited for. The file of sessions holds no more bytes either, and leaves out the oldest messages.
const MESSAGES_MAX: usize = 4_096;
const BYTES_MAX: u64 = 1 << 20;

type Saving = Pin<Box<dyn Future<Output = Result<(), Ended>> + Send>>;

/// Leases that end with the next save of the broker's sessions.
pub(super) struct Unsaved {
    broker: LocalPublisher,
    leases: VecDeque<(Lease, u64)>,
    bytes: u64,
    /// Present wait for a save, and the number of leases that end with it.
    saving: Option<(Saving, usize)>,
}

impl Unsaved {
    pub(super) fn new(broker: LocalPublisher) -> Self {
        Self { broker, leases: VecDeque::new(), bytes: 0, saving: None }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.leases.is_empty()
    }

    /// Adds a message of so many bytes. Beyond the bounds the oldest are let go of: clients that are away hold up nobody else.
    pub(super) fn push(&mut self, lease: Lease, bytes: u64) {
        self.leases.push_back((lease, bytes));
        self.bytes += bytes;
        while self.leases.len() > MESSAGES_MAX || self.bytes > BYTES_MAX {
            self.ack_oldest();
            if let Some((_, waiting)) = &mut self.saving {
                *waiting = waiting.saturating_sub(1);
            }
        }
    }

    /// Waits for a save and acknowledges what is in it; for ever while there is nothing. Cancel-safe.
    pub(super) async fn next_save(&mut self) {
        if self.leases.is_empty() {
            return pending().await;
        }
        let (saving, _) = self.saving.get_or_insert_with(|| {
            let broker = self.broker.clone();
            (Box::pin(async move { broker.saved().await }), self.leases.len())
        });
        let is_saved = saving.await.is_ok();
        let waiting = self.saving.take().map_or(0, |(_, waiting)| waiting);
        if is_saved {
            (0..waiting).for_each(|_| self.ack_oldest());
        } else {
            // The broker has ended. They come again at the next start.
            self.leases.clear();
        }
    }

    fn ack_oldest(&mut self) {
        let Some((lease, bytes)) = self.leases.pop_front() else { return };
        self.bytes -= bytes;
        lease.ack();
    }
}
