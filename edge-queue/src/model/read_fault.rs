//! Back-off of reads that the medium does not answer (EIO). The rows may be whole, so they are tried again, and count as damaged only after
//! [`PATIENCE_MS`] and [`TRIES_MIN`] tries at one place, the number at which the read began: another consumer may read on elsewhere in the lane.
//! Meanwhile leases that go on there return only rows in RAM, and pushes, other places and other lanes go on; reads that are not for a lease are
//! tried at once.

use crate::model::Model;
use crate::row::Seq;
use crate::store::ReadLimit;
use crate::time::Now;

/// Least time in milliseconds from the first failure until unreadable parts are quarantined.
pub(crate) const PATIENCE_MS: u64 = 60_000;
/// Least number of tries in that time.
const TRIES_MIN: u32 = 6;
const AGAIN_FIRST_MS: u64 = 500;
const AGAIN_MAX_MS: u64 = 10_000;
/// Most places kept for each lane: more than all consumers read at. Beyond it the one that was not tried for longest begins anew.
const PLACES_MAX: usize = 32;

/// A place of a lane that cannot be read.
#[derive(Clone, Debug)]
pub(crate) struct ReadFault {
    pub(crate) reason: String,
    pub(crate) since_ms: u64,
    /// Number at which the reads began; it rises with the lane's floor, when rows before the damage are given up.
    from: Seq,
    /// Most rows of one of these reads.
    span: u64,
    /// Least limit of these reads: a shorter one that succeeds proves nothing.
    limit: ReadLimit,
    tries: u32,
    again_ms: u64,
    backoff_ms: u64,
    /// Set once the consumers were told that it is time for the next try.
    told: bool,
}

impl ReadFault {
    fn new(from: Seq, limit: ReadLimit, now: &Now) -> ReadFault {
        ReadFault {
            reason: String::new(),
            since_ms: now.up_ms,
            from,
            span: limit.rows as u64,
            limit,
            tries: 0,
            again_ms: 0,
            backoff_ms: AGAIN_FIRST_MS / 2,
            told: false,
        }
    }

    fn fail(&mut self, limit: ReadLimit, reason: String, now: &Now) {
        self.reason = reason;
        self.span = self.span.max(limit.rows as u64);
        self.limit =
            ReadLimit { rows: self.limit.rows.min(limit.rows), bytes: self.limit.bytes.min(limit.bytes) };
        self.tries = self.tries.saturating_add(1);
        self.backoff_ms = self.backoff_ms.saturating_mul(2).min(AGAIN_MAX_MS);
        self.again_ms = now.up_ms.saturating_add(self.backoff_ms);
        self.told = false;
    }

    /// Returns whether a read from `from` is another try at this place: it begins there, or, once the row there is given up, within what was read.
    fn has(&self, from: Seq, floor: Seq) -> bool {
        from == self.from
            || self.from < floor && from.checked_sub(self.from).is_some_and(|rows| rows < self.span)
    }

    /// Returns whether it is too early for another try.
    fn waits(&self, now: &Now) -> bool {
        // Whoever read the clock before they were told would else wait for a wake-up that was.
        !self.told && now.up_ms < self.again_ms
    }

    /// Returns whether a read that succeeded went over this place. `next` is where it ended; `None` for the end of the lane.
    fn is_disproved(&self, from: Seq, limit: ReadLimit, next: Option<Seq>) -> bool {
        let is_longer = limit.rows >= self.limit.rows && limit.bytes >= self.limit.bytes;
        from <= self.from && next.is_none_or(|next| is_longer && next > self.from)
    }

    fn gives_up(&self, now: &Now) -> bool {
        self.tries >= TRIES_MIN && now.up_ms.saturating_sub(self.since_ms) >= PATIENCE_MS
    }
}

/// Places of a lane that cannot be read; the one that was tried last is last.
#[derive(Clone, Debug, Default)]
pub(crate) struct ReadFaults(Vec<ReadFault>);

impl ReadFaults {
    /// Returns whether it is too early for another read from `from`. `floor` is the lane's.
    pub(crate) fn wait(&self, from: Seq, floor: Seq, now: &Now) -> bool {
        self.0.iter().any(|fault| fault.has(from, floor) && fault.waits(now))
    }
}

impl Model {
    /// Records a failed read; `true` if no place of the lane had failed before.
    pub(crate) fn read_failed(
        &mut self,
        lane: usize,
        from: Seq,
        limit: ReadLimit,
        reason: String,
        now: &Now,
    ) -> bool {
        let mut faults = self.take_read_faults(lane);
        let floor = self.floor_of(lane);
        faults.retain(|fault| fault.has(from, floor) || self.wanted(lane, fault.from));
        let is_news = faults.is_empty();
        let known = faults.iter().rposition(|fault| fault.has(from, floor)).map(|at| faults.remove(at));
        let mut fault = known.unwrap_or_else(|| ReadFault::new(from, limit, now));
        fault.from = from;
        fault.fail(limit, reason, now);
        if faults.len() >= PLACES_MAX {
            faults.remove(0);
        }
        faults.push(fault);
        self.put_read_faults(lane, faults);
        is_news
    }

    /// Records a successful read that ended at `next`; `true` if places of the lane had failed and none is left. A place where nobody wants a
    /// row any more is forgotten.
    pub(crate) fn read_worked(
        &mut self,
        lane: usize,
        from: Seq,
        limit: ReadLimit,
        next: Option<Seq>,
    ) -> bool {
        let mut faults = self.take_read_faults(lane);
        if faults.is_empty() {
            return false;
        }
        faults.retain(|fault| self.wanted(lane, fault.from) && !fault.is_disproved(from, limit, next));
        let is_over = faults.is_empty();
        self.put_read_faults(lane, faults);
        is_over
    }

    fn take_read_faults(&mut self, lane: usize) -> Vec<ReadFault> {
        self.lanes.get_mut(lane).map_or_else(Vec::new, |l| std::mem::take(&mut l.read_faults.0))
    }

    fn put_read_faults(&mut self, lane: usize, faults: Vec<ReadFault>) {
        if let Some(l) = self.lanes.get_mut(lane) {
            l.read_faults.0 = faults;
        }
    }

    /// Returns whether a read from `from` was tried for so long that parts missing in the next one count as damaged.
    pub(crate) fn read_gives_up(&self, lane: usize, from: Seq, now: &Now) -> bool {
        self.read_faults_of(lane).any(|fault| fault.has(from, self.floor_of(lane)) && fault.gives_up(now))
    }

    /// Returns whether any place of a lane was tried for so long that it counts as damaged.
    pub(crate) fn read_gives_up_somewhere(&self, lane: usize, now: &Now) -> bool {
        self.read_faults_of(lane).any(|fault| fault.gives_up(now))
    }

    fn floor_of(&self, lane: usize) -> Seq {
        self.lanes.get(lane).map_or(0, |l| l.floor)
    }

    fn read_faults_of(&self, lane: usize) -> impl Iterator<Item = &ReadFault> {
        self.lanes.get(lane).into_iter().flat_map(|l| &l.read_faults.0)
    }

    /// Returns whether the time of a next try has come since the last call, however long ago; true once for each try.
    pub(crate) fn reads_are_due(&mut self, up_ms: u64) -> bool {
        let faults = self.lanes.iter_mut().flat_map(|l| &mut l.read_faults.0);
        let due = faults.filter(|fault| !fault.told && fault.again_ms <= up_ms);
        due.map(|fault| fault.told = true).count() > 0
    }

    /// Up time in milliseconds of the next try that nobody was told of by [`reads_are_due`](Self::reads_are_due); `None` without one.
    pub(crate) fn read_again_at(&self) -> Option<u64> {
        let faults = self.lanes.iter().flat_map(|l| &l.read_faults.0);
        faults.filter(|fault| !fault.told).map(|fault| fault.again_ms).min()
    }

    /// Returns the longest fault of all lanes, for the health figures only; `None` when all rows that somebody wants can be read.
    pub(crate) fn read_fault(&self) -> Option<&ReadFault> {
        let faults = (0..self.lanes.len())
            .flat_map(|lane| self.read_faults_of(lane).filter(move |fault| self.wanted(lane, fault.from)));
        faults.min_by_key(|fault| fault.since_ms)
    }
}
