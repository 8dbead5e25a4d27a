//! Requests of the application to the link's task.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::oneshot;

use super::operator_requests::Ask;
use super::subscriptions::commands::Commands;
use super::subscriptions::subscription_queue::SubscriptionQueue;
use crate::wire::{Subscription, Utf8};

/// Request of the application to the link's task.
pub(super) enum Request {
    /// Makes one subscription with all of these filters.
    Subscribe {
        filters: Vec<Subscription>,
        reply: oneshot::Sender<Commands>,
    },
    /// Adds a filter to a subscription. Replies `false` if that belongs to another link.
    AddFilter {
        filter: Subscription,
        queue: Arc<SubscriptionQueue>,
        reply: oneshot::Sender<bool>,
    },
    /// Unsubscribes those of these filters that no subscription has. Replies when the hub has answered.
    Unsubscribe {
        filters: Vec<Utf8>,
        reply: oneshot::Sender<()>,
    },
    ByHand(Ask),
    /// Looks at the certificate's source at once.
    LookAtCertificate,
    /// Ends the link once the hub has everything, but at the latest in `limit`. Replies with the number of messages that the hub has not
    /// acknowledged.
    Close {
        limit: Duration,
        reply: oneshot::Sender<u64>,
    },
}
