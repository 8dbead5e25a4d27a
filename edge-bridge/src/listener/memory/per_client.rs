//! Memory of one connection, and of one client's session.

use super::super::client::Client;
use super::super::connection::Connection;
use super::super::wills::PendingWill;
use crate::session::Memory;

/// Memory of a message that waits beside what it carries, in bytes.
const DELIVERY_OVERHEAD: usize = 256;

/// Memory of a connection.
pub(super) fn memory_of_connection(state: &Connection) -> Memory {
    let mut memory = state.session.memory();
    memory += state.session.unsent();
    let unwritten = state.unwritten.memory();
    // At QoS 1 they are the messages in flight: once for each connection.
    memory.payloads = memory.payloads.max(unwritten.payloads);
    memory.own += unwritten.own;
    memory.own += state.unfinished + state.held_bytes;
    memory
}

/// Memory of a session.
pub(super) fn memory_of_client(client: &Client) -> Memory {
    let will = client.will.as_ref().map_or(0, PendingWill::bytes);
    let payloads = client.waiting.payload_bytes();
    let waiting = client.waiting.bytes() - payloads + client.waiting.len() * DELIVERY_OVERHEAD;
    let mut memory = client.resume_memory;
    memory += Memory { own: waiting + will + client.id.len() + client.filter_bytes, payloads };
    memory
}
