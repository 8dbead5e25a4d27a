//! Requests of the application to the link's task.

use std::sync::Arc;

use tokio::sync::oneshot;

use super::by_hand::Ask;
use super::commands::Commands;
use super::subscription_queue::SubscriptionQueue;
use crate::wire::Subscription;

/// Order of the application to the bridge.
pub(super) enum Request {
    /// One subscription of the application's, which has all of these filters.
    Subscribe {
        filters: Vec<Subscription>,
        reply: oneshot::Sender<Commands>,
    },
    /// Replies whether the subscription is one of this link's.
    AddFilter {
        filter: Subscription,
        queue: Arc<SubscriptionQueue>,
        reply: oneshot::Sender<bool>,
    },
    ByHand(Ask),
    Close {
        reply: oneshot::Sender<()>,
    },
}
