//! Messages of the gateway's own control loops and alarms: published to local subscribers first, then sent to the hub through the routes, as any
//! message.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use control_loop::mqtt::Said;
use edge_bridge::ingest::{Answer, Inbound, Ingest, Now};
use edge_bridge::net::Clock;
use edge_bridge::net::intake::Intake;
use edge_bridge::net::server::LocalPublisher;
use edge_bridge::wire::{Publish, Utf8, Version};

use crate::run::sensors::held_receipts::Tell;
use crate::run::sensors::ingest::GatewayIngest;

/// Path to the hub through the routes. Messages that find no room in the queue are counted and dropped.
pub(in crate::run) struct ToHub {
    pub(in crate::run) ingest: GatewayIngest,
    pub(in crate::run) intake: Intake,
    pub(in crate::run) clock: Clock,
    pub(in crate::run) unqueued: Arc<AtomicU64>,
}

impl ToHub {
    pub(in crate::run) fn offer(&mut self, publish: &Publish) {
        if !self.ingest.routes(publish.topic.as_str()) {
            return;
        }
        // Room first: a row that has no place must not have moved a filter's state.
        let lane = self.ingest.lane_of(publish.topic.as_str());
        let Some(permit) = self.intake.try_reserve().filter(|_| self.intake.has_room_in(lane)) else {
            self.unqueued.fetch_add(1, Ordering::Relaxed);
            return;
        };
        let now: Now = self.clock.now();
        let message = Inbound::new(Utf8::default(), Version::V5, publish);
        let rows = match self.ingest.ingest(now, &message) {
            Answer::Store(rows) | Answer::Withhold(rows) => rows,
            // As a sensor's message that its route cannot use.
            Answer::Refuse(reason) => vec![self.ingest.dead_letter(&message, reason)],
            Answer::Absorb => return,
        };
        permit.put(rows, self.ingest.take_link().then(Tell::Nobody));
    }
}

/// Publishes all messages, first to local subscribers, then to the hub.
pub(in crate::run) async fn say(all: &[Said], local: &LocalPublisher, to_hub: &mut ToHub) {
    for said in all {
        if let Some(line) = &said.line {
            tracing::warn!("{line}");
        }
        // A listener that has ended has no subscribers. Of the others nobody is waited for: a copy for one that does not read may wait for ever.
        drop(local.send(said.publish()).await);
    }
    all.iter().filter(|said| said.to_hub).for_each(|said| to_hub.offer(&said.publish()));
}
