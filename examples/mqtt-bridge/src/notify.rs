//! State of a connection as a message: `1` or `0` under its notification topic, retained, on both sides.

use std::sync::Arc;

use edge_bridge::bridge::{LinkState, Stats};
use edge_bridge::net::server::LocalPublisher;
use edge_bridge::wire::{Properties, Publish, QoS, Utf8};
use edge_bridge::{Bridge, Row};
use tokio::sync::watch;

/// The lane that goes before a backlog.
const FIRST_LANE: u8 = 0;

/// Where and how a state is published.
#[derive(Clone)]
pub(crate) struct Side {
    pub(crate) to: Teller,
    pub(crate) topic: Utf8,
    pub(crate) retain: bool,
}

/// Publisher of a side.
#[derive(Clone)]
pub(crate) enum Teller {
    /// A client, at the hub or at the local broker.
    Bridge(Arc<Bridge>),
    /// The broker in this program.
    Broker(LocalPublisher),
}

impl Side {
    /// Publishes the state, and waits for nobody. The receipt can be very late: a broker that denies the topic parks the row.
    async fn push(&self, state: &'static str) {
        match &self.to {
            // Without room for it the next state says more.
            Teller::Bridge(bridge) => drop(bridge.publish_row(self.row(state)).await),
            Teller::Broker(broker) => self.tell_clients(broker, state).await,
        }
    }

    /// Publishes the state; ends when it has arrived.
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

    /// At QoS 0, for which no client is waited for.
    async fn tell_clients(&self, broker: &LocalPublisher, state: &'static str) {
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
        let _ = broker.publish(publish).await;
    }
}

/// Tells both sides of each connection to the hub, and the local one of its end; of that the will tells the hub. Ends with the hub's link; waits for no
/// receipt, so that who ends it holds both bridges alone.
pub(crate) async fn tell_state(mut hub: watch::Receiver<Stats>, there: Option<Side>, here: Side) {
    let (mut connects, mut was_up) = (0, None);
    loop {
        let stats = hub.borrow_and_update().clone();
        let is_up = !matches!(stats.link, LinkState::Offline | LinkState::BackingOff);
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
