//! Messages of the loops: outputs every so often, and each event at once.

use super::desk::{Note, Told, Waiting};
use super::names::{EVENT, LoopNames, OUTPUT};
use crate::Clock;
use crate::runner::{Answers, Events, LoopStats, OUTPUT_WORDS};
use bytes::Bytes;
use edge_bridge::wire::{Properties, Publish, QoS, Utf8};
use edge_filter::control::ControlEvent;
use edge_filter::control::handoff::Reader;
use serde_json::{Value, json};
use std::io;
use std::sync::Arc;
use tokio::io::AsyncReadExt;
use tokio::net::UnixStream;
use tokio::sync::mpsc;

/// The hub gets the outputs of every so many local ones.
const HUB_ONE_IN: u64 = 10;

/// The way out of the loops; see [`connect`](super::connect).
#[derive(Debug)]
pub struct LoopMessages {
    names: Arc<LoopNames>,
    /// Each with its safe state.
    outputs: Vec<(Reader<OUTPUT_WORDS>, f64)>,
    events: Events,
    answers: Answers,
    notes: mpsc::Receiver<Note>,
    waiting: Waiting,
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
    /// A line for the log: commands and disputes, what peers chose in it escaped.
    pub line: Option<String>,
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
        (events, answers, notes): (Events, Answers, mpsc::Receiver<Note>),
        wake: std::os::unix::net::UnixStream,
        clock: Clock,
        stats: Arc<LoopStats>,
    ) -> io::Result<Self> {
        let wake = UnixStream::from_std(wake)?;
        let waiting = Waiting::default();
        let (rounds, told_tripped) = (0, false);
        Ok(LoopMessages {
            names,
            outputs,
            events,
            answers,
            notes,
            waiting,
            wake,
            clock,
            stats,
            rounds,
            told_tripped,
        })
    }

    /// The next messages, events first; `None` when the loops have ended. Those of their end say that the outputs are safe.
    pub async fn next(&mut self) -> Option<Vec<Said>> {
        let mut bytes = [0; 64];
        let told = loop {
            tokio::select! {
                read = self.wake.read(&mut bytes) => match read {
                    Ok(1..) => break self.notes(),
                    _ => return None,
                },
                Some(note) = self.notes.recv() => {
                    let mut told: Vec<Said> = self.note(note).into_iter().collect();
                    told.extend(self.notes());
                    if !told.is_empty() {
                        self.stats.published_some(told.len());
                        return Some(told);
                    }
                }
            }
        };
        self.rounds += 1;
        let to_hub = self.rounds.is_multiple_of(HUB_ONE_IN);
        let tripped = self.stats.is_tripped();
        let mut all = told;
        if std::mem::replace(&mut self.told_tripped, tripped) != tripped {
            all.extend(said_event("watchdog", &json!({"tripped": tripped, "ts": self.now_ms()})));
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

    /// What waits to be told, then the answers of the control thread.
    fn notes(&mut self) -> Vec<Said> {
        let mut all = Vec::new();
        while let Ok(note) = self.notes.try_recv() {
            all.extend(self.note(note));
        }
        while let Some((ticket, why)) = self.answers.take() {
            match why {
                None => self.stats.command_obeyed(),
                Some(_) => self.stats.command_refused(),
            }
            let command = self.waiting.answered(ticket);
            all.extend(command.and_then(|command| self.ended(&command, why, 0)));
        }
        all
    }

    fn note(&mut self, note: Note) -> Option<Said> {
        match note {
            Note::Asked { ticket, command } => {
                self.waiting.asked(ticket, command);
                None
            }
            Note::Refused { command, why, more } => self.ended(&command, Some(why), more),
            Note::Disputed { input, clients } => {
                let line = match &clients {
                    Some([one, other]) => {
                        format!("input {input} is bad: clients {one} and {other} both publish it")
                    }
                    None => format!("input {input} has one publisher again"),
                };
                let payload = json!({"disputed": clients.is_some(), "clients": clients, "ts": self.now_ms()});
                let said = said_event(&format!("input/{input}"), &payload)?;
                Some(Said { line: Some(line), ..said })
            }
        }
    }

    /// A command was obeyed, or refused for this reason.
    fn ended(&self, command: &Told, why: Option<&str>, more: u64) -> Option<Said> {
        let Told { topic, payload, client } = command;
        let (kind, end) = match why {
            None => ("command", "obeyed".to_owned()),
            Some(why) => ("refused", format!("refused: {why}")),
        };
        let mut line = format!("command {topic} \"{payload}\" of client {client}: {end}");
        if more > 0 {
            line.push_str(&format!(" ({more} refusals before it are not told)"));
        }
        let mut event = json!({"client": client, "payload": payload, "ts": self.now_ms()});
        if let (Some(why), Some(event)) = (why, event.as_object_mut()) {
            event.insert("reason".to_owned(), json!(why));
            event.insert("more".to_owned(), json!(more));
        }
        let said = said_event(&format!("{kind}/{topic}"), &event)?;
        Some(Said { line: Some(line), ..said })
    }

    fn now_ms(&self) -> u64 {
        self.clock.now_ns() / 1_000_000
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
    Some(Said { topic, payload: Bytes::from(payload), is_event, to_hub, line: None })
}
