//! Identifiers of QoS 2 between PUBREC and PUBCOMP, as a packet capture shows them.

use std::collections::{BTreeMap, BTreeSet};
use std::hash::Hash;

use edge_bridge::state_hash::StateHasher;

use crate::ledger::Msg;

/// Time for which a peer is waited for that does not answer a PUBREL of an earlier connection, and most connections for that.
const GIVEN_UP_MS: u64 = 5_000;
const TRIES: u32 = 10;

/// Identifier of an earlier connection.
#[derive(Debug, Clone, Default)]
struct Owed {
    /// Message that the hub answered by PUBREC.
    msg: Option<Msg>,
    /// Time of its PUBREL on this connection.
    released_ms: Option<u64>,
    tries: u32,
    is_given_up: bool,
}

impl Owed {
    fn is_given_up(&self, now_ms: u64) -> bool {
        let waited = self.released_ms.is_some_and(|at_ms| at_ms + GIVEN_UP_MS <= now_ms);
        self.is_given_up || waited || self.tries >= TRIES
    }
}

#[derive(Debug, Clone, Default)]
pub(crate) struct Exchanges {
    /// PUBREC came on this connection: these take places of the Receive Maximum. Each with its message; set once the PUBREL left.
    here: BTreeMap<u16, (Msg, bool)>,
    /// The hub may hold them from earlier connections.
    owed: BTreeMap<u16, Owed>,
    /// Messages whose exchange was given up, and whose identifier is in use again.
    given_up: BTreeSet<Msg>,
}

impl Exchanges {
    pub(crate) fn received(&mut self, id: u16, msg: Msg) {
        self.given_up.extend(self.owed.remove(&id).and_then(|owed| owed.msg));
        self.here.insert(id, (msg, false));
    }

    /// Takes the messages of earlier connections that were answered and not completed, each with its identifier. Those that may have been given up may
    /// be published under another one instead.
    pub(crate) fn take_uncompleted(&mut self, now_ms: u64) -> Vec<(u16, Msg)> {
        let owed = self.owed.iter_mut();
        let taken: Vec<_> = owed.filter_map(|(id, owed)| Some((*id, owed.msg.take()?))).collect();
        for (id, msg) in &taken {
            match self.owed.get(id) {
                Some(owed) if owed.is_given_up(now_ms) => drop(self.given_up.insert(*msg)),
                _ => drop(self.owed.remove(id)),
            }
        }
        taken
    }

    /// Returns whether the exchange of a message was given up, so that it has to be published again. Once.
    pub(crate) fn take_given_up(&mut self, now_ms: u64, msg: Msg) -> bool {
        let given_up = |owed: &&mut Owed| owed.msg == Some(msg) && owed.is_given_up(now_ms);
        if let Some(owed) = self.owed.values_mut().find(given_up) {
            owed.msg = None;
            return true;
        }
        self.given_up.remove(&msg)
    }

    /// A PUBREL leaves.
    pub(crate) fn release(&mut self, now_ms: u64, id: u16) {
        if let Some((_, released)) = self.here.get_mut(&id) {
            *released = true;
            return;
        }
        let owed = self.owed.entry(id).or_default();
        (owed.released_ms, owed.is_given_up) = (Some(now_ms), false);
        owed.tries += 1;
    }

    /// PUBCOMP came. It may be late for a message that was given up.
    pub(crate) fn complete(&mut self, now_ms: u64, id: u16) -> bool {
        let (is_here, owed) = (self.here.remove(&id).is_some(), self.owed.remove(&id));
        let is_owed = owed.is_some();
        let given_up = owed.filter(|owed| owed.is_given_up(now_ms));
        self.given_up.extend(given_up.and_then(|owed| owed.msg));
        is_owed || is_here
    }

    /// Number of places of the Receive Maximum.
    pub(crate) fn places(&self) -> usize {
        self.here.len()
    }

    /// Returns whether an identifier may not be used for another message.
    pub(crate) fn is_used(&self, now_ms: u64, id: u16) -> bool {
        let is_owed = self.owed.get(&id).is_some_and(|owed| !owed.is_given_up(now_ms));
        self.here.contains_key(&id) || is_owed
    }

    /// Returns whether a PUBREL of an identifier of an earlier connection left, without its PUBCOMP.
    pub(crate) fn is_released(&self, id: u16) -> bool {
        self.owed.get(&id).is_some_and(|owed| owed.tries > 0)
    }

    /// The connection is over. Returns the number of messages that were answered on it and not completed.
    pub(crate) fn ended(&mut self, now_ms: u64) -> u64 {
        for owed in self.owed.values_mut() {
            owed.is_given_up = owed.is_given_up(now_ms);
            owed.released_ms = None;
        }
        let (here, before) = (std::mem::take(&mut self.here), self.owed.len());
        for (id, (msg, released)) in here {
            let owed = Owed { msg: Some(msg), tries: u32::from(released), ..Owed::default() };
            self.owed.insert(id, owed);
        }
        (self.owed.len() - before) as u64
    }

    /// Hashes what counts. Those that are owed are many, and most are one number each.
    #[allow(dead_code, reason = "for `tests/explore_states`")]
    pub(crate) fn hash_state(&self, hasher: &mut impl StateHasher) {
        (&self.here, &self.given_up, self.owed.len()).hash(hasher);
        for (id, Owed { msg, released_ms, tries, is_given_up }) in &self.owed {
            let flags = [msg.is_some(), released_ms.is_some(), *is_given_up];
            let start = u64::from(*id) << 32 | u64::from(*tries);
            hasher.write_u64(flags.iter().fold(start, |sum, flag| sum << 1 | u64::from(*flag)));
            msg.iter().for_each(|msg| msg.hash(hasher));
        }
    }

    /// Another session.
    pub(crate) fn forget(&mut self) {
        self.owed.clear();
        self.given_up.clear();
    }
}
