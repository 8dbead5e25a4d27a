//! Commands of local clients and of the hub to the filters' alarms: admitted or refused here, and answered in each case. Pure.
//!
//! Refusals that are told are bounded: those left out are counted in the next one.

use control_loop::mqtt::{
    Budget, LoopNames, Refusals, Reply, Said, Told, alarm_command, alarm_event, check_age,
};
use edge_bridge::ingest::{Inbound, Now};
use edge_filter::alarm::{AlarmCommand, AlarmLevel, AlarmTransition};
use tokio::sync::mpsc;

use crate::config::AlarmCommands;

/// A transition has 20 digits.
const PAYLOAD_MAX: usize = 64;
/// Commands that were obeyed and are not on disk yet.
const UNKEPT_MAX: usize = 256;
/// Below `cmd/`.
const ALARM: &str = "alarm/";

/// The part of a topic behind `cmd/alarm/`, unless one of the loops' alarms is meant.
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

/// The way in of commands, and out of what is said of them.
#[derive(Debug)]
pub(crate) struct AlarmDesk {
    rules: AlarmCommands,
    clients: Budget,
    /// Apart from that of the clients, so that neither uses the other's up.
    hub: Budget,
    refusals: Refusals,
    said: mpsc::Sender<Said>,
    /// Commands that were obeyed: the answer waits until the alarm's state is on disk.
    unkept: Vec<Told>,
}

impl AlarmDesk {
    /// `said`: to who publishes it.
    pub(crate) fn new(rules: AlarmCommands, said: mpsc::Sender<Said>) -> Self {
        let (clients, hub, refusals) = (Budget::default(), Budget::default(), Refusals::default());
        Self { rules, clients, hub, refusals, said, unkept: Vec::new() }
    }

    /// Returns the sensor, the limit and the command of a message; `topic`: its part behind `cmd/alarm/`.
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

    /// Takes a place among the commands of a minute. Commands to alarms that nobody has take none.
    ///
    /// # Errors
    /// As [`admit`](Self::admit).
    pub(in crate::run) fn take_turn(&mut self, by: &By, now: Now) -> Result<(), &'static str> {
        if self.unkept.len() >= UNKEPT_MAX {
            return Err("too many commands wait for the disk");
        }
        let budget = match by {
            By::Client => &mut self.clients,
            By::Hub(_) => &mut self.hub,
        };
        if !budget.take(self.rules.per_minute, nanoseconds(now)) {
            return Err("more commands than alarms.per_minute");
        }
        Ok(())
    }

    /// Says that a command was refused, if not too many were. The hub is answered in each case.
    pub(in crate::run) fn refuse(&mut self, topic: &str, message: &Inbound, why: &str, by: By, now: Now) {
        let told = told(topic, message, by);
        if let Some(more) = self.refusals.tell(nanoseconds(now)) {
            let said = told.answer(Some(why), more, milliseconds(now));
            if said.is_some_and(|said| self.said.try_send(said).is_err()) {
                self.refusals.untold(more);
            }
        } else {
            told.reply(Some(why));
        }
    }

    /// A command was obeyed.
    pub(in crate::run) fn obeyed(&mut self, topic: &str, message: &Inbound, by: By) {
        self.unkept.push(told(topic, message, by));
    }

    /// Says that an alarm changed its state. One that nobody takes in time is not said here; the hub has its row.
    pub(in crate::run) fn changed(&mut self, sensor: &str, transition: &AlarmTransition) {
        if let Some(mut said) = alarm_event(sensor, transition) {
            said.to_hub = false;
            let _ = self.said.try_send(said);
        }
    }

    /// Commands that wait for the disk.
    pub(in crate::run) fn unkept(&self) -> usize {
        self.unkept.len()
    }

    /// The oldest of them, which wait no longer.
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
