//! Public handle of a queue.

use std::fmt;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use crate::acked_ids::{AckIdsError, AckedIds, IdRange};
use crate::cloned_disk;
use crate::close_on_drop::{Handle, Home};
use crate::config::{Config, ConsumerConfig, OnFull, StoreKind};
use crate::consumer::Consumer;
use crate::engine::Engine;
use crate::error::{CommitError, ConsumerError, OpenError, PushError};
use crate::event::Event;
use crate::gap::Gap;
use crate::ledger::Ledger;
use crate::medium::Dir;
use crate::model::Refusal;
use crate::pending::Pending;
use crate::row::{Lane, Row};
use crate::shell::{Clock, Machine, SystemClock, open_dir};
use crate::stats::Stats;
use crate::store::{Recovered, Store};
#[cfg(any(feature = "ring", feature = "redb"))]
use crate::transfer::{ExportError, Exported};

/// Most rows of a batch that are pushed under one lock, which bounds how long other callers wait for that lock.
pub(crate) const TOGETHER_MAX: usize = 256;

/// Handle of a bounded, durable queue. Cloning it is cheap; the queue is closed when the last of its clones and consumers is
/// dropped.
#[derive(Clone)]
pub struct Queue {
    pub(crate) handle: Arc<Handle>,
}

/// Error of a batch of which only the first rows were accepted.
#[derive(Debug)]
#[non_exhaustive]
pub struct BatchError {
    /// Receipts of the accepted rows.
    pub accepted: Vec<Pending>,
    /// Reason for which the next row was not pushed; it carries the row.
    pub error: PushError,
    /// Rows after the refused one.
    pub rest: Vec<Row>,
}

impl fmt::Display for BatchError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "after {} rows: {}", self.accepted.len(), self.error)
    }
}

impl std::error::Error for BatchError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&self.error)
    }
}

#[allow(clippy::needless_pass_by_value, reason = "a chain of setters ends in the call")]
impl Queue {
    /// Opens the queue in `dir`, creating both where missing. The memory store does not touch `dir`. Waits up to a second
    /// for another process or handle to give the directory back.
    ///
    /// # Errors
    /// Busy, a newer format, another key or none, no space for the lanes' regions, a configuration that contradicts itself, or a call the system
    /// refused. Damage is no error, because it is set aside and reported by [`Queue::events`].
    pub fn open(dir: impl AsRef<Path>, config: Config) -> Result<Queue, OpenError> {
        Queue::open_path(dir.as_ref(), &config, Arc::new(SystemClock::new()))
    }

    /// As [`Queue::open`], with another clock.
    ///
    /// # Errors
    /// As [`Queue::open`].
    pub fn open_with_clock(
        dir: impl AsRef<Path>,
        config: Config,
        clock: Arc<dyn Clock>,
    ) -> Result<Queue, OpenError> {
        Queue::open_path(dir.as_ref(), &config, clock)
    }

    /// As [`Queue::open`], in a directory type of your own, such as a simulated disk.
    ///
    /// # Errors
    /// As [`Queue::open`].
    pub fn open_in(dir: Box<dyn Dir>, config: Config, clock: Arc<dyn Clock>) -> Result<Queue, OpenError> {
        Engine::open(dir, &config, clock).map(|engine| Queue::new(engine, None))
    }

    /// Opens a queue on a store of your own. `recovered` is the result of opening that store.
    ///
    /// # Errors
    /// A configuration that contradicts itself or has fewer lanes than the store, or a failing read.
    pub fn with_store(
        store: Box<dyn Store>,
        recovered: Recovered,
        config: Config,
        clock: Arc<dyn Clock>,
    ) -> Result<Queue, OpenError> {
        config.validate()?;
        Engine::start(store, None, recovered, &config, clock).map(|engine| Queue::new(engine, None))
    }

    fn open_path(path: &Path, config: &Config, clock: Arc<dyn Clock>) -> Result<Queue, OpenError> {
        let home = Home { dir: path.to_owned(), config: config.clone() };
        if config.store_kind() == StoreKind::Memory {
            return Engine::open_memory(config, clock).map(|engine| Queue::new(engine, Some(home)));
        }
        config.validate()?;
        let engine = Engine::open(open_dir(path)?, config, clock)?;
        let told = cloned_disk::last_machine(open_dir(path)?.as_ref(), &Machine::here());
        told.into_iter().for_each(|event| engine.tell(event));
        Ok(Queue::new(engine, Some(home)))
    }

    fn new(engine: Arc<Engine>, home: Option<Home>) -> Queue {
        Queue { handle: Arc::new(Handle::new(engine, home)) }
    }

    /// Pushes a row without waiting for the disk, except in three cases: it commits when more than `max_unwritten_bytes` of rows wait for a store
    /// that works; it reads the sizes of the oldest rows when drop-oldest has used up those that the last commit read ahead; and it counts the
    /// lane's rows again when a limit is met while the lane's totals are not exact.
    ///
    /// # Errors
    /// The row is handed back with the reason.
    pub fn push(&self, row: Row) -> Result<Pending, PushError> {
        self.handle.engine.push(row).map(Pending::one)
    }

    /// Pushes a row, and waits up to `timeout` for room while its lane is full. For producers that can wait, with
    /// [`OnFull::Reject`](crate::OnFull::Reject). Waits also where eviction gives no room, because everything in the lane is leased, or because
    /// the store fails and `max_unwritten_bytes` are used up. Tries again whenever rows are acknowledged, given back, expired or written;
    /// a row whose time to live is over expires when a consumer reaches it. Producers that wait have no order among them, so a row of a large weight
    /// may wait behind any number of small ones. One that no room would be enough for is refused at once. A wait counts in
    /// [`LaneStats::refused`](crate::LaneStats::refused) only if it ends with a refusal. Nothing waits on a [manual clock](Clock::manual).
    ///
    /// ```
    /// # use edge_queue::{Config, OnFull, Queue, Row, StoreKind, Wait};
    /// # use std::time::Duration;
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let config = Config::default().store(StoreKind::Memory).max_messages(1).on_full(OnFull::Reject);
    /// let q = Queue::open("", config)?;
    /// let mut hub = q.consumer("hub")?;
    /// drop(q.push(Row::new("1"))?);
    /// std::thread::scope(|scope| {
    ///     scope.spawn(|| q.push_wait(Row::new("2"), Duration::from_secs(60)));
    ///     let rows = hub.lease(1, Wait::Forever)?;
    ///     rows.ack(); // makes room
    ///     assert_eq!(hub.lease(1, Wait::Forever)?.len(), 1);
    ///     Ok(())
    /// })
    /// # }
    /// ```
    ///
    /// # Errors
    /// The row is handed back with the reason: [`PushError::Full`] when the time is over; at once [`PushError::AboveLimit`] for a row whose
    /// weight alone is above the limit of its lane.
    pub fn push_wait(&self, row: Row, timeout: Duration) -> Result<Pending, PushError> {
        self.handle.engine.push_wait(row, timeout).map(Pending::one)
    }

    /// Pushes rows in order, as [`Queue::push`] does with one row, but cheaper: one lock and one time stamp serve up to 256 rows.
    ///
    /// # Errors
    /// The first row that is refused ends the batch; the rows before it stay in the queue.
    pub fn push_batch(&self, rows: impl IntoIterator<Item = Row>) -> Result<Vec<Pending>, Box<BatchError>> {
        let mut rows = rows.into_iter().fuse();
        let mut accepted = Vec::with_capacity(rows.size_hint().0);
        loop {
            // The caller's iterator runs without the lock: it may use the queue itself.
            let mut together = rows.by_ref().take(TOGETHER_MAX).collect::<Vec<Row>>().into_iter();
            if together.len() == 0 {
                return Ok(accepted);
            }
            while let Some(refused) = self.push_together(&mut together, &mut accepted) {
                let pushed = match refused {
                    Refusal::Error(error) => Err(self.handle.engine.count_refused(error)),
                    // What it takes to go on may need the disk: that row goes the long way.
                    Refusal::NeedCommit(row)
                    | Refusal::NeedHead { row, .. }
                    | Refusal::NeedCount { row, .. } => self.push(*row),
                };
                match pushed {
                    Ok(pending) => accepted.push(pending),
                    Err(error) => {
                        let rest = together.chain(rows).collect();
                        return Err(Box::new(BatchError { accepted, error, rest }));
                    }
                }
            }
        }
    }

    /// Pushes rows without waiting for the disk. Returns the first row that is refused or would have to wait; `None` if all were accepted.
    pub(crate) fn push_together(
        &self,
        rows: &mut std::vec::IntoIter<Row>,
        accepted: &mut Vec<Pending>,
    ) -> Option<Refusal> {
        let (tickets, refused) = self.handle.engine.push_together(rows);
        tickets.into_iter().for_each(|ticket| accepted.extend(Pending::each(ticket)));
        refused
    }

    /// Makes all rows pushed so far durable before it returns: one write and one sync, none if no row waits.
    ///
    /// # Errors
    /// The store failed. Rows stay in RAM, their receipts stay pending, the queue tries again by itself.
    pub fn commit(&self) -> Result<(), CommitError> {
        self.handle.engine.commit()
    }

    /// Makes durable which rows were acknowledged, moved or dropped so far, and the counters. Rows that wait for their commit still wait, so that
    /// rows acknowledged in time are never written (elision). A crash after this call undoes none of these acknowledgements, which
    /// [`cursor_lag`](Config::cursor_lag) allows otherwise. One small write and one sync, none when nothing changed.
    ///
    /// # Errors
    /// As [`commit`](Self::commit).
    pub fn commit_ends(&self) -> Result<(), CommitError> {
        self.handle.engine.commit_ends()
    }

    /// Registers a consumer, or resumes it at its durable cursor. Durable when it returns. The first consumer of a queue starts at the oldest
    /// row, a later one at the rows pushed from now on. Two handles of one name are one consumer: each row is leased by one of them, and a scan
    /// or rewind of one moves both. A consumer that is registered already is resumed at once; a new one waits for a commit.
    ///
    /// # Errors
    /// A name that is empty or too long, too many consumers, or a failing store.
    pub fn consumer(&self, name: &str) -> Result<Consumer, ConsumerError> {
        let id = self.handle.engine.register(name, None)?;
        Ok(Consumer::new(self.handle.clone(), id, name))
    }

    /// As [`Queue::consumer`], with limits of the consumer's own, so that a slow one is moved forward alone. The limits given
    /// last since the queue was opened apply, from the next commit on, even if the consumer asks for no rows.
    ///
    /// # Errors
    /// As [`Queue::consumer`].
    pub fn consumer_with(&self, name: &str, limits: ConsumerConfig) -> Result<Consumer, ConsumerError> {
        let id = self.handle.engine.register(name, Some(limits))?;
        Ok(Consumer::new(self.handle.clone(), id, name))
    }

    /// Resumes a consumer whose registration is durable, without waiting for the disk; `None` if there is none.
    #[cfg(feature = "tokio")]
    pub(crate) fn resume(
        &self,
        name: &str,
        limits: Option<ConsumerConfig>,
    ) -> Result<Option<Consumer>, ConsumerError> {
        let id = self.handle.engine.resume(name, limits)?;
        Ok(id.map(|id| Consumer::new(self.handle.clone(), id, name)))
    }

    /// Removes a consumer, and with it the rows that no other consumer wants. `Ok` says that the removal survives a power cut:
    /// `true` when this call or a failed one before it removed the consumer, `false` when there is none of that name. Reads the
    /// backlog once to count what is left. Rows that cannot be read are counted by a later commit, push, open or `forget`; until
    /// then the lane's figures stay as they were, and the count is tried again before a limit drops or refuses a row because of
    /// them.
    ///
    /// # Errors
    /// The store could not write the removal. The consumer gets no more rows; call again until the answer is `Ok`.
    pub fn forget(&self, name: &str) -> Result<bool, ConsumerError> {
        self.handle.engine.forget(name)
    }

    /// Acknowledges rows by their identity for the consumer of this name: rows that reached the hub by another way than a lease,
    /// such as a copy of the backlog that somebody carried there, and whose receipt came back. Durable when it returns.
    ///
    /// Exactly the rows named are done, whether they are leased, waiting or passed over; what becomes of a lease of one
    /// afterwards changes nothing. An identity of which the consumer has no row to come is counted as
    /// [`gone`](AckedIds::gone), so that a receipt that comes twice or late is harmless. Commits first, then reads the rows named
    /// once, piece by piece, while pushes and leases go on.
    ///
    /// # Errors
    /// A range of another gateway, no such consumer, or a failing store.
    pub fn ack_ids(&self, consumer: &str, ids: &[IdRange]) -> Result<AckedIds, AckIdsError> {
        self.handle.engine.ack_ids(consumer, ids)
    }

    /// Writes the queue's backlog as a stream for another gateway: commits, then reads the backlog once, piece by piece, while
    /// pushes and leases go on. Consumes nothing. Leased rows are in the stream, and rows acknowledged meanwhile may be. See
    /// [`transfer`](crate::transfer).
    ///
    /// # Errors
    /// The store or `out` failed; the stream written so far has no end mark.
    #[cfg(any(feature = "ring", feature = "redb"))]
    pub fn export(&self, out: &mut dyn std::io::Write) -> Result<Exported, ExportError> {
        self.handle.engine.export(out, &[])
    }

    /// Writes the backlog as [`export`](Self::export) does, with a note of the application's in the first block, which
    /// [`Stream::note`](crate::transfer::Stream::note) returns.
    ///
    /// # Errors
    /// As [`export`](Self::export).
    #[cfg(any(feature = "ring", feature = "redb"))]
    pub fn export_with_note(
        &self,
        out: &mut dyn std::io::Write,
        note: &[u8],
    ) -> Result<Exported, ExportError> {
        self.handle.engine.export(out, note)
    }

    /// Returns the `max_age` of a lane; `None` when the lane has no such limit or does not exist.
    #[must_use]
    pub fn max_age(&self, lane: Lane) -> Option<Duration> {
        let model = self.handle.engine.model();
        model.lanes.get(usize::from(lane.0))?.limits.max_age_ms.map(Duration::from_millis)
    }

    /// Returns the policy of a lane at a limit; `None` when the lane does not exist.
    #[must_use]
    pub fn on_full(&self, lane: Lane) -> Option<OnFull> {
        let model = self.handle.engine.model();
        Some(model.lanes.get(usize::from(lane.0))?.limits.on_full)
    }

    /// Returns the present figures.
    #[must_use]
    pub fn stats(&self) -> Stats {
        self.handle.engine.stats()
    }

    /// Returns the ledger of every consumer in every lane.
    #[must_use]
    pub fn ledger(&self) -> Vec<Ledger> {
        self.handle.engine.ledgers()
    }

    /// Ledgers as the last durable commit left them, which is the least that a reopen finds after a power cut or a kill at this
    /// moment. Counts other than `queued` never decrease, over restarts too, while the consumer is registered and no damage takes
    /// the bookkeeping; so take counters to export from here. [`Queue::ledger`] is ahead by what is only in RAM, for at most
    /// `ack_within` plus ten seconds unless the store fails; but rows acknowledged before they were written are counted by the
    /// next commit only, which may be [`Queue::commit_ends`]. `leased` is 0, because no lease outlives the process. Costs a lock
    /// and a copy, and waits for no disk. A queue in memory has commits too, but nothing is left of them after the process.
    #[must_use]
    pub fn committed_ledger(&self) -> Vec<Ledger> {
        self.handle.engine.committed_ledgers()
    }

    /// Returns the gap records of the consumer of this name, as [`Consumer::gaps`], for code that reports losses but does not own the consumer.
    /// Empty if no consumer has the name.
    #[must_use]
    pub fn gaps(&self, consumer: &str) -> Vec<Gap> {
        let model = self.handle.engine.model();
        let records = model.find_consumer(consumer).map(|id| model.gaps(id)).unwrap_or_default();
        records.into_iter().map(Gap::from).collect()
    }

    /// Removes reported losses from the list of the consumer of this name, as [`Consumer::ack_gaps`]. Does nothing when no
    /// consumer has the name.
    pub fn ack_gaps(&self, consumer: &str, gaps: &[Gap]) {
        let id = self.handle.engine.model().find_consumer(consumer);
        id.into_iter().for_each(|id| self.handle.engine.ack_gaps(id, gaps));
    }

    /// Takes the events of the store since the last call; at most the newest 256.
    #[must_use]
    pub fn events(&self) -> Vec<Event> {
        self.handle.engine.take_events()
    }

    /// Returns the random number that is part of every row's identity.
    #[must_use]
    pub fn gateway_id(&self) -> u64 {
        self.handle.engine.model().gateway()
    }

    /// Writes a commit if one is due; `true` if it did. The writer thread does this; only a queue on a manual clock
    /// needs the call.
    pub fn tick(&self) -> bool {
        self.handle.engine.tick()
    }

    /// Commits, leaves the clean-close mark, gives the directory back. Other handles find the queue closed.
    ///
    /// # Errors
    /// The store failed. Rows that it could not take are not stored, and waiting for their receipts fails.
    pub fn close(self) -> Result<(), CommitError> {
        self.handle.engine.close()
    }
}

impl fmt::Debug for Queue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Queue").finish_non_exhaustive()
    }
}
