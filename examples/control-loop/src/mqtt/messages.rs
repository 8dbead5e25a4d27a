//! Publishing of the loops' messages: outputs periodically, and each event at once.

use super::command_dispatcher::{Note, Waiting};
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

/// Number of local samples of the outputs of which the hub gets one.
const HUB_ONE_IN: u64 = 10;
/// Cause in every output's last message after the loops have ended, in addition to those of [`edge_filter::control::Cause`].
const STOPPED: &str = "stopped";

/// Sender of the loops' messages; see [`connect`](super::connect).
#[derive(Debug)]
pub struct LoopMessages {
    names: Arc<LoopNames>,
    /// Outputs, each with its safe state.
    outputs: Vec<(Reader<OUTPUT_WORDS>, f64)>,
    events: Events,
    answers: Answers,
    notes: mpsc::Receiver<Note>,
    waiting: Waiting,
    wake: UnixStream,
    clock: Clock,
    overdue_ns: u64,
    stats: Arc<LoopStats>,
    rounds: u64,
    /// Number of the watchdog's trips at the last round.
    trips: u64,
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
        overdue_ns: u64,
        stats: Arc<LoopStats>,
    ) -> io::Result<Self> {
        let wake = UnixStream::from_std(wake)?;
        let waiting = Waiting::default();
        let (rounds, trips, told_tripped, has_ended) = (0, 0, false, false);
        Ok(LoopMessages {
            names,
            outputs,
            events,
            answers,
            notes,
            waiting,
            wake,
            clock,
            overdue_ns,
            stats,
            rounds,
            trips,
            told_tripped,
            has_ended,
        })
    }

    /// Waits for the next messages, events first; `None` when the loops have ended. The last messages report, also to the hub, that the outputs
    /// are safe.
    pub async fn next(&mut self) -> Option<Vec<Said>> {
        let mut bytes = [0; 64];
        let told = loop {
            if self.told_tripped && !self.stats.is_tripped() && !self.has_ended {
                // The end was read along with the trip: no other byte may come for long.
                break self.notes();
            }
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

    /// Makes the last messages of loops that hang and do not end: the watchdog has their outputs. `None` if they have ended.
    pub fn end(&mut self) -> Option<Vec<Said>> {
        if std::mem::replace(&mut self.has_ended, true) {
            return None;
        }
        let told = self.notes();
        Some(self.round(told))
    }

    /// Appends events and outputs to the messages in `told`.
    fn round(&mut self, told: Vec<Said>) -> Vec<Said> {
        self.rounds += 1;
        let to_hub = self.has_ended || self.rounds.is_multiple_of(HUB_ONE_IN);
        // A trip that is over already is told, too, and its outputs once.
        let trips = self.stats.watchdog_trips();
        let tripped = std::mem::replace(&mut self.trips, trips) != trips || self.stats.is_tripped();
        // What was read before the process stood still is not published after it, until the watchdog or a scan has had its say.
        let is_overdue = self.stats.is_overdue(self.clock.now_ns(), self.overdue_ns);
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
            let value =
                if tripped || is_overdue || self.has_ended { *safe } else { f64::from_bits(port.read()?[0]) };
            said(format!("{OUTPUT}{name}"), value.to_string(), false, to_hub)
        }));
        self.stats.published_some(all.len());
        all
    }

    /// Makes the events of waiting notes, then of the control thread's answers.
    fn notes(&mut self) -> Vec<Said> {
        let mut all = Vec::new();
        loop {
            // Before the notes: that of the answer's command was sent before the command, and is among those that are here now.
            let answer = self.answers.take();
            while let Ok(note) = self.notes.try_recv() {
                all.extend(self.note(note));
            }
            let Some((ticket, why)) = answer else { return all };
            match &why {
                None => self.stats.command_obeyed(),
                Some(_) => self.stats.command_refused(),
            }
            let command = self.waiting.answered(ticket);
            all.extend(command.and_then(|command| command.answer(why.as_deref(), 0, self.now_ms())));
        }
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

    /// Returns the time by the wall clock, which somebody may have set since the start.
    fn now_ms(&self) -> u64 {
        let now_ms = i64::try_from(self.clock.now_ns() / 1_000_000).unwrap_or(i64::MAX);
        u64::try_from(self.clock.wall_ms(now_ms)).unwrap_or_default()
    }

    fn event(&self, event: &ControlEvent) -> Option<Said> {
        match event {
            ControlEvent::Output { output, value, cause, at_ms } => {
                let name = self.names.outputs.get(usize::from(*output))?;
                output_event(name, *value, cause.as_str(), self.clock.wall_ms(*at_ms))
            }
            ControlEvent::Interlock { interlock, status, at_ms } => {
                let name = self.names.interlocks.get(usize::from(*interlock))?;
                let payload = json!({
                    "energised": status.energised, "tripped": status.tripped, "degraded": status.degraded,
                    "bypassed": status.bypassed, "ts": self.clock.wall_ms(*at_ms),
                });
                said_event(&format!("interlock/{name}"), &payload)
            }
            ControlEvent::Alarm { alarm, transition: t } => {
                let name = self.names.alarms.get(usize::from(*alarm))?;
                // The transition keeps its number, which an acknowledgement quotes.
                let mut transition = *t;
                transition.time = self.clock.wall_ms(t.time);
                alarm_event(name, &transition)
            }
        }
    }
}

fn output_event(name: &str, value: f64, cause: &str, at_ms: i64) -> Option<Said> {
    said_event(&format!("output/{name}"), &json!({"value": value, "cause": cause, "ts": at_ms}))
}
