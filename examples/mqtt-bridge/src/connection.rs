//! Running connection: its two clients, or its client and the broker in this program, and both directions between them.

use std::sync::Arc;

use edge_bridge::bridge::topic_rules::Rules;
use edge_bridge::bridge::{LinkState, Stats};
use edge_bridge::escape::Escaped;
use edge_bridge::net::server::LocalPublisher;
use edge_bridge::wire::Utf8;
use edge_bridge::{Bridge, Closed};
use edge_print::in_full;
use edge_queue::CommitError;
use edge_service::makes_progress;
use futures_util::future::{join, join_all};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::{Duration, Instant, timeout};

use crate::broker::Broker;
use crate::flow_endpoints::{Destination, Source};
use crate::inbox::Inbox;
use crate::losses::Told;
use crate::message_flow::{Map, MessageFlow, carry};
use crate::notify::{Side, Teller, tell_state};
use crate::plan::Plan;
use crate::plan::retained_taken::RetainedTaken;
use crate::store_health::{ToldHealth, in_time, tell_events};

/// Time limit for publishing the last state when the program ends.
const GOODBYE: Duration = Duration::from_secs(2);

/// Statistics of the queues to the hub and to the local side; `None` where there is no queue, its thread has ended, or it did not answer in time.
pub(crate) type QueueStats = [Option<edge_queue::Stats>; 2];

/// Losses of the queues to the hub and to the local side that a connection has logged, for its next start in this process.
pub(crate) type Logged = [Told; 2];

/// Running connection of the configuration.
pub(crate) struct Connection {
    pub(crate) plan: Plan,
    /// Bridge to the hub; only the tasks below have clones.
    hub: Arc<Bridge>,
    local: Local,
    /// Set if there is a queue to the local side.
    has_inbox: bool,
    /// Tasks of both directions. At a stop they read no more messages, and end when the messages read are safe.
    carrying: Vec<JoinHandle<()>>,
    telling: Option<JoinHandle<()>>,
    stop: watch::Sender<bool>,
    /// Losses of the queues to the hub and to the local side, and of messages at QoS 0 on the way to these queues.
    losses: [Told; 4],
    /// Failures of the same queues' stores.
    health: [ToldHealth; 2],
}

/// Local side of a connection.
enum Local {
    /// A client of the local broker.
    Client(Arc<Bridge>),
    /// The broker in this program; with a queue if there are `in` rules, or were.
    Broker(LocalPublisher, Option<Arc<Inbox>>),
}

impl Connection {
    /// Starts both sides; returns before a client is connected. `retained`: what hubs have sent to this process of
    /// what they retain; `logged`: losses that the connection has logged before in this process.
    ///
    /// # Errors
    ///
    /// In words: the queue did not open, or a setting is wrong.
    pub(crate) async fn start(
        plan: Plan,
        broker: Option<&Broker>,
        retained: &RetainedTaken,
        logged: Option<Logged>,
    ) -> Result<Self, String> {
        let hub = Arc::new(plan.hub().await?);
        let has_inbox = plan.has_inbox();
        let local = match broker {
            Some(broker) if has_inbox => Local::Broker(broker.publisher(), Some(inbox(&plan, broker).await?)),
            Some(broker) => Local::Broker(broker.publisher(), None),
            None => Local::Client(Arc::new(plan.local(has_inbox).await?)),
        };
        let (stop, stopped) = watch::channel(false);
        let flow = |to: Destination, map: Map, keeps_retain| MessageFlow {
            connection: plan.section.name.clone(),
            to,
            rules: plan.rules(),
            map,
            keeps_retain,
        };
        let mut carrying = Vec::new();
        if let Some(from) = local.messages(&plan, broker).await? {
            let flow = flow(Destination::Bridge(hub.clone()), Rules::map_out, plan.section.outgoing_retain);
            carrying.push(tokio::spawn(carry(from, flow, stopped.clone())));
        }
        // Of rules that are gone nothing more comes; what came is delivered.
        if let Some(to) = local.queue().filter(|_| !plan.in_filters().is_empty()) {
            let messages = hub
                .subscribe_all(plan.in_filters_beyond(retained))
                .await
                .map_err(|error| error.to_string())?;
            let flow = flow(to, Rules::map_in, true);
            carrying.push(tokio::spawn(carry(Source::Subscription(messages), flow, stopped)));
        }
        let name = &plan.section.name;
        let [of_hub, of_local] = logged.map_or([None; 2], |logged| logged.map(Some));
        let to_hub = Told::from(name, "hub", hub.dropped(), of_hub);
        let to_local = Told::from(name, "local", local.dropped(), of_local);
        let losses = [to_hub, to_local, Told::at_qos0("hub"), Told::at_qos0("local")];
        let health = Default::default();
        let mut connection =
            Self { plan, hub, local, has_inbox, carrying, telling: None, stop, losses, health };
        if let Some((here, there)) = connection.sides()? {
            connection.telling = Some(tokio::spawn(tell_state(connection.hub.watch(), there, here)));
        }
        connection.tell_events();
        Ok(connection)
    }

    /// Returns the sides on which the connection's state is published: the local broker, and the hub unless the section excludes it.
    fn sides(&self) -> Result<Option<(Side, Option<Side>)>, String> {
        let Some(topic) = self.plan.notification_topic() else { return Ok(None) };
        let topic = Utf8::try_from(topic).map_err(|error| error.to_string())?;
        let section = &self.plan.section;
        let here = Side { to: self.local.teller(), topic: topic.clone(), retain: true };
        let there = Side { to: Teller::Bridge(self.hub.clone()), topic, retain: section.outgoing_retain };
        Ok(Some((here, Some(there).filter(|_| !section.notifications_local_only))))
    }

    /// Returns whether messages that are dropped are to be logged now.
    pub(crate) fn has_losses_to_tell(&self, now: Instant) -> bool {
        self.losses.iter().zip(self.dropped()).any(|(told, dropped)| told.is_due(now, dropped))
    }

    /// Logs the messages that are dropped since the last line, for each cause, if that is due.
    pub(crate) fn tell_losses(&mut self, now: Instant) {
        let dropped = self.dropped();
        for (told, dropped) in self.losses.iter_mut().zip(dropped) {
            told.update(now, &self.plan.section.name, dropped);
        }
    }

    /// Returns the statistics of the queues, within a few seconds.
    pub(crate) async fn store_stats(&self) -> QueueStats {
        let (hub, local) = join(in_time(self.hub.spool_stats()), in_time(self.local.stats())).await;
        [hub, local]
    }

    /// Makes durable what the queues have in memory. Returns whether it is. The future does not borrow the connection, which may end meanwhile.
    pub(crate) fn commit(&self) -> impl Future<Output = bool> + use<> {
        let (hub, local) = (self.hub.commit_spool(), self.local.commit());
        let stopped = self.stop.subscribe();
        async move {
            let (hub, local) = join(hub, local).await;
            let is_safe = |done: Result<(), CommitError>| match done {
                // What was closed meanwhile is on disk; a close that failed is told by the stop.
                Err(CommitError::Closed) => *stopped.borrow(),
                done => done.is_ok(),
            };
            is_safe(hub) && is_safe(local)
        }
    }

    /// Logs what the queues' stores found.
    fn tell_events(&self) {
        let name = &self.plan.section.name;
        tell_events(name, "hub", &self.hub.spool_events());
        tell_events(name, "local", &self.local.events());
    }

    /// Logs failures of the queues' stores and their ends, and what else happened to them.
    pub(crate) fn tell_health(&mut self, now: Instant, stats: &QueueStats) {
        self.tell_events();
        let name = &self.plan.section.name;
        for ((told, side), stats) in self.health.iter_mut().zip(["hub", "local"]).zip(stats) {
            stats.iter().for_each(|stats| told.update(now, name, side, stats));
        }
    }

    /// Returns the numbers of messages that are lost, in the order of `losses`.
    fn dropped(&self) -> [u64; 4] {
        let (from_local, from_hub) = (self.local.dropped_qos0(), self.hub.stats().dropped_qos0);
        [self.hub.dropped(), self.local.dropped(), from_local, from_hub]
    }

    /// Returns whether the hub has accepted a CONNECT. The SUBSCRIBE follows it at once.
    pub(crate) fn has_connected(&self) -> bool {
        self.hub.stats().connects > 0
    }

    /// Waits until the local broker has accepted the CONNECT.
    pub(crate) async fn is_ready(&self) {
        if let Local::Client(local) = &self.local {
            // Ends with the link alone, which ends with this.
            let _ = local.watch().wait_for(|stats| stats.connects > 0).await;
        }
    }

    /// Waits until the local broker has answered the subscriptions of the `out` lines.
    pub(crate) async fn is_subscribed(&self) {
        if let Local::Client(local) = &self.local {
            let all = self.plan.out_filters().len();
            let answered =
                |stats: &Stats| stats.granted_subscriptions + stats.refused_subscriptions.len() >= all;
            // Ends with the link alone, which ends with this.
            let _ = local.watch().wait_for(|stats| stats.connects > 0 && answered(stats)).await;
        }
    }

    /// Returns whether the writers of the connection's queues make progress.
    pub(crate) async fn makes_progress(&self) -> bool {
        let [hub, local] = self.store_stats().await;
        turns(hub) && (!self.has_inbox || turns(local))
    }

    /// Waits until received messages are safe, so that they are not sent again; publishes the state, ends both links and closes the queues. Returns
    /// the losses that are logged.
    pub(crate) async fn stop(mut self) -> Logged {
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
            let there = there.filter(|_| self.hub.stats().link != LinkState::BackingOff);
            let sides = [Some(here), there].into_iter().flatten();
            join_all(sides.map(async |side| timeout(GOODBYE, side.say("0")).await)).await;
        }
        let dropped = self.dropped();
        for (told, dropped) in self.losses.iter_mut().zip(dropped) {
            told.tell_rest(&self.plan.section.name, dropped);
        }
        let Self { plan, hub, local, losses: [to_hub, to_local, ..], .. } = self;
        for (side, closed) in [("local", local.close().await), ("hub", close(hub).await)] {
            match closed {
                Ok(Closed::Delivered) => {}
                Ok(Closed::Kept(kept)) => {
                    tracing::info!(connection = %Escaped(&plan.section.name), side, kept, "messages wait on disk");
                }
                // Where nothing comes from the hub, the local side has no queue.
                Ok(Closed::Lost(lost)) => {
                    tracing::info!(connection = %Escaped(&plan.section.name), side, lost, "states of the connection were not taken, and are gone");
                }
                Err(error) => {
                    tracing::error!(connection = %Escaped(&plan.section.name), side, error, "not closed cleanly");
                }
            }
        }
        [to_hub, to_local]
    }
}

/// Opens the queue to local clients.
async fn inbox(plan: &Plan, broker: &Broker) -> Result<Arc<Inbox>, String> {
    let name = &plan.section.name;
    let (dir, config) = plan.inbox();
    let (publisher, outlets) = (broker.publisher(), broker.outlets().clone());
    let inbox = Inbox::open(dir, config, name, publisher, outlets, broker.gives_from()).await?;
    Ok(Arc::new(inbox))
}

impl Local {
    /// Returns the source of messages to the hub, if the connection has an `out` rule.
    async fn messages(&self, plan: &Plan, broker: Option<&Broker>) -> Result<Option<Source>, String> {
        let filters = plan.out_filters();
        if filters.is_empty() {
            return Ok(None);
        }
        match (self, broker) {
            (Self::Client(client), _) => {
                let messages = client.subscribe_all(filters).await.map_err(|error| error.to_string())?;
                Ok(Some(Source::Subscription(messages)))
            }
            (Self::Broker(..), Some(broker)) => {
                Ok(Some(Source::Outlet(broker.outlets().open(&plan.section.name, plan.rules()))))
            }
            (Self::Broker(..), None) => Ok(None),
        }
    }

    /// Returns the queue of messages from the hub, if there is one.
    fn queue(&self) -> Option<Destination> {
        match self {
            Self::Client(client) => Some(Destination::Bridge(client.clone())),
            Self::Broker(_, inbox) => inbox.clone().map(Destination::Inbox),
        }
    }

    /// Returns the statistics of the queue from the hub; `None` without one, or when its thread has ended.
    async fn stats(&self) -> Option<edge_queue::Stats> {
        match self {
            Self::Client(client) => client.spool_stats().await,
            Self::Broker(_, Some(inbox)) => inbox.stats().await,
            Self::Broker(_, None) => None,
        }
    }

    fn commit(&self) -> impl Future<Output = Result<(), CommitError>> + use<> {
        let (client, inbox) = match self {
            Self::Client(client) => (Some(client.commit_spool()), None),
            Self::Broker(_, inbox) => (None, inbox.as_ref().map(|inbox| inbox.commit())),
        };
        async move {
            match (client, inbox) {
                (Some(commit), _) => commit.await,
                (None, Some(commit)) => commit.await,
                (None, None) => Ok(()),
            }
        }
    }

    /// Takes the events of the queue from the hub.
    fn events(&self) -> Vec<edge_queue::Event> {
        match self {
            Self::Client(client) => client.spool_events(),
            Self::Broker(_, inbox) => inbox.as_ref().map(|inbox| inbox.events()).unwrap_or_default(),
        }
    }

    /// Returns the number of messages that the queue from the hub has dropped; 0 without one.
    fn dropped(&self) -> u64 {
        match self {
            Self::Client(client) => client.dropped(),
            Self::Broker(_, inbox) => inbox.as_ref().map_or(0, |inbox| inbox.dropped()),
        }
    }

    /// Returns the number of messages of the local broker at QoS 0 that are lost; the one in this program counts its own.
    fn dropped_qos0(&self) -> u64 {
        match self {
            Self::Client(client) => client.stats().dropped_qos0,
            Self::Broker(..) => 0,
        }
    }

    fn teller(&self) -> Teller {
        match self {
            Self::Client(client) => Teller::Bridge(client.clone()),
            Self::Broker(broker, _) => Teller::Broker(broker.clone()),
        }
    }

    /// Closes the side; returns what became of the messages that were not delivered.
    async fn close(self) -> Result<Closed, String> {
        match self {
            Self::Client(client) => close(client).await,
            Self::Broker(_, Some(inbox)) => match Arc::try_unwrap(inbox) {
                Ok(inbox) => inbox
                    .close()
                    .await
                    .map(|kept| if kept > 0 { Closed::Kept(kept) } else { Closed::Delivered }),
                Err(_) => Err(STILL_IN_USE.to_owned()),
            },
            Self::Broker(_, None) => Ok(Closed::Delivered),
        }
    }
}

/// Returns whether a queue's writer makes progress; not if its thread has ended, or does not answer.
fn turns(stats: Option<edge_queue::Stats>) -> bool {
    stats.is_some_and(|stats| makes_progress(&stats))
}

const STILL_IN_USE: &str = "a task of it still runs: its link stays until that ends";

async fn close(bridge: Arc<Bridge>) -> Result<Closed, String> {
    match Arc::try_unwrap(bridge) {
        Ok(bridge) => bridge.close().await.map_err(|error| in_full(&error)),
        Err(_) => Err(STILL_IN_USE.to_owned()),
    }
}
