//! Commands of the hub on their way to local clients, loops and alarms: admission, order, expiry and ends (promise 10). Pure; times are those of `Now::up_ms`.
//!
//! A command goes through [`Phase`]s. Its identity is durable before a client gets it, and its outcome before the answer; the PUBACK to the hub
//! comes last. So after a restart each command is either unknown, or without an outcome, or has the outcome that was reported.

mod limits;
mod own_ends;

use std::collections::{BTreeMap, HashMap, VecDeque};

use edge_bridge::listener::Settled;
use edge_bridge::wire::{Publish, QoS, Utf8, matches};

use crate::config::CommandRule;

use super::admission::{admit, expiring};
use super::answer::{Outcome, Reason, ReturnAddress};
use super::command::{Command, Phase, Step, Ticket};
use super::counts::CommandCounts;
use super::delivered_identities::{Change, DeliveredIdentities, Known, Record};
use super::identity::{Identity, Key};
use super::topic_order::TopicOrder;
use limits::{STUCK_MS, bytes};

/// Milliseconds after the expiry in which clients may still acknowledge a command that they have received.
const GRACE_MS: u64 = 1_000;
/// Milliseconds until a command without a subscriber is tried again.
const AGAIN_MS: u64 = 1_000;

/// Commands of this process, and the delivered identities of earlier ones.
#[derive(Debug)]
pub(super) struct Dispatcher {
    rules: Vec<CommandRule>,
    identities: DeliveredIdentities,
    commands: BTreeMap<Ticket, Command>,
    /// Commands whose answer is not safe in the queue yet, by identity.
    by_key: HashMap<Key, Ticket>,
    /// Commands that clients are to get, in order for each local topic.
    order: TopicOrder,
    steps: VecDeque<Step>,
    last: u64,
    is_stopping: bool,
    counts: CommandCounts,
}

impl Dispatcher {
    /// Restores the state from before a restart. A command without an outcome may have been obeyed, so it is reported as interrupted.
    pub(super) fn new(
        rules: Vec<CommandRule>,
        identities: DeliveredIdentities,
        counts: CommandCounts,
        wall_ms: i64,
    ) -> Self {
        let open: Vec<_> = identities.open().map(|(key, known)| (key, known.clone())).collect();
        let mut dispatcher = Self {
            rules,
            identities,
            commands: BTreeMap::new(),
            by_key: HashMap::new(),
            order: TopicOrder::default(),
            steps: VecDeque::new(),
            last: 0,
            is_stopping: false,
            counts,
        };
        for (key, known) in open {
            let (to, outcome) = match known {
                Known::Started(to) => (to, None),
                Known::Ended(to, outcome, at) => (to, Some((outcome, at))),
                Known::Answered => continue,
            };
            let is_ended = outcome.is_some();
            let command = Command::without_client(Some(key), true, to);
            let ticket = dispatcher.take_in(Command { is_started: true, outcome, ..command });
            if is_ended {
                dispatcher.answer(ticket);
            } else {
                dispatcher.end(ticket, Outcome::Refused(Reason::Interrupted), wall_ms);
            }
        }
        dispatcher
    }

    /// Returns the next action for the shell. `None`: there is none now.
    pub(super) fn next_step(&mut self) -> Option<Step> {
        self.steps.pop_front()
    }

    /// Handles a message of the hub. `waited_ms` is the longest time that it may have waited in this process. Returns the ticket of its command,
    /// which is an earlier command if the message is a copy of one whose answer is not safe yet: at least once, only the hub's copy.
    pub(super) fn arrive(&mut self, now_ms: u64, wall_ms: i64, publish: &Publish, waited_ms: u64) -> Ticket {
        let rule = self.rules.iter().find(|rule| matches(&rule.filter, &publish.topic)).cloned();
        let Some(rule) = rule else {
            // A copy by a filter of an earlier configuration, which the session still has.
            return self.pass_over();
        };
        let identity = Identity::of(publish);
        let to = ReturnAddress::of(publish, identity.as_ref().ok(), &rule.answers);
        let key = identity.as_ref().ok().map(|identity| identity.key);
        let is_named = identity.as_ref().is_ok_and(|identity| identity.shown.is_some());
        if let Some(key) = key.filter(|_| is_named || publish.dup) {
            // At least once, a copy that the sender published is a command of its own; one that the hub repeats is the same.
            if let Some(ticket) = self.by_key.get(&key).filter(|_| rule.at_most_once || publish.dup) {
                return *ticket;
            }
            if rule.at_most_once && self.identities.get(key).is_some() {
                if is_named {
                    self.counts.add_copy();
                    return self.pass_over();
                }
                return self.refuse((None, false), to, Reason::Copy, wall_ms);
            }
        }
        let admitted = identity.map_err(|()| Reason::BadId).and_then(|_| admit(&rule, publish, waited_ms));
        let (topic, left_ms) = match admitted {
            Ok(admitted) => admitted,
            // The same whenever it comes, but for the time that it may have waited here: a copy of one that is late must not be obeyed.
            Err(reason) => {
                let is_kept = rule.at_most_once && reason == Reason::Expired;
                return self.refuse((key, is_kept), to, reason, wall_ms);
            }
        };
        if !self.make_room(&topic, bytes(publish), now_ms, wall_ms) {
            // Kept: a copy of it must not be obeyed later.
            return self.refuse((key, rule.at_most_once), to, Reason::Busy, wall_ms);
        }
        let local = Publish {
            dup: false,
            qos: QoS::AtLeastOnce,
            retain: false,
            topic: topic.clone(),
            packet_id: None,
            properties: publish.properties.clone(),
            payload: publish.payload.clone(),
        };
        let ticket = self.take_in(Command {
            phase: Phase::Waiting { next_ms: now_ms },
            publish: Some(local),
            deadline_ms: now_ms + left_ms,
            ..Command::without_client(key, rule.at_most_once, to)
        });
        self.order.push(&topic, ticket);
        self.give_next(&topic, now_ms, wall_ms);
        ticket
    }

    /// Continues a command whose record was to be written. `is_kept`: the record is on disk. Otherwise a new command is refused, and an end
    /// is written once more later.
    pub(super) fn kept(&mut self, now_ms: u64, wall_ms: i64, ticket: Ticket, is_kept: bool) {
        let Some(command) = self.commands.get_mut(&ticket) else { return };
        match command.phase {
            Phase::Starting if !is_kept => {
                // Told at once: with a full disk every command would wait here.
                self.close(ticket, Outcome::Refused(Reason::NotKept), wall_ms);
                self.answer(ticket);
            }
            Phase::Starting => {
                command.phase = Phase::Waiting { next_ms: now_ms };
                if self.is_stopping {
                    return self.stop();
                }
                if let Some(topic) = command.publish.as_ref().map(|publish| publish.topic.clone()) {
                    self.give_next(&topic, now_ms, wall_ms);
                }
            }
            Phase::Ending if !is_kept => {
                command.phase = Phase::Unkept { next_ms: now_ms + AGAIN_MS };
                // Its start may be lost too: an end alone says not whom to tell.
                command.is_started = false;
            }
            Phase::Ending => self.answer(ticket),
            Phase::Waiting { .. } | Phase::Given { .. } | Phase::Unkept { .. } | Phase::Answering => {}
        }
    }

    /// Ends a command that clients have acknowledged, or never will; otherwise plans another attempt.
    pub(super) fn settled(&mut self, now_ms: u64, wall_ms: i64, ticket: Ticket, settled: Settled) {
        let is_given = |command: &&mut Command| matches!(command.phase, Phase::Given { .. });
        let Some(command) = self.commands.get_mut(&ticket).filter(is_given) else { return };
        let topic = command.publish.as_ref().map(|publish| publish.topic.clone());
        let acknowledged = settled.delivered.saturating_sub(settled.sent);
        // What was dropped without having been written, as from a session that ended, nobody has.
        command.was_given |= settled.written > 0;
        // A second attempt may be a second time for who has it: at most once there is none, and none where only QoS 0 is asked for.
        let is_only_sent = settled.sent > 0 && settled.dropped == 0;
        let is_final = command.was_given && (command.is_kept || is_only_sent);
        if acknowledged > 0 {
            self.end(ticket, Outcome::Delivered(acknowledged), wall_ms);
        } else if is_final || now_ms >= command.deadline_ms {
            self.end(ticket, Outcome::Refused(Reason::Nobody), wall_ms);
        } else {
            command.phase = Phase::Waiting { next_ms: now_ms + AGAIN_MS };
            command.alone_ms.get_or_insert(now_ms);
            if self.is_stopping {
                return self.stop();
            }
        }
        if let Some(topic) = topic {
            self.shorten_if_stuck(&topic, now_ms, wall_ms);
            self.give_next(&topic, now_ms, wall_ms);
        }
    }

    /// Removes a command whose answer is safe in the queue, and acknowledges the command to the hub.
    pub(super) fn answered(&mut self, ticket: Ticket) {
        let Some(command) = self.commands.remove(&ticket) else { return };
        if let Some(key) = command.key {
            if self.by_key.get(&key) == Some(&ticket) {
                self.by_key.remove(&key);
            }
            if command.is_kept {
                let record = Record { key, change: Change::Answered };
                self.identities.apply(&record);
                // Without it the same answer goes once more after a restart.
                self.steps.push_back(Step::Keep(None, record));
            }
        }
        self.steps.push_back(Step::Acknowledge(ticket));
    }

    /// Ends commands that have expired, and tries again those that are due.
    pub(super) fn tick(&mut self, now_ms: u64, wall_ms: i64) {
        let is_due = |command: &Command| match command.phase {
            Phase::Waiting { next_ms } => next_ms <= now_ms || command.deadline_ms <= now_ms,
            Phase::Unkept { next_ms } => next_ms <= now_ms,
            Phase::Given { since_ms } => {
                since_ms + STUCK_MS <= now_ms || command.deadline_ms + GRACE_MS <= now_ms
            }
            _ => false,
        };
        let due: Vec<_> =
            self.commands.iter().filter(|(_, command)| is_due(command)).map(|(ticket, _)| *ticket).collect();
        for ticket in due {
            let Some(command) = self.commands.get(&ticket) else { continue };
            if matches!(command.phase, Phase::Unkept { .. }) {
                self.keep_end(ticket);
                continue;
            }
            let Some(topic) = command.publish.as_ref().map(|publish| publish.topic.clone()) else { continue };
            let is_given = matches!(command.phase, Phase::Given { .. });
            if is_given && command.deadline_ms + GRACE_MS <= now_ms {
                self.end(ticket, Outcome::Refused(Reason::NotAcknowledged), wall_ms);
            } else if !is_given && command.deadline_ms <= now_ms {
                let was_first = self.order.first(&topic) == Some(ticket);
                let reason = if was_first { Reason::Nobody } else { Reason::Expired };
                self.end(ticket, Outcome::Refused(reason), wall_ms);
            }
            self.shorten_if_stuck(&topic, now_ms, wall_ms);
            self.give_next(&topic, now_ms, wall_ms);
        }
    }

    /// Stops the delivery of commands. A command that no client received is forgotten, so that the hub's repetition after the next start counts
    /// as new.
    pub(super) fn stop(&mut self) {
        self.is_stopping = true;
        for command in self.commands.values().filter(|command| command.is_started) {
            // Without an identity the key is another command's, too, and a copy of that would be obeyed once more. Such a command is interrupted.
            let key = command.key.filter(|_| command.to.id.is_some());
            if let (Phase::Waiting { .. }, Some(key)) = (command.phase, key) {
                self.steps.push_back(Step::Keep(None, Record { key, change: Change::Forgotten }));
            }
        }
    }

    /// Returns whether an outcome is being written to disk, or an answer is being stored in the queue.
    pub(super) fn is_answering(&self) -> bool {
        self.commands.values().any(|command| matches!(command.phase, Phase::Ending | Phase::Answering))
    }

    /// Returns the delivered identities, whose text replaces the file.
    pub(super) fn identities(&self) -> &DeliveredIdentities {
        &self.identities
    }

    fn take_in(&mut self, command: Command) -> Ticket {
        self.last += 1;
        let ticket = Ticket(self.last);
        if let Some(key) = command.key {
            // One that is refused leaves its twin where it is.
            let is_twin = command.publish.is_none() && self.by_key.contains_key(&key);
            self.by_key.extend((!is_twin).then_some((key, ticket)));
        }
        self.commands.insert(ticket, command);
        ticket
    }

    /// Acknowledges a message to the hub without an answer.
    fn pass_over(&mut self) -> Ticket {
        self.last += 1;
        self.steps.push_back(Step::Acknowledge(Ticket(self.last)));
        Ticket(self.last)
    }

    /// Refuses a command with an answer. `key` is its identity, if it has one; the flag tells whether outcome and identity are kept on disk.
    fn refuse(
        &mut self,
        (key, is_kept): (Option<Key>, bool),
        to: ReturnAddress,
        reason: Reason,
        wall_ms: i64,
    ) -> Ticket {
        let ticket = self.take_in(Command::without_client(key, is_kept, to));
        self.end(ticket, Outcome::Refused(reason), wall_ms);
        ticket
    }

    fn keep(&mut self, ticket: Ticket, record: Record) {
        self.identities.apply(&record);
        self.steps.push_back(Step::Keep(Some(ticket), record));
    }

    /// Delivers the first command of a topic to clients, if it is due.
    fn give_next(&mut self, topic: &Utf8, now_ms: u64, wall_ms: i64) {
        while let Some(ticket) = self.order.first(topic) {
            let Some(command) = self.commands.get_mut(&ticket) else { return };
            let Phase::Waiting { next_ms } = command.phase else { return };
            if self.is_stopping || (next_ms > now_ms && command.deadline_ms > now_ms) {
                return;
            }
            let left_ms = command.deadline_ms.saturating_sub(now_ms);
            let publish = command.publish.as_ref().filter(|_| left_ms > 0);
            let Some(publish) = publish.and_then(|publish| expiring(publish, left_ms)) else {
                self.end(ticket, Outcome::Refused(Reason::Expired), wall_ms);
                continue;
            };
            match command.start() {
                Some(record) => {
                    command.phase = Phase::Starting;
                    self.keep(ticket, record);
                }
                None => {
                    command.phase = Phase::Given { since_ms: now_ms };
                    self.steps.push_back(Step::Give(ticket, publish, left_ms));
                }
            }
            return;
        }
    }

    /// Ends a command. If its identity is kept on disk, the outcome is made durable before the answer.
    fn end(&mut self, ticket: Ticket, outcome: Outcome, wall_ms: i64) {
        self.close(ticket, outcome, wall_ms);
        if !self.keep_end(ticket) {
            self.answer(ticket);
        }
    }

    fn keep_end(&mut self, ticket: Ticket) -> bool {
        let Some(command) = self.commands.get_mut(&ticket) else { return false };
        let key = command.key.filter(|_| command.is_kept);
        let (Some(key), Some((outcome, at))) = (key, command.outcome.clone()) else { return false };
        command.phase = Phase::Ending;
        if let Some(start) = command.start() {
            self.identities.apply(&start);
            self.steps.push_back(Step::Keep(None, start));
        }
        self.keep(ticket, Record { key, change: Change::Ended(outcome, at) });
        true
    }

    /// Sets the outcome of a command. No client gets it any more, and the next command of its topic may be delivered.
    fn close(&mut self, ticket: Ticket, outcome: Outcome, wall_ms: i64) {
        let Some(command) = self.commands.get_mut(&ticket) else { return };
        let outcome = command.end_of(outcome);
        self.counts.add(&outcome);
        if let Outcome::Refused(reason) = outcome {
            self.steps.push_back(Step::Tell(command.to.command.clone(), reason));
        }
        let alone_ms = command.alone_ms.filter(|_| outcome == Outcome::Refused(Reason::Nobody));
        command.outcome = Some((outcome, wall_ms));
        let Some(topic) = command.publish.take().map(|publish| publish.topic) else { return };
        self.order.remove(&topic, ticket);
        // Its topic is as deserted for the next one.
        let next = self.order.first(&topic).and_then(|next| self.commands.get_mut(&next));
        if let Some(next) = next {
            next.alone_ms = next.alone_ms.or(alone_ms);
        }
    }

    fn answer(&mut self, ticket: Ticket) {
        let Some(command) = self.commands.get_mut(&ticket) else { return };
        command.phase = Phase::Answering;
        let answer = command.outcome.as_ref().and_then(|(outcome, at)| {
            let row = command.to.answer(outcome, *at)?;
            Some(Step::Answer(ticket, Box::new(row), outcome.kind()))
        });
        match answer {
            Some(answer) => self.steps.push_back(answer),
            // No topic for answers, or one of a damaged file: nobody is told.
            None => self.answered(ticket),
        }
    }
}

#[cfg(test)]
mod history_tests;
#[cfg(test)]
mod tests;
