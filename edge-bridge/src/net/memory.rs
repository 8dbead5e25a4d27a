//! The spool of a bridge without a disk: rows live as long as the process, a receipt comes when the hub has the row.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::oneshot;

use super::receipt::Receipt;
use crate::bridge::spool::{LeaseId, Leased, MemorySpool, Spool};
use crate::row::Row;

/// Rows at most.
const ROWS_MAX: usize = 100_000;
/// Bytes of payload at most.
const BYTES_MAX: usize = 64 * 1024 * 1024;

/// Shared by the application, which pushes, and the driver, which drains.
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
        let id = state.spool.push(now_ms, row)?;
        let (sender, receiver) = oneshot::channel();
        state.receipts.insert(id, sender);
        Ok(receiver)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn settle(&mut self, receipt: Receipt) {
        let done: Vec<_> = self.spool.drain_done().collect();
        for sender in done.iter().filter_map(|id| self.receipts.remove(id)) {
            // The application may not care.
            let _ = sender.send(receipt);
        }
    }
}

impl Spool for SharedMemory {
    fn lease(&mut self, now_ms: u64, max_rows: usize, max_bytes: usize) -> Vec<Leased> {
        let mut state = self.lock();
        let rows = state.spool.lease(now_ms, max_rows, max_bytes);
        state.settle(Receipt::Settled);
        rows
    }

    fn ack(&mut self, id: LeaseId) {
        let mut state = self.lock();
        state.spool.ack(id);
        state.settle(Receipt::HandedOver);
    }

    fn give_back(&mut self, id: LeaseId) {
        self.lock().spool.give_back(id);
    }

    fn waiting(&self) -> u64 {
        self.lock().spool.waiting()
    }
}
