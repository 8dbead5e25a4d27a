//! Spool over an export: rows are read from the stream once, and only what the hub acknowledged is noted for the receipt.
#![deny(clippy::indexing_slicing)]

use std::collections::{BTreeMap, HashMap};
use std::io::Read;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use edge_bridge::Row;
use edge_bridge::bridge::spool::{Identity, LeaseId, Leased, Settled, Spool};
use edge_bridge::wire::ReasonCode;
use edge_queue::store::StoredRow;
use edge_queue::transfer::{Item, Stream, StreamEnd};
use edge_queue::{Clock, SystemClock, age_ms};

use super::identities::Identities;

/// Most topics of refused rows that are told.
const REFUSED_TOLD_MAX: usize = 16;

/// Account of an ingest. RAM: the ranges of [`Identities`].
#[derive(Debug, Default)]
pub(crate) struct Account {
    /// Identities that got their PUBACK.
    pub(crate) acked: Identities,
    /// Number of acknowledged rows beyond the bound of ranges, which stay with the gateway.
    pub(crate) unrecorded: u64,
    /// Number of rows that the hub refused, by topic and reason, of the first topics.
    pub(crate) refused: BTreeMap<(String, ReasonCode), u64>,
    /// Number of all rows that the hub refused.
    pub(crate) refused_rows: u64,
    /// Number of rows that expired on the way.
    pub(crate) expired: u64,
    /// Number of rows that are none of this gateway.
    pub(crate) foreign: u64,
    /// Number of rows that have their end, which grows as long as an ingest goes on: also by acknowledgements that no receipt has room for.
    pub(crate) ended: u64,
    /// Number of rows that were read and are neither acknowledged nor refused nor dropped yet.
    pub(crate) open: u64,
    /// Findings at the end of the stream; `None` before.
    pub(crate) end: Option<StreamEnd>,
    /// Error that ended the reading.
    pub(crate) error: Option<String>,
}

impl Account {
    /// Returns whether every row was read, and was acknowledged, refused or dropped.
    pub(crate) fn is_done(&self) -> bool {
        self.end.is_some() && self.open == 0
    }

    /// Returns whether each row of a whole export is in the receipt.
    pub(crate) fn is_clean(&self) -> bool {
        let is_whole = self.end.is_some_and(|end| end.is_whole());
        is_whole
            && self.error.is_none()
            && self.refused_rows + self.expired + self.foreign + self.unrecorded + self.open == 0
    }
}

/// Account that the spool and the command share.
pub(crate) type SharedAccount = Arc<Mutex<Account>>;

pub(crate) fn lock(account: &SharedAccount) -> MutexGuard<'_, Account> {
    account.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Spool over the rows of one export.
#[derive(Debug)]
pub(crate) struct StickSpool<R> {
    stream: Stream<R>,
    gateway: u64,
    account: SharedAccount,
    held: HashMap<LeaseId, Leased>,
    /// Rows that were given back, in their order.
    back: BTreeMap<LeaseId, Leased>,
    next: u64,
    clock: SystemClock,
}

impl<R: Read> StickSpool<R> {
    /// Creates the spool over the stream behind the head of an export of `gateway`.
    pub(crate) fn new(input: R, gateway: u64, account: &SharedAccount) -> Self {
        Self {
            stream: Stream::new(input),
            gateway,
            account: account.clone(),
            held: HashMap::new(),
            back: BTreeMap::new(),
            next: 1,
            clock: SystemClock::new(),
        }
    }

    /// Returns the next row; `None` at the end.
    fn read(&mut self, now_ms: u64) -> Option<Leased> {
        loop {
            if lock(&self.account).end.is_some() {
                return None;
            }
            match self.stream.next_item() {
                Ok(Some(Item::Row(row))) if self.stream.end().gateway == self.gateway => {
                    let leased = self.leased(row, now_ms);
                    lock(&self.account).open += 1;
                    return Some(leased);
                }
                Ok(Some(Item::Row(_))) => lock(&self.account).foreign += 1,
                // A loss that the gateway itself reports; or an item of a later version.
                Ok(Some(_)) => {}
                Ok(None) => lock(&self.account).end = Some(*self.stream.end()),
                Err(error) => {
                    let mut account = lock(&self.account);
                    (account.error, account.end) = (Some(error.to_string()), Some(*self.stream.end()));
                }
            }
        }
    }

    fn leased(&mut self, row: StoredRow, now_ms: u64) -> Leased {
        let age_ms = age_ms(&row.stamp, &self.clock.now()).unwrap_or(0);
        let identity = Identity { gateway: self.gateway, lane: row.lane.0, epoch: row.epoch, seq: row.seq };
        let id = LeaseId(self.next);
        self.next += 1;
        // Without a topic it is refused, and said.
        let whole = Row::from_meta(&row.meta, row.payload.clone());
        let whole =
            whole.unwrap_or_else(|| Row::new(edge_bridge::wire::Utf8::default(), row.payload.clone()));
        let mut message = whole;
        (message.lane, message.key) = (Some(row.lane.0), row.key);
        (message.weight, message.ttl_ms) = (row.weight, row.ttl_ms);
        Leased::new(id, message, now_ms, age_ms, Some(identity))
    }

    fn end(&mut self, id: LeaseId) -> Option<(Leased, MutexGuard<'_, Account>)> {
        let leased = self.held.remove(&id)?;
        let mut account = lock(&self.account);
        account.open = account.open.saturating_sub(1);
        account.ended += 1;
        Some((leased, account))
    }
}

impl<R: Read> Spool for StickSpool<R> {
    fn lease(&mut self, now_ms: u64, max_rows: usize, max_bytes: usize) -> Vec<Leased> {
        let (mut out, mut bytes) = (Vec::new(), 0_usize);
        while out.len() < max_rows && bytes < max_bytes {
            let back = self.back.pop_first().map(|(_, leased)| leased);
            let Some(leased) = back.or_else(|| self.read(now_ms)) else { break };
            bytes = bytes.saturating_add(leased.row.payload.len());
            self.held.insert(leased.id, leased.clone());
            out.push(leased);
        }
        out
    }

    fn ack(&mut self, id: LeaseId) {
        let Some((leased, mut account)) = self.end(id) else { return };
        if !leased.identity.is_some_and(|identity| account.acked.add(identity)) {
            account.unrecorded += 1;
        }
    }

    fn settle(&mut self, id: LeaseId, _why: Settled) {
        if let Some((_, mut account)) = self.end(id) {
            account.expired += 1;
        }
    }

    fn give_back(&mut self, id: LeaseId) {
        if let Some(leased) = self.held.remove(&id) {
            self.back.insert(id, leased);
        }
    }

    fn park(&mut self, id: LeaseId, why: ReasonCode) {
        let Some((leased, mut account)) = self.end(id) else { return };
        account.refused_rows += 1;
        let key = (leased.row.topic.as_str().to_owned(), why);
        if account.refused.len() < REFUSED_TOLD_MAX || account.refused.contains_key(&key) {
            *account.refused.entry(key).or_default() += 1;
        }
    }

    fn lease_parked(&mut self, _now_ms: u64, _max_rows: usize, _max_bytes: usize) -> Vec<Leased> {
        Vec::new()
    }

    fn weight(&self, id: LeaseId) -> u64 {
        self.held.get(&id).map_or(0, |leased| u64::from(leased.row.weight))
    }

    fn ttl_left_ms(&self, id: LeaseId, now_ms: u64) -> Option<u64> {
        self.held.get(&id)?.expires_ms.map(|at_ms| at_ms.saturating_sub(now_ms))
    }

    fn identity(&self, id: LeaseId) -> Option<Identity> {
        self.held.get(&id)?.identity
    }

    fn waiting(&self) -> u64 {
        self.back.len() as u64 + u64::from(lock(&self.account).end.is_none())
    }

    fn parked(&self) -> u64 {
        0
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use edge_queue::Lane;
    use edge_queue::testing::row_at;
    use edge_queue::transfer::Exporter;

    use super::super::identities::RANGES_MAX;
    use super::*;

    /// Rows of lane 0, none of which has a neighbour, as where a hub refused every second one.
    fn export(rows: u64) -> Vec<u8> {
        let mut bytes = Vec::new();
        let mut exporter = Exporter::new(&mut bytes, 7, 1, 1).unwrap();
        for n in 0..rows {
            let row = row_at(Lane(0), 2 * n + 1, 1);
            exporter.row(&StoredRow { payload: Bytes::new(), ..row }).unwrap();
        }
        exporter.finish().unwrap();
        bytes
    }

    /// Whoever looks only at what is recorded would give the ingest up in the midst of it.
    #[test]
    fn each_acknowledgement_is_progress_also_where_no_receipt_has_room_for_it() {
        let (rows, account) = (RANGES_MAX as u64 + 2, SharedAccount::default());
        let export = export(rows);
        let mut spool = StickSpool::new(export.as_slice(), 7, &account);
        let leased = spool.lease(0, usize::MAX, usize::MAX);
        for (n, row) in (1..).zip(leased) {
            spool.ack(row.id);
            assert_eq!(lock(&account).ended, n);
        }
        let account = lock(&account);
        assert_eq!((account.ended, account.acked.ids(), account.unrecorded), (rows, rows - 2, 2));
        assert!(account.is_done() && !account.is_clean());
    }

    #[test]
    fn every_end_of_a_row_is_progress_and_a_row_given_back_is_none() {
        let account = SharedAccount::default();
        let export = export(4);
        let mut spool = StickSpool::new(export.as_slice(), 7, &account);
        let ids: Vec<LeaseId> = spool.lease(0, 4, usize::MAX).iter().map(|row| row.id).collect();
        spool.ack(ids[0]);
        spool.settle(ids[1], Settled::Expired);
        spool.park(ids[2], ReasonCode::NOT_AUTHORIZED);
        spool.give_back(ids[3]);
        let account = lock(&account);
        assert_eq!((account.ended, account.open), (3, 1));
    }
}
