//! Messages of the loops: outputs every so often, and each event at once.

use super::command_desk::{Note, Waiting};
use super::loop_messages::{Said, alarm_event, said, said_event};
use super::names::{LoopNames, OUTPUT};
use crate::Clock;
use crate::runner::{Answers, Events, LoopStats, OUTPUT_WORDS};
use edge_filter::control::ControlEvent;
use edge_filter::control::handoff::Reader;
use serde_json::json;
use std::io;
use std::sync::Arc;
use tokio::io::AsyncReadExt;
use tokio::net::UnixStream;
use tokio::sync::mpsc;

/// The hub gets the outputs of every so many local ones.
const HUB_ONE_IN: u64 = 10;
/// Cause of every output's value after the loops: beside those of [`edge_filter::control::Cause`], which are the loops' own.
const STOPPED: &str = "stopped";

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
    has_ended: bool,
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
        let (rounds, told_tripped, has_ended) = (0, false, false);
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
            has_ended,
        })
    }

    /// The next messages, events first; `None` when the loops have ended. Those of their end say, also to the hub, that the outputs
    /// are safe.
    pub async fn next(&mut self) -> Option<Vec<Said>> {
        let mut bytes = [0; 64];
        let told = loop {
            tokio::select! {
                read = self.wake.read(&mut bytes) => match read {
                    Ok(1..) => break self.notes(),
                    _ if std::mem::replace(&mut self.has_ended, true) => return None,
                    _ => break self.notes(),
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
        Some(self.round(told))
    }

    /// Messages of the end of loops that hang and do not end: the watchdog has their outputs. `None` if they have ended.
    pub fn end(&mut self) -> Option<Vec<Said>> {
        if std::mem::replace(&mut self.has_ended, true) {
            return None;
        }
        let told = self.notes();
        Some(self.round(told))
    }

    /// Adds events and outputs to what is to be `told`.
    fn round(&mut self, told: Vec<Said>) -> Vec<Said> {
        self.rounds += 1;
        let to_hub = self.has_ended || self.rounds.is_multiple_of(HUB_ONE_IN);
        let tripped = self.stats.is_tripped();
        let mut all = told;
        if std::mem::replace(&mut self.told_tripped, tripped) != tripped {
            all.extend(said_event("watchdog", &json!({"tripped": tripped, "ts": self.now_ms()})));
        }
        while let Some(event) = self.events.take() {
            all.extend(self.event(&event));
        }
        let outputs = self.names.outputs.iter().zip(&self.outputs);
        if self.has_ended {
            let now_ms = self.now_ms().cast_signed();
            let stopped = outputs.clone();
            all.extend(stopped.filter_map(|(name, (_, safe))| output_event(name, *safe, STOPPED, now_ms)));
        }
        all.extend(outputs.filter_map(|(name, (port, safe))| {
            // While the watchdog holds the outputs, and after the loops, what the control thread wrote last is not what they are.
            let value = if tripped || self.has_ended { *safe } else { f64::from_bits(port.read()?[0]) };
            said(format!("{OUTPUT}{name}"), value.to_string(), false, to_hub)
        }));
        self.stats.published_some(all.len());
        all
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
            all.extend(command.and_then(|command| command.answer(why, 0, self.now_ms())));
        }
        all
    }

    fn note(&mut self, note: Note) -> Option<Said> {
        match note {
            Note::Asked { ticket, command } => {
                self.waiting.asked(ticket, command);
                None
            }
            Note::Refused { command, why, more } => command.answer(Some(why), more, self.now_ms()),
            Note::Disputed { input, clients } => {
                let line = match &clients {
                    Some([one, other]) => {
                        format!("input {input} is bad: clients {one} and {other} both publish it")
                    }
                    None => format!("input {input} has one publisher again"),
                };
                let names = clients.as_ref().map(|both| both.each_ref().map(|client| client.name()));
                let payload = json!({"disputed": clients.is_some(), "clients": names, "ts": self.now_ms()});
                let said = said_event(&format!("input/{input}"), &payload)?;
                Some(Said { line: Some(line), ..said })
            }
        }
    }

    fn now_ms(&self) -> u64 {
        self.clock.now_ns() / 1_000_000
    }

    fn event(&self, event: &ControlEvent) -> Option<Said> {
        match event {
            ControlEvent::Output { output, value, cause, at_ms } => {
                let name = self.names.outputs.get(usize::from(*output))?;
                output_event(name, *value, cause.as_str(), *at_ms)
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
                alarm_event(name, t)
            }
        }
    }
}

fn output_event(name: &str, value: f64, cause: &str, at_ms: i64) -> Option<Said> {
    said_event(&format!("output/{name}"), &json!({"value": value, "cause": cause, "ts": at_ms}))
}
