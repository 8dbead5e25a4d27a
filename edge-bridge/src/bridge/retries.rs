//! Messages that the hub refuses although it takes others of their topic: tried again one by one, with back-off, a few times from RAM; then their
//! rows are parked.

use super::message::Message;
use super::refusals::retry_backoff;

/// Messages at most.
const MESSAGES_MAX: usize = 64;
/// Their bytes at most.
const BYTES_MAX: u64 = 1 << 20;
/// Refusals of one message before it is parked: the last waits about half a minute.
const REFUSALS_MAX: u32 = 6;

/// Messages with the time of their next attempt.
#[derive(Debug, Default)]
pub(super) struct Retries {
    pub(super) waiting: Vec<(u64, Message)>,
    pub(super) bytes: u64,
    seed: u64,
}

impl Retries {
    pub(super) fn new(seed: u64) -> Self {
        Self { seed, ..Self::default() }
    }

    pub(super) fn len(&self) -> usize {
        self.waiting.len()
    }

    /// Keeps a message until its next attempt; hands it back when it had its attempts, or there is no room.
    pub(super) fn push(&mut self, now_ms: u64, mut message: Message) -> Option<Message> {
        message.refusals = message.refusals.saturating_add(1);
        let is_full = self.waiting.len() >= MESSAGES_MAX || self.bytes + message.bytes > BYTES_MAX;
        if is_full || message.refusals > REFUSALS_MAX {
            return Some(message);
        }
        self.seed = self.seed.wrapping_add(0x9e37_79b9);
        let mut backoff = retry_backoff(self.seed);
        let in_ms = (0..message.refusals).map(|_| backoff.next_ms()).last().unwrap_or(0);
        self.bytes += message.bytes;
        self.waiting.push((now_ms + in_ms, message));
        None
    }

    /// The next message that is due.
    pub(super) fn pop_due(&mut self, now_ms: u64) -> Option<Message> {
        let at = self.waiting.iter().position(|(due_ms, _)| *due_ms <= now_ms)?;
        let (_, message) = self.waiting.swap_remove(at);
        self.bytes -= message.bytes;
        Some(message)
    }

    pub(super) fn poll_timeout(&self) -> Option<u64> {
        self.waiting.iter().map(|(due_ms, _)| *due_ms).min()
    }

    pub(super) fn take_all(&mut self) -> Vec<Message> {
        self.bytes = 0;
        self.waiting.drain(..).map(|(_, message)| message).collect()
    }
}
