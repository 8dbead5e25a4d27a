//! Receipts of readings that a stage holds (`ack_held = "when_emitted"`): they wait until what stands for the readings is
//! safe (promises 1 and 13). Pure; times are those of `Now::up_ms`.
//!
//! A message has one receipt and may have many readings, of many sensors. The receipt is made of [`Part`]s: one for the
//! message's own rows, one for each reading that is held, one for each row that its sensor emits meanwhile. A part goes with
//! the rows that cover it as their [`Link`], and is done when they are safe; the last one tells.

use std::collections::{BTreeSet, HashMap, VecDeque};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};

use edge_bridge::listener::Ticket;
use edge_bridge::net::server::Receipts;
use tokio::sync::Notify;

/// More do not wait: the next is let go at once. A hundred bytes each.
const READINGS_MAX: usize = 65_536;

/// Receiver of the news that a message's rows are safe.
#[derive(Clone, Debug)]
pub(crate) enum Tell {
    /// The listener, or the client of the local broker.
    Publisher(Receipts, Ticket),
    /// The start, which has rows of the last run.
    Start(Arc<Notify>),
    /// Nobody: the filter made the rows by itself.
    Nobody,
}

impl Tell {
    fn say(self) {
        match self {
            Self::Publisher(receipts, ticket) => receipts.resolve(ticket),
            Self::Start(safe) => safe.notify_one(),
            Self::Nobody => {}
        }
    }
}

/// Part of a message's receipt.
#[derive(Debug)]
pub(crate) struct Part(Arc<Message>);

#[derive(Debug)]
struct Message {
    parts_left: AtomicUsize,
    /// Readings of it that wait for a stage.
    readings_held: AtomicUsize,
    /// Known when its own rows are safe.
    tell: OnceLock<Tell>,
}

impl Part {
    fn first() -> Self {
        let (parts_left, readings_held) = (AtomicUsize::new(1), AtomicUsize::new(0));
        Self(Arc::new(Message { parts_left, readings_held, tell: OnceLock::new() }))
    }

    fn one_more(&self) -> Self {
        self.0.parts_left.fetch_add(1, Ordering::AcqRel);
        Self(self.0.clone())
    }

    /// A part that is dropped instead keeps the receipt back for ever.
    fn done(self) -> Option<Tell> {
        let was_last = self.0.parts_left.fetch_sub(1, Ordering::AcqRel) == 1;
        was_last.then(|| self.0.tell.get().cloned())?
    }

    /// Returns whether none of the message's readings was held.
    fn holds_first(&self) -> bool {
        self.0.readings_held.fetch_add(1, Ordering::Relaxed) == 0
    }

    /// Returns whether none is any more.
    fn held_last(&self) -> bool {
        self.0.readings_held.fetch_sub(1, Ordering::Relaxed) == 1
    }
}

/// A message's dependency on rows beside those that it is made of.
#[derive(Debug, Default)]
pub(crate) struct Link {
    /// Of the message, if one of its readings is held.
    own: Option<Part>,
    covered: Vec<Part>,
}

impl Link {
    pub(crate) fn is_empty(&self) -> bool {
        self.own.is_none() && self.covered.is_empty()
    }

    /// Returns whether the message has a reading that is held.
    pub(crate) fn withholds(&self) -> bool {
        self.own.is_some()
    }

    /// Another part of the message.
    pub(crate) fn part(&mut self) -> Part {
        self.own.get_or_insert_with(Part::first).one_more()
    }

    /// The message is told when every receipt before it is, as a message that was left out: a part of it may be a copy.
    pub(crate) fn withhold(&mut self) {
        self.own.get_or_insert_with(Part::first);
    }

    /// The rows go together.
    pub(crate) fn join(&mut self, other: Link) {
        self.own = self.own.take().or(other.own);
        self.covered.extend(other.covered);
    }

    /// The rows are safe: whom to tell. `tell` is for the message that they are made of.
    pub(crate) fn safe(self, tell: Tell) -> impl Iterator<Item = Tell> {
        let own = match self.own {
            None => Some(tell),
            Some(part) => {
                // Only here, once.
                let _ = part.0.tell.set(tell);
                part.done()
            }
        };
        own.into_iter().chain(self.covered.into_iter().filter_map(Part::done))
    }

    /// Returns what is to be done when the rows are safe: all who depend on them are told.
    pub(crate) fn then(self, tell: Tell) -> impl FnOnce() + Send + 'static {
        move || self.safe(tell).for_each(Tell::say)
    }
}

/// Messages that wait for stages: number and age.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Extent {
    /// Messages whose receipts wait; not those behind them.
    pub(crate) messages: usize,
    /// Arrival of the oldest.
    pub(crate) since_ms: Option<u64>,
}

impl Extent {
    pub(crate) fn and(self, other: Self) -> Self {
        let since_ms = self.since_ms.into_iter().chain(other.since_ms).min();
        Self { messages: self.messages + other.messages, since_ms }
    }
}

/// The held readings of one filter whose receipts wait.
#[derive(Debug)]
pub(crate) struct Withheld {
    max_ms: u64,
    /// In order of arrival.
    sensors: HashMap<u32, VecDeque<Waiting>>,
    /// Since when the first of each sensor waits.
    oldest: BTreeSet<(u64, u32)>,
    readings: usize,
    /// That they are of.
    messages: usize,
    is_stopping: bool,
}

#[derive(Debug)]
struct Waiting {
    since_ms: u64,
    part: Part,
    /// Of the same reading, sent again.
    copies: Vec<Part>,
}

impl Withheld {
    /// None waits longer than `max_ms`.
    pub(crate) fn new(max_ms: u64) -> Self {
        let (sensors, oldest) = (HashMap::new(), BTreeSet::new());
        Self { max_ms, sensors, oldest, readings: 0, messages: 0, is_stopping: false }
    }

    /// From now on none waits at all.
    pub(crate) fn stop(&mut self) {
        self.is_stopping = true;
    }

    /// Returns whether the next to be held has to be let go at once.
    pub(crate) fn takes_no_more(&self) -> bool {
        self.is_stopping || self.readings >= READINGS_MAX
    }

    pub(crate) fn extent(&self) -> Extent {
        Extent { messages: self.messages, since_ms: self.oldest.first().map(|(since_ms, _)| *since_ms) }
    }

    /// A reading of the sensor is held, after all before it.
    pub(crate) fn hold(&mut self, now_ms: u64, sensor: u32, part: Part) {
        let waiting = self.sensors.entry(sensor).or_default();
        if waiting.is_empty() {
            self.oldest.insert((now_ms, sensor));
        }
        self.readings += 1;
        self.messages += usize::from(part.holds_first());
        waiting.push_back(Waiting { since_ms: now_ms, part, copies: Vec::new() });
    }

    /// The newest reading of the sensor came again: if it waits, its copy is no safer, even if the rest of the copy's message
    /// is.
    pub(crate) fn hold_copy(&mut self, sensor: u32, link: &mut Link) {
        if let Some(last) = self.sensors.get_mut(&sensor).and_then(VecDeque::back_mut) {
            self.readings += 1;
            last.copies.push(link.part());
        }
    }

    /// The sensor emitted: all that waited stands for itself no longer, but for the last `but`, which may be in line to be
    /// judged yet, or be what is held now. Those too wait for what was emitted, since it may be one of them.
    pub(crate) fn cover(&mut self, sensor: u32, but: usize, link: &mut Link) {
        let Some(waiting) = self.sensors.get_mut(&sensor) else { return };
        if let Some(first) = waiting.front() {
            self.oldest.remove(&(first.since_ms, sensor));
        }
        let covered = waiting.len().saturating_sub(but);
        for Waiting { part, copies, .. } in waiting.drain(..covered) {
            self.readings -= 1 + copies.len();
            self.messages -= usize::from(part.held_last());
            link.covered.push(part);
            link.covered.extend(copies);
        }
        let staying =
            waiting.iter().flat_map(|waiting| std::iter::once(&waiting.part).chain(&waiting.copies));
        link.covered.extend(staying.map(Part::one_more));
        match waiting.front() {
            Some(first) => drop(self.oldest.insert((first.since_ms, sensor))),
            None => drop(self.sensors.remove(&sensor)),
        }
    }

    /// Returns when the next has waited long enough.
    pub(crate) fn deadline_ms(&self) -> Option<u64> {
        let (since_ms, _) = self.oldest.first()?;
        Some(if self.is_stopping { 0 } else { since_ms.saturating_add(self.max_ms) })
    }

    /// The sensor that has waited longest, if it is long enough.
    pub(crate) fn due(&self, now_ms: u64) -> Option<u32> {
        let (_, sensor) = self.oldest.first()?;
        self.deadline_ms().filter(|at_ms| *at_ms <= now_ms).map(|_| *sensor)
    }

    pub(crate) fn sensors(&self) -> impl Iterator<Item = u32> {
        self.oldest.iter().map(|(_, sensor)| *sensor)
    }
}

#[cfg(test)]
mod rig;
#[cfg(test)]
mod tests;
