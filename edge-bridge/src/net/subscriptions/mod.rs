//! Subscriptions of the application: dispatch of the hub's messages to them, their queues, and the acknowledgements of their messages.

mod back_pressure;
pub(super) mod commands;
pub(super) mod router;
mod shared_ack;
pub(super) mod subscription_queue;
mod unacked_qos2;
