//! Boxed parts: the application's ingest, spool, pack and sink behind a pointer.
//!
//! The network shell is made of boxed parts, so that it is compiled once, in this crate, and not again in each program for that program's types. A call
//! through the pointer costs nanoseconds, beside microseconds for a message.

use crate::bridge::spool::{Identity, LeaseId, Leased, Left, ParkedCount, Settled, Spool};
use crate::bridge::{HubAnswer, Pack, Packing};
use crate::ingest::{Answer, Inbound, Ingest, Now};
#[cfg(feature = "net")]
use crate::net::server::Sink;
use crate::puback_chain::{Group, Ticket};
use crate::row::Row;
use crate::wire::{Publish, ReasonCode, Utf8};

// A method that is left out here would be the trait's own body, and the application's never called.
#[deny(clippy::missing_trait_methods)]
impl<I: Ingest + ?Sized> Ingest for Box<I> {
    fn ingest(&mut self, now: Now, message: &Inbound) -> Answer {
        (**self).ingest(now, message)
    }

    fn on_ticket(&mut self, ticket: Ticket) {
        (**self).on_ticket(ticket);
    }

    fn dead_letter(&mut self, message: &Inbound, reason: ReasonCode) -> Row {
        (**self).dead_letter(message, reason)
    }

    fn lane(&self, message: &Inbound) -> Option<u8> {
        (**self).lane(message)
    }

    fn lanes_version(&self) -> u32 {
        (**self).lanes_version()
    }

    fn group(&self) -> Option<Group> {
        (**self).group()
    }
}

#[cfg(feature = "net")]
#[deny(clippy::missing_trait_methods)]
impl<S: Sink + ?Sized> Sink for Box<S> {
    fn has_room(&mut self) -> bool {
        (**self).has_room()
    }

    fn full_lanes(&mut self) -> u8 {
        (**self).full_lanes()
    }

    fn is_busy(&mut self) -> bool {
        (**self).is_busy()
    }

    fn push(&mut self, ticket: Ticket, rows: Vec<Row>) -> Result<(), Vec<Row>> {
        (**self).push(ticket, rows)
    }

    fn commit(&mut self) {
        (**self).commit();
    }
}

#[deny(clippy::missing_trait_methods)]
impl<P: Pack + ?Sized> Pack for Box<P> {
    fn topic(&self, row: &Leased) -> Utf8 {
        (**self).topic(row)
    }

    fn add(&mut self, now: Now, row: Leased) {
        (**self).add(now, row);
    }

    fn poll(&mut self, now: Now, max_packet: usize) -> Option<Packing> {
        (**self).poll(now, max_packet)
    }

    fn next_deadline(&self) -> Option<u64> {
        (**self).next_deadline()
    }

    fn held_bytes(&self) -> usize {
        (**self).held_bytes()
    }

    fn open_room(&self) -> usize {
        (**self).open_room()
    }

    fn is_empty(&self) -> bool {
        (**self).is_empty()
    }

    fn take_rows(&mut self) -> Vec<LeaseId> {
        (**self).take_rows()
    }

    fn on_delivered(&mut self, message: &Publish) {
        (**self).on_delivered(message);
    }

    fn on_answer(&mut self, answer: &HubAnswer<'_>) {
        (**self).on_answer(answer);
    }
}

#[deny(clippy::missing_trait_methods)]
impl<S: Spool + ?Sized> Spool for Box<S> {
    fn lease(&mut self, now_ms: u64, max_rows: usize, max_bytes: usize) -> Vec<Leased> {
        (**self).lease(now_ms, max_rows, max_bytes)
    }

    fn ack(&mut self, id: LeaseId) {
        (**self).ack(id);
    }

    fn settle(&mut self, id: LeaseId, why: Settled) {
        (**self).settle(id, why);
    }

    fn give_back(&mut self, id: LeaseId) {
        (**self).give_back(id);
    }

    fn park(&mut self, id: LeaseId, why: ReasonCode) {
        (**self).park(id, why);
    }

    fn lease_parked(&mut self, now_ms: u64, max_rows: usize, max_bytes: usize) -> Vec<Leased> {
        (**self).lease_parked(now_ms, max_rows, max_bytes)
    }

    fn scan_parked(&mut self) {
        (**self).scan_parked();
    }

    fn is_scanned(&self) -> Option<bool> {
        (**self).is_scanned()
    }

    fn has_holes(&self) -> bool {
        (**self).has_holes()
    }

    fn close_holes(&mut self) {
        (**self).close_holes();
    }

    fn passed(&self) -> u64 {
        (**self).passed()
    }

    fn is_settled(&self) -> bool {
        (**self).is_settled()
    }

    fn commit(&mut self) {
        (**self).commit();
    }

    fn is_committed(&self) -> bool {
        (**self).is_committed()
    }

    fn weight(&self, id: LeaseId) -> u64 {
        (**self).weight(id)
    }

    fn drops_refused(&self, id: LeaseId) -> bool {
        (**self).drops_refused(id)
    }

    fn ttl_left_ms(&self, id: LeaseId, now_ms: u64) -> Option<u64> {
        (**self).ttl_left_ms(id, now_ms)
    }

    fn in_place(&self) -> u64 {
        (**self).in_place()
    }

    fn park_for(&mut self, id: LeaseId, count: &ParkedCount, why: ReasonCode) {
        (**self).park_for(id, count, why);
    }

    fn take_left(&mut self) -> Vec<Left> {
        (**self).take_left()
    }

    fn in_place_reason(&self) -> Option<String> {
        (**self).in_place_reason()
    }

    fn identity(&self, id: LeaseId) -> Option<Identity> {
        (**self).identity(id)
    }

    fn waiting(&self) -> u64 {
        (**self).waiting()
    }

    fn parked(&self) -> u64 {
        (**self).parked()
    }

    fn undelivered(&self) -> u64 {
        (**self).undelivered()
    }
}
