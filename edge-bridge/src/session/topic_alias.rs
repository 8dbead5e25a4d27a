//! Topic aliases (§3.3.2.3.4) in both directions. An alias is a number of two bytes in place of a topic that was sent before on the same
//! connection.

use super::events::Violation;
use crate::wire::Utf8;

/// Topics of the aliases that the peer defined, at most as many as this side announced.
#[derive(Debug, Clone)]
pub(super) struct InboundAliases {
    topics: Vec<Option<Utf8>>,
    maximum: u16,
}

impl InboundAliases {
    pub(super) fn new(maximum: u16) -> Self {
        Self { topics: Vec::new(), maximum }
    }

    /// Bytes of the topics. Walks over all of them.
    pub(super) fn bytes(&self) -> usize {
        self.topics.iter().flatten().map(|topic| topic.len()).sum()
    }

    /// Returns the topic of a PUBLISH that carries `alias`. If `topic` is not empty, it becomes the alias's topic.
    pub(super) fn resolve(&mut self, alias: u16, topic: &Utf8) -> Result<Utf8, Violation> {
        if alias == 0 || alias > self.maximum {
            return Err(Violation::TopicAliasInvalid);
        }
        let at = usize::from(alias) - 1;
        if topic.is_empty() {
            return self.topics.get(at).cloned().flatten().ok_or(Violation::TopicAliasInvalid);
        }
        if self.topics.len() <= at {
            self.topics.resize(at + 1, None);
        }
        if let Some(slot) = self.topics.get_mut(at)
            && slot.as_ref() != Some(topic)
        {
            // A copy: a slice would keep the whole receive buffer alive for as long as the connection.
            *slot = Some(topic.detached());
        }
        Ok(topic.clone())
    }
}

/// Way in which a PUBLISH names its topic.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Spelling {
    /// The topic as it is, without an alias.
    Plain,
    /// The alias and the topic, so that the peer learns the alias.
    Define(u16),
    /// The alias without the topic.
    Use(u16),
}

/// Aliases that were defined to the peer. The least recently used one is replaced when all are used.
#[derive(Debug, Clone)]
pub(super) struct OutboundAliases {
    /// Topic and last use; the alias is the position plus one.
    topics: Vec<(Utf8, u64)>,
    maximum: usize,
    uses: u64,
}

impl OutboundAliases {
    /// Creates a table of `maximum` aliases, the smaller of the peer's limit and this side's. A search scans the table, so this side's limit is
    /// small.
    pub(super) fn new(maximum: u16) -> Self {
        Self { topics: Vec::new(), maximum: usize::from(maximum), uses: 0 }
    }

    /// Returns the way in which the next PUBLISH names `topic`. Changes nothing until [`commit`](Self::commit).
    pub(super) fn spell(&self, topic: &Utf8) -> Spelling {
        // Shorter topics are not worth the three bytes of the property.
        if self.maximum == 0 || topic.len() < 4 {
            return Spelling::Plain;
        }
        if let Some(at) = self.topics.iter().position(|(known, _)| known == topic) {
            return alias(at).map_or(Spelling::Plain, Spelling::Use);
        }
        let at = if self.topics.len() < self.maximum {
            Some(self.topics.len())
        } else {
            self.topics.iter().enumerate().min_by_key(|(_, (_, used))| *used).map(|(at, _)| at)
        };
        at.and_then(alias).map_or(Spelling::Plain, Spelling::Define)
    }

    /// Records that the PUBLISH was written, which defines or uses the alias.
    pub(super) fn commit(&mut self, topic: &Utf8, spelling: Spelling) {
        self.uses += 1;
        match spelling {
            Spelling::Plain => {}
            Spelling::Use(alias) => {
                if let Some((_, used)) = self.topics.get_mut(usize::from(alias) - 1) {
                    *used = self.uses;
                }
            }
            Spelling::Define(alias) => {
                let entry = (topic.clone(), self.uses);
                match self.topics.get_mut(usize::from(alias) - 1) {
                    Some(slot) => *slot = entry,
                    None => self.topics.push(entry),
                }
            }
        }
    }
}

fn alias(at: usize) -> Option<u16> {
    u16::try_from(at).ok()?.checked_add(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn topic(text: &str) -> Utf8 {
        Utf8::try_from(text).unwrap()
    }

    #[test]
    fn inbound_resolves_resets_and_refuses() {
        let mut aliases = InboundAliases::new(2);
        assert_eq!(aliases.resolve(1, &topic("")), Err(Violation::TopicAliasInvalid));
        assert_eq!(aliases.resolve(1, &topic("a")), Ok(topic("a")));
        assert_eq!(aliases.resolve(1, &topic("")), Ok(topic("a")));
        assert_eq!(aliases.resolve(1, &topic("b")), Ok(topic("b")));
        assert_eq!(aliases.resolve(1, &topic("")), Ok(topic("b")));
        assert_eq!(aliases.resolve(3, &topic("c")), Err(Violation::TopicAliasInvalid));
        assert_eq!(aliases.resolve(0, &topic("c")), Err(Violation::TopicAliasInvalid));
    }

    #[test]
    fn outbound_and_inbound_agree_under_eviction() {
        let (mut out, mut inb) = (OutboundAliases::new(2), InboundAliases::new(2));
        for text in ["line1", "line2", "line1", "line3", "line1", "line2", "line3", "line3"] {
            let name = topic(text);
            let spelling = out.spell(&name);
            out.commit(&name, spelling);
            let (alias, sent) = match spelling {
                Spelling::Define(alias) => (alias, name.clone()),
                Spelling::Use(alias) => (alias, topic("")),
                Spelling::Plain => panic!("long enough"),
            };
            assert_eq!(inb.resolve(alias, &sent), Ok(name));
        }
    }

    #[test]
    fn nothing_is_aliased_where_the_peer_allows_none() {
        assert_eq!(OutboundAliases::new(0).spell(&topic("some/topic")), Spelling::Plain);
    }
}
