//! Dispatcher of commands to the filters' alarms (acknowledge, shelve), of local clients and of the hub: each is admitted or refused, and answered. Pure.
//!
//! Answers to refused commands are limited in number: the next one has the count of those left out.

use std::collections::VecDeque;

use control_loop::mqtt::{
    Budget, LoopNames, PerGiver, Refusals, Reply, Said, Told, alarm_command, alarm_event, check_age,
};
use edge_bridge::ingest::{Inbound, Now};
use edge_filter::alarm::{AlarmCommand, AlarmLevel, AlarmTransition};
use tokio::sync::mpsc;
use tokio::sync::mpsc::error::TrySendError;

use crate::config::AlarmCommands;

/// Longest payload in bytes; a transition has 20 digits.
const PAYLOAD_MAX: usize = 64;
/// Most obeyed commands whose alarm state is not on disk yet.
const UNKEPT_MAX: usize = 256;
/// Most bytes of changes of alarms that wait until the task that publishes has room, about a hundred for each: one cause may raise thousands at
/// once.
pub(crate) const CHANGES_BYTES_MAX: usize = 2 << 20;
/// Bytes of a waiting change beside the name of its sensor, with what the heap takes for that.
const CHANGE_BYTES: usize = size_of::<(Box<str>, AlarmTransition)>() + 16;
/// Topic level below `cmd/` for alarms.
const ALARM: &str = "alarm/";

/// Returns the part of a topic after `cmd/alarm/`; `None` if it is another topic, or an alarm of the control loops.
pub(in crate::run) fn alarm_topic<'t>(topic: &'t str, loops: Option<&LoopNames>) -> Option<&'t str> {
    let rest = topic.strip_prefix(control_loop::mqtt::COMMAND)?.strip_prefix(ALARM)?;
    loops.is_none_or(|loops| !loops.have_alarm_of(rest)).then_some(rest)
}

/// Giver of a command.
#[derive(Debug)]
pub(in crate::run) enum By {
    /// The client that the message names.
    Client,
    /// The hub, with the way back of the end.
    Hub(Reply),
}

impl By {
    fn is_hub(&self) -> bool {
        matches!(self, By::Hub(_))
    }
}

/// Dispatcher: accepts alarm commands, and sends answers and changes of alarms.
#[derive(Debug)]
pub(crate) struct AlarmDispatcher {
    rules: AlarmCommands,
    all: PerGiver<Budget>,
    refusals: PerGiver<Refusals>,
    said: mpsc::Sender<Said>,
    /// Changes of alarms that found no room in the channel, in order; each with the name of its sensor.
    changes: VecDeque<(Box<str>, AlarmTransition)>,
    changes_bytes: usize,
    /// Changes since the last log line that found no room here either.
    lost: u64,
    /// Answers to obeyed commands that wait until the alarm's state is on disk.
    unkept: Vec<Told>,
}

impl AlarmDispatcher {
    /// Creates the dispatcher. `said` is the channel to the task that publishes its messages.
    pub(crate) fn new(rules: AlarmCommands, said: mpsc::Sender<Said>) -> Self {
        let (all, refusals) = (PerGiver::default(), PerGiver::default());
        let (changes, unkept) = (VecDeque::new(), Vec::new());
        Self { rules, all, refusals, said, changes, changes_bytes: 0, lost: 0, unkept }
    }

    /// Parses and checks a command. Returns its sensor, limit and action. `topic` is the part after `cmd/alarm/`.
    ///
    /// # Errors
    /// The reason of the refusal, in words for its sender.
    pub(in crate::run) fn admit<'t>(
        &self,
        topic: &'t str,
        message: &Inbound,
        by: &By,
    ) -> Result<(&'t str, AlarmLevel, AlarmCommand), &'static str> {
        check_age(message)?;
        if message.payload.len() > PAYLOAD_MAX {
            return Err("the payload is longer than any of a command");
        }
        let command = alarm_command(topic, &message.payload)?;
        let AlarmCommands { clients, hub, .. } = &self.rules;
        match (by, clients) {
            (By::Hub(_), _) if !hub => Err("the hub may not command it: [alarms] hub = true"),
            (By::Client, Some(list)) if !list.iter().any(|one| **one == *message.client) => {
                Err("this client may not command it")
            }
            _ => Ok(command),
        }
    }

    /// Counts a command against the limit per minute. Commands to unknown alarms are not counted.
    ///
    /// # Errors
    /// As [`admit`](Self::admit).
    pub(in crate::run) fn take_turn(&mut self, by: &By, now: Now) -> Result<(), &'static str> {
        if self.unkept.len() >= UNKEPT_MAX {
            return Err("too many commands wait for the disk");
        }
        if !self.all.of(by.is_hub()).take(self.rules.per_minute, nanoseconds(now)) {
            return Err("more commands than alarms.per_minute");
        }
        Ok(())
    }

    /// Answers that a command was refused: its sender within the rate limit, the hub always.
    pub(in crate::run) fn refuse(&mut self, topic: &str, message: &Inbound, why: &str, by: By, now: Now) {
        let refusals = self.refusals.of(by.is_hub());
        let told = told(topic, message, by);
        let Some(more) = refusals.tell(nanoseconds(now)) else { return told.reply(Some(why)) };
        let said = told.answer(Some(why), more, milliseconds(now));
        if said.is_some_and(|said| self.said.try_send(said).is_err()) {
            refusals.untold(more);
        }
    }

    /// Records an obeyed command, whose answer waits for the disk.
    pub(in crate::run) fn obeyed(&mut self, topic: &str, message: &Inbound, by: By) {
        self.unkept.push(told(topic, message, by));
    }

    /// Publishes a change of an alarm's state to local clients, who acknowledge by what it says. If the channel is full, it waits for
    /// [`tell_waiting`](Self::tell_waiting). The hub gets the change in any case, by the row that the filter makes of it.
    pub(in crate::run) fn changed(&mut self, sensor: Box<str>, transition: AlarmTransition) {
        let bytes = self.changes_bytes + CHANGE_BYTES + sensor.len();
        if bytes <= CHANGES_BYTES_MAX {
            self.changes_bytes = bytes;
            self.changes.push_back((sensor, transition));
        } else {
            self.lost += 1;
        }
        self.tell_waiting();
    }

    /// Publishes changes that wait, as far as the channel has room.
    pub(in crate::run) fn tell_waiting(&mut self) {
        while let Some((sensor, transition)) = self.changes.front() {
            if let Some(mut said) = alarm_event(sensor, transition) {
                said.to_hub = false;
                if let Err(TrySendError::Full(_)) = self.said.try_send(said) {
                    return;
                }
            }
            self.changes_bytes -= CHANGE_BYTES + sensor.len();
            self.changes.pop_front();
        }
        if self.lost > 0 {
            let events = std::mem::take(&mut self.lost);
            tracing::warn!(events, "too many alarms changed at once: local clients were not told of all");
        }
    }

    /// Number of commands that wait for the disk.
    pub(in crate::run) fn unkept(&self) -> usize {
        self.unkept.len()
    }

    /// Takes the answers of the oldest `count` commands, because their states are on disk.
    pub(in crate::run) fn kept(&mut self, count: usize) -> Vec<Told> {
        self.unkept.drain(..count.min(self.unkept.len())).collect()
    }
}

fn told(topic: &str, message: &Inbound, by: By) -> Told {
    let topic = format!("{ALARM}{topic}");
    match by {
        By::Client => Told::of(&topic, message),
        By::Hub(reply) => Told::of_hub(&topic, &message.payload, Some(reply)),
    }
}

fn nanoseconds(now: Now) -> u64 {
    now.up_ms.saturating_mul(1_000_000)
}

pub(in crate::run) fn milliseconds(now: Now) -> u64 {
    u64::try_from(now.wall_ms).unwrap_or(0)
}
