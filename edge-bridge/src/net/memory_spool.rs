//! Spool of a bridge without a disk. Rows live as long as the process, and a receipt comes when the hub has the row.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::oneshot;

use super::handles::receipt::Receipt;
use crate::bridge::spool::{Gone, LeaseId, Leased, MemorySpool, Settled, Spool};
use crate::row::Row;
use crate::wire::ReasonCode;

/// Most rows in the spool.
const ROWS_MAX: usize = 100_000;
/// Most bytes in the spool.
const BYTES_MAX: usize = 64 * 1024 * 1024;

/// Spool in memory, shared by the application, which pushes, and the driver, which leases.
#[derive(Debug, Clone)]
pub(super) struct SharedMemory {
    state: Arc<Mutex<State>>,
}

#[derive(Debug)]
struct State {
    spool: MemorySpool,
    receipts: HashMap<LeaseId, oneshot::Sender<Receipt>>,
}

impl SharedMemory {
    pub(super) fn new() -> Self {
        let state = State { spool: MemorySpool::new(ROWS_MAX, BYTES_MAX), receipts: HashMap::new() };
        Self { state: Arc::new(Mutex::new(state)) }
    }

    pub(super) fn push(&self, now_ms: u64, row: Row) -> Result<oneshot::Receiver<Receipt>, Box<Row>> {
        let mut state = self.lock();
        let pushed = state.spool.push(now_ms, row);
        state.resolve();
        let (sender, receiver) = oneshot::channel();
        state.receipts.insert(pushed?, sender);
        Ok(receiver)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// Resolves the receipts of rows that have left the spool.
    fn resolve(&mut self) {
        for (id, why) in self.spool.drain_gone() {
            let receipt = match why {
                Gone::Acked => Receipt::HandedOver,
                Gone::Settled(_) => Receipt::Settled,
            };
            if let Some(sender) = self.receipts.remove(&id) {
                // The application may not care.
                let _ = sender.send(receipt);
            }
        }
    }
}

impl SharedMemory {
    fn with<T>(&self, act: impl FnOnce(&mut MemorySpool) -> T) -> T {
        let mut state = self.lock();
        let result = act(&mut state.spool);
        state.resolve();
        result
    }
}

impl Spool for SharedMemory {
    fn lease(&mut self, now_ms: u64, max_rows: usize, max_bytes: usize) -> Vec<Leased> {
        self.with(|spool| spool.lease(now_ms, max_rows, max_bytes))
    }

    fn ack(&mut self, id: LeaseId) {
        self.with(|spool| spool.ack(id));
    }

    fn settle(&mut self, id: LeaseId, why: Settled) {
        self.with(|spool| spool.settle(id, why));
    }

    fn give_back(&mut self, id: LeaseId) {
        self.with(|spool| spool.give_back(id));
    }

    fn park(&mut self, id: LeaseId, why: ReasonCode) {
        self.with(|spool| spool.park(id, why));
    }

    fn lease_parked(&mut self, now_ms: u64, max_rows: usize, max_bytes: usize) -> Vec<Leased> {
        self.with(|spool| spool.lease_parked(now_ms, max_rows, max_bytes))
    }

    fn drops_refused(&self, id: LeaseId) -> bool {
        self.lock().spool.drops_refused(id)
    }

    fn weight(&self, id: LeaseId) -> u64 {
        self.lock().spool.weight(id)
    }

    fn ttl_left_ms(&self, id: LeaseId, now_ms: u64) -> Option<u64> {
        self.lock().spool.ttl_left_ms(id, now_ms)
    }

    fn waiting(&self) -> u64 {
        self.lock().spool.waiting()
    }

    fn parked(&self) -> u64 {
        self.lock().spool.parked()
    }

    fn undelivered(&self) -> u64 {
        self.lock().spool.undelivered()
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;
    use crate::wire::Utf8;

    #[test]
    fn leased_rows_have_their_weight_the_rest_of_their_life_and_what_a_refusal_does() {
        let mut memory = SharedMemory::new();
        let row = Row::new(Utf8::from_static("t"), Bytes::from_static(b"x"));
        memory
            .push(1_000, Row { ttl_ms: Some(10_000), weight: 7, drop_refused: true, ..row.clone() })
            .unwrap();
        memory.push(1_000, row).unwrap();
        let leased = memory.lease(2_000, 2, 100);
        let [id, other] = leased[..].iter().map(|leased| leased.id).collect::<Vec<_>>()[..] else { panic!() };
        assert_eq!((memory.weight(id), memory.ttl_left_ms(id, 4_000)), (7, Some(7_000)));
        assert_eq!((memory.drops_refused(id), memory.drops_refused(other)), (true, false));
    }

    /// While the link is down nothing else asks the spool for what is gone.
    #[test]
    fn a_row_that_makes_room_for_another_is_settled_at_once() {
        let memory = SharedMemory::new();
        let row =
            |ttl_ms| Row { ttl_ms, ..Row::new(Utf8::from_static("t"), vec![0; BYTES_MAX / 2 + 1].into()) };
        let mut first = memory.push(0, row(Some(1_000))).unwrap();
        assert!(memory.push(999, row(None)).is_err() && first.try_recv().is_err());
        memory.push(1_001, row(None)).unwrap();
        assert_eq!(first.try_recv(), Ok(Receipt::Settled));
    }
}
