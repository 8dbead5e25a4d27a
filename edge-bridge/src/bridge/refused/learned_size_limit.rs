//! Learned size limit (circuit breaker) of a hub that never announced one, but answers a message with 0x95, Packet too large, and then closes
//! the connection. Another message of that size would cost every message in flight a reconnection, so such messages are parked unsent, except
//! for one probe at a time, with back-off. When the hub takes a message of that size, the parked ones go out before new ones of that size. A
//! Maximum Packet Size that a hub announces is enforced by the session.
//!
//! Batches are cut to fit: their size is searched between the largest message that was taken and the smallest that was refused.
//!
//! A hub that refuses a message although it has taken a larger one objects to the message itself: it is poison, and no limit is learned from
//! it. The very first refused message may have been such a one, so the probe, which is usually the oldest message of about the limit's size,
//! is another message at the second and then at every eighth probe.

mod too_large;

use std::collections::VecDeque;

use crate::bridge::backoff::Backoff;
use crate::bridge::uplink_event::HubLimit;

use super::poison::RowKey;
use super::refused_topics::retry_backoff;

/// Longest time, in milliseconds, from a PUBACK with 0x95 to the end of the connection for the refusal to count as its cause.
const FOLLOWS_MS: u64 = 5_000;
/// Least delay of the next probe, in milliseconds, when the hub refuses a smaller message.
const SMALLER_MS: u64 = 1_000;
/// A limit that is learned again sooner than these milliseconds after it was lifted keeps its grown back-off, because messages of about the
/// limit may be taken and refused in turns.
const RELAPSE_MS: u64 = 600_000;
/// Most passes over the parked rows during which new messages of that size wait for the parked ones.
const PASSES_MAX: u8 = 8;
/// Most messages, of a size that the hub accepted before, that may be refused within [`RELAPSE_MS`]. After that a limit is learned from them,
/// because connections are worth more than the messages of that size.
const OWN_FAULTS_MAX: usize = 4;
/// Number of probes in a cycle, of which the second sends another row than the oldest.
const EXPLORES_EACH: u32 = 8;
/// Divisor of the limit that gives the assumed accepted size while no message was accepted. With 16 the next size tried (the geometric mean) is a
/// quarter of the limit.
const STEP: u64 = 16;
/// Least bytes that a batch may have, if the limit is above it, so that a single reading fits.
const BATCH_MIN: u64 = 1_024;
/// The binary search for the largest batch ends when the bounds differ by less than this fraction of the limit.
const CLOSE_ENOUGH: u64 = 16;
/// Most rows of failed probes that are kept, so that the next probe can be another message.
const FAILED_MAX: usize = 64;

/// The limit and its probes. Sizes are bytes of payload, which is what such hubs count.
#[derive(Debug, Clone)]
pub(in crate::bridge) struct SizeLimit {
    /// Payload bytes of the smallest message that was refused at the cost of a connection; `None` if there is no limit.
    limit: Option<u64>,
    /// Maximum Packet Size that the hub announced on the present connection.
    announced: Option<u32>,
    lifting: Option<Lifting>,
    lifted_ms: Option<u64>,
    /// Payload bytes of the largest message that the hub accepted since it last refused a smaller one for its size.
    taken: u64,
    /// Up times at which messages were refused although the hub had taken larger ones.
    own_faults: VecDeque<u64>,
    /// Last answer of the connection if it refused a message as too large, otherwise `None`.
    last_refused: Option<Refused>,
    due_ms: u64,
    backoff: Backoff,
    probes: Probes,
}

/// A message that was refused as too large.
#[derive(Debug, Clone)]
struct Refused {
    bytes: u64,
    at_ms: u64,
    rows: Vec<RowKey>,
    /// Set if the hub refuses the message whatever its size.
    is_poison: bool,
}

/// Cause of a connection's end.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Cause {
    Other,
    /// A single message is at fault; contains its rows.
    Message(Vec<RowKey>),
    /// The size of the message.
    Size,
}

/// Choice of the message that is the next probe.
#[derive(Debug, Clone, Default)]
struct Probes {
    /// Number of failed probes since the limit was learned; with the first rows of the latest ones.
    fails: u32,
    failed: VecDeque<RowKey>,
    /// Set if a probe was due when the last pass began; with flags for a row over the limit that the pass met, and for one that it sent as the
    /// probe.
    was_due: bool,
    has_met: bool,
    has_probe: bool,
    /// Set if a pass met no row of the chosen kind, so that the next probe may be any row over the limit.
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

    /// Returns whether a message over the limit is chosen as the next probe.
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

/// State after a limit was lifted, while parked messages of that size are sent. The pass that was under way may have left some of them parked,
/// and new messages must not overtake them.
#[derive(Debug, Clone)]
struct Lifting {
    limit: u64,
    /// Passes over the parked rows that began since the limit was lifted.
    passes: u8,
    /// Set if messages of that size were parked since the last pass began.
    has_parked: bool,
}

impl SizeLimit {
    pub(in crate::bridge) fn new(seed: u64) -> Self {
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

    /// Notes that a connection is up. `packet_max` is the Maximum Packet Size in bytes that the hub announced; `u32::MAX` if it announced
    /// none.
    pub(in crate::bridge) fn on_connected(&mut self, packet_max: u32) {
        self.announced = (packet_max < u32::MAX).then_some(packet_max);
    }

    /// Returns the hub's size limit as reported to operators: the learned one if it is below the announced one, else the announced one; `None` if
    /// there is neither.
    pub(in crate::bridge) fn of_hub(&self) -> Option<HubLimit> {
        let is_below = |refused: u64| self.announced.is_none_or(|bytes| refused < u64::from(bytes));
        let found = self.limit.filter(|refused| is_below(*refused));
        let found = found.map(|refused| HubLimit::Found { refused, taken: self.taken });
        found.or(self.announced.map(|bytes| HubLimit::Announced { bytes }))
    }

    /// Records that the hub accepted a message of `bytes` payload. Returns whether that lifts the limit.
    fn on_taken(&mut self, now_ms: u64, bytes: u64) -> bool {
        self.last_refused = None;
        self.taken = self.taken.max(bytes);
        let Some(limit) = self.limit.take_if(|limit| bytes >= *limit) else { return false };
        self.lifting = Some(Lifting { limit, passes: 0, has_parked: true });
        self.lifted_ms = Some(now_ms);
        self.probes = Probes::default();
        true
    }

    /// Records that the hub refused a message as too large.
    fn on_refused(&mut self, now_ms: u64, refused: Refused) {
        if !refused.is_poison && self.covers(refused.bytes) {
            self.due_ms = now_ms + self.backoff.next_ms();
            self.probes.fail(refused.rows.first().copied());
        }
        self.last_refused = Some(refused);
    }

    /// Handles the end of the connection. `by_hub` is set if the hub ended it in a way that a message of this side may have caused.
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

    /// Counts a message that was refused although the hub accepted larger ones. Returns `false` if there were [`OWN_FAULTS_MAX`] already, so that
    /// the size is to blame.
    fn has_patience(&mut self, now_ms: u64) -> bool {
        self.own_faults.retain(|at_ms| now_ms.saturating_sub(*at_ms) < RELAPSE_MS);
        let has = self.own_faults.len() < OWN_FAULTS_MAX;
        if has {
            self.own_faults.push_back(now_ms);
        }
        has
    }

    /// Starts a pass that may send. `meets_all`: no row is being parked, so the pass meets all of them. `is_due`: a probe is due.
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

    /// Forgets the limit because no message waits for it. The next message of that size is sent as usual, and batches are no longer cut to the
    /// limit.
    fn forget(&mut self, now_ms: u64) {
        if self.limit.take().is_some() {
            self.lifted_ms = Some(now_ms);
        }
    }

    /// Counts a parked row of `bytes` payload that the pass met.
    pub(in crate::bridge) fn on_met(&mut self, bytes: u64) {
        self.probes.has_met |= self.covers(bytes);
    }

    /// Notes that a pass over the parked rows is over. Returns whether another one has to follow, because messages of a lifted limit are still
    /// parked.
    fn on_pass_over(&mut self) -> bool {
        let is_over = |own: &mut Lifting| own.passes > 0 && (!own.has_parked || own.passes >= PASSES_MAX);
        let ends = self.lifting.take_if(is_over);
        // Of a batch that was cut for the limit, or of the last passes.
        self.lifting.is_some() || ends.is_some_and(|own| own.has_parked)
    }

    /// Notes that a pass ended early because the spool could not read the other rows.
    pub(in crate::bridge) fn on_pass_broken_off(&mut self) {
        self.lifting.take_if(|own| own.passes >= PASSES_MAX);
    }

    /// Returns whether a message is parked unsent. `swept`: its rows were parked before. `may_probe`: it may be sent as a probe.
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

    /// Makes a probe due at once, and resets the back-off.
    pub(in crate::bridge) fn retry_now(&mut self, now_ms: u64) {
        self.backoff.reset();
        self.due_ms = now_ms;
    }

    /// Up time of the next probe in milliseconds; `None` without a limit.
    pub(in crate::bridge) fn due_ms(&self) -> Option<u64> {
        self.limit.map(|_| self.due_ms)
    }

    fn covers(&self, bytes: u64) -> bool {
        self.limit.is_some_and(|limit| bytes >= limit)
    }

    /// Largest payload of a batch, in bytes: the geometric mean of the largest accepted and the smallest refused size, until the two are close.
    /// `None` without a limit.
    fn batch_max(&self) -> Option<u64> {
        let limit = self.limit?;
        let is_close = limit.saturating_sub(self.taken) <= limit / CLOSE_ENOUGH;
        let halfway = limit.saturating_mul(self.taken.max(limit / STEP)).isqrt();
        Some(if is_close { self.taken } else { halfway.max(BATCH_MIN).min(limit.saturating_sub(1)) })
    }
}

#[cfg(test)]
mod tests;
