//! Messages of QoS 2 that the hub has accepted (PUBREC) and not completed (PUBCOMP). It may hold them back until PUBREL (method A of 3.1.1, §4.3.3), so that they
//! are lost with its session: their rows stay leased until PUBCOMP, and are published again if the session is gone.

use std::collections::{BTreeMap, BTreeSet};

use crate::session::Token;

use super::message::Message;

/// Messages between PUBREC and PUBCOMP, in the order of their tokens, which is that in which they were sent first.
#[derive(Debug, Clone, Default)]
pub(super) struct Uncompleted {
    messages: BTreeMap<u64, Message>,
    bytes: u64,
}

impl Uncompleted {
    pub(super) fn add(&mut self, token: Token, message: Message) {
        self.bytes += message.bytes;
        self.messages.insert(token.0, message);
    }

    /// Takes a message; `None` if it is not one of these.
    pub(super) fn take(&mut self, token: Token) -> Option<Message> {
        let message = self.messages.remove(&token.0)?;
        self.bytes -= message.bytes;
        Some(message)
    }

    /// Takes all messages, by token.
    pub(super) fn take_all(&mut self) -> BTreeMap<u64, Message> {
        self.bytes = 0;
        std::mem::take(&mut self.messages)
    }

    /// Takes the messages, in order, whose PUBREL the session does not owe any more.
    pub(super) fn take_all_but(&mut self, owed: impl Iterator<Item = Token>) -> Vec<Message> {
        let owed: BTreeSet<_> = owed.map(|token| token.0).collect();
        let messages = std::mem::take(&mut self.messages).into_iter();
        let (kept, gone): (BTreeMap<_, _>, BTreeMap<_, _>) =
            messages.partition(|(token, _)| owed.contains(token));
        self.messages = kept;
        self.bytes -= gone.values().map(|message| message.bytes).sum::<u64>();
        gone.into_values().collect()
    }

    /// Messages by token.
    #[cfg(feature = "testing")]
    pub(super) fn messages(&self) -> &BTreeMap<u64, Message> {
        &self.messages
    }

    pub(super) fn len(&self) -> usize {
        self.messages.len()
    }

    /// Bytes of their PUBLISHes, which stay in memory.
    pub(super) fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Number of rows that count against the limit of rows in flight.
    pub(super) fn window_rows(&self) -> usize {
        self.messages.values().map(Message::window_rows).sum()
    }
}
