//! Steps in which calls fail while consumers come and go, and lives without the last lane.

use std::sync::{Arc, Mutex};

use edge_queue::medium::{Call, Verdict};
use edge_queue::testing::{Fault, FaultError};
use edge_queue::{Lane, ROW_OVERHEAD_BYTES, Row, StoreKind, Wait};
use proptest::prelude::*;

use super::Rig;

/// An act inside the next sync, which then fails.
#[derive(Clone, Default)]
pub(super) struct Trap {
    inside: Arc<Mutex<Option<Inside>>>,
}

type Inside = Box<dyn FnOnce() + Send>;

impl Trap {
    fn set(&self, inside: impl FnOnce() + Send + 'static) {
        *self.inside.lock().unwrap() = Some(Box::new(inside));
    }

    /// Takes the trap away; returns whether it was set and never sprung.
    fn unset(&self) -> bool {
        self.inside.lock().unwrap().take().is_some()
    }

    pub(super) fn spring(&self, call: Call) -> Verdict {
        let sprung = if call == Call::Sync { self.inside.lock().unwrap().take() } else { None };
        match sprung {
            None => Verdict::Make,
            Some(inside) => {
                inside();
                Verdict::Fail(std::io::Error::from_raw_os_error(5))
            }
        }
    }
}

const READS_FAIL: Fault = Fault { call: Call::Read, after: 0, error: FaultError::Io, sticky: true };
const LEN: usize = 8;

impl Rig {
    pub(super) fn forget_blind(&mut self, name: &str) -> Result<(), TestCaseError> {
        // What their next commit must read it would drop one commit later, which is right and not the reference's order.
        if self.kind == StoreKind::Memory || self.model.has_own_limits() {
            return Ok(());
        }
        self.dir.fail(READS_FAIL);
        let first = self.queue().forget(name);
        self.dir.heal();
        let again = self.queue().forget(name).unwrap();
        let known = self.model.forget(name);
        prop_assert!(
            first.as_ref().is_ok_and(|first| *first) == known || again == known,
            "{first:?}, {again}"
        );
        self.consumers.remove(name);
        self.leases.remove(name);
        Ok(())
    }

    /// Everybody else has taken all there is, so that what they do inside the commit needs no disk.
    pub(super) fn register_in_vain(&mut self, name: &str, rows: usize) -> Result<(), TestCaseError> {
        let others: Vec<String> = self.consumers.keys().cloned().collect();
        let known = self.model.consumers().iter().any(|known| known == name);
        let fits = self.model.has_room(0, rows as u64, rows as u64 * (LEN as u64 + ROW_OVERHEAD_BYTES));
        if self.kind == StoreKind::Memory
            || known
            || others.is_empty()
            || !fits
            || self.model.has_own_limits()
        {
            return Ok(());
        }
        for other in &others {
            while let Some((lane, id, lease)) = self.take(other, 0) {
                lease.ack();
                self.model.ack(other, lane, id);
            }
            while {
                self.lease(other, 50, u64::MAX)?;
                self.leases.get(other).is_some_and(|held| !held.is_empty())
            } {
                while let Some((lane, id, lease)) = self.take(other, 0) {
                    lease.ack();
                    self.model.ack(other, lane, id);
                }
            }
        }
        self.queue().commit().unwrap();
        self.model.commit();
        // One row, so that the registration's commit surely syncs.
        self.push(0, LEN, 1, None)?;
        let mut payloads = Vec::new();
        for _ in 0..rows {
            let id = self.model.push(0, 1, LEN as u64 + ROW_OVERHEAD_BYTES, None, self.now_ms);
            payloads.push(id.unwrap_or(u64::MAX));
        }
        let pending = Arc::new(Mutex::new(Vec::new()));
        let (queue, given, ids) = (self.queue().clone(), pending.clone(), payloads.clone());
        let mut consumers = std::mem::take(&mut self.consumers);
        let back = Arc::new(Mutex::new(None));
        let returned = back.clone();
        self.trap.set(move || {
            for id in ids {
                given
                    .lock()
                    .unwrap()
                    .push((id, queue.push(Row::new(id.to_le_bytes().to_vec()).lane(Lane(0)))));
            }
            for consumer in consumers.values_mut() {
                consumer.lease(100, Wait::None).unwrap().ack();
            }
            *returned.lock().unwrap() = Some(consumers);
        });
        let failed = self.queue().consumer(name).is_err();
        let unset = self.trap.unset();
        prop_assert!(failed && !unset, "a registration whose sync fails said it is durable");
        self.consumers = back.lock().unwrap().take().unwrap_or_default();
        for (id, pushed) in pending.lock().unwrap().drain(..) {
            self.receipts.push((id, pushed.unwrap()));
        }
        for other in &others {
            for (lane, id) in self.model.lease(other, 100, u64::MAX, self.now_ms) {
                self.model.ack(other, lane, id);
            }
        }
        self.check()?;
        self.queue().commit().unwrap();
        self.model.commit();
        Ok(())
    }

    /// Goes only if the last lane is empty; what was lost in it is told all the same.
    pub(super) fn reopen_narrow(&mut self) -> Result<(), TestCaseError> {
        let last = self.model.lanes() - 1;
        if self.kind == StoreKind::Memory || last == 0 || self.model.messages(last) > 0 {
            return Ok(());
        }
        self.consumers.clear();
        self.queue.take().unwrap().close().unwrap();
        self.leases.clear();
        self.model.reopen();
        if self.model.messages(last) == 0 {
            let queue = self.open_with(self.config.clone().lanes(last as u8));
            for name in self.model.consumers() {
                let gaps = queue.consumer(name).unwrap().gaps();
                let own = gaps.iter().filter(|gap| usize::from(gap.lane.0) == last);
                let told: u64 = own.map(|gap| gap.count).sum();
                prop_assert_eq!(told, self.model.lost(name, last), "gap records of an absent lane");
            }
            queue.close().unwrap();
        }
        self.open();
        for name in self.model.consumers().to_vec() {
            let consumer = self.queue().consumer(&name).unwrap();
            self.consumers.insert(name, consumer);
        }
        Ok(())
    }
}
