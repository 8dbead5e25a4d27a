//! State of one topic that the hub refuses: its [phase](Phase), its held messages and its attempts.

use std::collections::VecDeque;

use crate::bridge::backoff::Backoff;
use crate::bridge::message::Message;
use crate::wire::ReasonCode;

/// Most messages of one topic that are held in RAM as probes.
pub(in crate::bridge) const HELD_MAX: usize = 8;

/// Message that is held in RAM as a probe.
#[derive(Debug, Clone)]
pub(in crate::bridge) struct Held {
    pub(in crate::bridge) message: Message,
    /// Number of the attempt in which the message was refused; `None` if it was not sent yet.
    pub(in crate::bridge) refused_in: Option<u32>,
}

/// Phase of a refused topic, as of a circuit breaker: open, half-open, closing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::bridge) enum Phase {
    /// The topic waits for its next attempt.
    BackOff,
    /// An attempt is under way, which may still send `left` more messages, at least one.
    Attempt { left: usize },
    /// The hub accepted a message since its last refusal. Parked rows are sent, and new ones wait behind them.
    Healing,
}

/// Topic that the hub refuses, or that it accepts again while rows of it are parked.
#[derive(Debug, Clone)]
pub(in crate::bridge) struct Topic {
    pub(in crate::bridge) phase: Phase,
    pub(in crate::bridge) reason: ReasonCode,
    /// Messages held in RAM, in the order of their serial numbers.
    pub(in crate::bridge) held: VecDeque<Held>,
    /// Number of messages in flight.
    pub(in crate::bridge) out: usize,
    /// Number of parked rows, as far as known.
    pub(in crate::bridge) parked: u64,
    /// Rows of `parked` that were parked since the present sweep began.
    pub(in crate::bridge) parked_since: u64,
    /// Rows counted in `parked` that could not be parked and stay in their lanes; with the part of them counted in `parked_since`. Only the
    /// operator's list subtracts them, because like parked rows they are older than new rows.
    pub(in crate::bridge) left: u64,
    pub(in crate::bridge) left_since: u64,
    /// Number of new rows that are parked once no older row of the topic can be parked behind them.
    pub(in crate::bridge) deferred: u64,
    /// Set if rows of the topic were parked again since the last sweep began. Rows that the sweep meets later, or that wait in an open batch, are
    /// younger and are parked behind them.
    pub(in crate::bridge) passed: bool,
    /// Set if messages whose rows were parked before are about to be held.
    pub(in crate::bridge) holds_swept: bool,
    /// Number of the present or last attempt.
    pub(in crate::bridge) attempt: u32,
    /// Time of the last refusal, in milliseconds of `Now::up_ms`.
    pub(in crate::bridge) answered_ms: u64,
    /// Time of the next attempt, in milliseconds of `Now::up_ms`.
    pub(in crate::bridge) due_ms: u64,
    pub(in crate::bridge) backoff: Backoff,
    pub(in crate::bridge) said: bool,
    /// Serial number of the last message at which the hub closed the connection; `None` if it answered by a PUBACK. The next attempt begins with a
    /// younger one.
    pub(in crate::bridge) closed_at: Option<u64>,
}

impl Topic {
    /// Returns whether the hub takes messages of the topic again.
    pub(in crate::bridge) fn is_healing(&self) -> bool {
        self.phase == Phase::Healing
    }

    /// Returns whether a due probe may be sent, because no answer is outstanding.
    pub(in crate::bridge) fn may_probe(&self) -> bool {
        !self.is_healing() && self.out == 0
    }

    /// Up time at which [`begin_attempt`](Self::begin_attempt) returns `true`.
    pub(in crate::bridge) fn next_deadline(&self) -> u64 {
        if matches!(self.phase, Phase::Attempt { .. }) { 0 } else { self.due_ms }
    }

    /// Begins an attempt if it is due, or continues the present one. Returns `false` if neither is possible.
    pub(in crate::bridge) fn begin_attempt(&mut self, now_ms: u64) -> bool {
        match self.phase {
            Phase::Attempt { .. } => {
                // If it was interrupted, what was refused before says nothing of what the hub takes now.
                self.attempt += u32::from(self.answered_ms != now_ms);
            }
            _ if self.due_ms > now_ms => return false,
            _ => {
                self.attempt += 1;
                self.phase = Phase::Attempt { left: 1 << (self.attempt - 1).min(3) };
                self.due_ms = now_ms + self.backoff.next_ms();
            }
        }
        true
    }

    /// Ends the present attempt, if there is one.
    pub(in crate::bridge) fn end_attempt(&mut self) {
        if !self.is_healing() {
            self.phase = Phase::BackOff;
        }
    }

    /// Returns whether new rows have to be parked behind older ones.
    pub(in crate::bridge) fn has_parked(&self) -> bool {
        self.parked + self.deferred > 0
    }

    /// Returns whether the messages held in RAM have to stay there when others go back to the spool: they are older than rows of the topic that are
    /// parked, or their own rows were parked before and are older than those in the lanes.
    pub(in crate::bridge) fn has_to_hold(&self) -> bool {
        self.has_parked() || self.holds_swept || self.held.iter().any(|held| held.message.swept)
    }

    /// Returns whether there is room in RAM for every message in flight, so that none of them, if refused, would be parked behind rows parked now.
    pub(in crate::bridge) fn is_settled(&self) -> bool {
        self.held.len() + self.out <= HELD_MAX
    }

    pub(in crate::bridge) fn hold(&mut self, message: Message, refused_in: Option<u32>) {
        let at = self.held.partition_point(|held| held.message.serial < message.serial);
        self.held.insert(at, Held { message, refused_in });
    }

    /// Takes the oldest held message that the present attempt has not sent, behind the one at which the hub closed; `None` if there is none.
    pub(in crate::bridge) fn take_probe(&mut self) -> Option<Message> {
        let attempt = self.attempt;
        let is_left = |held: &Held| held.refused_in != Some(attempt);
        let is_next = |held: &Held| is_left(held) && self.closed_at.is_none_or(|at| held.message.serial > at);
        let at = self.held.iter().position(is_next).or_else(|| self.held.iter().position(is_left))?;
        self.held.remove(at).map(|held| held.message)
    }

    /// Counts a refused probe, and ends the attempt if it has sent as many messages as it may, or all that are held.
    pub(in crate::bridge) fn on_probe_refused(&mut self, now_ms: u64) {
        self.answered_ms = now_ms;
        let attempt = self.attempt;
        let all_tried = self.held.iter().all(|held| held.refused_in == Some(attempt));
        match &mut self.phase {
            Phase::Attempt { left } if *left > 1 && !all_tried => *left -= 1,
            _ => self.end_attempt(),
        }
    }
}
