//! The outlets as the broker's ingest and sink: which connections a client's message is for, and the room that they have.

use std::sync::atomic::Ordering;

use edge_bridge::Row;
use edge_bridge::ingest::{Answer, Inbound, Ingest, Now};
use edge_bridge::listener::Ticket;
use edge_bridge::net::server::{Receipts, Sink};
use edge_bridge::puback_chain::Group;
use tokio::time::{Duration, Instant};

use super::fanout::Origin;
use super::{BYTES_MAX, LOCAL_ALONE, Outlets};

/// Longest time for which no client is read because a connection is behind.
pub(super) const PAUSE_MAX: Duration = Duration::from_secs(1);

/// Ingest of the broker: decides if a message is for connections, or for local clients alone.
pub(crate) struct OutletIngest {
    outlets: Outlets,
    /// Lane of the message that was answered last.
    answered: u8,
}

impl OutletIngest {
    pub(crate) fn new(outlets: Outlets) -> Self {
        Self { outlets, answered: LOCAL_ALONE }
    }
}

impl Ingest for OutletIngest {
    fn ingest(&mut self, _: Now, message: &Inbound) -> Answer {
        self.answered = self.outlets.lane(&message.topic);
        if self.answered == LOCAL_ALONE {
            return Answer::Absorb;
        }
        let mut row = message.to_row();
        row.lane = Some(self.answered);
        Answer::Store(vec![row])
    }

    fn lane(&self, message: &Inbound) -> Option<u8> {
        Some(self.outlets.lane(&message.topic))
    }

    fn lanes_version(&self) -> u32 {
        self.outlets.changes.load(Ordering::Relaxed)
    }

    /// Nobody waits for another connection's rows, and one for local clients alone for nothing.
    fn group(&self) -> Option<Group> {
        Some(Group { number: self.answered.into(), division: 0 })
    }
}

/// Outlets as the broker's sink.
pub(crate) struct OutletSink {
    outlets: Outlets,
    receipts: Receipts,
    /// Time since which a connection has been behind.
    behind: Option<Instant>,
}

impl OutletSink {
    pub(crate) fn new(outlets: Outlets, receipts: Receipts) -> Self {
        Self { outlets, receipts, behind: None }
    }
}

impl Sink for OutletSink {
    fn full_lanes(&mut self) -> u8 {
        self.outlets.full_lanes()
    }

    fn is_busy(&mut self) -> bool {
        if self.outlets.all(|outlet| outlet.fills_less_than(BYTES_MAX / 2)) {
            self.behind = None;
            return false;
        }
        self.behind.get_or_insert_with(Instant::now).elapsed() < PAUSE_MAX
    }

    fn push(&mut self, ticket: Ticket, rows: Vec<Row>) -> Result<(), Vec<Row>> {
        // One message is one row.
        for row in &rows {
            let origin = Origin::Client { ticket, receipts: self.receipts.clone() };
            drop(self.outlets.offer(row, None, origin));
        }
        Ok(())
    }

    fn commit(&mut self) {
        self.outlets.lock().iter().for_each(|outlet| outlet.commit.notify_one());
    }
}
