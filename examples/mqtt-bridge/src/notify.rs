//! State of a connection as a retained message: `1` or `0` on its notification topic, on both sides.

use std::sync::Arc;

use edge_bridge::bridge::Stats;
use edge_bridge::net::server::LocalPublisher;
use edge_bridge::wire::{Properties, Publish, QoS, Utf8};
use edge_bridge::{Bridge, Row};
use tokio::sync::watch;

/// First lane, which goes before a backlog.
const FIRST_LANE: u8 = 0;

/// Topic and publisher of a state on one side.
#[derive(Clone)]
pub(crate) struct Side {
    pub(crate) to: Teller,
    pub(crate) topic: Utf8,
    pub(crate) retain: bool,
}

/// Publisher on one side.
#[derive(Clone)]
pub(crate) enum Teller {
    /// A client, at the hub or at the local broker.
    Bridge(Arc<Bridge>),
    /// The broker in this program.
    Broker(LocalPublisher),
}

impl Side {
    /// Publishes the state without waiting. The receipt can be very late: a broker that denies the topic makes the row be parked.
    async fn push(&self, state: &'static str) {
        match &self.to {
            // Without room for it the next state says more.
            Teller::Bridge(bridge) => drop(bridge.publish_row(self.row(state)).await),
            Teller::Broker(broker) => self.tell_clients(broker, state).await,
        }
    }

    /// Publishes the state and waits for its receipt.
    pub(crate) async fn say(&self, state: &'static str) {
        match &self.to {
            Teller::Bridge(bridge) => {
                if let Ok(receipt) = bridge.publish_row(self.row(state)).await {
                    // An error is the end of the bridge.
                    let _ = receipt.await;
                }
            }
            Teller::Broker(broker) => self.tell_clients(broker, state).await,
        }
    }

    fn row(&self, state: &'static str) -> Row {
        let mut row = Row::new(self.topic.clone(), state.into());
        (row.retain, row.lane) = (self.retain, Some(FIRST_LANE));
        row
    }

    /// Publishes the state without waiting until clients have it: one that does not read would delay the states of both sides. On the topic that
    /// bridges have by default it is the state of a link, which no client may publish then: it stays open to bridges of other programs alone.
    async fn tell_clients(&self, broker: &LocalPublisher, state: &'static str) {
        if let Some(name) = link_name(&self.topic) {
            // An error is the end of the broker.
            let _ = broker.set_link_state(name, state == "1").await;
            return;
        }
        let publish = Publish {
            dup: false,
            qos: QoS::AtMostOnce,
            retain: self.retain,
            topic: self.topic.clone(),
            packet_id: None,
            properties: Properties::default(),
            payload: state.into(),
        };
        // An error is the end of the broker.
        drop(broker.send(publish).await);
    }
}

/// Returns the name in the topic of a link's state; `None` for another topic.
pub(crate) fn link_name(topic: &str) -> Option<&str> {
    topic.strip_prefix("$SYS/broker/connection/")?.strip_suffix("/state")
}

/// Publishes on both sides when the connection to the hub is made, and on the local side when it ends; at the hub the will reports that. Ends
/// with the hub's link. Waits for no receipt, so that it never delays a stop.
pub(crate) async fn tell_state(mut hub: watch::Receiver<Stats>, there: Option<Side>, here: Side) {
    let (mut connects, mut was_up) = (0, None);
    loop {
        let stats = hub.borrow_and_update().clone();
        let is_up = stats.link.is_connected();
        if was_up != Some(is_up) {
            here.push(if is_up { "1" } else { "0" }).await;
            was_up = Some(is_up);
        }
        if is_up && stats.connects != connects {
            connects = stats.connects;
            if let Some(there) = &there {
                there.push("1").await;
            }
        }
        if hub.changed().await.is_err() {
            return;
        }
    }
}
