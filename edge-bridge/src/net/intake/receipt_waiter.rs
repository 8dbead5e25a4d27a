//! Task that waits for receipts, one for all messages. With a task for each message, the queue's thread would wake each one separately, and a
//! busy runtime runs such tasks one by one between its own, so that thousands of receipts of one commit would become PUBACKs seconds later.

use std::sync::atomic::Ordering;
use std::sync::{Arc, PoisonError};

use edge_queue::Pending;
use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use tokio::sync::{mpsc, oneshot};
use tokio::time::Instant;

use super::{OnSafe, Safe, SafeRow, Shared};

/// Message whose rows are pushed, or wait for room.
pub(super) struct Settling {
    pub(super) receipts: Vec<RowSettling>,
    pub(super) safe: Safe,
    pub(super) put_at: Instant,
}

/// Row without a receipt yet.
pub(super) struct RowSettling {
    pub(super) receipt: Receipt,
    pub(super) lane: u8,
    /// Function of who watches the row; `None` if nobody does.
    pub(super) on_safe: Option<OnSafe>,
}

/// Receipt of a row, or of a row that is not pushed yet.
pub(super) enum Receipt {
    Pushed(Pending),
    Waits(oneshot::Receiver<Option<Pending>>),
}

/// Waits for receipts until the channel is closed and every message is settled.
pub(super) async fn run(mut messages: mpsc::UnboundedReceiver<Settling>, shared: Arc<Shared>) {
    let mut waiting = FuturesUnordered::new();
    loop {
        tokio::select! {
            Some(()) = waiting.next() => {}
            Some(message) = messages.recv() => waiting.push(settle(message, &shared)),
            else => return,
        }
    }
}

/// Waits until all rows of a message are safe, or removed by the policy that the operator chose, and then calls the message's function.
async fn settle(message: Settling, shared: &Shared) {
    for RowSettling { receipt, lane, on_safe } in message.receipts {
        let pending = match receipt {
            Receipt::Pushed(pending) => Ok(Some(pending)),
            Receipt::Waits(receipt) => receipt.await,
        };
        // The queue was closed before the row was safe: the publisher keeps it.
        match pending {
            Ok(Some(pending)) => {
                let seq = pending.seq();
                let Ok(receipt) = pending.await else { return };
                on_safe.into_iter().for_each(|on_safe| on_safe(SafeRow { lane, seq, receipt }));
            }
            Ok(None) => {}
            Err(_) => return,
        }
    }
    let took_ms = u64::try_from(message.put_at.elapsed().as_millis()).unwrap_or(u64::MAX);
    shared.receipts.lock().unwrap_or_else(PoisonError::into_inner).note(took_ms);
    shared.unsettled.fetch_sub(1, Ordering::Relaxed);
    (message.safe)();
}
