//! State of a connection as a message: `1` or `0` under its notification topic, retained, on both sides.

use std::sync::Arc;

use edge_bridge::bridge::{LinkState, Stats};
use edge_bridge::net::PendingReceipt;
use edge_bridge::wire::Utf8;
use edge_bridge::{Bridge, Row};
use tokio::sync::watch;

/// The lane that goes before a backlog.
const FIRST_LANE: u8 = 0;

/// Where and how a state is published.
#[derive(Clone)]
pub(crate) struct Side {
    pub(crate) bridge: Arc<Bridge>,
    pub(crate) topic: Utf8,
    pub(crate) retain: bool,
}

impl Side {
    /// Leaves the state in the side's queue. The receipt can be very late: a broker that denies the topic parks the row.
    async fn push(&self, state: &'static str) -> Option<PendingReceipt> {
        let mut row = Row::new(self.topic.clone(), state.into());
        (row.retain, row.lane) = (self.retain, Some(FIRST_LANE));
        // Without room for it the next state says more.
        self.bridge.publish_row(row).await.ok()
    }

    /// Publishes the state; ends when it has arrived.
    pub(crate) async fn say(&self, state: &'static str) {
        if let Some(receipt) = self.push(state).await {
            // An error is the end of the bridge.
            let _ = receipt.await;
        }
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
            drop(here.push(if is_up { "1" } else { "0" }).await);
            was_up = Some(is_up);
        }
        if is_up && stats.connects != connects {
            connects = stats.connects;
            if let Some(there) = &there {
                drop(there.push("1").await);
            }
        }
        if hub.changed().await.is_err() {
            return;
        }
    }
}
