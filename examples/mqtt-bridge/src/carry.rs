//! One bridge at work: messages out through the queue, messages in with an acknowledgement from end to end.
//!
//! A message is acknowledged on the side that it comes from when it is safe in the queue, or on the other side.

use std::pin::Pin;
use std::sync::Arc;

use edge_bridge::bridge::LinkState;
use edge_bridge::bridge::rules::{Mapped, Rules};
use edge_bridge::escape::Escaped;
use edge_bridge::net::{Acknowledgement, Commands, PendingReceipt, PublishError};
use edge_bridge::wire::Utf8;
use edge_bridge::{Bridge, Row};
use edge_queue::PushError;
use futures_util::future::join_all;
use futures_util::stream::{FuturesUnordered, StreamExt};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::{Duration, Instant, sleep, timeout};

use crate::notify::{Side, tell_state};
use crate::plan::{Plan, in_full};

/// For the last state, and for what is on its way when the program ends.
const GOODBYE: Duration = Duration::from_secs(2);
/// Time between two lines about messages of one cause.
const SAID_AGAIN: Duration = Duration::from_secs(60);
/// Time between two attempts to hand a message to a full queue.
const FULL_AGAIN: Duration = Duration::from_millis(100);

/// A running bridge.
pub(crate) struct Carrier {
    pub(crate) plan: Plan,
    /// The tasks below have the only clones.
    hub: Arc<Bridge>,
    local: Arc<Bridge>,
    /// Both directions: they take nothing more in and end when what they took is safe.
    carrying: Vec<JoinHandle<()>>,
    telling: Option<JoinHandle<()>>,
    stop: watch::Sender<bool>,
}

impl Carrier {
    /// Starts both clients; returns before any of them is connected.
    ///
    /// # Errors
    ///
    /// In words: the queue did not open, or a setting is wrong.
    pub(crate) async fn start(plan: Plan) -> Result<Self, String> {
        let hub = Arc::new(plan.hub().await?);
        let local = Arc::new(plan.local().await?);
        let (stop, stopped) = watch::channel(false);
        let way = |to: &Arc<Bridge>, map: Map, keeps_retain| Way {
            connection: plan.section.name.clone(),
            to: to.clone(),
            rules: plan.rules(),
            map,
            keeps_retain,
        };
        let mut carrying = Vec::new();
        let filters = plan.out_filters();
        if !filters.is_empty() {
            let messages = local.subscribe_all(filters).await.map_err(|error| error.to_string())?;
            let way = way(&hub, Rules::map_out, plan.section.outgoing_retain);
            carrying.push(tokio::spawn(carry(messages, way, stopped.clone())));
        }
        let filters = plan.in_filters();
        if !filters.is_empty() {
            let messages = hub.subscribe_all(filters).await.map_err(|error| error.to_string())?;
            carrying.push(tokio::spawn(carry(messages, way(&local, Rules::map_in, true), stopped)));
        }
        let mut carrier = Self { plan, hub, local, carrying, telling: None, stop };
        if let Some((here, there)) = carrier.sides()? {
            carrier.telling = Some(tokio::spawn(tell_state(carrier.hub.watch(), there, here)));
        }
        Ok(carrier)
    }

    /// Sides that are told of the connection's state: the local broker, and the hub unless the section leaves it out.
    fn sides(&self) -> Result<Option<(Side, Option<Side>)>, String> {
        let Some(topic) = self.plan.notification_topic() else { return Ok(None) };
        let topic = Utf8::try_from(topic).map_err(|error| error.to_string())?;
        let section = &self.plan.section;
        let here = Side { bridge: self.local.clone(), topic: topic.clone(), retain: true };
        let there = Side { bridge: self.hub.clone(), topic, retain: section.outgoing_retain };
        Ok(Some((here, Some(there).filter(|_| !section.notifications_local_only))))
    }

    /// Until the local broker has accepted us.
    pub(crate) async fn is_ready(&self) {
        // Ends with the link alone, which ends with this.
        let _ = self.local.watch().wait_for(|stats| stats.connects > 0).await;
    }

    /// Lets what was taken become safe, so that it does not come again; tells the state, ends both links and closes the queues.
    pub(crate) async fn stop(mut self) {
        self.stop.send_replace(true);
        if let Some(telling) = &self.telling {
            telling.abort();
        }
        for task in self.carrying.drain(..).chain(self.telling.take()) {
            // Cancelled, or ended by itself.
            let _ = task.await;
        }
        if let Ok(Some((here, there))) = self.sides() {
            // Nobody hears it where there is no connection: there the will has said it.
            let there = there.filter(|there| there.bridge.stats().link != LinkState::BackingOff);
            let sides = [Some(here), there].into_iter().flatten();
            join_all(sides.map(async |side| timeout(GOODBYE, side.say("0")).await)).await;
        }
        let Self { plan, hub, local, .. } = self;
        for (bridge, side) in [(local, "local"), (hub, "hub")] {
            let closed = match Arc::try_unwrap(bridge) {
                Ok(bridge) => bridge.close().await.map_err(|error| in_full(&error)),
                Err(_) => Err("a task of it still runs: its link stays until that ends".to_owned()),
            };
            if let Err(error) = closed {
                tracing::error!(connection = %Escaped(&plan.section.name), side, error, "not closed cleanly");
            }
        }
    }
}

type Safe = Pin<Box<dyn Future<Output = Option<Acknowledgement>> + Send>>;
type Map = fn(&Rules, &str) -> Option<Mapped>;

/// One direction.
struct Way {
    /// Name of the connection, for the log.
    connection: String,
    to: Arc<Bridge>,
    rules: Rules,
    map: Map,
    keeps_retain: bool,
}

/// Hands each message on, and acknowledges it when it is safe.
async fn carry(mut from: Commands, way: Way, mut stopped: watch::Receiver<bool>) {
    let mut on_the_way: FuturesUnordered<Safe> = FuturesUnordered::new();
    let mut causes = Causes::default();
    loop {
        let message = tokio::select! {
            biased;
            _ = stopped.wait_for(|stopped| *stopped) => break,
            Some(safe) = on_the_way.next() => {
                safe.into_iter().for_each(Acknowledgement::done);
                continue;
            }
            message = from.next() => message,
        };
        let Some(message) = message else { break };
        let Some(mapped) = (way.map)(&way.rules, message.topic()) else {
            causes.unmapped(&way, message.topic());
            message.done();
            continue;
        };
        let (publish, ack) = message.split();
        let mut row = Row::from_publish(&publish);
        row.topic = mapped.topic;
        row.retain &= way.keeps_retain;
        match hand_on(&way, row, &mut causes, &mut stopped).await {
            Handed::Taken(receipt) => {
                on_the_way.push(Box::pin(async move { receipt.await.is_ok().then_some(ack) }));
            }
            Handed::Never => ack.done(),
            // It comes again.
            Handed::NotNow => drop(ack),
        }
    }
    // Receipts of the disk are a second away at most. The subscription lives until they are told.
    let rest = async {
        while let Some(safe) = on_the_way.next().await {
            safe.into_iter().for_each(Acknowledgement::done);
        }
    };
    if timeout(GOODBYE, rest).await.is_err() {
        tracing::info!("not all that was taken is safe yet: it comes again");
    }
    // The link sends the last PUBACKs before its goodbye.
    drop(from);
}

/// Outcome of handing a message on.
enum Handed {
    Taken(PendingReceipt),
    /// No attempt can succeed: the message would only come again.
    Never,
    /// The bridge stops, or its queue is closed: the message stays unacknowledged.
    NotNow,
}

async fn hand_on(
    way: &Way,
    mut row: Row,
    causes: &mut Causes,
    stopped: &mut watch::Receiver<bool>,
) -> Handed {
    loop {
        let topic = row.topic.clone();
        let pushed = tokio::select! {
            // A push is ready at once as a rule: a copy is made only of one that the store keeps waiting.
            biased;
            pushed = way.to.publish_row(row) => pushed,
            _ = stopped.wait_for(|stopped| *stopped) => return Handed::NotNow,
        };
        match pushed {
            Ok(receipt) => return Handed::Taken(receipt),
            // Where the store fails, or all that waits is on its way: what comes waits at its own broker.
            Err(PublishError::Full { row: back }) => {
                causes.full(way, &topic);
                row = *back;
                tokio::select! {
                    _ = stopped.wait_for(|stopped| *stopped) => return Handed::NotNow,
                    () = sleep(FULL_AGAIN) => {}
                }
            }
            Err(error) => {
                let is_final = is_final(&error);
                causes.refused(way, &topic, &error, is_final);
                return if is_final { Handed::Never } else { Handed::NotNow };
            }
        }
    }
}

/// Returns whether the queue can never take the message. A closed queue says nothing of it.
fn is_final(error: &PublishError) -> bool {
    match error {
        PublishError::Topic { .. } => true,
        PublishError::Refused { source } => {
            matches!(source.downcast_ref(), Some(PushError::TooLarge { .. }))
        }
        _ => false,
    }
}

/// Messages of one direction that are not carried, by cause: a line a minute for each, with their number.
#[derive(Default)]
struct Causes {
    unmapped: Cause,
    full: Cause,
    refused: Cause,
    never: Cause,
}

impl Causes {
    fn unmapped(&mut self, way: &Way, topic: &str) {
        if let Some(messages) = self.unmapped.add() {
            let (connection, topic) = (Escaped(&way.connection), Escaped(topic));
            tracing::warn!(%connection, %topic, messages, "dropped: no topic line takes it");
        }
    }

    /// Counts attempts, not messages.
    fn full(&mut self, way: &Way, topic: &str) {
        if let Some(attempts) = self.full.add() {
            let (connection, topic) = (Escaped(&way.connection), Escaped(topic));
            tracing::warn!(%connection, %topic, attempts, "the queue has no room, or its disk fails: not acknowledged, tried again");
        }
    }

    fn refused(&mut self, way: &Way, topic: &str, error: &PublishError, is_final: bool) {
        let cause = if is_final { &mut self.never } else { &mut self.refused };
        let Some(messages) = cause.add() else { return };
        let (connection, topic, error) = (Escaped(&way.connection), Escaped(topic), in_full(error));
        if is_final {
            tracing::error!(%connection, %topic, error, messages, "dropped: the queue can never take it");
        } else {
            tracing::error!(%connection, %topic, error, messages, "not acknowledged: it comes again");
        }
    }
}

/// Counts one cause, and limits its lines in the log.
#[derive(Default)]
struct Cause {
    count: u64,
    said_at: Option<Instant>,
}

impl Cause {
    /// Counts one more. `Some` with the count: it is time for a line.
    fn add(&mut self) -> Option<u64> {
        self.count += 1;
        let now = Instant::now();
        if self.said_at.is_some_and(|said_at| now < said_at + SAID_AGAIN) {
            return None;
        }
        self.said_at = Some(now);
        Some(self.count)
    }
}

#[cfg(test)]
mod tests;
