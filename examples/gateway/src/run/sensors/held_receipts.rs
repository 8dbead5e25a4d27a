//! Receipts of readings that a filter stage holds back (`ack_held = "when_emitted"`). They wait until the rows made of these readings are safe
//! (promises 1 and 13). Pure; times are those of `Now::up_ms`.
//!
//! A message has one receipt and may have many readings, of many sensors. The receipt is made of [`Part`]s: one for the message's own rows, one
//! for each held reading, and one for each row that its sensor emits meanwhile. A part is attached to the rows that cover it, as their [`Link`],
//! and is done when they are safe. The last part releases the receipt.

use std::collections::{BTreeSet, HashMap, VecDeque};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};

use edge_bridge::listener::Ticket;
use edge_bridge::net::server::Receipts;
use tokio::sync::Notify;

/// Most held readings with waiting receipts, of about a hundred bytes each. At the limit the next one is emitted at once.
const READINGS_MAX: usize = 65_536;

/// Receiver of a receipt, notified when a message's rows are safe.
#[derive(Clone, Debug)]
pub(crate) enum Tell {
    /// The listener, or the client of the local broker.
    Publisher(Receipts, Ticket),
    /// The start, which queues rows from before the restart.
    Start(Arc<Notify>),
    /// No receiver, because the filter made the rows by itself.
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

/// Part of a message's receipt; the receipt is complete when all its parts are done.
#[derive(Debug)]
pub(crate) struct Part(Arc<Message>);

#[derive(Debug)]
struct Message {
    parts_left: AtomicUsize,
    /// Number of the message's readings that wait in a stage.
    readings_held: AtomicUsize,
    /// Receiver of the receipt, set when the message's own rows are safe.
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

    /// Ends this part. Returns the receiver if it was the receipt's last one, else `None`. A part that is dropped without this call keeps the
    /// receipt waiting for ever.
    fn done(self) -> Option<Tell> {
        let was_last = self.0.parts_left.fetch_sub(1, Ordering::AcqRel) == 1;
        was_last.then(|| self.0.tell.get().cloned())?
    }

    /// Counts a held reading of the message. Returns whether it is the first one.
    fn holds_first(&self) -> bool {
        self.0.readings_held.fetch_add(1, Ordering::Relaxed) == 0
    }

    /// Uncounts a reading that is no longer held. Returns whether it was the last one of the message.
    fn held_last(&self) -> bool {
        self.0.readings_held.fetch_sub(1, Ordering::Relaxed) == 1
    }
}

/// Receipts that depend on the rows of one message, in addition to the message's plain receipt.
#[derive(Debug, Default)]
pub(crate) struct Link {
    /// Receipt of the message in parts, if one of its readings is held. `None`: it depends on these rows only.
    own: Option<Part>,
    covered: Vec<Part>,
}

impl Link {
    pub(crate) fn is_empty(&self) -> bool {
        self.own.is_none() && self.covered.is_empty()
    }

    /// Returns whether the message's own receipt waits for more than the message's rows.
    pub(crate) fn withholds(&self) -> bool {
        self.own.is_some()
    }

    /// Adds a part to the message's receipt and returns it.
    pub(crate) fn part(&mut self) -> Part {
        self.own.get_or_insert_with(Part::first).one_more()
    }

    /// Makes the message's receipt wait for every receipt before it, as that of a message without rows does, because one of its readings may
    /// repeat one that is not safe yet.
    pub(crate) fn withhold(&mut self) {
        self.own.get_or_insert_with(Part::first);
    }

    /// Adds the receipts that depend on other rows, which go into the queue together with these.
    pub(crate) fn join(&mut self, other: Link) {
        self.own = self.own.take().or(other.own);
        self.covered.extend(other.covered);
    }

    /// Ends the parts whose rows are safe now. Returns the receivers of all receipts that are complete. `tell` is the receiver for the message
    /// from which the rows are made.
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

    /// Returns the callback for when the rows are safe, which notifies all receivers.
    pub(crate) fn then(self, tell: Tell) -> impl FnOnce() + Send + 'static {
        move || self.safe(tell).for_each(Tell::say)
    }
}

/// Number and age of the messages whose receipts wait for readings in stages.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Extent {
    /// Number of messages with such readings. Messages whose PUBACKs only wait behind theirs are not counted.
    pub(crate) messages: usize,
    /// Arrival of the oldest one, as up time in milliseconds. `None`: there is none.
    pub(crate) since_ms: Option<u64>,
}

impl Extent {
    pub(crate) fn and(self, other: Self) -> Self {
        let since_ms = self.since_ms.into_iter().chain(other.since_ms).min();
        Self { messages: self.messages + other.messages, since_ms }
    }
}

/// Held readings of one filter with waiting receipts.
#[derive(Debug)]
pub(crate) struct Withheld {
    max_ms: u64,
    /// Waiting readings by sensor number, in order of arrival.
    sensors: HashMap<u32, VecDeque<Waiting>>,
    /// Up time since which the first reading of each sensor waits; with the sensor's number.
    oldest: BTreeSet<(u64, u32)>,
    readings: usize,
    /// Number of messages with waiting readings.
    messages: usize,
    is_stopping: bool,
}

#[derive(Debug)]
struct Waiting {
    since_ms: u64,
    part: Part,
    /// Parts for copies of the same reading that were received later.
    copies: Vec<Part>,
}

impl Withheld {
    /// Creates an empty list, in which no reading waits longer than `max_ms`.
    pub(crate) fn new(max_ms: u64) -> Self {
        let (sensors, oldest) = (HashMap::new(), BTreeSet::new());
        Self { max_ms, sensors, oldest, readings: 0, messages: 0, is_stopping: false }
    }

    /// Makes all readings due, and holds no further one. Called at a stop.
    pub(crate) fn stop(&mut self) {
        self.is_stopping = true;
    }

    /// Returns whether the next held reading has to be emitted at once, because of the limit or a stop.
    pub(crate) fn takes_no_more(&self) -> bool {
        self.is_stopping || self.readings >= READINGS_MAX
    }

    pub(crate) fn extent(&self) -> Extent {
        Extent { messages: self.messages, since_ms: self.oldest.first().map(|(since_ms, _)| *since_ms) }
    }

    /// Adds a held reading of the sensor, behind all earlier ones.
    pub(crate) fn hold(&mut self, now_ms: u64, sensor: u32, part: Part) {
        let waiting = self.sensors.entry(sensor).or_default();
        if waiting.is_empty() {
            self.oldest.insert((now_ms, sensor));
        }
        self.readings += 1;
        self.messages += usize::from(part.holds_first());
        waiting.push_back(Waiting { since_ms: now_ms, part, copies: Vec::new() });
    }

    /// Handles a copy of the sensor's newest reading. If the original waits, the receipt of the copy's message waits for it too, even if the rest
    /// of that message is safe.
    pub(crate) fn hold_copy(&mut self, sensor: u32, link: &mut Link) {
        if let Some(last) = self.sensors.get_mut(&sensor).and_then(VecDeque::back_mut) {
            self.readings += 1;
            last.copies.push(link.part());
        }
    }

    /// Handles a row that the sensor emitted. The row covers all waiting readings except the last `but`, which a stage may still have to judge,
    /// or which may be held from now on. The receipts of these wait for this row too, because the row may be one of them.
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

    /// Up time at which the longest waiting reading reaches the limit. `None`: none waits.
    pub(crate) fn deadline_ms(&self) -> Option<u64> {
        let (since_ms, _) = self.oldest.first()?;
        Some(if self.is_stopping { 0 } else { since_ms.saturating_add(self.max_ms) })
    }

    /// Returns the sensor with the longest waiting reading, if it has reached the limit.
    pub(crate) fn due(&self, now_ms: u64) -> Option<u32> {
        let (_, sensor) = self.oldest.first()?;
        self.deadline_ms().filter(|at_ms| *at_ms <= now_ms).map(|_| *sensor)
    }

    pub(crate) fn sensors(&self) -> impl Iterator<Item = u32> {
        self.oldest.iter().map(|(_, sensor)| *sensor)
    }
}

#[cfg(test)]
mod test_rig;
#[cfg(test)]
mod tests;
