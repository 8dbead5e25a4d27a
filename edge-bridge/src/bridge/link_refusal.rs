//! Refusal of the whole link (circuit breaker), assumed when the last answers were all *not authorized*, whatever their topics. Sending stops,
//! everything waits in place, and one message at a time probes with back-off, each time of another topic, so that one bad topic never hides a
//! link that works for others. An untried topic does not wait for the back-off, because the leased rows are searched for one every two
//! seconds.

use super::backoff::Backoff;
use super::refusals::retry_backoff;
use crate::wire::{ReasonCode, Utf8};

/// Number of *not authorized* answers in a row that make the link count as refused.
const STREAK: u32 = 8;
/// Most topics whose probes are remembered.
const TRIED_MAX: usize = 64;
/// Delay in milliseconds after the probe of an untried topic, short so that all topics are tried before probes become rare.
const NEXT_TOPIC_MS: u64 = 250;
/// Time between looks for a topic that was not tried yet.
const LOOK_MS: u64 = 2_000;
/// Milliseconds after which a refused link of which only tried topics are in sight is taken for many rows of refused topics instead.
const ALIKE_MS: u64 = 30_000;

/// The state of the link as a whole.
#[derive(Debug, Default)]
pub(super) struct LinkRefusal {
    streak: u32,
    probing: Option<Probing>,
    /// Topics that were refused while the hub took another one, which showed that the link works.
    refused_apart: Vec<Utf8>,
    seed: u64,
}

#[derive(Debug)]
struct Probing {
    since_ms: u64,
    due_ms: u64,
    /// Up time of the next search for an untried topic. `None` stops searches until the next probe, because no further rows can be leased to
    /// search through.
    look_ms: Option<u64>,
    backoff: Backoff,
    /// Topics that were refused since the link is, in the order of their last probe.
    tried: Vec<Utf8>,
    /// Number of probes of new topics that may still follow soon after one another.
    soon: usize,
    /// Set while a probe is on its way.
    is_out: bool,
    /// Set once every message that was in flight when the link was found to be refused has its answer.
    is_drained: bool,
}

/// Change of the link's state by an answer of the hub.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum LinkChange {
    None,
    Refused,
    Healed,
}

impl LinkRefusal {
    pub(super) fn new(seed: u64) -> Self {
        Self { seed, ..Self::default() }
    }

    pub(super) fn is_refused(&self) -> bool {
        self.probing.is_some()
    }

    /// Notes that the hub answered a message. `is_attempt`: its topic had been refused before it was sent, so that another refusal says
    /// nothing about the link.
    pub(super) fn on_answer(
        &mut self,
        now_ms: u64,
        reason: ReasonCode,
        topic: &Utf8,
        is_attempt: bool,
    ) -> LinkChange {
        if reason != ReasonCode::NOT_AUTHORIZED {
            self.streak = 0;
            let Some(probing) = self.probing.take() else { return LinkChange::None };
            self.refused_apart = probing.tried;
            self.refused_apart.retain(|tried| tried != topic);
            return LinkChange::Healed;
        }
        if let Some(probing) = &mut self.probing {
            let is_new = !probing.tried.contains(topic);
            probing.tried.retain(|tried| tried != topic);
            probing.tried.push(topic.clone());
            if probing.tried.len() > TRIED_MAX {
                probing.tried.remove(0);
            }
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
        if self.streak < STREAK {
            return LinkChange::None;
        }
        let mut backoff = retry_backoff(self.seed);
        let due_ms = now_ms + backoff.next_ms();
        self.probing = Some(Probing {
            since_ms: now_ms,
            due_ms,
            look_ms: Some(now_ms + LOOK_MS),
            backoff,
            tried: vec![topic.clone()],
            soon: TRIED_MAX,
            is_out: false,
            is_drained: false,
        });
        LinkChange::Refused
    }

    /// Takes the topics that were refused although the link works. Empty at the next call.
    pub(super) fn take_refused_apart(&mut self) -> Vec<Utf8> {
        std::mem::take(&mut self.refused_apart)
    }

    /// Up time, in milliseconds, of the next probe or of the next search for an untried topic; `None` if the link is not refused.
    pub(super) fn due_ms(&self) -> Option<u64> {
        let probing = self.probing.as_ref()?;
        let look_ms = probing.look_ms.filter(|_| probing.soon > 0);
        Some(look_ms.map_or(probing.due_ms, |look_ms| look_ms.min(probing.due_ms)))
    }

    /// Returns whether only an untried topic may probe now, because the back-off of the others is not over.
    pub(super) fn looks(&self, now_ms: u64) -> bool {
        self.probing.as_ref().is_some_and(|probing| probing.due_ms > now_ms)
    }

    /// Notes that a search found no untried topic. `is_full`: no further rows can be leased, so that searches stop until the next probe.
    pub(super) fn on_looked(&mut self, now_ms: u64, is_full: bool) {
        if let Some(probing) = &mut self.probing {
            probing.look_ms = Some(now_ms + LOOK_MS).filter(|_| !is_full);
        }
    }

    /// Topics that were refused since the link is; empty if the link is not refused.
    pub(super) fn tried(&self) -> &[Utf8] {
        self.probing.as_ref().map_or(&[], |probing| &probing.tried)
    }

    /// Notes that everything in flight has been answered. Returns whether it is the first call since the link is refused.
    pub(super) fn on_drained(&mut self) -> bool {
        self.probing.as_mut().is_some_and(|probing| !std::mem::replace(&mut probing.is_drained, true))
    }

    /// Notes that a probe is being sent.
    pub(super) fn on_probe(&mut self) {
        if let Some(probing) = &mut self.probing {
            probing.is_out = true;
        }
    }

    /// Puts off a probe that could not be made.
    pub(super) fn postpone(&mut self, now_ms: u64) {
        if let Some(probing) = &mut self.probing {
            probing.due_ms = now_ms + 1_000;
            probing.look_ms = Some(now_ms + LOOK_MS);
        }
    }

    /// Chooses the candidate to probe with: one of an untried topic or, when a probe is due, of the topic that was probed longest ago. `None`
    /// if none may probe.
    pub(super) fn pick<'a, T>(
        &self,
        now_ms: u64,
        candidates: impl Iterator<Item = (T, &'a Utf8)>,
    ) -> Option<T> {
        let tried = &self.probing.as_ref()?.tried;
        let rank = |topic: &Utf8| tried.iter().position(|tried| tried == topic).map_or(0, |at| at + 1);
        let candidates = candidates.map(|(candidate, topic)| (candidate, rank(topic)));
        let candidates = candidates.filter(|(_, rank)| *rank == 0 || !self.looks(now_ms));
        candidates.min_by_key(|(_, rank)| *rank).map(|(candidate, _)| candidate)
    }

    /// Ends the refusal of the link when only tried topics have been in sight for [`ALIKE_MS`]. Returns these topics, which are then refused
    /// one by one; empty if the refusal goes on.
    pub(super) fn give_way<'a>(
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
        self.probing.take().map(|probing| probing.tried).unwrap_or_default()
    }

    /// Makes the next probe due at once.
    pub(super) fn retry_now(&mut self, now_ms: u64) {
        if let Some(probing) = &mut self.probing {
            probing.backoff.reset();
            probing.due_ms = now_ms;
        }
    }
}

#[cfg(test)]
mod tests;
