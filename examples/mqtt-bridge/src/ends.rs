//! The two ends of a direction: where its messages come from, and where they are made safe.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use edge_bridge::net::{Acknowledgement, Commands, PublishError};
use edge_bridge::{Bridge, Row};

use crate::inbox::Inbox;
use crate::outlets::{Outlet, Part};

/// Messages of one direction.
pub(crate) enum From {
    /// A subscription, at the hub or at the local broker.
    Subscription(Commands),
    /// The broker in this program.
    Outlet(Arc<Outlet>),
}

/// What a direction is to do next.
#[allow(
    clippy::large_enum_variant,
    reason = "it is matched where it is made: a box for each message saves nothing"
)]
pub(crate) enum Next {
    Message(Row, Ack),
    /// A publisher stands still for want of receipts.
    Commit,
    /// There are no more messages.
    End,
}

impl From {
    /// A local broker of its own knows its publishers: only the one in this program asks for commits.
    pub(crate) async fn next(&mut self) -> Next {
        match self {
            Self::Subscription(messages) => {
                let Some(message) = messages.next().await else { return Next::End };
                let (publish, ack) = message.split();
                Next::Message(Row::from_publish(&publish), Ack::Subscription(ack))
            }
            Self::Outlet(outlet) => tokio::select! {
                () = outlet.commit_wanted() => Next::Commit,
                (row, part) = outlet.next() => Next::Message(row, Ack::Outlet(part)),
            },
        }
    }
}

/// Acknowledgement of a message. Dropped, the message comes again.
pub(crate) enum Ack {
    Subscription(Acknowledgement),
    Outlet(Part),
}

impl Ack {
    pub(crate) fn done(self) {
        match self {
            Self::Subscription(ack) => ack.done(),
            Self::Outlet(part) => part.done(),
        }
    }
}

/// Is ready when a message is safe; with false, its queue was closed before.
pub(crate) type Safe = Pin<Box<dyn Future<Output = bool> + Send>>;

/// Queue of one direction.
#[derive(Clone)]
pub(crate) enum To {
    /// A client's, at the hub or at the local broker.
    Bridge(Arc<Bridge>),
    /// That of the broker in this program.
    Inbox(Arc<Inbox>),
}

impl To {
    /// Puts a message in.
    ///
    /// # Errors
    ///
    /// As those of [`Bridge::publish_row`].
    pub(crate) async fn push(&self, row: Row) -> Result<Safe, PublishError> {
        match self {
            Self::Bridge(bridge) => {
                let receipt = bridge.publish_row(row).await?;
                Ok(Box::pin(async move { receipt.await.is_ok() }))
            }
            Self::Inbox(inbox) => inbox.push(row).await,
        }
    }

    /// Makes safe now what was put in.
    pub(crate) async fn commit(&self) {
        match self {
            Self::Bridge(bridge) => bridge.commit().await,
            Self::Inbox(_) => {}
        }
    }
}
