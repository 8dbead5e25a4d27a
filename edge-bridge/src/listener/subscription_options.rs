//! Options of a granted subscription (§3.8.3.1).

use crate::wire::{QoS, Subscription, Utf8};

/// Options that apply to each message that the subscription matches. Retain Handling is not among them, because it counts only at the SUBSCRIBE.
#[derive(Debug, Clone, Copy)]
pub(super) struct Options {
    pub(super) qos: QoS,
    pub(super) no_local: bool,
    pub(super) retain_as_published: bool,
    pub(super) identifier: Option<u32>,
}

impl Options {
    pub(super) fn of(subscription: &Subscription, identifier: Option<u32>) -> Self {
        Self {
            qos: subscription.qos,
            no_local: subscription.no_local,
            retain_as_published: subscription.retain_as_published,
            identifier,
        }
    }

    /// Returns the subscription that has these options.
    pub(super) fn subscription(self, filter: Utf8) -> Subscription {
        Subscription {
            no_local: self.no_local,
            retain_as_published: self.retain_as_published,
            ..Subscription::new(filter, self.qos)
        }
    }
}
