//! Effect of retry sweeps on refused topics: counts of parked rows that a sweep has met, and held messages that go back to the spool.

use std::collections::VecDeque;

use crate::bridge::message::Message;
use crate::wire::{ReasonCode, Utf8};

use super::refused_topic::Phase;
use super::refused_topics::Refusals;

impl Refusals {
    /// Marks a topic whose rows were parked again. The mark holds until the next sweep begins, because rows that this sweep met may wait in an
    /// open batch for longer than the sweep lasts.
    pub(in crate::bridge) fn on_passed(&mut self, topic: &Utf8) {
        if let Some(topic) = self.topics.get_mut(topic) {
            topic.passed = true;
        }
    }

    /// Uncounts a parked row of this topic that was leased.
    pub(in crate::bridge) fn on_swept(&mut self, topic: &Utf8) {
        if let Some(topic) = self.topics.get_mut(topic) {
            topic.parked = topic.parked.saturating_sub(1);
        }
    }

    /// Puts a topic in back-off whose parked rows were leased by a sweep and are not sent for now. New rows of the topic wait behind them, as
    /// behind refused ones.
    pub(in crate::bridge) fn hold_swept(&mut self, now_ms: u64, name: &Utf8) {
        self.add(now_ms, name, ReasonCode::NOT_AUTHORIZED, 0);
        if let Some(topic) = self.topics.get_mut(name) {
            topic.holds_swept = true;
        }
    }

    /// Returns whether a topic that the hub accepts again has parked rows that no sweep has met yet, and clears that mark.
    pub(in crate::bridge) fn take_sweep_wanted(&mut self) -> bool {
        std::mem::take(&mut self.sweep_wanted)
    }

    /// Begins to count the rows parked during a sweep, apart from those that it meets. `meets_all`: no row is being parked. If one is, earlier counts go on,
    /// because the sweep does not meet that row.
    pub(in crate::bridge) fn on_sweep_begins(&mut self, meets_all: bool) {
        for topic in self.topics.values_mut() {
            (topic.parked_since, topic.left_since) =
                if meets_all { (0, 0) } else { (topic.parked, topic.left) };
            topic.passed = false;
        }
    }

    /// Reduces the counts at the end of a sweep to the rows that were parked since its begin; the others were sent or have expired.
    pub(in crate::bridge) fn on_sweep_over(&mut self) {
        for topic in self.topics.values_mut() {
            (topic.parked, topic.left) = (topic.parked_since, topic.left_since);
            self.sweep_wanted |= topic.is_healing() && topic.has_parked();
        }
        self.topics.retain(|_, topic| !topic.is_healing() || topic.has_parked());
    }

    /// Takes the held messages and forgets their topics. Unless `all`, a topic keeps its messages if it has parked rows, which are younger, or if
    /// its held messages were parked before, because these are older than the rows in the lanes.
    pub(in crate::bridge) fn take_held(&mut self, all: bool) -> Vec<Message> {
        let mut out = Vec::new();
        for topic in self.topics.values_mut().filter(|topic| all || !topic.has_to_hold()) {
            out.extend(topic.held.drain(..).map(|held| held.message));
        }
        self.held_bytes -= out.iter().map(|message| message.bytes).sum::<u64>();
        self.topics.retain(|_, topic| topic.has_to_hold());
        self.topics.values_mut().for_each(|topic| topic.holds_swept = false);
        out
    }

    /// Returns whether held messages of parked rows may go back to the spool. They may not while a topic holds a new, younger message behind one
    /// of them, which would then be sent first.
    pub(in crate::bridge) fn may_give_back_swept(&self) -> bool {
        self.topics.values().all(|topic| topic.held.iter().is_sorted_by_key(|held| held.message.swept))
    }

    /// Takes the held messages whose rows were parked before.
    pub(in crate::bridge) fn take_held_swept(&mut self) -> Vec<Message> {
        let mut out = Vec::new();
        for topic in self.topics.values_mut() {
            let held = std::mem::take(&mut topic.held).into_iter();
            let (swept, kept): (VecDeque<_>, _) = held.partition(|held| held.message.swept);
            topic.held = kept;
            out.extend(swept.into_iter().map(|held| held.message));
        }
        self.held_bytes -= out.iter().map(|message| message.bytes).sum::<u64>();
        out
    }

    /// Uncounts a message that was to be sent and now is not. Returns it, or holds it in its place among others of its topic, if these have to stay, and
    /// returns `None`.
    pub(in crate::bridge) fn take_back(&mut self, message: Message) -> Option<Message> {
        let Some(topic) = self.topics.get_mut(message.topic()) else { return Some(message) };
        topic.out = topic.out.saturating_sub(1);
        if !message.swept && !topic.has_to_hold() {
            return Some(message);
        }
        self.held_bytes += message.bytes;
        if topic.is_healing() {
            topic.phase = Phase::BackOff;
        }
        topic.hold(message, None);
        None
    }
}
