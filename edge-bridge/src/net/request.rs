//! Requests of the application to the link's task.

use std::sync::Arc;

use tokio::sync::oneshot;

use super::by_hand::Ask;
use super::commands::Commands;
use super::subscription_queue::SubscriptionQueue;
use crate::wire::{QoS, Utf8};

/// Order of the application to the bridge.
pub(super) enum Request {
    Subscribe {
        filter: Utf8,
        qos: QoS,
        reply: oneshot::Sender<Commands>,
    },
    /// Replies whether the subscription is one of this link's.
    AddFilter {
        filter: Utf8,
        qos: QoS,
        queue: Arc<SubscriptionQueue>,
        reply: oneshot::Sender<bool>,
    },
    ByHand(Ask),
    Close {
        reply: oneshot::Sender<()>,
    },
}
