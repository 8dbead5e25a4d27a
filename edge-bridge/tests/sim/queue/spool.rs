//! The model as the spool of the uplink: leases, acknowledgements, parked rows.

use edge_bridge::bridge::spool::{Identity, LeaseId, Leased, Settled, Spool};
use edge_bridge::wire::ReasonCode;

use super::{ModelQueue, Note, Stand, key};
use crate::bug::Bug;
use crate::limits::size_of_row;

impl Spool for ModelQueue {
    fn lease(&mut self, now_ms: u64, max_rows: usize, max_bytes: usize) -> Vec<Leased> {
        let (mut out, mut bytes) = (Vec::new(), 0);
        let blocked = self.bug == Some(Bug::ParkedBlock) && self.parked() > 0;
        while out.len() < max_rows
            && bytes < max_bytes
            && !blocked
            && let Some(key) = self.free.pop_first()
        {
            out.extend(self.lease_key(now_ms, key));
            bytes += out.last().map_or(0, |leased| leased.row.payload.len());
        }
        self.waited = self.free.len() as u64;
        out
    }

    fn ack(&mut self, id: LeaseId) {
        self.leave(id, Note::Acked);
    }

    fn settle(&mut self, id: LeaseId, why: Settled) {
        let now_ms = self.now_ms;
        let is_due = self.leased_row(key(id)).is_some_and(|row| row.is_expired(now_ms));
        let expired = is_due && why == Settled::Expired;
        self.leave(id, if expired { Note::Expired } else { Note::Settled });
    }

    fn give_back(&mut self, id: LeaseId) {
        if self.bug == Some(Bug::LeaseKept) {
            return;
        }
        let key = key(id);
        let Some(row) = self.leased_row(key) else { return };
        row.stand = Stand::Free;
        let parked = row.parked;
        self.leased -= 1;
        match parked {
            Some(number) => {
                self.parked_leased -= 1;
                self.parked_free.insert(number, key);
            }
            None => drop(self.free.insert(key)),
        }
    }

    fn park(&mut self, id: LeaseId, why: ReasonCode) {
        match self.bug {
            Some(Bug::RefusedDeleted) => return self.leave(id, Note::Settled),
            Some(Bug::RefusedAcked) => return self.leave(id, Note::Acked),
            Some(Bug::NeverParked) => return self.give_back(id),
            _ => {}
        }
        let (Some(identity), key, number) = (self.identity(id), key(id), self.next_park) else { return };
        let Some(row) = self.leased_row(key) else { return };
        row.stand = Stand::Free;
        let was_parked = row.parked.replace(number).is_some();
        let (msg, size) = (row.msg, size_of_row(&row.row, identity));
        self.parked_leased -= usize::from(was_parked);
        self.notes.push(Note::Parked(msg, why, size));
        self.leased -= 1;
        self.next_park += 1;
        self.parked_free.insert(number, key);
    }

    fn lease_parked(&mut self, now_ms: u64, max_rows: usize, max_bytes: usize) -> Vec<Leased> {
        let (mut out, mut bytes) = (Vec::new(), 0);
        while out.len() < max_rows
            && bytes < max_bytes
            && let Some((_, key)) = self.parked_free.pop_first()
        {
            out.extend(self.lease_key(now_ms, key));
            bytes += out.last().map_or(0, |leased| leased.row.payload.len());
        }
        out
    }

    fn identity(&self, id: LeaseId) -> Option<Identity> {
        let (lane, seq) = key(id);
        let epoch = self.rows.get(&(lane, seq))?.epoch;
        Some(Identity { gateway: 0xed6e, lane, epoch, seq })
    }

    fn waiting(&self) -> u64 {
        if self.bug == Some(Bug::WaitingAtLastLease) { self.waited } else { self.free.len() as u64 }
    }

    fn parked(&self) -> u64 {
        (self.parked_free.len() + self.parked_leased) as u64
    }
}
