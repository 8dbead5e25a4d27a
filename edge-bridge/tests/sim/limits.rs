//! Limits that a hub tells in its CONNACK, and may tell otherwise on the next connection: what they forbid, and what fits.

use bytes::BytesMut;
use edge_bridge::Row;
use edge_bridge::bridge::spool::Identity;
use edge_bridge::wire::{self, ConnAck, Packet, PacketId, PropertyId, Publish, QoS, Value, Version};

/// Bytes of any PUBLISH here beside its payload.
const HEADER_MAX: usize = 200;

/// Limits of the connection, or of the last one.
#[derive(Debug, Clone, Copy)]
pub(crate) struct HubLimits {
    pub(crate) packet_max: usize,
    pub(crate) retains: bool,
    pub(crate) maximum_qos: u32,
    pub(crate) aliases: u16,
}

impl Default for HubLimits {
    fn default() -> Self {
        Self { packet_max: usize::MAX, retains: true, maximum_qos: 2, aliases: 0 }
    }
}

impl HubLimits {
    pub(crate) fn of(ack: &ConnAck) -> Self {
        let said = |id| ack.properties.u32(id);
        Self {
            packet_max: said(PropertyId::MaximumPacketSize).map_or(usize::MAX, |max| max as usize),
            retains: said(PropertyId::RetainAvailable) != Some(0),
            maximum_qos: said(PropertyId::MaximumQoS).unwrap_or(2),
            aliases: ack.properties.u16(PropertyId::TopicAliasMaximum).unwrap_or(0),
        }
    }

    /// Returns the limit that a PUBLISH breaks.
    pub(crate) fn fault(&self, publish: &Publish) -> Option<&'static str> {
        // Encoded only where it may matter.
        let may_be_too_large = publish.payload.len() + HEADER_MAX > self.packet_max;
        match () {
            () if publish.retain && !self.retains => Some("Retain Available"),
            () if publish.qos as u32 > self.maximum_qos => Some("Maximum QoS"),
            () if may_be_too_large && size(publish) > self.packet_max => Some("Maximum Packet Size"),
            () => None,
        }
    }
}

/// Bytes of a PUBLISH.
pub(crate) fn size(publish: &Publish) -> usize {
    let mut bytes = BytesMut::new();
    wire::encode(&Packet::Publish(publish.clone()), Version::V5, &mut bytes).unwrap();
    bytes.len()
}

/// Bytes of a PUBLISH with its topic's name instead of an alias.
pub(crate) fn plain_size(publish: &Publish) -> usize {
    let properties = publish.properties.without(&[PropertyId::TopicAlias]);
    size(&Publish { properties, ..publish.clone() })
}

/// Bytes of the PUBLISH of a row, without an alias.
pub(crate) fn size_of_row(row: &Row, identity: Identity) -> usize {
    let mut properties = row.properties.to_builder();
    properties.user("edge-id", &identity.to_string()).unwrap();
    if row.possible_duplicate {
        properties.user("edge-pd", "1").unwrap();
    }
    if row.ttl_ms.is_some() {
        properties.push(PropertyId::MessageExpiryInterval, Value::U32(1)).unwrap();
    }
    size(&Publish {
        dup: false,
        qos: QoS::AtLeastOnce,
        retain: row.retain,
        topic: row.topic.clone(),
        packet_id: PacketId::new(1),
        properties: properties.finish(),
        payload: row.payload.clone(),
    })
}
