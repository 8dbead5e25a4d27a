//! One topic in back-off: its held messages and its attempts.

use std::collections::VecDeque;

use super::backoff::Backoff;
use super::message::Message;
use crate::wire::ReasonCode;

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
    /// In the order of their serial numbers.
    pub(super) held: VecDeque<Held>,
    /// Messages handed out to be sent and not answered.
    pub(super) out: usize,
    /// Parked rows, as far as known.
    pub(super) parked: u64,
    /// Of these, those parked since the present sweep began.
    pub(super) parked_since: u64,
    pub(super) attempt: u32,
    /// Messages that the present attempt may still send.
    pub(super) tries: usize,
    pub(super) due_ms: u64,
    pub(super) backoff: Backoff,
    /// The hub took a message since its last refusal: parked rows go out, new ones go behind them.
    pub(super) healing: bool,
    pub(super) said: bool,
}

impl Topic {
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

    /// An attempt that has sent all it may waits for the next.
    pub(super) fn wait_if_tried(&mut self, now_ms: u64) {
        let attempt = self.attempt;
        if self.tries == 0 || self.held.iter().all(|held| held.refused_in == Some(attempt)) {
            self.tries = 0;
            self.due_ms = self.due_ms.max(now_ms);
        }
    }
}
