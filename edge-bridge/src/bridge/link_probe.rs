//! Probes of a refused link: which row goes, when nothing else may.

use super::message::Message;
use super::pack::Pack;
use super::spool::Spool;
use super::stats::Stats;
use super::uplink::Uplink;
use crate::ingest::Now;
use crate::session::Session;
use crate::wire::ReasonCode;

/// Rows and bytes looked through for the probe of a refused link.
const PROBE_ROWS: usize = 1_024;
const PROBE_BYTES: usize = 256 * 1024;

impl<P: Pack> Uplink<P> {
    /// The next message of a refused link: one at a time, and each of another topic.
    pub(super) fn link_probe<S: Spool>(
        &mut self,
        now: Now,
        session: &Session,
        spool: &mut S,
        stats: &mut Stats,
    ) -> Option<Message> {
        if !self.again.is_empty() {
            self.give_back_waiting(now.up_ms, false, spool);
        }
        if !self.sent.is_empty() {
            return None;
        }
        if !self.probing {
            if self.link.due_ms().is_some_and(|due_ms| due_ms > now.up_ms) {
                return None;
            }
            if let Some(held) = self.lease_probe(now, spool) {
                self.link.on_probe();
                return Some(held);
            }
            if !self.probing {
                self.link.postpone(now.up_ms);
                return None;
            }
        }
        let Some(message) = self.poll_pack(now, session, spool, stats) else {
            // The row was no message after all (expired, unsendable): another one probes.
            if self.pack.held_bytes() == 0 && self.pack.poll_timeout().is_none() {
                self.probing = false;
                self.link.postpone(now.up_ms);
            }
            return None;
        };
        self.probing = false;
        self.link.on_probe();
        self.refusals.on_out(message.topic());
        Some(message)
    }

    /// Moves the row that probes a refused link to the pack, or hands out the held message of its topic, which is older.
    fn lease_probe<S: Spool>(&mut self, now: Now, spool: &mut S) -> Option<Message> {
        let mut rows = spool.lease(now.up_ms, PROBE_ROWS, PROBE_BYTES);
        let bytes: usize = rows.iter().map(|row| row.row.payload.len()).sum();
        if rows.is_empty() {
            if let Some(held) = self.refusals.take_oldest(None) {
                return Some(held);
            }
            rows = spool.lease_parked(now.up_ms, 1, PROBE_BYTES);
        } else if rows.len() >= PROBE_ROWS || bytes >= PROBE_BYTES {
            for topic in self.link.give_way(now.up_ms, rows.iter().map(|row| &row.row.topic)) {
                self.refusals.add(now.up_ms, &topic, ReasonCode::NOT_AUTHORIZED, |_| 0);
                self.resume_ms = Some(now.up_ms + 1);
            }
        }
        let pick = self.link.pick(rows.iter().map(|row| &row.row.topic));
        let topic = pick.and_then(|at| rows.get(at)).map(|row| row.row.topic.clone());
        let held = topic.and_then(|topic| self.refusals.take_oldest(Some(&topic)));
        for (at, row) in rows.into_iter().enumerate() {
            if Some(at) == pick && held.is_none() {
                self.pack.add(now, row);
                self.probing = true;
            } else {
                spool.give_back(row.id);
            }
        }
        held
    }
}
