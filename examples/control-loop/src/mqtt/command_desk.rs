//! Commands on their way: admitted or refused here, obeyed or refused by the control thread, answered in each case.
//!
//! Refusals that are told are bounded, since the hub's queue and the log are: what is left out is counted in the next one. Disputed inputs have
//! bounds and room of their own, so that no flood of commands hides one.

use super::command::command;
use super::command_answers::{Client, Refusals, Told, check_age};
use super::command_rules::{Budget, CommandRules, Permission};
use super::names::LoopNames;
use crate::runner::{Commands, LoopStats, STOOD_STILL, WAITED_NS_MAX};
use edge_bridge::ingest::Inbound;
use std::collections::VecDeque;
use std::sync::Arc;
use tokio::sync::mpsc;

/// Notes that wait for the task that publishes them.
const NOTES_MAX: usize = 256;
/// Places among them that commands leave to disputes.
const PLACES_FOR_DISPUTES: usize = 64;
/// Ends and beginnings of disputes that are told, of each input.
const DISPUTES_PER_MINUTE: u32 = 20;

/// Something to be told. Exhaustive.
#[derive(Debug)]
pub(super) enum Note {
    /// A command that the control thread got under this number.
    Asked { ticket: u64, command: Told },
    /// A command that was refused, and the refusals before it that were not told.
    Refused { command: Told, why: &'static str, more: u64 },
    /// An input has two publishers, or one again.
    Disputed { input: String, clients: Option<[Client; 2]> },
}

/// The way in of commands.
#[derive(Debug)]
pub(super) struct Desk {
    permission: Permission,
    commands: Commands,
    notes: mpsc::Sender<Note>,
    refusals: Refusals,
    ticket: u64,
    stats: Arc<LoopStats>,
}

impl Desk {
    pub(super) fn new(
        rules: CommandRules,
        commands: Commands,
        stats: Arc<LoopStats>,
    ) -> (Desk, mpsc::Receiver<Note>) {
        let (notes, received) = mpsc::channel(NOTES_MAX);
        let permission = Permission::new(rules);
        (Desk { permission, commands, notes, refusals: Refusals::default(), ticket: 0, stats }, received)
    }

    /// A message under `cmd/` that arrived at `arrived_ns` or later; returns whether the control thread has it.
    pub(super) fn take(
        &mut self,
        names: &LoopNames,
        topic: &str,
        message: &Inbound,
        (now_ns, arrived_ns): (u64, u64),
    ) -> bool {
        let waited_ns = now_ns.saturating_sub(arrived_ns);
        match self.admit(names, topic, message, now_ns, waited_ns) {
            Ok(()) => true,
            Err(why) => {
                self.stats.command_refused();
                if let Some(more) = self.refusals.tell(now_ns) {
                    let note = Note::Refused { command: Told::of(topic, message), why, more };
                    if !self.note(note) {
                        self.refusals.untold(more);
                    }
                }
                false
            }
        }
    }

    fn admit(
        &mut self,
        names: &LoopNames,
        topic: &str,
        message: &Inbound,
        now_ns: u64,
        waited_ns: u64,
    ) -> Result<(), &'static str> {
        if !self.permission.are_on() {
            return Err("commands are off: [control] commands = true");
        }
        check_age(message)?;
        if waited_ns > WAITED_NS_MAX {
            return Err(STOOD_STILL);
        }
        let command = command(names, topic, &message.payload)?;
        self.permission.check(names, &message.client, &command, now_ns)?;
        self.ticket += 1;
        // Before the command: its answer may come at once. Without room for the note the command would have no answer.
        let note = Note::Asked { ticket: self.ticket, command: Told::of(topic, message) };
        let is_sent = self.note(note) && self.commands.send(self.ticket, command);
        is_sent.then_some(()).ok_or("too many commands wait")
    }

    /// Says that an input has two publishers, these `clients`, or one again (`None`). `told`: what was said of this input, so that another one's
    /// publishers use nothing of it up. Returns false if there is no room: then it is to be said later.
    pub(super) fn dispute(
        &mut self,
        input: &str,
        clients: Option<[Client; 2]>,
        told: &mut Budget,
        now_ns: u64,
    ) -> bool {
        if !told.take(DISPUTES_PER_MINUTE, now_ns) {
            return false;
        }
        self.note(Note::Disputed { input: input.to_owned(), clients })
    }

    /// Returns whether there is room for it.
    fn note(&self, note: Note) -> bool {
        let left = if matches!(note, Note::Disputed { .. }) { 0 } else { PLACES_FOR_DISPUTES };
        self.notes.capacity() > left && self.notes.try_send(note).is_ok()
    }
}

/// Commands that wait for the control thread's answer, in their order.
#[derive(Debug, Default)]
pub(super) struct Waiting(VecDeque<(u64, Told)>);

impl Waiting {
    pub(super) fn asked(&mut self, ticket: u64, command: Told) {
        if self.0.len() >= NOTES_MAX {
            self.0.pop_front();
        }
        self.0.push_back((ticket, command));
    }

    /// The command of an answer; those before it found no room on their way.
    pub(super) fn answered(&mut self, ticket: u64) -> Option<Told> {
        while let Some((found, command)) = self.0.pop_front() {
            if found == ticket {
                return Some(command);
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;
    use edge_bridge::wire::{Properties, Publish, QoS, Utf8, Version};
    use edge_filter::control::handoff;

    fn command(topic: &'static str) -> Inbound {
        let publish = Publish {
            dup: false,
            qos: QoS::AtMostOnce,
            retain: false,
            topic: Utf8::from_static(topic),
            packet_id: None,
            properties: Properties::default(),
            payload: Bytes::new(),
        };
        Inbound::new(Utf8::from_static("hand"), Version::V5, &publish)
    }

    #[test]
    fn neither_commands_nor_another_input_use_up_what_disputes_have() {
        let names = LoopNames {
            inputs: Vec::new(),
            outputs: Vec::new(),
            interlocks: vec!["stop".to_owned()],
            alarms: Vec::new(),
            take_commands: true,
        };
        let message = command("cmd/interlock/stop/reset");
        let mut rules: CommandRules = toml::from_str("per_minute = 100000").unwrap();
        rules.are_on = true;
        let (sender, _commands) = handoff::ring(1024);
        let (mut desk, mut notes) = Desk::new(rules, Commands(sender), Arc::default());
        let taken =
            (0..1_000).filter(|_| desk.take(&names, "interlock/stop/reset", &message, (1, 1))).count();
        assert_eq!(taken, NOTES_MAX - PLACES_FOR_DISPUTES);
        let both = || Some(["a", "b"].map(|name| Client::new(name, None)));
        let (mut one, mut other) = (Budget::default(), Budget::default());
        let said = (0..100).filter(|_| desk.dispute("x", both(), &mut one, 1)).count();
        assert_eq!(said, 20);
        assert!(desk.dispute("y", both(), &mut other, 1) && desk.dispute("y", None, &mut other, 1));
        while notes.try_recv().is_ok() {}
        assert!(!desk.dispute("x", None, &mut one, 59_000_000_000));
        assert!(desk.dispute("x", None, &mut one, 60_000_000_001));
    }

    #[test]
    fn no_refusal_is_forgotten_where_none_can_be_told() {
        let names = LoopNames {
            inputs: Vec::new(),
            outputs: Vec::new(),
            interlocks: Vec::new(),
            alarms: Vec::new(),
            take_commands: true,
        };
        let message = command("cmd/a");
        let (sender, _commands) = handoff::ring(1024);
        let (mut desk, mut notes) = Desk::new(CommandRules::default(), Commands(sender), Arc::default());
        let mut told = 0;
        for minute in 0..14_u64 {
            let now = minute * 60_000_000_000;
            (0..30).for_each(|_| assert!(!desk.take(&names, "a", &message, (now, now))));
            // Nobody takes the first 240, for which there is no room.
            while minute >= 12
                && let Ok(Note::Refused { more, .. }) = notes.try_recv()
            {
                told += 1 + more;
            }
        }
        assert_eq!(told + desk.refusals.tell(15 * 60_000_000_000).unwrap(), 14 * 30);
    }
}
