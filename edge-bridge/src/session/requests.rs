//! SUBSCRIBE and UNSUBSCRIBE requests without answer (§3.8, §3.10).

use super::{RequestError, Session};
use crate::wire::{Packet, PacketId, Properties, Subscribe, Subscription, Unsubscribe, Utf8, Version};

/// Most requests without an answer.
const REQUESTS_MAX: usize = 64;

/// Kind of request that an identifier belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Subscribe,
    Unsubscribe,
}

#[derive(Debug, Clone, Copy)]
struct Open {
    id: PacketId,
    kind: Kind,
    filters: usize,
}

/// Requests without an answer. They are few, so that a list is cheaper than a map.
#[derive(Debug, Clone, Default)]
pub(super) struct Requests {
    open: Vec<Open>,
}

impl Requests {
    pub(super) fn add(&mut self, id: PacketId, kind: Kind, filters: usize) {
        self.open.push(Open { id, kind, filters });
    }

    pub(super) fn is_id_used(&self, id: PacketId) -> bool {
        self.open.iter().any(|open| open.id == id)
    }

    /// Closes a request and returns the number of its filters; `None` if there is no such request.
    pub(super) fn answer(&mut self, id: PacketId, kind: Kind) -> Option<usize> {
        let at = self.open.iter().position(|open| open.id == id && open.kind == kind)?;
        Some(self.open.swap_remove(at).filters)
    }

    pub(super) fn len(&self) -> usize {
        self.open.len()
    }
}

impl Session {
    /// Client: sends a SUBSCRIBE and returns its identifier, which the answer, [`Event::SubAck`](super::Event::SubAck), repeats.
    pub fn subscribe(
        &mut self,
        now_ms: u64,
        mut filters: Vec<Subscription>,
    ) -> Result<PacketId, RequestError> {
        if self.version == Version::V311 {
            // It has no options; their defaults are what 3.1.1 does.
            filters = filters.into_iter().map(|f| Subscription::new(f.filter, f.qos)).collect();
        }
        let (id, count) = (self.request_id()?, filters.len());
        let packet = Subscribe { packet_id: id, properties: Properties::default(), filters };
        self.write_request(now_ms, &Packet::Subscribe(packet))?;
        self.requests.add(id, Kind::Subscribe, count);
        Ok(id)
    }

    /// Client: sends an UNSUBSCRIBE and returns its identifier, which the answer, [`Event::UnsubAck`](super::Event::UnsubAck), repeats.
    pub fn unsubscribe(&mut self, now_ms: u64, filters: Vec<Utf8>) -> Result<PacketId, RequestError> {
        let (id, count) = (self.request_id()?, filters.len());
        let packet = Unsubscribe { packet_id: id, properties: Properties::default(), filters };
        self.write_request(now_ms, &Packet::Unsubscribe(packet))?;
        self.requests.add(id, Kind::Unsubscribe, count);
        Ok(id)
    }

    fn request_id(&mut self) -> Result<PacketId, RequestError> {
        if !self.is_open() {
            return Err(RequestError::NotConnected);
        }
        if self.requests.len() >= REQUESTS_MAX {
            return Err(RequestError::TooMany);
        }
        let requests = &self.requests;
        self.outbound.allocate_id(|id| requests.is_id_used(id)).ok_or(RequestError::TooMany)
    }
}
