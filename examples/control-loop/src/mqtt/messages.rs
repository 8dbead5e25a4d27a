//! Messages of the loops: outputs every so often, and each event at once.

use super::names::{EVENT, LoopNames, OUTPUT};
use crate::Clock;
use crate::runner::{Events, LoopStats, OUTPUT_WORDS};
use bytes::Bytes;
use edge_bridge::wire::{Properties, Publish, QoS, Utf8};
use edge_filter::control::ControlEvent;
use edge_filter::control::handoff::Reader;
use serde_json::{Value, json};
use std::io;
use std::sync::Arc;
use tokio::io::AsyncReadExt;
use tokio::net::UnixStream;

/// The hub gets the outputs of every so many local ones.
const HUB_ONE_IN: u64 = 10;

/// The way out of the loops; see [`connect`](super::connect).
#[derive(Debug)]
pub struct LoopMessages {
    names: Arc<LoopNames>,
    /// Each with its safe state.
    outputs: Vec<(Reader<OUTPUT_WORDS>, f64)>,
    events: Events,
    wake: UnixStream,
    clock: Clock,
    stats: Arc<LoopStats>,
    rounds: u64,
    told_tripped: bool,
}

/// A message to be: first for local subscribers, then for the hub if it is meant for it.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Said {
    /// Its topic.
    pub topic: Utf8,
    /// Its payload.
    pub payload: Bytes,
    /// A change of state, not a sample of an output.
    pub is_event: bool,
    /// Events, and every tenth sample.
    pub to_hub: bool,
}

impl Said {
    /// As a QoS 0 message: an output of a moment ago is worth no repetition.
    #[must_use]
    pub fn publish(&self) -> Publish {
        Publish {
            dup: false,
            qos: QoS::AtMostOnce,
            retain: false,
            topic: self.topic.clone(),
            packet_id: None,
            properties: Properties::default(),
            payload: self.payload.clone(),
        }
    }
}

impl LoopMessages {
    pub(super) fn new(
        names: Arc<LoopNames>,
        outputs: Vec<(Reader<OUTPUT_WORDS>, f64)>,
        events: Events,
        wake: std::os::unix::net::UnixStream,
        clock: Clock,
        stats: Arc<LoopStats>,
    ) -> io::Result<Self> {
        let wake = UnixStream::from_std(wake)?;
        Ok(LoopMessages { names, outputs, events, wake, clock, stats, rounds: 0, told_tripped: false })
    }

    /// The next messages, events first; `None` when the loops have ended. Those of their end say that the outputs are safe.
    pub async fn next(&mut self) -> Option<Vec<Said>> {
        let mut bytes = [0; 64];
        let Ok(1..) = self.wake.read(&mut bytes).await else { return None };
        self.rounds += 1;
        let to_hub = self.rounds.is_multiple_of(HUB_ONE_IN);
        let tripped = self.stats.is_tripped();
        let mut all = Vec::new();
        if std::mem::replace(&mut self.told_tripped, tripped) != tripped {
            let at_ms = self.clock.now_ns() / 1_000_000;
            all.extend(said_event("watchdog", &json!({"tripped": tripped, "ts": at_ms})));
        }
        while let Some(event) = self.events.take() {
            all.extend(self.event(&event));
        }
        let outputs = self.names.outputs.iter().zip(&self.outputs);
        all.extend(outputs.filter_map(|(name, (port, safe))| {
            // While the watchdog holds the outputs, what the control thread wrote last is not what they are.
            let value = if tripped { *safe } else { f64::from_bits(port.read()?[0]) };
            said(format!("{OUTPUT}{name}"), value.to_string(), false, to_hub)
        }));
        self.stats.published_some(all.len());
        Some(all)
    }

    fn event(&self, event: &ControlEvent) -> Option<Said> {
        match event {
            ControlEvent::Output { output, value, cause, at_ms } => {
                let name = self.names.outputs.get(usize::from(*output))?;
                let payload = json!({"value": value, "cause": cause.as_str(), "ts": at_ms});
                said_event(&format!("output/{name}"), &payload)
            }
            ControlEvent::Interlock { interlock, status, at_ms } => {
                let name = self.names.interlocks.get(usize::from(*interlock))?;
                let payload = json!({
                    "energised": status.energised, "tripped": status.tripped, "degraded": status.degraded,
                    "bypassed": status.bypassed, "ts": at_ms,
                });
                said_event(&format!("interlock/{name}"), &payload)
            }
            ControlEvent::Alarm { alarm, transition: t } => {
                let name = self.names.alarms.get(usize::from(*alarm))?;
                let payload = json!({
                    "state": t.to.as_str(), "from": t.from.as_str(), "value": t.value, "ts": t.time,
                    "transition": t.transition, "priority": t.priority,
                });
                said_event(&format!("alarm/{name}/{}", t.level.as_str()), &payload)
            }
        }
    }
}

fn said_event(topic: &str, payload: &Value) -> Option<Said> {
    said(format!("{EVENT}{topic}"), payload.to_string(), true, true)
}

/// `None`: a name that no topic can have; a configuration with one is refused.
fn said(topic: String, payload: String, is_event: bool, to_hub: bool) -> Option<Said> {
    let topic = Utf8::new(Bytes::from(topic)).ok()?;
    Some(Said { topic, payload: Bytes::from(payload), is_event, to_hub })
}
