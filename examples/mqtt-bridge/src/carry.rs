//! One bridge at work: messages out through the queue, messages in with an acknowledgement from end to end.
//!
//! A message is acknowledged on the side that it comes from when it is safe in the queue, or on the other side.

use std::pin::Pin;

use edge_bridge::bridge::LinkState;
use edge_bridge::bridge::rules::{Mapped, Rules};
use edge_bridge::escape::Escaped;
use edge_bridge::net::{Acknowledgement, Commands, PublishError};
use edge_bridge::wire::Utf8;
use edge_bridge::{Bridge, Row};
use futures_util::stream::{FuturesUnordered, StreamExt};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::{Duration, Instant, timeout};

use crate::plan::Plan;

/// For the last state, and for what is on its way when the program ends.
const GOODBYE: Duration = Duration::from_secs(2);
/// Time between two lines about messages that are dropped.
const SAID_AGAIN: Duration = Duration::from_secs(60);
/// The lane that goes before a backlog.
const FIRST_LANE: u8 = 0;

/// A running bridge.
pub(crate) struct Carrier {
    pub(crate) plan: Plan,
    hub: std::sync::Arc<Bridge>,
    local: std::sync::Arc<Bridge>,
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
        let hub = std::sync::Arc::new(plan.hub().await?);
        let local = std::sync::Arc::new(plan.local().await?);
        let rules = plan.rules();
        let (mut carrying, (stop, stopped)) = (Vec::new(), watch::channel(false));
        let filters = plan.out_filters();
        if !filters.is_empty() {
            let messages = local.subscribe_all(filters).await.map_err(|error| error.to_string())?;
            let keeps_retain = plan.section.outgoing_retain;
            let map = move |rules: &Rules, topic: &str| rules.map_out(topic);
            let way = Way { to: hub.clone(), rules: rules.clone(), keeps_retain };
            carrying.push(tokio::spawn(carry(messages, way, map, stopped.clone())));
        }
        let filters = plan.in_filters();
        if !filters.is_empty() {
            let messages = hub.subscribe_all(filters).await.map_err(|error| error.to_string())?;
            let map = move |rules: &Rules, topic: &str| rules.map_in(topic);
            let way = Way { to: local.clone(), rules, keeps_retain: true };
            carrying.push(tokio::spawn(carry(messages, way, map, stopped)));
        }
        let mut telling = None;
        if let Some(topic) = plan.notification_topic() {
            let topic = Utf8::try_from(topic).map_err(|error| error.to_string())?;
            let there = (!plan.section.notifications_local_only).then(|| hub.clone());
            telling = Some(tokio::spawn(tell_state(topic, hub.watch(), there, local.clone())));
        }
        Ok(Self { plan, hub, local, carrying, telling, stop })
    }

    /// Until the local broker has accepted us.
    pub(crate) async fn is_ready(&self) {
        // Ends with the link alone, which ends with this.
        let _ = self.local.watch().wait_for(|stats| stats.connects > 0).await;
    }

    /// Lets what was taken become safe, so that it does not come again; tells the state, ends both links and closes the queues.
    pub(crate) async fn stop(self) {
        let Self { plan, hub, local, carrying, telling, stop } = self;
        stop.send_replace(true);
        if let Some(telling) = &telling {
            telling.abort();
        }
        for task in carrying.into_iter().chain(telling) {
            // Cancelled, or ended by itself.
            let _ = task.await;
        }
        if let Some(topic) = plan.notification_topic() {
            let at_hub = !plan.section.notifications_local_only && hub.stats().link != LinkState::BackingOff;
            let sides = [Some(&local), Some(&hub).filter(|_| at_hub)];
            for side in sides.into_iter().flatten() {
                // Nobody hears it where there is no connection: there the will has said it.
                let _ = timeout(GOODBYE, say(side, &topic, "0")).await;
            }
        }
        for (bridge, side) in [(local, "local"), (hub, "hub")] {
            let Ok(bridge) = std::sync::Arc::try_unwrap(bridge) else { continue };
            if let Err(error) = bridge.close().await {
                tracing::error!(connection = %Escaped(&plan.section.name), side, error = %crate::plan::in_full(&error), "not closed cleanly");
            }
        }
    }
}

async fn say(bridge: &Bridge, topic: &str, state: &'static str) {
    let Ok(topic) = Utf8::try_from(topic) else { return };
    let mut row = Row::new(topic, state.into());
    (row.retain, row.lane) = (true, Some(FIRST_LANE));
    if let Ok(receipt) = bridge.publish_row(row).await {
        let _ = receipt.await;
    }
}

/// Tells both sides of each connection to the hub, and the local one of its end; of that the will tells the hub.
async fn tell_state(
    topic: Utf8,
    mut hub: watch::Receiver<edge_bridge::bridge::Stats>,
    there: Option<std::sync::Arc<Bridge>>,
    here: std::sync::Arc<Bridge>,
) {
    let (mut connects, mut was_up) = (0, None);
    loop {
        let stats = hub.borrow_and_update().clone();
        let is_up = !matches!(stats.link, LinkState::Offline | LinkState::BackingOff);
        if was_up != Some(is_up) {
            say_later(&here, &topic, if is_up { "1" } else { "0" });
            was_up = Some(is_up);
        }
        if is_up && stats.connects != connects {
            connects = stats.connects;
            if let Some(there) = &there {
                say_later(there, &topic, "1");
            }
        }
        if hub.changed().await.is_err() {
            return;
        }
    }
}

fn say_later(bridge: &std::sync::Arc<Bridge>, topic: &Utf8, state: &'static str) {
    let (bridge, topic) = (bridge.clone(), topic.clone());
    drop(tokio::spawn(async move { say(&bridge, &topic, state).await }));
}

type Safe = Pin<Box<dyn Future<Output = Option<Acknowledgement>> + Send>>;

/// One direction.
struct Way {
    to: std::sync::Arc<Bridge>,
    rules: Rules,
    keeps_retain: bool,
}

/// Hands each message on, and acknowledges it when it is safe.
async fn carry(
    mut from: Commands,
    Way { to, rules, keeps_retain }: Way,
    map: impl Fn(&Rules, &str) -> Option<Mapped>,
    mut stopped: watch::Receiver<bool>,
) {
    let mut on_the_way: FuturesUnordered<Safe> = FuturesUnordered::new();
    let mut dropped = Dropped::default();
    loop {
        let message = tokio::select! {
            _ = stopped.wait_for(|stopped| *stopped) => break,
            message = from.next() => message,
            Some(safe) = on_the_way.next() => {
                safe.into_iter().for_each(Acknowledgement::done);
                continue;
            }
        };
        let Some(message) = message else { break };
        let Some(mapped) = map(&rules, message.topic()) else {
            message.done();
            continue;
        };
        let (publish, ack) = message.split();
        let mut row = Row::from_publish(&publish);
        row.topic = mapped.topic;
        row.retain &= keeps_retain;
        if let Some(receipt) = hand_on(&to, row, &mut dropped).await {
            on_the_way.push(Box::pin(async move { receipt.await.is_ok().then_some(ack) }));
        } else {
            ack.done();
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

/// Messages of one direction that no queue takes: a line a minute, with their number.
#[derive(Default)]
struct Dropped {
    messages: u64,
    said_at: Option<Instant>,
}

impl Dropped {
    fn say(&mut self, topic: &str, error: &str) {
        self.messages += 1;
        let now = Instant::now();
        if self.said_at.is_none_or(|said_at| now >= said_at + SAID_AGAIN) {
            self.said_at = Some(now);
            tracing::error!(topic = %Escaped(topic), error, messages = self.messages, "dropped: the queue can never take it");
        }
    }
}

/// `None`: the message can never be handed on, and would only come again.
async fn hand_on(
    to: &Bridge,
    mut row: Row,
    dropped: &mut Dropped,
) -> Option<edge_bridge::net::PendingReceipt> {
    loop {
        let topic = row.topic.clone();
        match to.publish_row(row).await {
            Ok(receipt) => return Some(receipt),
            // Where the broker on the other side is away: what comes waits at its own.
            Err(PublishError::Full { row: back }) => {
                row = *back;
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
            Err(error) => {
                dropped.say(&topic, &crate::plan::in_full(&error));
                return None;
            }
        }
    }
}
