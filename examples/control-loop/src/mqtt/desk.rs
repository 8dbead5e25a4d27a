//! Commands on their way: admitted or refused here, obeyed or refused by the control thread, answered in each case.
//!
//! Refusals that are told are bounded, since the hub's queue and the log are: what is left out is counted in the next one.

use super::command::command;
use super::command_rules::{Budget, CommandRules, Permission};
use super::names::LoopNames;
use crate::runner::{Commands, LoopStats};
use edge_bridge::escape::Escaped;
use edge_bridge::ingest::Inbound;
use edge_bridge::wire::Utf8;
use std::collections::VecDeque;
use std::sync::Arc;
use tokio::sync::mpsc;

/// Notes that wait for the task that publishes them.
const NOTES_MAX: usize = 256;
/// Refusals and disputes that are told.
const TOLD_PER_MINUTE: u32 = 20;
/// Bytes of a payload and a topic that are shown.
const SHOWN_MAX: usize = 120;

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

/// A command as it is told.
#[derive(Clone, Debug)]
pub(super) struct Told {
    /// Its topic without `cmd/`, escaped.
    pub(super) topic: String,
    pub(super) payload: String,
    pub(super) client: String,
}

impl Told {
    fn of(topic: &str, message: &Inbound) -> Told {
        let payload = String::from_utf8_lossy(message.payload.get(..SHOWN_MAX).unwrap_or(&message.payload));
        Told { topic: shown(topic), payload: shown(&payload), client: shown(&message.client) }
    }
}

/// Escaped, and no longer than a line.
pub(super) fn shown(text: &str) -> String {
    Escaped(text).to_string().chars().take(SHOWN_MAX).collect()
}

/// The way in of commands.
#[derive(Debug)]
pub(super) struct Desk {
    permission: Permission,
    commands: Commands,
    notes: mpsc::Sender<Note>,
    told: Budget,
    untold: u64,
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
        (Desk { permission, commands, notes, told: Budget::default(), untold: 0, ticket: 0, stats }, received)
    }

    /// A message under `cmd/`; returns whether the control thread has it.
    pub(super) fn take(&mut self, names: &LoopNames, topic: &str, message: &Inbound, now_ns: u64) -> bool {
        match self.admit(names, topic, message, now_ns) {
            Ok(()) => true,
            Err(why) => {
                self.stats.command_refused();
                if self.told.take(TOLD_PER_MINUTE, now_ns) {
                    let more = std::mem::take(&mut self.untold);
                    self.note(Note::Refused { command: Told::of(topic, message), why, more });
                } else {
                    self.untold += 1;
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
        if self.told.take(TOLD_PER_MINUTE, now_ns) {
            let clients = clients.map(|both| both.map(|client| shown(client)));
            self.note(Note::Disputed { input: input.to_owned(), clients });
        }
    }

    fn note(&mut self, note: Note) {
        if self.notes.try_send(note).is_err() {
            self.untold += 1;
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
