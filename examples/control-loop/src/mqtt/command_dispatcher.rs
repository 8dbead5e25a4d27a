//! Dispatcher of commands: each is admitted or refused here, obeyed or refused by the control thread, and answered.
//!
//! Answers to refused commands are limited, like the hub's queue and the log: the next answer has the count of those left out. Disputed inputs
//! have limits and room of their own, so that no flood of commands hides a dispute.

use super::command_answers::{Client, Refusals, Reply, Told, check_age};
use super::command_parser::command;
use super::command_rules::{Budget, CommandRules, Permission};
use super::names::LoopNames;
use super::per_command_source::PerGiver;
use crate::runner::{Commands, LoopStats, STOOD_STILL, WAITED_NS_MAX};
use edge_bridge::ingest::Inbound;
use edge_filter::control::ControlCommand;
use std::collections::VecDeque;
use std::sync::Arc;
use tokio::sync::mpsc;

/// Most notes in the channel to the task that publishes them.
const NOTES_MAX: usize = 256;
/// Entries of the channel that commands leave free for disputes.
const PLACES_FOR_DISPUTES: usize = 64;
/// Most begins and ends of disputes reported per minute, for each input.
const DISPUTES_PER_MINUTE: u32 = 20;

const TOO_MANY: &str = "too many commands wait";

/// Something to be told. Exhaustive.
#[derive(Debug)]
pub(super) enum Note {
    /// A command that was passed to the control thread under this number.
    Asked { ticket: u64, command: Told },
    /// A command that was refused; with the number of earlier refusals without an answer.
    Refused { command: Told, why: &'static str, more: u64 },
    /// An input has two publishers, or one again.
    Disputed { input: String, clients: Option<[Client; 2]> },
}

/// Dispatcher: accepts commands and passes them to the control thread.
#[derive(Debug)]
pub(super) struct Dispatcher {
    permission: Permission,
    commands: Commands,
    notes: mpsc::Sender<Note>,
    refusals: PerGiver<Refusals>,
    /// Time from its arrival for which the control thread may obey a command: a scan's period, and a delay that nobody notices.
    obeyed_within_ns: u64,
    ticket: u64,
    stats: Arc<LoopStats>,
}

impl Dispatcher {
    pub(super) fn new(
        rules: CommandRules,
        commands: Commands,
        period_ns: u64,
        stats: Arc<LoopStats>,
    ) -> (Dispatcher, mpsc::Receiver<Note>) {
        let (notes, received) = mpsc::channel(NOTES_MAX);
        let permission = Permission::new(rules);
        let refusals = PerGiver::default();
        let obeyed_within_ns = period_ns.saturating_add(WAITED_NS_MAX);
        (Dispatcher { permission, commands, notes, refusals, obeyed_within_ns, ticket: 0, stats }, received)
    }

    /// Handles a message under `cmd/` that arrived at `arrived_ns` or later; returns whether it was passed to the control thread.
    pub(super) fn take(
        &mut self,
        names: &LoopNames,
        topic: &str,
        message: &Inbound,
        (now_ns, arrived_ns): (u64, u64),
    ) -> bool {
        let waited_ns = now_ns.saturating_sub(arrived_ns);
        let is_fresh =
            check_age(message).and(if waited_ns > WAITED_NS_MAX { Err(STOOD_STILL) } else { Ok(()) });
        let told = || Told::of(topic, message);
        let permitted =
            self.permit(names, (topic, &message.payload), Some(&message.client), is_fresh, now_ns);
        let by_ns = arrived_ns.saturating_add(self.obeyed_within_ns);
        match permitted.and_then(|command| self.ask(told(), command, by_ns)) {
            Ok(()) => true,
            Err(why) => {
                self.refuse(told(), why, false, now_ns);
                false
            }
        }
    }

    /// Takes a command of the hub, on `topic` below `cmd/`, which is obeyed within `left_ms` or refused. Its end goes to `reply`.
    pub(super) fn take_of_hub(
        &mut self,
        names: &LoopNames,
        (topic, payload): (&str, &[u8]),
        left_ms: u64,
        reply: Reply,
        now_ns: u64,
    ) {
        let permitted = self.permit(names, (topic, payload), None, Ok(()), now_ns);
        let within_ns = self.obeyed_within_ns.min(left_ms.saturating_mul(1_000_000));
        let by_ns = now_ns.saturating_add(within_ns);
        let why = match permitted {
            Ok(command) if self.has_room() => {
                match self.ask(Told::of_hub(topic, payload, Some(reply)), command, by_ns) {
                    Ok(()) => return,
                    // The network thread has ended: the reply went with the note, and nobody knows.
                    Err(why) => why,
                }
            }
            refused => {
                let why = refused.err().unwrap_or(TOO_MANY);
                // Its receiver ends with the gateway.
                let _ = reply.send(Err(why.to_owned()));
                why
            }
        };
        self.refuse(Told::of_hub(topic, payload, None), why, true, now_ns);
    }

    /// Returns the command if `client`, or the hub (`None`), may give it now.
    fn permit(
        &mut self,
        names: &LoopNames,
        (topic, payload): (&str, &[u8]),
        client: Option<&str>,
        is_fresh: Result<(), &'static str>,
        now_ns: u64,
    ) -> Result<ControlCommand, &'static str> {
        if !self.permission.are_on() {
            return Err("commands are off: [control] commands = true");
        }
        is_fresh?;
        let command = command(names, topic, payload)?;
        self.permission.check(names, client, &command, now_ns)?;
        Ok(command)
    }

    /// Hands a command to the control thread, which obeys it until `by_ns`.
    ///
    /// # Errors
    /// There is no room for it.
    fn ask(&mut self, told: Told, command: ControlCommand, by_ns: u64) -> Result<(), &'static str> {
        if !self.has_room() {
            return Err(TOO_MANY);
        }
        self.ticket += 1;
        // Before the command: its answer may come at once. Without room for the note the command would have no answer.
        let note = Note::Asked { ticket: self.ticket, command: told };
        let is_sent = self.note(note) && self.commands.send(self.ticket, command, by_ns);
        is_sent.then_some(()).ok_or(TOO_MANY)
    }

    /// Says that a command was refused, if not too many were.
    fn refuse(&mut self, command: Told, why: &'static str, of_hub: bool, now_ns: u64) {
        self.stats.command_refused();
        if let Some(more) = self.refusals.of(of_hub).tell(now_ns)
            && !self.note(Note::Refused { command, why, more })
        {
            self.refusals.of(of_hub).untold(more);
        }
    }

    /// Reports that an input has two publishers (`clients`), or a single one again (`None`). `told` is the rate limit
    /// of this input's reports, so that other inputs have their own. Returns false if there is no room: then report it
    /// later.
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

    /// Returns whether there is room for a command: for its note, and on its way to the control thread.
    fn has_room(&self) -> bool {
        self.has_place() && self.commands.has_room()
    }

    /// Returns whether there is a place among the notes that is not for disputes.
    fn has_place(&self) -> bool {
        self.notes.capacity() > PLACES_FOR_DISPUTES
    }

    /// Returns whether there is room for it.
    fn note(&self, note: Note) -> bool {
        let has_room = matches!(note, Note::Disputed { .. }) || self.has_place();
        has_room && self.notes.try_send(note).is_ok()
    }
}

/// Queue of the commands that wait for the control thread's answer, oldest first.
#[derive(Debug, Default)]
pub(super) struct Waiting(VecDeque<(u64, Told)>);

impl Waiting {
    pub(super) fn asked(&mut self, ticket: u64, command: Told) {
        if self.0.len() >= NOTES_MAX {
            self.0.pop_front();
        }
        self.0.push_back((ticket, command));
    }

    /// Removes the command with this number, and those before it: their answers were lost because a channel was full.
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
        let (mut dispatcher, mut notes) =
            Dispatcher::new(rules, Commands(sender), 10_000_000, Arc::default());
        let taken =
            (0..1_000).filter(|_| dispatcher.take(&names, "interlock/stop/reset", &message, (1, 1))).count();
        assert_eq!(taken, NOTES_MAX - PLACES_FOR_DISPUTES);
        let both = || Some(["a", "b"].map(|name| Client::new(name, None)));
        let (mut one, mut other) = (Budget::default(), Budget::default());
        let said = (0..100).filter(|_| dispatcher.dispute("x", both(), &mut one, 1)).count();
        assert_eq!(said, 20);
        assert!(
            dispatcher.dispute("y", both(), &mut other, 1) && dispatcher.dispute("y", None, &mut other, 1)
        );
        while notes.try_recv().is_ok() {}
        assert!(!dispatcher.dispute("x", None, &mut one, 59_000_000_000));
        assert!(dispatcher.dispute("x", None, &mut one, 60_000_000_001));
    }

    /// A command of the hub ends with the control thread's answer. Without room for it, or without permission, the hub gets a refusal at once.
    #[test]
    fn promise_10_each_command_of_the_hub_has_its_end() {
        let names = LoopNames {
            inputs: Vec::new(),
            outputs: Vec::new(),
            interlocks: vec!["stop".to_owned()],
            alarms: Vec::new(),
            take_commands: true,
        };
        let mut rules: CommandRules = toml::from_str("per_minute = 100000\nhub = [\"interlock\"]").unwrap();
        rules.are_on = true;
        let (sender, _commands) = handoff::ring(1024);
        let (mut dispatcher, mut notes) =
            Dispatcher::new(rules, Commands(sender), 10_000_000, Arc::default());
        let mut give = |topic: &str| {
            let (reply, end) = tokio::sync::oneshot::channel();
            dispatcher.take_of_hub(&names, (topic, b""), 9_000, reply, 1);
            end
        };
        let refused = give("interlock/door/reset").try_recv().unwrap();
        assert_eq!(refused, Err("no interlock of this name".to_owned()));
        let mut ends: Vec<_> = (0..NOTES_MAX).map(|_| give("interlock/stop/reset")).collect();
        let mut waiting = Waiting::default();
        while let Ok(note) = notes.try_recv() {
            if let Note::Asked { ticket, command } = note {
                waiting.asked(ticket, command);
            }
        }
        let asked = waiting.0.len();
        assert_eq!(asked, NOTES_MAX - PLACES_FOR_DISPUTES - 1, "one place has the first refusal");
        for (n, end) in ends.iter_mut().enumerate().skip(asked) {
            assert_eq!(end.try_recv().unwrap(), Err(TOO_MANY.to_owned()), "{n}");
        }
        assert!(ends[0].try_recv().is_err(), "not before the control thread has answered");
        let said = waiting.answered(1).unwrap().answer(Some("still tripped"), 0, 7).unwrap();
        assert_eq!(said.topic.as_str(), "event/refused/interlock/stop/reset");
        assert_eq!(ends[0].try_recv().unwrap(), Err("still tripped".to_owned()));
        drop(waiting.answered(2).unwrap().answer(None, 0, 8));
        assert_eq!(ends[1].try_recv().unwrap(), Ok(()));
        // Those before an answer found no room on their way: nobody knows.
        waiting.answered(4);
        assert_eq!(ends[2].try_recv(), Err(tokio::sync::oneshot::error::TryRecvError::Closed));
    }

    /// A loop that scans seldom obeys none later than the hub wants, and none for longer than usual because the hub has time.
    #[test]
    fn promise_10_a_command_of_the_hub_is_obeyed_no_later_than_the_hub_wants() {
        let names = LoopNames {
            inputs: Vec::new(),
            outputs: Vec::new(),
            interlocks: vec!["stop".to_owned()],
            alarms: Vec::new(),
            take_commands: true,
        };
        let mut rules: CommandRules = toml::from_str("per_minute = 100000\nhub = [\"interlock\"]").unwrap();
        rules.are_on = true;
        let (sender, mut commands) = handoff::ring(4);
        let period_ns = 5_000_000_000;
        let (mut dispatcher, _notes) = Dispatcher::new(rules, Commands(sender), period_ns, Arc::default());
        for (left_ms, by_ns) in [
            (200, 200_000_001),
            (9_000, 1 + period_ns + WAITED_NS_MAX),
            (u64::MAX, 1 + period_ns + WAITED_NS_MAX),
        ] {
            let (reply, _end) = tokio::sync::oneshot::channel();
            dispatcher.take_of_hub(&names, ("interlock/stop/reset", b""), left_ms, reply, 1);
            assert_eq!(commands.receive().unwrap()[3], by_ns, "{left_ms} ms are left");
        }
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
        let (mut dispatcher, mut notes) =
            Dispatcher::new(CommandRules::default(), Commands(sender), 10_000_000, Arc::default());
        let mut told = 0;
        for minute in 0..14_u64 {
            let now = minute * 60_000_000_000;
            (0..30).for_each(|_| assert!(!dispatcher.take(&names, "a", &message, (now, now))));
            // Nobody takes the first 240, for which there is no room.
            while minute >= 12
                && let Ok(Note::Refused { more, .. }) = notes.try_recv()
            {
                told += 1 + more;
            }
        }
        assert_eq!(told + dispatcher.refusals.of(false).tell(15 * 60_000_000_000).unwrap(), 14 * 30);
    }
}
