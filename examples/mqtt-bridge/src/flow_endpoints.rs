//! Two ends of a flow of messages: the source of its messages, and the queue where they become safe.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use edge_bridge::net::{Acknowledgement, Commands, PublishError};
use edge_bridge::{Bridge, Row};

use crate::inbox::Inbox;
use crate::outlets::{Outlet, Share};

/// Source of the messages of one direction.
pub(crate) enum Source {
    /// A subscription, at the hub or at the local broker.
    Subscription(Commands),
    /// The broker in this program.
    Outlet(Arc<Outlet>),
}

/// Next event of a source.
#[allow(
    clippy::large_enum_variant,
    reason = "it is matched where it is made: a box for each message saves nothing"
)]
pub(crate) enum SourceEvent {
    Message(Row, Ack),
    /// A publisher waits for its PUBACKs, so that a commit is due.
    Commit,
    /// There are no more messages.
    End,
}

impl Source {
    /// Waits for the next event. Only the broker in this program requests commits, because a separate broker does not show its publishers.
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

/// Acknowledgement of a message. If it is dropped, the source sends the message again.
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

/// Future that is ready when a message is safe; `false` if its queue was closed before.
pub(crate) type Safe = Pin<Box<dyn Future<Output = bool> + Send>>;

/// Queue of one direction.
#[derive(Clone)]
pub(crate) enum Destination {
    /// Queue of a client, at the hub or at the local broker.
    Bridge(Arc<Bridge>),
    /// Queue of the broker in this program.
    Inbox(Arc<Inbox>),
}

impl Destination {
    /// Pushes a message.
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

    /// Makes all pushed messages safe now.
    pub(crate) async fn commit(&self) {
        match self {
            Self::Bridge(bridge) => bridge.commit().await,
            Self::Inbox(_) => {}
        }
    }
}
