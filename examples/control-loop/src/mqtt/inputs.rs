//! Inputs that sensors and operators publish locally, straight into the control thread's atomics.

use super::command::command;
use super::names::{COMMAND, LoopNames};
use super::payload;
use crate::Clock;
use crate::runner::{Commands, InputPort, LoopStats};
use edge_bridge::ingest::{Answer, Inbound, Ingest, Now};
use edge_bridge::wire::QoS;
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

/// The way in of the loops; see [`connect`](super::connect).
#[derive(Debug)]
pub struct LoopInputs {
    inputs: HashMap<String, Input>,
    names: Arc<LoopNames>,
    commands: Commands,
    clock: Clock,
    stats: Arc<LoopStats>,
}

#[derive(Debug)]
struct Input {
    port: InputPort,
    /// Of a JSON payload.
    field: String,
    warned: bool,
}

/// Meaning of a message for the loops.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Taken {
    /// Not for them.
    No,
    /// An input's value.
    Input,
    /// The first value of an input that came at QoS 1 or 2: its sensor's connection may have to wait for the queue, and is
    /// then not read. It should publish at QoS 0.
    InputThatMayWait,
    /// A command; what becomes of it is an event.
    Command,
}

impl LoopInputs {
    pub(super) fn new(
        names: Arc<LoopNames>,
        fields: &BTreeMap<String, String>,
        ports: Vec<InputPort>,
        commands: Commands,
        clock: Clock,
        stats: Arc<LoopStats>,
    ) -> Self {
        let field = |name: &String| fields.get(name).cloned().unwrap_or_else(|| "value".to_owned());
        let input = |(name, port): (&String, InputPort)| {
            (name.clone(), Input { port, field: field(name), warned: false })
        };
        let inputs = names.inputs.iter().zip(ports).map(input).collect();
        LoopInputs { inputs, names, commands, clock, stats }
    }

    /// Returns what the loops are called, to be asked from elsewhere.
    #[must_use]
    pub fn names(&self) -> Arc<LoopNames> {
        self.names.clone()
    }

    /// A message arrived. Never waits. A retained one is of unknown age: no control input, and no command.
    pub fn show(&mut self, message: &Inbound) -> Taken {
        if message.retain {
            return Taken::No;
        }
        if let Some(input) = self.inputs.get_mut(message.topic.as_str()) {
            let (value, quality) = payload::read(&message.payload, &input.field);
            input.port.set(value, quality, self.clock.now_ns());
            self.stats.received_one();
            let waits = message.qos != QoS::AtMostOnce;
            let is_news = waits && !std::mem::replace(&mut input.warned, true);
            return if is_news { Taken::InputThatMayWait } else { Taken::Input };
        }
        let topic = message.topic.as_str().strip_prefix(COMMAND);
        match topic.and_then(|topic| command(&self.names, topic, &message.payload)) {
            Some(command) => {
                self.commands.send(command);
                Taken::Command
            }
            None => Taken::No,
        }
    }
}

/// For a listener that serves loops alone: every message is absorbed, since an input that came too late is worth nothing.
impl Ingest for LoopInputs {
    fn ingest(&mut self, _: Now, message: &Inbound) -> Answer {
        let _ = self.show(message);
        Answer::Absorb
    }
}
