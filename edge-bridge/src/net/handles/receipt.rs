//! Receipts of published messages.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::sync::oneshot;

/// Receipt of a message (promise 1): where the message is safe now.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Receipt {
    /// The message is on this device's storage and survives a power cut.
    Stored,
    /// The hub acknowledged the message.
    HandedOver,
    /// The message was removed by the configured policy, expired or evicted, and counted.
    Settled,
    /// The message is in RAM only, in a memory store or with a failing disk under the `volatile` policy.
    Volatile,
}

/// The bridge was closed before the message was safe, so that it counts as not accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the bridge was closed before the message was safe")]
pub struct ReceiptError;

/// Future of a receipt. Dropping it cancels nothing.
#[must_use = "a message without a receipt may still be lost in a power cut"]
#[derive(Debug)]
pub struct PendingReceipt {
    pub(in crate::net) inner: Inner,
}

#[derive(Debug)]
pub(in crate::net) enum Inner {
    Memory(oneshot::Receiver<Receipt>),
    #[cfg(feature = "spool-queue")]
    Queue(edge_queue::Pending),
}

impl Future for PendingReceipt {
    type Output = Result<Receipt, ReceiptError>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        match &mut self.inner {
            Inner::Memory(receiver) => Pin::new(receiver).poll(cx).map_err(|_| ReceiptError),
            #[cfg(feature = "spool-queue")]
            Inner::Queue(pending) => Pin::new(pending).poll(cx).map(of_queue),
        }
    }
}

#[cfg(feature = "spool-queue")]
fn of_queue(receipt: Result<edge_queue::Receipt, edge_queue::WaitError>) -> Result<Receipt, ReceiptError> {
    match receipt {
        Ok(edge_queue::Receipt::Stored) => Ok(Receipt::Stored),
        Ok(edge_queue::Receipt::HandedOver) => Ok(Receipt::HandedOver),
        Ok(edge_queue::Receipt::Settled(_)) => Ok(Receipt::Settled),
        Ok(edge_queue::Receipt::Volatile) => Ok(Receipt::Volatile),
        // A receipt this crate does not know, and a closed queue: nothing is promised.
        Ok(_) | Err(_) => Err(ReceiptError),
    }
}
