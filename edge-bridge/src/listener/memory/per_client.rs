//! Memory of one connection, and of one client's session. Each comes with the time of the last progress of its larger part.

use super::super::client::Client;
use super::super::connection::Connection;
use super::super::offline_queue::OfflineQueue;
use super::super::wills::PendingWill;
use crate::session::Memory;

/// Bytes of memory of a waiting message beside its contents.
const DELIVERY_OVERHEAD: usize = 256;

/// Memory of a connection: received bytes of unfinished packets, and sent bytes that its peer has not accepted.
pub(super) fn memory_of_connection(state: &Connection) -> (Memory, Option<u64>) {
    let mut memory = state.session.memory();
    memory += state.session.unsent();
    let unwritten = state.unwritten.memory();
    // At QoS 1 they are the messages in flight: once for each connection.
    memory.payloads = memory.payloads.max(unwritten.payloads);
    memory.own += unwritten.own;
    let received = state.unfinished + state.held_bytes;
    let is_received = received > memory.own + memory.payloads;
    memory.own += received;
    (memory, Some(if is_received { state.began_ms } else { state.taken_ms() }))
}

/// Memory of a session: messages that wait for the client, and permanent parts such as will and filters. The time is `None` if the permanent
/// parts are larger.
pub(super) fn memory_of_client(client: &Client) -> (Memory, Option<u64>) {
    let will = client.will.as_ref().map_or(0, PendingWill::bytes);
    let waiting = memory_of_waiting(&client.waiting);
    let is_waiting = waiting.own + waiting.payloads > will + client.filter_bytes;
    let mut memory = client.resume_memory;
    memory += waiting;
    memory.own += client.retained.bytes();
    let user = client.user.name.as_ref().map_or(0, |name| name.len());
    memory.own += will + client.id.len() + user + client.filter_bytes;
    (memory, is_waiting.then_some(client.sent_ms))
}

/// Memory of the messages that wait for a client.
pub(super) fn memory_of_waiting(waiting: &OfflineQueue) -> Memory {
    let payloads = waiting.payload_bytes();
    Memory { own: waiting.bytes() - payloads + waiting.len() * DELIVERY_OVERHEAD, payloads }
}
