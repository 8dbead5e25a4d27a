//! Commands on their way: admitted or refused here, obeyed or refused by the control thread, answered in each case.
//!
//! Refusals that are told are bounded, since the hub's queue and the log are: what is left out is counted in the next one.

use super::command::command;
use super::command_rules::{CommandRules, Permission};
use super::names::LoopNames;
use super::told::{Refusals, Told, shown};
use crate::runner::{Commands, LoopStats};
use edge_bridge::ingest::Inbound;
use edge_bridge::wire::Utf8;
use std::collections::VecDeque;
use std::sync::Arc;
use tokio::sync::mpsc;

/// Notes that wait for the task that publishes them.
const NOTES_MAX: usize = 256;

/// Something to be told. Exhaustive.
#[derive(Debug)]
pub(super) enum Note {
    /// A command that the control thread got under this number.
    Asked { ticket: u64, command: Told },
    /// A command that was refused, and the refusals before it that were not told.
    Refused { command: Told, why: &'static str, more: u64 },
    /// An input has two publishers, or one again.
    Disputed { input: String, clients: Option<[String; 2]> },
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

    /// A message under `cmd/`; returns whether the control thread has it.
    pub(super) fn take(&mut self, names: &LoopNames, topic: &str, message: &Inbound, now_ns: u64) -> bool {
        match self.admit(names, topic, message, now_ns) {
            Ok(()) => true,
            Err(why) => {
                self.stats.command_refused();
                if let Some(more) = self.refusals.tell(now_ns) {
                    self.note(Note::Refused { command: Told::of(topic, message), why, more });
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
    ) -> Result<(), &'static str> {
        if !self.permission.are_on() {
            return Err("commands are off: [control] commands = true");
        }
        if message.retain {
            return Err("retained: nobody knows how old it is");
        }
        let command = command(names, topic, &message.payload).ok_or("no such command, or not its payload")?;
        self.permission.check(names, &message.client, &command, now_ns)?;
        self.ticket += 1;
        // Before the command: its answer may come at once. Without room for the note the command would have no answer.
        let note = Note::Asked { ticket: self.ticket, command: Told::of(topic, message) };
        self.notes.try_send(note).map_err(|_| "too many commands wait")?;
        if self.commands.send(self.ticket, command) { Ok(()) } else { Err("too many commands wait") }
    }

    /// `clients`: the two; `None` when one is alone again.
    pub(super) fn dispute(&mut self, input: &str, clients: Option<[&Utf8; 2]>, now_ns: u64) {
        if self.refusals.may_tell(now_ns) {
            let clients = clients.map(|both| both.map(|client| shown(client)));
            self.note(Note::Disputed { input: input.to_owned(), clients });
        }
    }

    fn note(&mut self, note: Note) {
        if self.notes.try_send(note).is_err() {
            self.refusals.untold();
        }
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
