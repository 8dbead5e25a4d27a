//! Learned size limit (circuit breaker) of a hub that never announced one: it answers a message with 0x95, Packet too large, and then closes the
//! connection. Sending another one of that size would cost every message on its way a reconnection, so these are parked unsent, but for one
//! probe at a time, with back-off. When the hub takes one of that size, the parked ones go out before new ones of that size. A Maximum Packet Size
//! that a hub announces is the session's to keep.
//!
//! Batches are cut to fit: their size is searched between the largest message that was taken and the smallest that was refused.
//!
//! A hub that has taken a larger one means the message and not its size: that one is poison, and no limit is learned of it. It may have been the first of
//! all, too: the probe is the oldest of about the limit's size, but the second probe, and every eighth after it, is another one.

mod too_large;

use std::collections::VecDeque;

use super::backoff::Backoff;
use super::poison::RowKey;
use super::refusals::retry_backoff;
use super::uplink_event::HubLimit;

/// Longest time between a refusal and an end of the connection that is its consequence.
const FOLLOWS_MS: u64 = 5_000;
/// Delay of the next probe, at least, when the hub refuses a smaller message.
const SMALLER_MS: u64 = 1_000;
/// A limit that comes back sooner than this after it was lifted goes on with its back-off: messages of about the limit may be taken and
/// refused in turns.
const RELAPSE_MS: u64 = 600_000;
/// Passes over the parked rows that new messages of that size wait for, at most.
const PASSES_MAX: u8 = 8;
/// Messages of a size that the hub had taken that may be refused within [`RELAPSE_MS`]: beyond, connections are worth more than the messages of that
/// size.
const OWN_FAULTS_MAX: usize = 4;
/// Probes in a turn, of which the second is another row than the oldest.
const EXPLORES_EACH: u32 = 8;
/// Divisor of the limit that gives the size which counts as taken as long as none is known: the next size that is tried is a quarter of the limit.
const STEP: u64 = 16;
/// A batch may have so many bytes if they are fewer than the limit: a single reading is to fit.
const BATCH_MIN: u64 = 1_024;
/// Part of the limit below which nothing more is tried with batches.
const CLOSE_ENOUGH: u64 = 16;
/// Failed probes remembered, so that another one is another one.
const FAILED_MAX: usize = 64;

/// The limit and its probes. Sizes are bytes of payload, which is what such hubs count.
#[derive(Debug)]
pub(super) struct SizeLimit {
    /// The smallest message refused at the cost of a connection.
    limit: Option<u64>,
    /// Maximum Packet Size that the hub announced on the present connection.
    announced: Option<u32>,
    lifting: Option<Lifting>,
    lifted_ms: Option<u64>,
    /// The largest message that the hub has taken, since it refused a smaller one for its size.
    taken: u64,
    /// Times at which messages were refused although the hub had taken larger ones.
    own_faults: VecDeque<u64>,
    /// The last answer of this connection, if it was such a refusal.
    last_refused: Option<Refused>,
    due_ms: u64,
    backoff: Backoff,
    probes: Probes,
}

/// A message that was refused as too large.
#[derive(Debug)]
struct Refused {
    bytes: u64,
    at_ms: u64,
    rows: Vec<RowKey>,
    /// Set if the hub refuses the message whatever its size.
    is_poison: bool,
}

/// Cause of a connection's end.
#[derive(Debug, PartialEq, Eq)]
enum Cause {
    Other,
    /// One message, whose rows these are.
    Message(Vec<RowKey>),
    /// The size of the message.
    Size,
}

/// The choice of the next probe.
#[derive(Debug, Default)]
struct Probes {
    /// Probes that failed since the limit is known, and the first rows of the last of them.
    fails: u32,
    failed: VecDeque<RowKey>,
    /// A probe was due when the last pass began, which has met a row that the limit holds back; and one of them probed.
    was_due: bool,
    has_met: bool,
    has_probe: bool,
    /// A pass met none that was to probe: any will do.
    is_any: bool,
}

impl Probes {
    fn fail(&mut self, row: Option<RowKey>) {
        self.fails = self.fails.saturating_add(1);
        self.failed.extend(row.filter(|row| !self.failed.contains(row)));
        if self.failed.len() > FAILED_MAX {
            self.failed.pop_front();
        }
    }

    /// Returns whether a message that the limit holds back is to be the next one.
    fn takes(&self, bytes: u64, limit: u64, row: Option<RowKey>) -> bool {
        let is_other = self.fails % EXPLORES_EACH == 1;
        self.is_any
            || if is_other {
                row.is_none_or(|row| !self.failed.contains(&row))
            } else {
                bytes <= limit.saturating_add(limit / 4)
            }
    }
}

/// A limit that the hub no longer has, while parked messages of that size go out: a pass that was under way has left some behind, and new ones go
/// behind them.
#[derive(Debug)]
struct Lifting {
    limit: u64,
    /// Passes over the parked rows that began since.
    passes: u8,
    /// Some of that size were parked since the last began.
    has_parked: bool,
}

impl SizeLimit {
    pub(super) fn new(seed: u64) -> Self {
        let backoff = retry_backoff(seed ^ 0x95);
        Self {
            limit: None,
            announced: None,
            lifting: None,
            lifted_ms: None,
            taken: 0,
            own_faults: VecDeque::new(),
            last_refused: None,
            due_ms: 0,
            backoff,
            probes: Probes::default(),
        }
    }

    /// Notes that a connection is up. `packet_max`: what the hub announced, in bytes; `u32::MAX`: nothing.
    pub(super) fn on_connected(&mut self, packet_max: u32) {
        self.announced = (packet_max < u32::MAX).then_some(packet_max);
    }

    /// Returns the hub's limit for people. The size that is tried next is no limit of the hub's.
    pub(super) fn of_hub(&self) -> Option<HubLimit> {
        let is_below = |refused: u64| self.announced.is_none_or(|bytes| refused < u64::from(bytes));
        let found = self.limit.filter(|refused| is_below(*refused));
        let found = found.map(|refused| HubLimit::Found { refused, taken: self.taken });
        found.or(self.announced.map(|bytes| HubLimit::Announced { bytes }))
    }

    /// Notes that the hub took a message of this size. Returns whether that lifts the limit.
    fn on_taken(&mut self, now_ms: u64, bytes: u64) -> bool {
        self.last_refused = None;
        self.taken = self.taken.max(bytes);
        let Some(limit) = self.limit.take_if(|limit| bytes >= *limit) else { return false };
        self.lifting = Some(Lifting { limit, passes: 0, has_parked: true });
        self.lifted_ms = Some(now_ms);
        self.probes = Probes::default();
        true
    }

    /// Notes that the hub refused a message as too large.
    fn on_refused(&mut self, now_ms: u64, refused: Refused) {
        if !refused.is_poison && self.covers(refused.bytes) {
            self.due_ms = now_ms + self.backoff.next_ms();
            self.probes.fail(refused.rows.first().copied());
        }
        self.last_refused = Some(refused);
    }

    /// Notes that the connection is over. `by_hub`: the hub ended it in a way that one of our messages may be the cause of.
    fn on_closed(&mut self, now_ms: u64, by_hub: bool) -> Cause {
        let refused = self.last_refused.take().filter(|_| by_hub);
        let Some(Refused { bytes, rows, is_poison, .. }) =
            refused.filter(|refused| now_ms.saturating_sub(refused.at_ms) <= FOLLOWS_MS)
        else {
            return Cause::Other;
        };
        if is_poison || (bytes <= self.taken && self.has_patience(now_ms)) {
            return Cause::Message(rows);
        }
        match self.limit {
            Some(limit) if limit <= bytes => {}
            Some(_) => self.due_ms = self.due_ms.max(now_ms + SMALLER_MS),
            None => {
                if self.lifted_ms.is_none_or(|at_ms| now_ms.saturating_sub(at_ms) >= RELAPSE_MS) {
                    self.backoff.reset();
                }
                self.due_ms = now_ms + self.backoff.next_ms();
                self.probes = Probes::default();
            }
        }
        self.limit = Some(self.limit.unwrap_or(bytes).min(bytes));
        self.lifting = None;
        self.taken = self.taken.min(bytes.saturating_sub(1));
        Cause::Size
    }

    /// Counts a message that was refused for itself. Returns whether few were.
    fn has_patience(&mut self, now_ms: u64) -> bool {
        self.own_faults.retain(|at_ms| now_ms.saturating_sub(*at_ms) < RELAPSE_MS);
        let has = self.own_faults.len() < OWN_FAULTS_MAX;
        if has {
            self.own_faults.push_back(now_ms);
        }
        has
    }

    /// A pass over the parked rows begins that sends what it may. `meets_all`: no row is on its way to the parked ones. `is_due`: a probe is.
    fn on_pass_begins(&mut self, now_ms: u64, meets_all: bool, is_due: bool) {
        if self.probes.was_due && !self.probes.has_probe {
            self.probes.is_any = true;
            if !self.probes.has_met {
                self.forget(now_ms);
            }
        }
        (self.probes.was_due, self.probes.has_met, self.probes.has_probe) = (is_due, !meets_all, false);
        if let Some(lifting) = &mut self.lifting {
            (lifting.passes, lifting.has_parked) = (lifting.passes.saturating_add(1), !meets_all);
        }
    }

    /// Forgets the limit, since nothing waits for its size: the next message of that size is the probe, and a batch may be as large as it is.
    fn forget(&mut self, now_ms: u64) {
        if self.limit.take().is_some() {
            self.lifted_ms = Some(now_ms);
        }
    }

    /// A pass meets a parked row.
    pub(super) fn on_met(&mut self, bytes: u64) {
        self.probes.has_met |= self.covers(bytes);
    }

    /// Notes that a pass over the parked rows is over; returns whether another one is to begin.
    fn on_pass_over(&mut self) -> bool {
        let is_over = |own: &mut Lifting| own.passes > 0 && (!own.has_parked || own.passes >= PASSES_MAX);
        let ends = self.lifting.take_if(is_over);
        // Of a batch that was cut for the limit, or of the last passes.
        self.lifting.is_some() || ends.is_some_and(|own| own.has_parked)
    }

    /// Notes that a pass over the parked rows could not be read to its end.
    pub(super) fn on_pass_broken_off(&mut self) {
        self.lifting.take_if(|own| own.passes >= PASSES_MAX);
    }

    /// Returns whether a message is to be parked unsent. `may_probe`: it may be sent as a probe.
    fn parks(&mut self, bytes: u64, swept: bool, row: Option<RowKey>, may_probe: bool) -> bool {
        if let Some(own) =
            self.lifting.as_mut().filter(|own| bytes >= own.limit && !(swept && own.passes > 0))
        {
            own.has_parked |= !swept;
            return true;
        }
        let Some(limit) = self.limit.filter(|limit| bytes >= *limit) else { return false };
        let probes = may_probe && self.probes.takes(bytes, limit, row);
        if probes {
            (self.probes.has_probe, self.probes.is_any) = (true, false);
        }
        !probes
    }

    /// Probes with the next message.
    pub(super) fn retry_now(&mut self, now_ms: u64) {
        self.backoff.reset();
        self.due_ms = now_ms;
    }

    /// Time of the next probe, while there is a limit.
    pub(super) fn due_ms(&self) -> Option<u64> {
        self.limit.map(|_| self.due_ms)
    }

    fn covers(&self, bytes: u64) -> bool {
        self.limit.is_some_and(|limit| bytes >= limit)
    }

    /// Bytes of a batch at most: halfway, as a ratio, between the largest that was taken and the smallest that was refused, until they are close.
    fn batch_max(&self) -> Option<u64> {
        let limit = self.limit?;
        let is_close = limit.saturating_sub(self.taken) <= limit / CLOSE_ENOUGH;
        let halfway = limit.saturating_mul(self.taken.max(limit / STEP)).isqrt();
        Some(if is_close { self.taken } else { halfway.max(BATCH_MIN).min(limit.saturating_sub(1)) })
    }
}

#[cfg(test)]
mod tests;
