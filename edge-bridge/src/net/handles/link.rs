//! Handle of a running link, whatever its spool.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Notify, mpsc, oneshot, watch};

use crate::bridge::{Stats, subscription};
use crate::net::clock::Clock;
use crate::net::request::Request;
use crate::net::subscriptions::commands::Commands;
use crate::net::tls::hub_session::{HubTls, LastHubTls};
use crate::wire::{QoS, Subscription, TopicError, Utf8, Version, check_filter};

/// The handle of a link that runs as a task. Cheap to clone; when the last clone is dropped, the link stops in the background as by
/// [`close`](Self::close).
#[derive(Clone)]
pub struct Link {
    pub(in crate::net) requests: mpsc::Sender<Request>,
    pub(in crate::net) wake: Arc<Notify>,
    pub(in crate::net) status: watch::Receiver<Stats>,
    pub(in crate::net) hub_tls: LastHubTls,
    pub(in crate::net) clock: Clock,
    #[cfg(feature = "spool-queue")]
    pub(in crate::net) parked: crate::net::parking::ParkedQueue,
}

/// Error of a subscription.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SubscribeError {
    /// The text is not a topic filter.
    #[error("\"{filter}\" is not a topic filter: {error}")]
    Filter {
        /// The filter that was given.
        filter: String,
        /// The rule that the filter breaks.
        error: TopicError,
    },
    /// A shared subscription has No Local (MQTT 5, §3.8.3.1), for which a hub ends the connection.
    #[error("\"{filter}\" is a shared subscription: it cannot leave out what this client publishes")]
    NoLocalOnShared {
        /// The filter that was given.
        filter: String,
    },
    /// The link was closed.
    #[error("the link is closed")]
    Closed,
    /// The subscription belongs to another link.
    #[error("the subscription is one of another link")]
    OtherLink,
}

/// Answer of the hub to [`Link::unsubscribe`], which is still to come.
#[derive(Debug)]
pub struct Unsubscribed(oneshot::Receiver<()>);

impl Unsubscribed {
    /// Waits for the UNSUBACK, on this connection or a later one. Returns `false` if the link is closed before it.
    pub async fn wait(self) -> bool {
        self.0.await.is_ok()
    }
}

fn plain(filter: &str) -> Result<Subscription, SubscribeError> {
    let nul = |_| SubscribeError::Filter { filter: filter.to_owned(), error: TopicError::Nul };
    let plain = subscription(Utf8::try_from(filter).map_err(nul)?, QoS::AtLeastOnce);
    check(&plain)?;
    Ok(plain)
}

fn check(wanted: &Subscription) -> Result<(), SubscribeError> {
    let filter = wanted.filter.as_str();
    check_filter(filter, Version::V5)
        .map_err(|error| SubscribeError::Filter { filter: filter.to_owned(), error })?;
    if wanted.no_local && filter.starts_with("$share/") {
        return Err(SubscribeError::NoLocalOnShared { filter: filter.to_owned() });
    }
    Ok(())
}

impl Link {
    /// Notifies the link that rows were pushed to the spool. Cheap, and never lost; calls in quick succession are merged.
    pub fn rows_pushed(&self) {
        self.wake.notify_one();
    }

    /// Subscribes at the hub at QoS 1, at least once: a message is acknowledged only when it is [`done`](crate::net::Command::done). Returns before
    /// the SUBACK; a refusal is logged, and the SUBSCRIBE is repeated on the next connection.
    pub async fn subscribe(&self, filter: &str) -> Result<Commands, SubscribeError> {
        self.subscribe_all([plain(filter)?]).await
    }

    /// Subscribes to several filters with options of your own, such as No Local. Their messages come through one subscription, in the hub's
    /// order, and a message that several filters match comes once. Without a filter no message comes. At QoS 2 the hub
    /// sends a message once after its `done`, until the process ends; one that was not `done` comes again on the next connection. With
    /// [`RetainHandling::Send`] the hub sends its retained messages at every start of the program.
    ///
    /// ```
    /// use edge_bridge::Bridge;
    /// use edge_bridge::wire::{QoS, RetainHandling, Subscription, Utf8};
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let bridge = Bridge::builder("mqtt://127.0.0.1:1").client_id("site7").start().await?;
    /// let others = ["line/#", "office/#"].map(|filter| Subscription {
    ///     no_local: true,
    ///     retain_handling: RetainHandling::SendIfNew,
    ///     ..Subscription::new(Utf8::from_static(filter), QoS::AtLeastOnce)
    /// });
    /// let messages = bridge.subscribe_all(others).await?;
    /// # drop(messages);
    /// # let _ = bridge.close().await?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// A text is not a filter, a shared subscription has No Local, or the link is closed; nothing is subscribed then.
    ///
    /// [`RetainHandling::Send`]: crate::wire::RetainHandling::Send
    pub async fn subscribe_all(
        &self,
        filters: impl IntoIterator<Item = Subscription>,
    ) -> Result<Commands, SubscribeError> {
        let filters: Vec<_> = filters.into_iter().collect();
        filters.iter().try_for_each(check)?;
        self.request(|reply| Request::Subscribe { filters, reply }).await
    }

    /// Adds a filter to an existing subscription. Both share its order and its bounds, and a message that both match comes once. By contrast,
    /// each call of [`subscribe`](Self::subscribe) makes a queue of its own, with memory of its own for messages that the application has not
    /// read.
    pub async fn add_filter(&self, to: &Commands, filter: &str) -> Result<(), SubscribeError> {
        let (filter, queue) = (plain(filter)?, to.queue.clone());
        let is_ours = self.request(|reply| Request::AddFilter { filter, queue, reply });
        if is_ours.await? { Ok(()) } else { Err(SubscribeError::OtherLink) }
    }

    /// Unsubscribes filters that an earlier run of the program has left in the session. A filter that a subscription of this run has stays. Returns
    /// before the UNSUBACK, so that the hub gets a [`subscribe`](Self::subscribe) that follows after it: a message that both filters match comes
    /// once. A hub that closes the connection at each UNSUBSCRIBE is left alone after three of them.
    ///
    /// # Errors
    ///
    /// A text is not a filter, or the link is closed; nothing is unsubscribed then.
    pub async fn unsubscribe(&self, filters: &[String]) -> Result<Unsubscribed, SubscribeError> {
        let filters = filters.iter().map(|filter| plain(filter).map(|plain| plain.filter));
        let filters = filters.collect::<Result<_, _>>()?;
        let (reply, answer) = oneshot::channel();
        let request = Request::Unsubscribe { filters, reply };
        self.requests.send(request).await.map_err(|_| SubscribeError::Closed)?;
        Ok(Unsubscribed(answer))
    }

    /// Looks at the source of the certificate ([`Builder::tls_from`](crate::net::Builder::tls_from)) at once, and replaces a connection that shows another
    /// one without delay, also one that was offered in vain: for a program that is told of renewed files, such as by SIGHUP. Returns before the look. Has no effect on a link without such
    /// a source, or a closed one.
    pub async fn look_at_certificate(&self) {
        // The only error is a link that is closed.
        let _ = self.requests.send(Request::LookAtCertificate).await;
    }

    async fn request<T>(
        &self,
        request: impl FnOnce(oneshot::Sender<T>) -> Request,
    ) -> Result<T, SubscribeError> {
        let (reply, answer) = oneshot::channel();
        self.requests.send(request(reply)).await.map_err(|_| SubscribeError::Closed)?;
        answer.await.map_err(|_| SubscribeError::Closed)
    }

    /// Returns the statistics, at most 200 ms old; the link's state is never older than its last change.
    pub fn stats(&self) -> Stats {
        self.status.borrow().clone()
    }

    /// Returns the facts of the TLS session with the hub, of the present connection or the last one; `None` before the first, and without TLS.
    pub fn hub_tls(&self) -> Option<HubTls> {
        self.hub_tls.get()
    }

    /// Returns the clock by whose [`up_ms`](crate::ingest::Now::up_ms) the statistics tell times.
    pub fn clock(&self) -> Clock {
        self.clock
    }

    /// Returns a receiver that is notified of changed statistics.
    pub fn watch(&self) -> watch::Receiver<Stats> {
        self.status.clone()
    }

    /// Returns the queue of the parked rows, for its ledger, losses and size. `None` until the first row is parked, in this process or an earlier
    /// one, and for a spool in memory or of your own. The identities of its leases are not those of the parked rows.
    #[cfg(feature = "spool-queue")]
    pub fn parked_queue(&self) -> Option<edge_queue::aio::Queue> {
        self.parked.get().cloned()
    }

    /// Ends the link with a DISCONNECT, without waiting for the hub. Afterwards rows that the hub has not acknowledged are back in the spool. The
    /// hub keeps the session for the Session Expiry Interval. Has no effect on a closed link.
    pub async fn close(&self) {
        let _ = self.close_within(Duration::ZERO).await;
    }

    /// Ends the link as [`close`](Self::close) does, but first waits, at most for `limit`, until the hub has acknowledged every message, also
    /// those pushed meanwhile and parked ones. The wait goes on while there is no connection, which may come back. A DISCONNECT that the hub
    /// does not take costs a second more, and five while a message is half written.
    ///
    /// Returns the number of messages, by weight, that the hub has not acknowledged and the spool still has; `None` if the link was closed
    /// already. A dropped future cancels nothing: the link still ends.
    #[must_use = "the messages that were not delivered are lost if the spool is not on disk"]
    pub async fn close_within(&self, limit: Duration) -> Option<u64> {
        let (reply, undelivered) = oneshot::channel();
        self.requests.send(Request::Close { limit, reply }).await.ok()?;
        // An error is the driver's end, which is what is wanted.
        undelivered.await.ok()
    }
}

impl fmt::Debug for Link {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Link").field("status", &*self.status.borrow()).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A hub ends the connection for such a SUBSCRIBE, and for every one that follows with it.
    #[test]
    fn a_shared_subscription_cannot_leave_out_own_messages() {
        let shared = plain("$share/group/a").unwrap();
        let no_local = Subscription { no_local: true, ..shared };
        assert!(matches!(check(&no_local), Err(SubscribeError::NoLocalOnShared { .. })));
        assert!(check(&Subscription { no_local: true, ..plain("a/#").unwrap() }).is_ok());
        assert!(matches!(plain("a#"), Err(SubscribeError::Filter { .. })));
    }
}
