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

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::super::super::client::Clients;
    use super::super::super::retained_walk::Wanted;
    use super::super::super::session_user::SessionUser;
    use super::*;
    use crate::wire::{QoS, Utf8};

    /// A client that does not read keeps its walks for as long as it likes.
    #[test]
    fn walks_over_retained_messages_that_are_not_at_their_end_count() {
        let mut clients = Clients::default();
        let key = clients.add(Utf8::from_static("client"), SessionUser::default());
        let client = clients.get_mut(key).unwrap();
        let before = memory_of_client(client).0;
        let filters = ["a/#", "plant/+/state"];
        let wanted = Wanted { qos: QoS::AtLeastOnce, no_local: false };
        client
            .retained
            .add(filters.map(|filter| (filter.into(), wanted)).into_iter().collect::<BTreeMap<_, _>>(), None);
        let after = memory_of_client(client).0;
        assert!(after.own - before.own >= "a/#plant/+/state".len(), "{before:?} {after:?}");
        assert_eq!(after.own - before.own, client.retained.bytes());
        filters.iter().for_each(|filter| client.retained.remove(filter));
        assert_eq!(memory_of_client(client).0, before);
    }
}
