//! The two ends of a direction: where its messages come from, and where they are made safe.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use edge_bridge::net::{Acknowledgement, Commands, PublishError};
use edge_bridge::{Bridge, Row};

use crate::inbox::Inbox;
use crate::outlets::{Outlet, Share};

/// Messages of one direction.
pub(crate) enum Source {
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
pub(crate) enum SourceEvent {
    Message(Row, Ack),
    /// A publisher stands still for want of receipts.
    Commit,
    /// There are no more messages.
    End,
}

impl Source {
    /// A local broker of its own knows its publishers: only the one in this program asks for commits.
    pub(crate) async fn next(&mut self) -> SourceEvent {
        match self {
            Self::Subscription(messages) => {
                let Some(message) = messages.next().await else { return SourceEvent::End };
                let (publish, ack) = message.split();
                SourceEvent::Message(Row::from_publish(&publish), Ack::Subscription(ack))
            }
            Self::Outlet(outlet) => tokio::select! {
                // The messages first that the commit is for.
                biased;
                (row, part) = outlet.next() => SourceEvent::Message(row, Ack::Outlet(part)),
                () = outlet.commit_wanted() => SourceEvent::Commit,
            },
        }
    }
}

/// Acknowledgement of a message. Dropped, the message comes again.
pub(crate) enum Ack {
    Subscription(Acknowledgement),
    Outlet(Share),
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
pub(crate) enum Destination {
    /// A client's, at the hub or at the local broker.
    Bridge(Arc<Bridge>),
    /// That of the broker in this program.
    Inbox(Arc<Inbox>),
}

impl Destination {
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
