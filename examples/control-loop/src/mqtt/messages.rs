//! The local publisher: outputs and events to whoever subscribes here, then to the hub's queue.

use super::hub::Hub;
use super::names::Names;
use super::{NetStats, count};
use crate::runner::{Events, OUTPUT_WORDS};
use bytes::Bytes;
use edge_bridge::net::server::Server;
use edge_bridge::wire::{Properties, Publish, QoS, Utf8};
use edge_filter::control::ControlEvent;
use edge_filter::control::handoff::Reader;
use serde_json::json;
use std::io;
use std::sync::Arc;
use tokio::io::AsyncReadExt;
use tokio::net::UnixStream;

/// The hub gets the outputs of every so many local ones.
const HUB_ONE_IN: u64 = 10;

pub(super) struct Local {
    names: Arc<Names>,
    outputs: Vec<Reader<OUTPUT_WORDS>>,
    events: Events,
    wake: UnixStream,
    stats: Arc<NetStats>,
    rounds: u64,
}

/// A message to be.
struct Said {
    topic: String,
    payload: String,
    is_event: bool,
}

impl Local {
    pub(super) fn new(
        names: Arc<Names>,
        outputs: Vec<Reader<OUTPUT_WORDS>>,
        events: Events,
        wake: std::os::unix::net::UnixStream,
        stats: Arc<NetStats>,
    ) -> io::Result<Self> {
        let wake = UnixStream::from_std(wake)?;
        Ok(Local { names, outputs, events, wake, stats, rounds: 0 })
    }

    /// Until the control thread ends.
    pub(super) async fn run(&mut self, server: &Server, hub: &mut Hub) {
        let mut bytes = [0; 64];
        while let Ok(1..) = self.wake.read(&mut bytes).await {
            self.rounds += 1;
            while let Some(event) = self.events.take() {
                let Some(said) = self.event(&event) else { continue };
                self.say(said, true, server, hub).await;
            }
            let to_hub = self.rounds.is_multiple_of(HUB_ONE_IN);
            for number in 0..self.outputs.len() {
                let Some(said) = self.output(number) else { continue };
                self.say(said, to_hub, server, hub).await;
            }
        }
    }

    /// Local subscribers first.
    async fn say(&self, said: Said, to_hub: bool, server: &Server, hub: &mut Hub) {
        let Ok(topic) = Utf8::try_from(said.topic.as_str()) else { return };
        let payload = Bytes::from(said.payload);
        let publish = Publish {
            dup: false,
            qos: QoS::AtMostOnce,
            retain: false,
            topic: topic.clone(),
            packet_id: None,
            properties: Properties::default(),
            payload: payload.clone(),
        };
        if server.publish(publish).await.is_ok() {
            count(&self.stats.published);
        }
        if to_hub {
            hub.offer(topic, payload, said.is_event);
        }
    }

    fn output(&self, number: usize) -> Option<Said> {
        let [value, _] = self.outputs.get(number)?.read()?;
        let topic = format!("out/{}", self.names.outputs.get(number)?);
        Some(Said { topic, payload: f64::from_bits(value).to_string(), is_event: false })
    }

    fn event(&self, event: &ControlEvent) -> Option<Said> {
        let (topic, payload) = match event {
            ControlEvent::Output { output, value, cause, at_ms } => {
                let name = self.names.outputs.get(usize::from(*output))?;
                let payload = json!({"value": value, "cause": cause.as_str(), "ts": at_ms});
                (format!("event/output/{name}"), payload)
            }
            ControlEvent::Interlock { interlock, status, at_ms } => {
                let name = self.names.interlocks.get(usize::from(*interlock))?;
                let payload = json!({
                    "energised": status.energised, "tripped": status.tripped, "degraded": status.degraded,
                    "bypassed": status.bypassed, "ts": at_ms,
                });
                (format!("event/interlock/{name}"), payload)
            }
            ControlEvent::Alarm { alarm, transition: t } => {
                let name = self.names.alarms.get(usize::from(*alarm))?;
                let payload = json!({
                    "state": t.to.as_str(), "from": t.from.as_str(), "value": t.value, "ts": t.time,
                    "transition": t.transition, "priority": t.priority,
                });
                (format!("event/alarm/{name}/{}", t.level.as_str()), payload)
            }
        };
        Some(Said { topic, payload: payload.to_string(), is_event: true })
    }
}
