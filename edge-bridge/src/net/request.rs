//! Requests of the application to the link's task.

use tokio::sync::oneshot;

use super::by_hand::Ask;
use super::commands::Commands;
use crate::wire::{QoS, Utf8};

/// Order of the application to the bridge.
pub(super) enum Request {
    Subscribe { filter: Utf8, qos: QoS, reply: oneshot::Sender<Commands> },
    ByHand(Ask),
    Close { reply: oneshot::Sender<()> },
}
