//! Circuit breaker for a hub that refuses the whole link: it opens when the last answers were all *not authorized*, whatever their topics, and
//! nothing speaks for a link that works: a message of another topic that was taken a moment ago, as beside a burst of one forbidden topic.
//! Sending stops, all rows stay in their lanes, and one message at a time probes with back-off, each time of another topic, so that one forbidden
//! topic never hides a link that works for others. A topic not tried yet does not wait for the back-off: every two seconds the leased rows are
//! searched for one.

use crate::bridge::backoff::Backoff;
use crate::wire::{ReasonCode, Utf8};

use super::refused_topics::retry_backoff;
use super::tried_topics::{self, TriedTopics};

/// Number of *not authorized* answers in a row that make the link count as refused.
const STREAK: u32 = 8;
/// Milliseconds for which a message that the hub took speaks for the link.
const WORKS_MS: u64 = 2_000;
/// Most probes of new topics that follow with the short delay.
const SOON_MAX: usize = tried_topics::TOPICS_MAX;
/// Most topics of probes in an operator's list.
const LISTED_MAX: usize = 64;
/// Delay in milliseconds after the probe of a new topic, short so that all topics are tried before the back-off makes probes rare.
const NEXT_TOPIC_MS: u64 = 250;
/// Milliseconds between two searches of the leased rows for a topic that was not tried yet.
const LOOK_MS: u64 = 2_000;
/// Milliseconds of a refused link after which, if the leased rows have only tried topics, it counts as working and these topics as refused one by
/// one.
const ALIKE_MS: u64 = 30_000;

/// The state of the link as a whole.
#[derive(Debug, Clone, Default)]
pub(in crate::bridge) struct LinkRefusal {
    streak: u32,
    /// Topic of the last message that the hub took, with the up time of its answer; `None` once the hub has refused that topic.
    taken: Option<(Utf8, u64)>,
    probing: Option<Probing>,
    /// Topics that the hub refused while it accepted another one, which showed that the link works.
    refused_apart: Vec<Utf8>,
    seed: u64,
}

#[derive(Debug, Clone)]
struct Probing {
    since_ms: u64,
    due_ms: u64,
    /// Up time of the next search for an untried topic. `None` stops the searches until the next probe, because the limit of leased rows is
    /// reached.
    look_ms: Option<u64>,
    backoff: Backoff,
    /// Topics that the hub refused since the circuit breaker opened.
    tried: TriedTopics,
    /// Number of probes of new topics that may still follow with the short delay.
    soon: usize,
    /// Set while a probe has no answer yet.
    is_out: bool,
    /// Set once every message that was in flight when the circuit breaker opened has its answer.
    is_drained: bool,
}

/// Change of the link's state by an answer of the hub.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::bridge) enum LinkChange {
    None,
    Refused,
    Healed,
}

impl LinkRefusal {
    pub(in crate::bridge) fn new(seed: u64) -> Self {
        Self { seed, ..Self::default() }
    }

    pub(in crate::bridge) fn is_refused(&self) -> bool {
        self.probing.is_some()
    }

    /// Records the hub's PUBACK for a message. `is_attempt`: its topic had been refused before it was sent, so that another refusal says nothing
    /// about the link.
    pub(in crate::bridge) fn on_answer(
        &mut self,
        now_ms: u64,
        reason: ReasonCode,
        topic: &Utf8,
        is_attempt: bool,
    ) -> LinkChange {
        if reason != ReasonCode::NOT_AUTHORIZED {
            self.streak = 0;
            self.taken = Some((topic.clone(), now_ms));
            let Some(probing) = self.probing.take() else { return LinkChange::None };
            self.refused_apart = probing.tried.into_order();
            self.refused_apart.retain(|tried| tried != topic);
            return LinkChange::Healed;
        }
        if let Some(probing) = &mut self.probing {
            let is_new = probing.tried.add(topic);
            // What was on its way when the link was found to be refused says nothing new.
            if std::mem::take(&mut probing.is_out) {
                let is_soon = is_new && probing.soon > 0;
                probing.soon -= usize::from(is_soon);
                probing.due_ms = now_ms + if is_soon { NEXT_TOPIC_MS } else { probing.backoff.next_ms() };
                probing.look_ms = Some(now_ms + LOOK_MS);
            }
            return LinkChange::None;
        }
        self.streak = self.streak.saturating_add(u32::from(!is_attempt));
        self.taken.take_if(|(taken, _)| taken == topic);
        let works = self.taken.as_ref().is_some_and(|(_, at_ms)| now_ms.saturating_sub(*at_ms) < WORKS_MS);
        if self.streak < STREAK || works {
            return LinkChange::None;
        }
        let mut backoff = retry_backoff(self.seed);
        let due_ms = now_ms + backoff.next_ms();
        let mut tried = TriedTopics::default();
        tried.add(topic);
        self.probing = Some(Probing {
            since_ms: now_ms,
            due_ms,
            look_ms: Some(now_ms + LOOK_MS),
            backoff,
            tried,
            soon: SOON_MAX,
            is_out: false,
            is_drained: false,
        });
        LinkChange::Refused
    }

    /// Takes the list of topics that the hub refused although the link works.
    pub(in crate::bridge) fn take_refused_apart(&mut self) -> Vec<Utf8> {
        std::mem::take(&mut self.refused_apart)
    }

    /// Up time, in milliseconds, of the next probe or of the next search for an untried topic; `None` while the link is not refused.
    pub(in crate::bridge) fn due_ms(&self) -> Option<u64> {
        let probing = self.probing.as_ref()?;
        let look_ms = probing.look_ms.filter(|_| probing.soon > 0);
        Some(look_ms.map_or(probing.due_ms, |look_ms| look_ms.min(probing.due_ms)))
    }

    /// Returns whether only an untried topic may be probed now, because the back-off of the others is not over.
    pub(in crate::bridge) fn looks(&self, now_ms: u64) -> bool {
        self.probing.as_ref().is_some_and(|probing| probing.due_ms > now_ms)
    }

    /// Records that a search found no untried topic. `is_full`: the limit of leased rows is reached, so that searches stop until the next probe.
    pub(in crate::bridge) fn on_looked(&mut self, now_ms: u64, is_full: bool) {
        if let Some(probing) = &mut self.probing {
            probing.look_ms = Some(now_ms + LOOK_MS).filter(|_| !is_full);
        }
    }

    /// Latest topics, for a list, that the hub refused since the circuit breaker opened; empty if the link is not refused.
    pub(in crate::bridge) fn tried(&self) -> Vec<&Utf8> {
        self.probing.as_ref().map_or_else(Vec::new, |probing| probing.tried.latest(LISTED_MAX))
    }

    /// Records that every message in flight has been answered. Returns `true` at the first call since the circuit breaker opened.
    pub(in crate::bridge) fn on_drained(&mut self) -> bool {
        self.probing.as_mut().is_some_and(|probing| !std::mem::replace(&mut probing.is_drained, true))
    }

    /// Marks the probe as sent, so that its answer is awaited.
    pub(in crate::bridge) fn on_probe(&mut self) {
        if let Some(probing) = &mut self.probing {
            probing.is_out = true;
        }
    }

    /// Puts off a probe that could not be made.
    pub(in crate::bridge) fn postpone(&mut self, now_ms: u64) {
        if let Some(probing) = &mut self.probing {
            probing.due_ms = now_ms + 1_000;
            probing.look_ms = Some(now_ms + LOOK_MS);
        }
    }

    /// Chooses the candidate to probe with: one of an untried topic or, when a probe is due, of the topic that was probed longest ago. `None`
    /// if none may probe.
    pub(in crate::bridge) fn pick<'a, T>(
        &self,
        now_ms: u64,
        candidates: impl Iterator<Item = (T, &'a Utf8)>,
    ) -> Option<T> {
        let tried = &self.probing.as_ref()?.tried;
        let candidates = candidates.map(|(candidate, topic)| (candidate, tried.rank(topic)));
        let candidates = candidates.filter(|(_, rank)| *rank == 0 || !self.looks(now_ms));
        candidates.min_by_key(|(_, rank)| *rank).map(|(candidate, _)| candidate)
    }

    /// Ends the refusal of the link if it has lasted for [`ALIKE_MS`] and the leased rows have only tried topics. Returns these topics, which are
    /// then refused one by one; empty if the refusal goes on.
    pub(in crate::bridge) fn give_way<'a>(
        &mut self,
        now_ms: u64,
        mut topics: impl Iterator<Item = &'a Utf8>,
    ) -> Vec<Utf8> {
        let alike = |probing: &Probing| {
            now_ms.saturating_sub(probing.since_ms) >= ALIKE_MS
                && topics.all(|topic| probing.tried.contains(topic))
        };
        if !self.probing.as_ref().is_some_and(alike) {
            return Vec::new();
        }
        self.streak = 0;
        self.probing.take().map(|probing| probing.tried.into_order()).unwrap_or_default()
    }

    /// Makes the next probe due at once.
    pub(in crate::bridge) fn retry_now(&mut self, now_ms: u64) {
        if let Some(probing) = &mut self.probing {
            probing.backoff.reset();
            probing.due_ms = now_ms;
        }
    }
}

#[cfg(test)]
mod tests;
