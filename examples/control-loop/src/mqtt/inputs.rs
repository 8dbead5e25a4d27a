//! Inputs of the loops: values that sensors and operators publish locally, written straight into the control thread's atomics.

use super::command_answers::Client;
use super::command_dispatcher::Dispatcher;
use super::command_rules::Budget;
use super::hub_commands::{HubCommands, lock};
use super::names::{COMMAND, LoopNames};
use super::payload;
use super::publishers::{Publisher, Standing};
use super::suspension::Pulse;
use crate::runner::{InputPort, LoopStats};
use crate::{Clock, Loops};
use edge_bridge::ingest::{Answer, Inbound, Ingest, Now};
use edge_bridge::listener::Event;
use edge_bridge::wire::{QoS, Utf8};
use edge_filter::Quality;
use std::collections::HashMap;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex};

/// Most disconnected clients that were not handled yet; clients beyond it may publish again when their input is free.
const DEPARTURES_MAX: usize = 1024;

/// Receiver of local messages for the loops; see [`connect`](super::connect).
#[derive(Debug)]
pub struct LoopInputs {
    inputs: HashMap<String, Input>,
    names: Arc<LoopNames>,
    /// Shared with [`HubCommands`]; the control thread has no part in it.
    dispatcher: Arc<Mutex<Dispatcher>>,
    gone: Receiver<Utf8>,
    departures: SyncSender<Utf8>,
    pulse: Arc<Pulse>,
    clock: Clock,
    stats: Arc<LoopStats>,
}

/// Notifies the loops of disconnected clients, whose inputs are then free for another publisher at once.
#[derive(Clone, Debug)]
pub struct Departures(SyncSender<Utf8>);

impl Departures {
    /// Handles an event of the listener. Call it with every event; it never waits.
    pub fn on_event(&self, event: &Event) {
        if let Event::Disconnected { client: Some(client), .. } = event {
            // Without room its inputs are free when its last value is stale.
            let _ = self.0.try_send(client.clone());
        }
    }
}

#[derive(Debug)]
struct Input {
    port: InputPort,
    /// Field with the value in a JSON payload.
    field: String,
    warned: bool,
    publisher: Publisher,
    /// Rate limit of reports of disputes.
    told: Budget,
    stale_after_ns: u64,
}

/// Result of a message for the loops.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Taken {
    /// The message is not for the loops.
    No,
    /// An input's value.
    Input,
    /// The first value of an input that came at QoS 1 or 2. Its sensor's connection may be paused when the queue is full, so the sensor should
    /// publish at QoS 0.
    InputThatMayWait,
    /// A command; its outcome is published as an event.
    Command,
    /// A command that was refused; the refusal is published as an event.
    RefusedCommand,
}

impl LoopInputs {
    pub(super) fn new(
        loops: &Loops,
        names: Arc<LoopNames>,
        ports: Vec<InputPort>,
        dispatcher: Dispatcher,
        pulse: Arc<Pulse>,
        clock: Clock,
        stats: Arc<LoopStats>,
    ) -> Self {
        let specs = loops.controller.inputs();
        let input = |(number, (name, port)): (usize, (&String, InputPort))| {
            let field = loops.fields.get(name).cloned().unwrap_or_else(|| "value".to_owned());
            let stale_after_ms = specs.stale_after_ms(number).unwrap_or_default();
            let stale_after_ns = stale_after_ms.unsigned_abs().saturating_mul(1_000_000);
            let (publisher, told) = (Publisher::default(), Budget::default());
            (name.clone(), Input { port, field, warned: false, publisher, told, stale_after_ns })
        };
        let inputs = names.inputs.iter().zip(ports).enumerate().map(input).collect();
        let (departures, gone) = sync_channel(DEPARTURES_MAX);
        let dispatcher = Arc::new(Mutex::new(dispatcher));
        LoopInputs { inputs, names, dispatcher, gone, departures, pulse, clock, stats }
    }

    /// Returns the handle for the listener's events.
    #[must_use]
    pub fn departures(&self) -> Departures {
        Departures(self.departures.clone())
    }

    /// Returns the names of the loops' parts, for other threads.
    #[must_use]
    pub fn names(&self) -> Arc<LoopNames> {
        self.names.clone()
    }

    /// Returns the way in of commands of the hub.
    #[must_use]
    pub fn hub_commands(&self) -> HubCommands {
        HubCommands::new(self.names.clone(), self.dispatcher.clone(), self.clock)
    }

    /// A message arrived. Never waits for the loops. A retained one is of unknown age, and a will was written when its client connected: no control input, and no
    /// command. One that may have waited while the process stood still counts from before that.
    pub fn show(&mut self, now: Now, message: &Inbound) -> Taken {
        let now_ns = self.clock.now_ns();
        // Rounded so that it looks longer ago.
        let ago_ms = |at_ms: u64| (now.up_ms + 1).saturating_sub(at_ms);
        let up_to_date_ns =
            message.up_to_date_ms.map(|at_ms| now_ns.saturating_sub(ago_ms(at_ms).saturating_mul(1_000_000)));
        let arrived_ns = self.pulse.arrived_ns(now_ns, up_to_date_ns);
        let topic = message.topic.as_str();
        if let Some(command) = topic.strip_prefix(COMMAND) {
            let is_taken = lock(&self.dispatcher).take(&self.names, command, message, (now_ns, arrived_ns));
            return if is_taken { Taken::Command } else { Taken::RefusedCommand };
        }
        while let Ok(client) = self.gone.try_recv() {
            self.inputs.values_mut().for_each(|input| input.publisher.left(&client));
        }
        let is_measured = !message.retain && !message.will;
        let Some(input) = self.inputs.get_mut(topic).filter(|_| is_measured) else { return Taken::No };
        let (mut value, mut quality) = payload::read(&message.payload, &input.field);
        match input.publisher.message(&message.client, message.peer, now_ns, input.stale_after_ns) {
            Standing::Alone { ended: false } => {}
            Standing::Alone { ended: true } => {
                if !lock(&self.dispatcher).dispute(topic, None, &mut input.told, now_ns) {
                    input.publisher.untold();
                }
            }
            Standing::Disputed { began } => {
                (value, quality) = (f64::NAN, Quality::BAD);
                self.stats.disputed_one();
                if let Some(owner) = began {
                    let one = Client::new(&owner.client, owner.peer);
                    let clients = Some([one, Client::new(&message.client, message.peer)]);
                    if !lock(&self.dispatcher).dispute(topic, clients, &mut input.told, now_ns) {
                        input.publisher.untold();
                    }
                }
            }
        }
        input.port.set(value, quality, arrived_ns);
        self.stats.received_one();
        let waits = message.qos != QoS::AtMostOnce;
        let is_news = waits && !std::mem::replace(&mut input.warned, true);
        if is_news { Taken::InputThatMayWait } else { Taken::Input }
    }
}

/// Ingest of a listener that serves loops alone: every message is absorbed, because a late input is worthless.
impl Ingest for LoopInputs {
    fn ingest(&mut self, now: Now, message: &Inbound) -> Answer {
        let _ = self.show(now, message);
        Answer::Absorb
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mqtt::connect;
    use crate::runner::Runner;
    use bytes::Bytes;
    use edge_bridge::listener::ConnectionId;
    use edge_bridge::session::Closed;
    use edge_bridge::wire::{Properties, Publish, Version};
    use std::time::Duration;

    /// A value of an input, of this client.
    fn value(input: &'static str, client: &'static str) -> Inbound {
        let publish = Publish {
            dup: false,
            qos: QoS::AtMostOnce,
            retain: false,
            topic: Utf8::from_static(input),
            packet_id: None,
            properties: Properties::default(),
            payload: Bytes::from_static(b"21.5"),
        };
        Inbound::new(Utf8::from_static(client), Version::V5, &publish)
    }

    fn left(client: Option<&'static str>) -> Event {
        let client = client.map(Utf8::from_static);
        Event::Disconnected { connection: ConnectionId(1), client, why: Closed::KeepAlive }
    }

    /// A sensor is replaced while the plant runs: its input would be bad until the last value of the old one is stale.
    #[tokio::test(flavor = "current_thread")]
    async fn another_client_takes_an_input_at_once_after_the_first_has_gone() {
        let input = |name| format!("[[input]]\nname = \"{name}\"\nstale_after_ms = 3600000\n");
        let text = ["level", "pressure"].map(input).concat() + "[[output]]\nname = \"valve\"\nvalue = 0.0\n";
        let loops = Loops::parse(&text, Duration::from_secs(60)).unwrap();
        let clock = Clock::start();
        let (actuator, guard) = (|_: &[f64]| (), |_: &[f64]| ());
        let (runner, ports) =
            Runner::start(loops.controller.clone(), clock, actuator, guard, 1, None).unwrap();
        let stats = runner.stats();
        let (mut inputs, _messages) = connect(&loops, ports, clock, stats.clone()).unwrap();
        let departures = inputs.departures();
        let mut disputes_after = |input, client| {
            assert_eq!(inputs.show(Now::default(), &value(input, client)), Taken::Input);
            stats.disputes()
        };
        assert_eq!([disputes_after("level", "first"), disputes_after("pressure", "other")], [0, 0]);
        [left(None), left(Some("first"))].iter().for_each(|event| departures.on_event(event));
        assert_eq!([disputes_after("level", "second"), disputes_after("level", "second")], [0, 0]);
        assert_eq!(disputes_after("level", "first"), 1, "it has a new owner");
        assert_eq!(disputes_after("pressure", "second"), 2, "its owner has not gone");
    }
}
