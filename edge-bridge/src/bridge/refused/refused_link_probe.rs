//! Probes of a refused link: chooses the one row or held message that is sent while the hub refuses everything else.

use crate::bridge::message::Message;
use crate::bridge::next_message::Turn;
use crate::bridge::packing::pack::Pack;
use crate::bridge::spool::{Leased, Spool};
use crate::bridge::uplink::{Uplink, row_key};
use crate::ingest::Now;
use crate::wire::{ReasonCode, Utf8};

/// Most rows, and most bytes of them, that are searched for the probe of a refused link. Their topics, and those of held messages, are no more than
/// [`TriedTopics`](super::tried_topics) remembers.
const PROBE_ROWS: usize = 1_024;
const PROBE_BYTES: usize = 256 * 1024;

/// Row, by its position among the leased ones, or held message, by its topic, that may be the probe.
enum Candidate {
    Row(usize),
    Held(Utf8),
}

impl<P: Pack> Uplink<P> {
    /// Returns the next probe of a refused link: one at a time, each of another topic; `None` if none may be sent now. Before the first probe,
    /// once nothing is in flight, all rows go back to the spool, because only then their order is kept.
    pub(in crate::bridge) fn link_probe<S: Spool>(&mut self, turn: &mut Turn<'_, S>) -> Option<Message> {
        let now = turn.now;
        if !self.sent.is_empty() {
            return None;
        }
        if self.link.on_drained() || !self.again.is_empty() {
            self.refusals.end_attempts();
            self.give_back_waiting(now.up_ms, false, turn.spool);
        }
        if self.operator_pass.is_none() && self.finish_sweep(now, turn.spool, &mut turn.parks) {
            return None;
        }
        if !self.probing {
            if self.link.due_ms().is_some_and(|due_ms| due_ms > now.up_ms) {
                return None;
            }
            if let Some(held) = self.lease_probe(now, turn.spool) {
                self.link.on_probe();
                return Some(held);
            }
            if !self.probing {
                if !self.link.looks(now.up_ms) {
                    self.link.postpone(now.up_ms);
                }
                return None;
            }
        }
        let Some(message) = self.poll_pack(turn) else {
            // The row was no message after all (expired, unsendable): another one probes.
            if self.pack.is_empty() {
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

    /// Runs a sweep to its end without sending, because rows that it parked again are older than rows that it has not reached. Returns `true` if
    /// there is more to do.
    fn finish_sweep<S: Spool>(&mut self, now: Now, spool: &mut S, parks: &mut usize) -> bool {
        while self.sweep.is_active() {
            if *parks == 0 {
                self.resume_ms = Some(now.up_ms + 1);
                return true;
            }
            let any = self.lease_parked(now.up_ms, spool, PROBE_BYTES, parks, |uplink, spool, row| {
                uplink.park_row_again(&row, ReasonCode::NOT_AUTHORIZED, spool);
            });
            if !any {
                break;
            }
        }
        self.sweep.is_active()
    }

    /// Moves the row for the next probe to the pack and returns `None`, or returns a held message of the same topic, which is older.
    fn lease_probe<S: Spool>(&mut self, now: Now, spool: &mut S) -> Option<Message> {
        let rows = spool.lease(now.up_ms, PROBE_ROWS, PROBE_BYTES);
        let topics: Vec<Utf8> = rows.iter().map(|row| self.pack.topic(row)).collect();
        let bytes: usize = rows.iter().map(|row| row.row.bytes()).sum();
        let is_full = rows.len() >= PROBE_ROWS || bytes >= PROBE_BYTES;
        let looks = self.link.looks(now.up_ms);
        if is_full {
            for topic in self.link.give_way(now.up_ms, topics.iter()) {
                self.refusals.add(now.up_ms, &topic, ReasonCode::NOT_AUTHORIZED, 0);
                self.resume_ms = Some(now.up_ms + 1);
            }
        }
        // The first row of a topic of which nothing is parked, or what is held of it.
        let topics =
            topics.iter().enumerate().filter(|(_, topic)| self.refusals.parks(topic, false).is_none());
        let topics = topics.map(|(at, topic)| (Candidate::Row(at), topic));
        let held = self.refusals.held_topics().map(|topic| (Candidate::Held(topic.clone()), topic));
        let pick = self.link.pick(now.up_ms, held.chain(topics));
        let any = pick.is_some();
        if looks && !any {
            self.link.on_looked(now.up_ms, is_full);
        }
        let mut message = None;
        let mut probe = None;
        match pick {
            Some(Candidate::Row(at)) => probe = Some(at),
            Some(Candidate::Held(topic)) => message = self.refusals.take_oldest(&topic),
            None => {}
        }
        for (at, row) in rows.into_iter().enumerate() {
            if Some(at) == probe {
                self.pack.add(now, row);
                self.probing = true;
            } else {
                spool.give_back(row.id);
            }
        }
        if !any && !looks && self.operator_pass.is_none() && self.link.is_refused() {
            self.lease_parked_probe(now, spool);
        }
        message
    }

    /// Moves the first parked row of an untried topic to the pack. Called if no new row or held message can be the probe.
    fn lease_parked_probe<S: Spool>(&mut self, now: Now, spool: &mut S) {
        // Anew for each probe, once the rows of the last look were there: those passed over are behind the cursor, and may be older.
        if !std::mem::replace(&mut self.looks, true) {
            spool.scan_parked();
        }
        let rows = spool.lease_parked(now.up_ms, PROBE_ROWS, PROBE_BYTES);
        self.looks = rows.is_empty() && spool.is_scanned() == Some(false);
        let topics: Vec<Utf8> = rows.iter().map(|row| self.pack.topic(row)).collect();
        let may_go = |row: &Leased| !self.poison.register.is_held(now.up_ms, row_key(row.id, spool));
        let may_go = rows.iter().zip(&topics).enumerate().filter(|(_, (row, _))| may_go(row));
        let pick = self.link.pick(now.up_ms, may_go.map(|(at, (_, topic))| (at, topic)));
        for (at, (row, topic)) in rows.into_iter().zip(topics).enumerate() {
            if Some(at) != pick {
                spool.give_back(row.id);
                continue;
            }
            // Counts as its next attempt.
            self.poison.holds(now.up_ms, row_key(row.id, spool));
            self.refusals.on_swept(&topic);
            self.sweep.on_row(row.id, topic);
            self.pack.add(now, row);
            self.probing = true;
        }
    }
}

#[cfg(test)]
mod tests;
