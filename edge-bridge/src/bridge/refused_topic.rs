//! One topic in back-off: its held messages and its attempts.

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

/// A topic that the hub refuses, or takes again while rows of it are parked.
#[derive(Debug)]
pub(super) struct Topic {
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
    /// The present sweep parked rows of it again: what the sweep still meets is younger, and goes behind them.
    pub(super) passed: bool,
    /// Messages of parked rows are about to be held.
    pub(super) holds_swept: bool,
    pub(super) attempt: u32,
    /// Messages that the present attempt may still send.
    pub(super) tries: usize,
    /// Time of the last refusal, in milliseconds of `Now::up_ms`.
    pub(super) answered_ms: u64,
    pub(super) due_ms: u64,
    pub(super) backoff: Backoff,
    /// The hub took a message since its last refusal: parked rows go out, new ones go behind them.
    pub(super) healing: bool,
    pub(super) said: bool,
}

impl Topic {
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
        self.tries = if all_tried { 0 } else { self.tries.saturating_sub(1) };
    }
}
