//! Flow of messages in one direction of a connection: carries each message through a queue.
//!
//! A message is acknowledged at its source when it is safe in the queue, or on the other side.

use std::future::Future;
use std::pin::{Pin, pin};

use edge_bridge::Row;
use edge_bridge::bridge::topic_rules::{Mapped, Rules};
use edge_bridge::escape::Escaped;
use edge_bridge::net::PublishError;
use edge_print::in_full;
use edge_queue::PushError;
use futures_util::stream::{FuturesUnordered, StreamExt};
use tokio::sync::watch;
use tokio::time::{Duration, sleep, timeout};

use crate::flow_endpoints::{Ack, Destination, Safe, Source, SourceEvent};
use crate::log_rate_limit::Cause;
use crate::quoted::quoted;

/// Time limit for messages in progress when the program ends.
const GOODBYE: Duration = Duration::from_secs(2);
/// Time between two attempts to push a message into a full queue.
const FULL_AGAIN: Duration = Duration::from_millis(100);

/// Futures of messages that wait to be acknowledged, and of commits.
type OnTheWay = FuturesUnordered<Pin<Box<dyn Future<Output = Option<Ack>> + Send>>>;
pub(crate) type Map = fn(&Rules, &str) -> Option<Mapped>;

/// Settings of the flow in one direction of a connection.
pub(crate) struct MessageFlow {
    /// Name of the connection, for the log.
    pub(crate) connection: String,
    pub(crate) to: Destination,
    pub(crate) rules: Rules,
    pub(crate) map: Map,
    pub(crate) keeps_retain: bool,
}

/// Pushes each message into the queue, and acknowledges it when it is safe.
pub(crate) async fn carry(mut from: Source, flow: MessageFlow, mut stopped: watch::Receiver<bool>) {
    let mut on_the_way = OnTheWay::new();
    let mut causes = Causes::default();
    loop {
        let next = tokio::select! {
            biased;
            _ = stopped.wait_for(|stopped| *stopped) => break,
            Some(safe) = on_the_way.next() => {
                safe.into_iter().for_each(Ack::done);
                continue;
            }
            () = causes.are_due() => {
                causes.tell(&flow, Cause::due);
                continue;
            }
            next = from.next() => next,
        };
        let (mut row, ack) = match next {
            SourceEvent::Message(row, ack) => (row, ack),
            SourceEvent::Commit => {
                on_the_way.push(Box::pin(commit(flow.to.clone())));
                continue;
            }
            SourceEvent::End => break,
        };
        let Some(mapped) = (flow.map)(&flow.rules, &row.topic) else {
            causes.unmapped(&flow, &row.topic);
            ack.done();
            continue;
        };
        row.topic = mapped.topic;
        row.qos = row.qos.min(mapped.qos);
        row.retain &= flow.keeps_retain;
        match hand_on(&flow, row, &mut causes, &mut on_the_way, &mut stopped).await {
            Handed::Taken(safe) => {
                on_the_way.push(Box::pin(async move { safe.await.then_some(ack) }));
            }
            Handed::Never => ack.done(),
            // It comes again: where it comes from this program, at once.
            Handed::NotNow => {
                drop(ack);
                // At a stop the next turn ends this.
                let _ = acknowledging(sleep(FULL_AGAIN), &mut on_the_way, &mut stopped).await;
            }
        }
    }
    // Receipts of the disk are a second away at most. The subscription lives until they are told.
    let rest = async {
        while let Some(safe) = on_the_way.next().await {
            safe.into_iter().for_each(Ack::done);
        }
    };
    if timeout(GOODBYE, rest).await.is_err() {
        tracing::info!("not all that was taken is safe yet: it comes again");
    }
    causes.tell(&flow, Cause::rest);
    // The link sends the last PUBACKs before its goodbye.
    drop(from);
}

/// Waits for `work`, and acknowledges meanwhile what becomes safe: `work` may take as long as the other side is away. `None`: the connection stops.
async fn acknowledging<T>(
    work: impl Future<Output = T>,
    on_the_way: &mut OnTheWay,
    stopped: &mut watch::Receiver<bool>,
) -> Option<T> {
    let mut work = pin!(work);
    loop {
        tokio::select! {
            // A push is ready at once as a rule: a copy is made only of one that the store keeps waiting.
            biased;
            done = &mut work => return Some(done),
            _ = stopped.wait_for(|stopped| *stopped) => return None,
            Some(safe) = on_the_way.next() => safe.into_iter().for_each(Ack::done),
        }
    }
}

async fn commit(to: Destination) -> Option<Ack> {
    to.commit().await;
    None
}

/// Outcome of an attempt to push a message.
enum Handed {
    Taken(Safe),
    /// No attempt can succeed, so the message is acknowledged and lost.
    Never,
    /// The bridge stops, or its queue is closed: the message stays unacknowledged.
    NotNow,
}

async fn hand_on(
    flow: &MessageFlow,
    mut row: Row,
    causes: &mut Causes,
    on_the_way: &mut OnTheWay,
    stopped: &mut watch::Receiver<bool>,
) -> Handed {
    loop {
        let topic = row.topic.clone();
        let Some(pushed) = acknowledging(flow.to.push(row), on_the_way, stopped).await else {
            return Handed::NotNow;
        };
        match pushed {
            Ok(safe) => return Handed::Taken(safe),
            // Where the store fails, or all that waits is on its way: what comes waits at its own broker.
            Err(PublishError::Full { row: back }) => {
                causes.full(flow, &topic);
                causes.tell(flow, Cause::due);
                row = *back;
                if acknowledging(sleep(FULL_AGAIN), on_the_way, stopped).await.is_none() {
                    return Handed::NotNow;
                }
            }
            Err(error) => {
                let is_final = is_final(&error);
                causes.refused(flow, &topic, &error, is_final);
                return if is_final { Handed::Never } else { Handed::NotNow };
            }
        }
    }
}

/// Returns whether the queue can never store the message. A closed queue is no such case.
fn is_final(error: &PublishError) -> bool {
    match error {
        PublishError::Topic { .. } => true,
        PublishError::Refused { source } => {
            matches!(source.downcast_ref(), Some(PushError::TooLarge { .. } | PushError::AboveLimit { .. }))
        }
        _ => false,
    }
}

/// Counts of messages that are not carried, by cause, with a log line a minute for each.
#[derive(Default)]
struct Causes {
    unmapped: Cause,
    full: Cause,
    refused: Cause,
    never: Cause,
}

impl Causes {
    /// Waits until a line about lost messages is due that no further one has brought.
    async fn are_due(&self) {
        tokio::select! {
            () = self.unmapped.is_due() => {}
            () = self.never.is_due() => {}
        }
    }

    /// Logs how many messages are lost, where `count` says so. What is not acknowledged comes again.
    fn tell(&mut self, flow: &MessageFlow, count: fn(&mut Cause) -> Option<u64>) {
        let connection = Escaped(&flow.connection);
        if let Some(messages) = count(&mut self.unmapped) {
            tracing::warn!(%connection, messages, "dropped so far: no topic line takes them");
        }
        if let Some(messages) = count(&mut self.never) {
            tracing::error!(%connection, messages, "dropped so far: the queue can never take them");
        }
    }

    fn unmapped(&mut self, flow: &MessageFlow, topic: &str) {
        if let Some(messages) = self.unmapped.add() {
            let (connection, topic) = (Escaped(&flow.connection), quoted(topic));
            tracing::warn!(%connection, %topic, messages, "dropped: no topic line takes it");
        }
    }

    /// Counts an attempt to push into a full queue, not a message.
    fn full(&mut self, flow: &MessageFlow, topic: &str) {
        if let Some(attempts) = self.full.add() {
            let (connection, topic) = (Escaped(&flow.connection), quoted(topic));
            tracing::warn!(%connection, %topic, attempts, "the queue has no room, or its disk fails: not acknowledged, tried again");
        }
    }

    fn refused(&mut self, flow: &MessageFlow, topic: &str, error: &PublishError, is_final: bool) {
        let cause = if is_final { &mut self.never } else { &mut self.refused };
        let Some(messages) = cause.add() else { return };
        let (connection, topic, error) = (Escaped(&flow.connection), quoted(topic), in_full(error));
        if is_final {
            tracing::error!(%connection, %topic, error, messages, "dropped: the queue can never take it");
        } else {
            tracing::error!(%connection, %topic, error, messages, "not acknowledged: it comes again");
        }
    }
}

#[cfg(test)]
mod tests;
