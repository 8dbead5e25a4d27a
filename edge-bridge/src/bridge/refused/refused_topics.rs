//! Topics that the hub refuses: a circuit breaker for each topic, with its own back-off and its messages in order.
//!
//! The first refused messages of a topic are *held* in RAM as probes, with their rows leased in place; later ones are *parked* unsent, behind the
//! other rows of the spool. An attempt sends the oldest held message and, while the hub goes on refusing, some of those behind it, more with
//! every attempt, so that one message that the hub never accepts does not decide for its topic. One accepted message heals the topic. Messages
//! that were refused in the same attempt are then bad by themselves; the others are sent in their order, then the parked ones, then new ones.

use std::collections::{BTreeMap, VecDeque};

use crate::bridge::backoff::{Backoff, BackoffConfig};
use crate::bridge::message::Message;
use crate::bridge::spool::Spool;
use crate::wire::{ReasonCode, Utf8};

use super::refused_topic::{HELD_MAX, Held, Phase, Topic};

/// Most topics in back-off. Refused messages of further topics are parked and tried with the next sweep.
const TOPICS_MAX: usize = 256;
/// Bytes of held messages, of all topics together, above which no topic is added and each topic keeps only its oldest message once all its
/// messages in flight are answered.
const HELD_BYTES_MAX: u64 = 1 << 20;
/// First and longest delay between attempts on a refused topic, in milliseconds.
const RETRY_MS: (u64, u64) = (1_000, 600_000);

/// Creates an exponential back-off from 1 s to 10 min, with jitter.
pub(in crate::bridge) fn retry_backoff(seed: u64) -> Backoff {
    let config = BackoffConfig { base_ms: RETRY_MS.0, max_ms: RETRY_MS.1, silent_max_ms: RETRY_MS.1 };
    Backoff::new(config, seed)
}

/// Decision on a message that is ready to be sent.
#[derive(Debug, Clone)]
pub(in crate::bridge) enum Route {
    /// The message may be sent.
    Send(Message),
    /// The message is held in RAM with its refused topic.
    Held,
    /// The message's rows are to be parked.
    Park(Message, ReasonCode),
}

/// Consequences of an accepted message whose topic was in back-off.
#[derive(Debug, Clone, Default)]
pub(in crate::bridge) struct Healed {
    /// Messages to be sent now, in this order.
    pub(in crate::bridge) again: Vec<Message>,
    /// Messages that were refused in the same attempt in which the hub accepted another one.
    pub(in crate::bridge) bad: Vec<(Message, ReasonCode)>,
    /// Set if an event had reported the refusal to the application.
    pub(in crate::bridge) said: bool,
}

/// All topics in back-off.
#[derive(Debug, Clone, Default)]
pub(in crate::bridge) struct Refusals {
    pub(in crate::bridge) topics: BTreeMap<Utf8, Topic>,
    pub(in crate::bridge) held_bytes: u64,
    seed: u64,
    pub(in crate::bridge) sweep_wanted: bool,
}

impl Refusals {
    pub(in crate::bridge) fn new(seed: u64) -> Self {
        Self { seed, ..Self::default() }
    }

    /// Number of topics in back-off.
    pub(in crate::bridge) fn refused_topics(&self) -> usize {
        self.topics.values().filter(|topic| !topic.is_healing()).count()
    }

    /// Number of refused messages held in RAM.
    pub(in crate::bridge) fn held(&self) -> usize {
        self.topics.values().map(|topic| topic.held.len()).sum()
    }

    /// Returns whether held messages exceed [`HELD_BYTES_MAX`] and some of them wait for answers, so that no new message may be made.
    pub(in crate::bridge) fn is_full(&self) -> bool {
        self.held_bytes > HELD_BYTES_MAX
            && self.topics.values().any(|topic| topic.out > 0 && topic.held.len() > HELD_MAX)
    }

    /// Returns the refusal's reason if rows of this topic are parked unsent; `None` if they are sent or held. `swept`: the row was parked before.
    pub(in crate::bridge) fn parks(&self, topic: &Utf8, swept: bool) -> Option<ReasonCode> {
        let topic = self.topics.get(topic)?;
        let is_behind = if swept { topic.passed } else { topic.has_parked() };
        let is_full = topic.may_probe() && topic.held.len() >= HELD_MAX;
        (is_behind || is_full).then_some(topic.reason)
    }

    /// Decides if a new message is sent to the hub, held in RAM, or parked.
    pub(in crate::bridge) fn route(&mut self, message: Message) -> Route {
        let parks = self.parks(message.topic(), message.swept);
        match self.topics.get_mut(message.topic()) {
            None => Route::Send(message),
            Some(topic) => match parks {
                Some(reason) => Route::Park(message, reason),
                None if topic.is_healing() => {
                    topic.out += 1;
                    Route::Send(message)
                }
                None => {
                    self.held_bytes += message.bytes;
                    topic.hold(message, None);
                    Route::Held
                }
            },
        }
    }

    /// Counts rows of this topic that were parked.
    pub(in crate::bridge) fn on_parked(&mut self, topic: &Utf8, rows: u64) {
        if let Some(topic) = self.topics.get_mut(topic) {
            topic.parked += rows;
            topic.parked_since += rows;
        }
    }

    /// Counts rows of this topic that could not be parked, and stay in their lanes, although they were counted as parked.
    pub(in crate::bridge) fn on_left(&mut self, topic: &Utf8, rows: u64) {
        if let Some(topic) = self.topics.get_mut(topic) {
            topic.left += rows;
            topic.left_since += rows;
        }
    }

    /// Counts new rows of this topic that wait to be parked.
    pub(in crate::bridge) fn on_deferred(&mut self, topic: &Utf8, rows: u64) {
        if let Some(topic) = self.topics.get_mut(topic) {
            topic.deferred += rows;
        }
    }

    /// Uncounts deferred rows of this topic, because they are being parked or went back to their lanes.
    pub(in crate::bridge) fn on_not_deferred(&mut self, topic: &Utf8, rows: u64) {
        if let Some(topic) = self.topics.get_mut(topic) {
            topic.deferred = topic.deferred.saturating_sub(rows);
        }
    }

    /// Returns whether new rows of this topic may be parked now, because no older row of the topic can still be parked behind them.
    pub(in crate::bridge) fn is_settled(&self, topic: &Utf8) -> bool {
        self.topics.get(topic).is_none_or(Topic::is_settled)
    }

    /// Returns whether [`is_settled`](Self::is_settled) holds for every topic. A sweep then meets no row that is younger than rows parked during
    /// the sweep.
    pub(in crate::bridge) fn all_settled(&self) -> bool {
        self.topics.values().all(Topic::is_settled)
    }

    /// Returns whether new rows of this topic wait to be parked.
    pub(in crate::bridge) fn has_deferred(&self, topic: &Utf8) -> bool {
        self.topics.get(topic).is_some_and(|topic| topic.deferred > 0)
    }

    /// Counts a message in flight that did not pass through [`route`](Self::route).
    pub(in crate::bridge) fn on_out(&mut self, topic: &Utf8) {
        if let Some(topic) = self.topics.get_mut(topic) {
            topic.out += 1;
        }
    }

    /// Uncounts a message in flight that got no answer.
    pub(in crate::bridge) fn on_gone(&mut self, topic: &Utf8) {
        if let Some(topic) = self.uncount(topic) {
            topic.end_attempt();
        }
    }

    /// Handles the end of a probe that was not sent, because it is too large: it says nothing of the topic, and the attempt goes on with the next one.
    pub(in crate::bridge) fn on_not_sent(&mut self, topic: &Utf8) {
        self.uncount(topic);
    }

    fn uncount(&mut self, topic: &Utf8) -> Option<&mut Topic> {
        let topic = self.topics.get_mut(topic)?;
        topic.out = topic.out.saturating_sub(1);
        Some(topic)
    }

    /// Handles a refused message, which puts its topic in back-off. `out` is the number of other messages of this topic in flight. Returns the
    /// message if the limit of topics or bytes is reached.
    pub(in crate::bridge) fn on_refused(
        &mut self,
        now_ms: u64,
        message: Message,
        reason: ReasonCode,
        out: usize,
    ) -> Option<Message> {
        let name = message.topic().clone();
        let is_known = self.topics.contains_key(&name);
        if !self.add(now_ms, &name, reason, out) {
            return Some(message);
        }
        let Some(topic) = self.topics.get_mut(&name) else { return Some(message) };
        self.held_bytes += message.bytes;
        topic.reason = reason;
        // Set again where it is the answer of a close.
        topic.closed_at = None;
        topic.out = topic.out.saturating_sub(usize::from(is_known));
        if topic.is_healing() {
            topic.phase = Phase::BackOff;
            topic.attempt += 1;
            topic.due_ms = now_ms + topic.backoff.next_ms();
        }
        let attempt = topic.attempt;
        topic.hold(message, Some(attempt));
        topic.on_probe_refused(now_ms);
        None
    }

    /// Puts a topic in back-off without a message, so that its next one is held. `out` is the number of its messages in flight. Returns `false`
    /// at the limit of topics.
    pub(in crate::bridge) fn add(
        &mut self,
        now_ms: u64,
        name: &Utf8,
        reason: ReasonCode,
        out: usize,
    ) -> bool {
        if self.topics.contains_key(name) {
            return true;
        }
        if self.topics.len() >= TOPICS_MAX || self.held_bytes > HELD_BYTES_MAX {
            return false;
        }
        self.seed = self.seed.wrapping_add(0x9e37_79b9);
        let mut backoff = retry_backoff(self.seed);
        let topic = Topic {
            phase: Phase::BackOff,
            reason,
            held: VecDeque::new(),
            out,
            parked: 0,
            parked_since: 0,
            left: 0,
            left_since: 0,
            deferred: 0,
            passed: false,
            holds_swept: false,
            attempt: 0,
            answered_ms: now_ms,
            due_ms: now_ms + backoff.next_ms(),
            backoff,
            said: false,
            closed_at: None,
        };
        self.topics.insert(name.clone(), topic);
        true
    }

    /// Returns whether an event has reported that this topic is refused.
    pub(in crate::bridge) fn is_said(&self, name: &Utf8) -> bool {
        self.topics.get(name).is_some_and(|topic| topic.said)
    }

    /// Marks the topic's refusal as reported.
    pub(in crate::bridge) fn say(&mut self, name: &Utf8) {
        if let Some(topic) = self.topics.get_mut(name) {
            topic.said = true;
        }
    }

    /// Lets a refused topic heal, because the hub accepted a message of it. Returns its held messages, apart those that were refused in the same attempt.
    /// `None` if the topic was not refused.
    pub(in crate::bridge) fn on_accepted(&mut self, name: &Utf8) -> Option<Healed> {
        let topic = self.topics.get_mut(name)?;
        topic.out = topic.out.saturating_sub(1);
        let mut healed = Healed { said: std::mem::take(&mut topic.said), ..Healed::default() };
        for Held { message, refused_in } in topic.held.drain(..) {
            self.held_bytes -= message.bytes;
            if refused_in == Some(topic.attempt) {
                healed.bad.push((message, topic.reason));
            } else {
                healed.again.push(message);
            }
        }
        topic.out += healed.again.len();
        if !healed.bad.is_empty() {
            topic.backoff.reset();
        }
        (topic.phase, topic.closed_at) = (Phase::Healing, None);
        if topic.has_parked() {
            self.sweep_wanted = true;
        } else {
            self.topics.remove(name);
        }
        Some(healed)
    }

    /// Takes the messages that need not be held once all messages in flight of their topic are answered, to park them; the first [`HELD_MAX`]
    /// stay.
    pub(in crate::bridge) fn trim(&mut self) -> Vec<(Message, ReasonCode)> {
        let mut out = Vec::new();
        for topic in self.topics.values_mut().filter(|topic| topic.may_probe()) {
            let kept = if self.held_bytes > HELD_BYTES_MAX { 1 } else { HELD_MAX };
            while topic.held.len() > kept
                && let Some(held) = topic.held.pop_back()
            {
                self.held_bytes -= held.message.bytes;
                out.push((held.message, topic.reason));
            }
        }
        out.sort_by_key(|(message, _)| message.serial);
        out
    }

    /// Takes held messages that have expired; none before an attempt is due.
    pub(in crate::bridge) fn take_expired(&mut self, now_ms: u64, spool: &impl Spool) -> Vec<Message> {
        let mut out = Vec::new();
        if self.next_deadline().is_none_or(|due_ms| due_ms > now_ms) {
            return out;
        }
        for topic in self.topics.values_mut() {
            for held in std::mem::take(&mut topic.held) {
                if held.message.is_expired(now_ms, spool) {
                    self.held_bytes -= held.message.bytes;
                    out.push(held.message);
                } else {
                    topic.held.push_back(held);
                }
            }
        }
        out
    }

    /// Takes the next probe that is due, if any.
    pub(in crate::bridge) fn next_attempt(&mut self, now_ms: u64) -> Option<Message> {
        let mut empty = Vec::new();
        let mut found = None;
        for (name, topic) in self.topics.iter_mut().filter(|(_, topic)| topic.may_probe()) {
            if !topic.begin_attempt(now_ms) {
                continue;
            }
            if let Some(message) = topic.take_probe() {
                self.held_bytes -= message.bytes;
                topic.out += 1;
                found = Some(message);
                break;
            }
            if !topic.held.is_empty() {
                // What this attempt had still to send expired: the others had their turn.
                topic.end_attempt();
                continue;
            }
            // Everything held expired: a parked row is the next probe.
            topic.phase = Phase::Healing;
            self.sweep_wanted |= topic.has_parked();
            if !topic.has_parked() {
                empty.push(name.clone());
            }
        }
        empty.iter().for_each(|name| drop(self.topics.remove(name)));
        found
    }

    /// Ends all attempts. A later PUBACK then has no effect on messages that were refused before it.
    pub(in crate::bridge) fn end_attempts(&mut self) {
        for topic in self.topics.values_mut() {
            topic.attempt += 1;
            topic.end_attempt();
        }
    }

    /// Up time at which [`next_attempt`](Self::next_attempt) has a probe; `None` if no topic may probe.
    pub(in crate::bridge) fn next_deadline(&self) -> Option<u64> {
        self.topics.values().filter(|topic| topic.may_probe()).map(Topic::next_deadline).min()
    }

    /// Returns whether the topic is in back-off.
    pub(in crate::bridge) fn is_refused(&self, name: &Utf8) -> bool {
        self.topics.get(name).is_some_and(|topic| !topic.is_healing())
    }

    /// Returns whether the topic is in back-off, or accepted again while rows of it are parked.
    pub(in crate::bridge) fn knows(&self, name: &Utf8) -> bool {
        self.topics.contains_key(name)
    }

    /// Iterates over the topics with messages held in RAM.
    pub(in crate::bridge) fn held_topics(&self) -> impl Iterator<Item = &Utf8> {
        self.topics.iter().filter(|(_, topic)| !topic.held.is_empty()).map(|(name, _)| name)
    }

    /// Takes the oldest held message of this topic, to send it now as an attempt of its own, because earlier refusals say nothing about this
    /// moment.
    pub(in crate::bridge) fn take_oldest(&mut self, name: &Utf8) -> Option<Message> {
        let topic = self.topics.get_mut(name)?;
        let message = topic.held.pop_front()?.message;
        self.held_bytes -= message.bytes;
        topic.attempt += 1;
        topic.end_attempt();
        topic.out += 1;
        Some(message)
    }
}

#[cfg(test)]
mod tests;
