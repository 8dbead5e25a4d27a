//! One topic that the hub refuses: its [phases](Phase), its held messages and its attempts.

use std::collections::VecDeque;

use super::backoff::Backoff;
use super::message::Message;
use crate::wire::ReasonCode;

/// Messages of one topic that serve as probes.
pub(super) const HELD_MAX: usize = 8;

/// A message that is kept as a probe.
#[derive(Debug)]
pub(super) struct Held {
    pub(super) message: Message,
    /// The attempt in which it was refused; `None`: not sent yet.
    pub(super) refused_in: Option<u32>,
}

/// Phase of a topic: those of a circuit breaker that is open, half-open and closing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Phase {
    /// The topic waits for its next attempt.
    BackOff,
    /// The present attempt may still send so many messages, at least one.
    Attempt { left: usize },
    /// The hub took a message since its last refusal: parked rows go out, new ones go behind them.
    Healing,
}

/// A topic that the hub refuses, or takes again while rows of it are parked.
#[derive(Debug)]
pub(super) struct Topic {
    pub(super) phase: Phase,
    pub(super) reason: ReasonCode,
    /// Messages held back, in the order of their serial numbers.
    pub(super) held: VecDeque<Held>,
    /// Messages handed out to be sent and not answered.
    pub(super) out: usize,
    /// Parked rows, as far as known.
    pub(super) parked: u64,
    /// Rows of `parked` that were parked since the present sweep began.
    pub(super) parked_since: u64,
    /// Rows of `parked` and of `parked_since` that turned out not to be parked: they wait in their place. For the list only: like parked ones they are
    /// older than new rows.
    pub(super) left: u64,
    pub(super) left_since: u64,
    /// New rows that are to be parked once nothing older of the topic can come behind them.
    pub(super) deferred: u64,
    /// Rows of it were parked again since the last sweep began: what that sweep still meets, or has in an open batch, is younger and goes behind them.
    pub(super) passed: bool,
    /// Messages of parked rows are about to be held.
    pub(super) holds_swept: bool,
    /// Number of the present or last attempt.
    pub(super) attempt: u32,
    /// Time of the last refusal, in milliseconds of `Now::up_ms`.
    pub(super) answered_ms: u64,
    /// Time of the next attempt, in milliseconds of `Now::up_ms`.
    pub(super) due_ms: u64,
    pub(super) backoff: Backoff,
    pub(super) said: bool,
}

impl Topic {
    /// Tells that the hub takes its messages again.
    pub(super) fn is_healing(&self) -> bool {
        self.phase == Phase::Healing
    }

    /// Tells that a probe may be sent as soon as it is time: no answer is waited for.
    pub(super) fn may_probe(&self) -> bool {
        !self.is_healing() && self.out == 0
    }

    /// Up time at which [`begin_attempt`](Self::begin_attempt) says yes.
    pub(super) fn next_deadline(&self) -> u64 {
        if matches!(self.phase, Phase::Attempt { .. }) { 0 } else { self.due_ms }
    }

    /// Begins an attempt if it is due, or goes on with the present one.
    pub(super) fn begin_attempt(&mut self, now_ms: u64) -> bool {
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
    pub(super) fn end_attempt(&mut self) {
        if !self.is_healing() {
            self.phase = Phase::BackOff;
        }
    }

    /// Tells that new rows have to go behind parked ones.
    pub(super) fn has_parked(&self) -> bool {
        self.parked + self.deferred > 0
    }

    /// Tells that what is held has its place before parked rows, or was parked itself.
    pub(super) fn has_to_hold(&self) -> bool {
        self.has_parked() || self.holds_swept || self.held.iter().any(|held| held.message.swept)
    }

    /// Tells that all that is on its way could be held: nothing of it would be parked behind what is parked now.
    pub(super) fn is_settled(&self) -> bool {
        self.held.len() + self.out <= HELD_MAX
    }

    pub(super) fn hold(&mut self, message: Message, refused_in: Option<u32>) {
        let at = self.held.partition_point(|held| held.message.serial < message.serial);
        self.held.insert(at, Held { message, refused_in });
    }

    /// The oldest held message that the present attempt has not sent.
    pub(super) fn take_probe(&mut self) -> Option<Message> {
        let attempt = self.attempt;
        let at = self.held.iter().position(|held| held.refused_in != Some(attempt))?;
        self.held.remove(at).map(|held| held.message)
    }

    /// Notes that a probe was refused. The attempt is over when it has sent all it may, or all that is held.
    pub(super) fn on_probe_refused(&mut self, now_ms: u64) {
        self.answered_ms = now_ms;
        let attempt = self.attempt;
        let all_tried = self.held.iter().all(|held| held.refused_in == Some(attempt));
        match &mut self.phase {
            Phase::Attempt { left } if *left > 1 && !all_tried => *left -= 1,
            _ => self.end_attempt(),
        }
    }
}
