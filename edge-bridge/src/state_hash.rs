//! State hash of the cores, for explicit-state model checking by this repository's own tests (feature `testing`): two states that hash alike go on alike.
//! Left out are times, figures, estimates of the path and what only refusals of the hub change. No stable interface.

use std::hash::Hasher;

/// Hasher that gives names of things other numbers, so that states which differ in names alone hash alike.
pub trait StateHasher: Hasher {
    /// Hashes a packet identifier.
    fn write_packet_id(&mut self, id: u16);

    /// Hashes the token of a message.
    fn write_token(&mut self, token: u64);

    /// Hashes the ticket of a receipt.
    fn write_ticket(&mut self, ticket: u64);

    /// Hashes the lease of a row.
    fn write_lease(&mut self, lease: u64);
}
