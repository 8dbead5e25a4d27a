//! Retries of single messages that the hub refuses although it accepts others of their topic. Each message is held in RAM and sent again a few
//! times with back-off; then its rows are parked.

use crate::bridge::message::Message;
use crate::bridge::parked::operator_pass_state::covers;
use crate::wire::ReasonCode;

use super::refused_topics::retry_backoff;

/// Most messages held for a retry.
const MESSAGES_MAX: usize = 64;
/// Most bytes of messages held for a retry.
const BYTES_MAX: u64 = 1 << 20;
/// Milliseconds for which a message is held back at most.
const HELD_BACK_MS: u64 = 600_000;
/// Number of refusals of one message after which it is parked; the last wait is about half a minute.
const REFUSALS_MAX: u32 = 6;

/// Messages held for a retry, each with the up time of its next attempt.
#[derive(Debug, Clone, Default)]
pub(in crate::bridge) struct Retries {
    pub(in crate::bridge) waiting: Vec<(u64, Message)>,
    pub(in crate::bridge) bytes: u64,
    seed: u64,
}

impl Retries {
    pub(in crate::bridge) fn new(seed: u64) -> Self {
        Self { seed, ..Self::default() }
    }

    pub(in crate::bridge) fn len(&self) -> usize {
        self.waiting.len()
    }

    /// Holds a message until its next attempt and returns `None`. Returns the message if its attempts are used up, or if the limits of messages
    /// or bytes are reached.
    pub(in crate::bridge) fn push(&mut self, now_ms: u64, mut message: Message) -> Option<Message> {
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

    /// Holds a message back that was not refused, so that others go before it, and returns `None`. Returns the message if the limits of messages or bytes
    /// are reached.
    pub(in crate::bridge) fn hold_back(&mut self, now_ms: u64, mut message: Message) -> Option<Message> {
        if self.waiting.len() >= MESSAGES_MAX || self.bytes + message.bytes > BYTES_MAX {
            return Some(message);
        }
        message.is_held_back = true;
        self.bytes += message.bytes;
        self.waiting.push((now_ms + HELD_BACK_MS, message));
        None
    }

    /// Takes the messages that are held back, in their order.
    pub(in crate::bridge) fn take_held_back(&mut self) -> Vec<Message> {
        let held = self.waiting.extract_if(.., |(_, message)| message.is_held_back);
        let mut held: Vec<_> = held.map(|(_, message)| message).collect();
        held.sort_by_key(|message| message.serial);
        self.bytes -= held.iter().map(|message| message.bytes).sum::<u64>();
        held
    }

    /// Takes the next message whose time has come; `None` if there is none.
    pub(in crate::bridge) fn pop_due(&mut self, now_ms: u64) -> Option<Message> {
        let at = self.waiting.iter().position(|(due_ms, _)| *due_ms <= now_ms)?;
        let (_, mut message) = self.waiting.remove(at);
        message.is_held_back = false;
        self.bytes -= message.bytes;
        Some(message)
    }

    pub(in crate::bridge) fn next_deadline(&self) -> Option<u64> {
        self.waiting.iter().map(|(due_ms, _)| *due_ms).min()
    }

    pub(in crate::bridge) fn take_all(&mut self) -> Vec<Message> {
        self.bytes = 0;
        self.waiting.drain(..).map(|(_, message)| message).collect()
    }

    pub(in crate::bridge) fn matching<'a>(
        &'a self,
        filter: &'a str,
    ) -> impl Iterator<Item = (&'a Message, Option<ReasonCode>)> + 'a {
        let messages = self.waiting.iter().map(|(_, message)| message);
        messages
            .filter(move |message| covers(filter, message.topic()))
            .map(|message| (message, message.reason))
    }

    pub(in crate::bridge) fn take_matching(&mut self, filter: &str) -> Vec<Message> {
        let all = std::mem::take(&mut self.waiting);
        let (out, kept) = all.into_iter().partition(|(_, message)| covers(filter, message.topic()));
        self.waiting = kept;
        let out: Vec<_> = Vec::into_iter(out).map(|(_, message)| message).collect();
        self.bytes -= out.iter().map(|message| message.bytes).sum::<u64>();
        out
    }

    pub(in crate::bridge) fn retry_now(&mut self, filter: &str) {
        let own = self.waiting.iter_mut().filter(|(_, message)| covers(filter, message.topic()));
        own.for_each(|(due_ms, _)| *due_ms = 0);
    }
}

#[cfg(test)]
mod tests {
    use crate::bridge::packing::pack::Packed;
    use crate::wire::Utf8;

    use super::*;

    fn message(bytes: u64) -> Message {
        let packed = Packed::of_rows(Utf8::from_static("t"), Vec::new());
        Message { bytes, ..Message::new(packed, 1, false) }
    }

    #[test]
    fn a_message_has_six_attempts_each_later_than_the_one_before() {
        let mut retries = Retries::new(1);
        let mut own = message(100);
        for n in 0..6 {
            assert!(retries.push(10, own).is_none());
            let due_ms = retries.next_deadline().unwrap();
            assert!((10 + (500 << n)..=10 + (1_000 << n)).contains(&due_ms), "attempt {n}: {due_ms}");
            assert!(retries.pop_due(due_ms - 1).is_none());
            own = retries.pop_due(due_ms).unwrap();
        }
        assert!(retries.push(10, own).is_some());
        assert_eq!((retries.len(), retries.bytes, retries.next_deadline()), (0, 0, None));
    }

    #[test]
    fn messages_and_bytes_are_bounded() {
        let mut retries = Retries::new(1);
        (0..MESSAGES_MAX).for_each(|_| assert!(retries.push(0, message(1)).is_none()));
        assert!(retries.push(0, message(1)).is_some());
        assert_eq!(retries.take_all().len(), MESSAGES_MAX);
        assert!(retries.push(0, message(BYTES_MAX - 1)).is_none());
        assert!(retries.push(0, message(2)).is_some());
        assert!(retries.push(0, message(1)).is_none());
        while retries.pop_due(u64::MAX).is_some() {}
        assert!(retries.push(0, message(BYTES_MAX)).is_none(), "there is room again");
    }

    #[test]
    fn bytes_add_up() {
        let mut retries = Retries::new(1);
        (0..2).for_each(|_| assert!(retries.push(0, message(2_000)).is_none()));
        assert_eq!(retries.bytes, 4_000);
    }
}
