//! Packets through the codecs of mqtt5-protocol and mqttbytes, there and back.

use std::cell::Cell;

use bytes::{Buf, Bytes, BytesMut};
use edge_bridge::wire::*;
use mqtt5_protocol::packet::{FixedHeader, MqttPacket, Packet as Theirs};
use proptest::prelude::*;

use crate::defects::{Defect, mqtt5_protocol_defect, mqttbytes_login_defect, mqttbytes_v5_defect};
use crate::wire_support::*;

pub(crate) type Foreign = fn(&Bytes) -> Result<Bytes, String>;

/// Decodes with mqtt5-protocol and encodes again.
pub(crate) fn through_mqtt5_protocol(bytes: &Bytes, level: u8) -> Result<Bytes, String> {
    let mut buf = bytes.clone();
    let text = |e: mqtt5_protocol::MqttError| e.to_string();
    let header = FixedHeader::decode(&mut buf).map_err(text)?;
    if buf.remaining() != header.remaining_length as usize {
        return Err("its remaining length differs".into());
    }
    let packet =
        Theirs::decode_from_body_with_version(header.packet_type, &header, &mut buf, level).map_err(text)?;
    if buf.has_remaining() {
        return Err(format!("it left {} bytes", buf.remaining()));
    }
    let mut out = BytesMut::new();
    match &packet {
        Theirs::Connect(p) => p.encode(&mut out),
        Theirs::ConnAck(p) => p.encode(&mut out),
        Theirs::Publish(p) => p.encode(&mut out),
        Theirs::PubAck(p) => p.encode(&mut out),
        Theirs::PubRec(p) => p.encode(&mut out),
        Theirs::PubRel(p) => p.encode(&mut out),
        Theirs::PubComp(p) => p.encode(&mut out),
        Theirs::Subscribe(p) => p.encode(&mut out),
        Theirs::SubAck(p) => p.encode(&mut out),
        Theirs::Unsubscribe(p) => p.encode(&mut out),
        Theirs::UnsubAck(p) => p.encode(&mut out),
        Theirs::PingReq => mqtt5_protocol::packet::pingreq::PingReqPacket::default().encode(&mut out),
        Theirs::PingResp => mqtt5_protocol::packet::pingresp::PingRespPacket::default().encode(&mut out),
        Theirs::Disconnect(p) => p.encode(&mut out),
        Theirs::Auth(p) => p.encode(&mut out),
    }
    .map_err(text)?;
    Ok(out.freeze())
}

/// Decodes with mqttbytes' MQTT 5 module and encodes again.
fn through_mqttbytes_v5(bytes: &Bytes) -> Result<Bytes, String> {
    use mqttbytes::v5::{Packet as P, *};
    let mut buf = BytesMut::from(bytes.as_ref());
    let packet = read(&mut buf, usize::MAX).map_err(|e| format!("{e:?}"))?;
    let mut out = BytesMut::new();
    match &packet {
        P::Connect(p) => p.write(&mut out),
        P::ConnAck(p) => p.write(&mut out),
        P::Publish(p) => p.write(&mut out),
        P::PubAck(p) => p.write(&mut out),
        P::PubRec(p) => p.write(&mut out),
        P::PubRel(p) => p.write(&mut out),
        P::PubComp(p) => p.write(&mut out),
        P::Subscribe(p) => p.write(&mut out),
        P::SubAck(p) => p.write(&mut out),
        P::Unsubscribe(p) => p.write(&mut out),
        P::UnsubAck(p) => p.write(&mut out),
        P::PingReq => PingReq.write(&mut out),
        P::PingResp => PingResp.write(&mut out),
        P::Disconnect(p) => p.write(&mut out),
    }
    .map_err(|e| format!("{e:?}"))?;
    Ok(out.freeze())
}

/// Decodes with mqttbytes' MQTT 3.1.1 module and encodes again.
fn through_mqttbytes_v4(bytes: &Bytes) -> Result<Bytes, String> {
    use mqttbytes::v4::{Packet as P, *};
    let mut buf = BytesMut::from(bytes.as_ref());
    let packet = read(&mut buf, usize::MAX).map_err(|e| format!("{e:?}"))?;
    let mut out = BytesMut::new();
    match &packet {
        P::Connect(p) => p.write(&mut out),
        P::ConnAck(p) => p.write(&mut out),
        P::Publish(p) => p.write(&mut out),
        P::PubAck(p) => p.write(&mut out),
        P::PubRec(p) => p.write(&mut out),
        P::PubRel(p) => p.write(&mut out),
        P::PubComp(p) => p.write(&mut out),
        P::Subscribe(p) => p.write(&mut out),
        P::SubAck(p) => p.write(&mut out),
        P::Unsubscribe(p) => p.write(&mut out),
        P::UnsubAck(p) => p.write(&mut out),
        P::PingReq => PingReq.write(&mut out),
        P::PingResp => PingResp.write(&mut out),
        P::Disconnect => Disconnect.write(&mut out),
    }
    .map_err(|e| format!("{e:?}"))?;
    Ok(out.freeze())
}

/// The properties in the order of their numbers: theirs lose the order between kinds, which means nothing (§2.2.2.2); that of the user
/// properties is kept.
fn sorted(properties: &Properties) -> Properties {
    let mut all: Vec<_> = properties.iter().collect();
    all.sort_by_key(|p| p.id as u8);
    let mut builder = PropertiesBuilder::new();
    for property in all {
        builder.push(property.id, property.value).unwrap();
    }
    builder.finish()
}

fn normal(mut packet: Packet) -> Packet {
    let properties = match &mut packet {
        Packet::Connect(p) => {
            if let Some(will) = &mut p.will {
                will.properties = sorted(&will.properties);
            }
            &mut p.properties
        }
        Packet::ConnAck(p) => &mut p.properties,
        Packet::Publish(p) => &mut p.properties,
        Packet::PubAck(p) | Packet::PubRec(p) | Packet::PubRel(p) | Packet::PubComp(p) => &mut p.properties,
        Packet::Subscribe(p) => &mut p.properties,
        Packet::SubAck(p) => &mut p.properties,
        Packet::Unsubscribe(p) => &mut p.properties,
        Packet::UnsubAck(p) => &mut p.properties,
        Packet::Disconnect(p) => &mut p.properties,
        Packet::Auth(p) => &mut p.properties,
        Packet::PingReq | Packet::PingResp => return packet,
    };
    *properties = sorted(properties);
    packet
}

pub(crate) fn there_and_back(packet: &Packet, version: Version, foreign: Foreign) -> Result<(), String> {
    let bytes = encoded(packet, version);
    let back = std::panic::catch_unwind(|| foreign(&bytes)).map_err(|_| "panic".to_owned())??;
    match decoded(&back, version) {
        Ok(Some(got)) if normal(got.clone()) == normal(packet.clone()) => Ok(()),
        Ok(Some(got)) => Err(format!("became {got:?}")),
        Ok(None) => Err(format!("came back cut: {back:02x?}")),
        Err(e) => Err(format!("came back broken: {e}")),
    }
}

pub(crate) struct Peer {
    pub(crate) name: &'static str,
    pub(crate) version: Version,
    pub(crate) through: Foreign,
    /// Names the defect of the peer that a packet meets, if it meets one.
    pub(crate) defect: fn(&Packet) -> Option<Defect>,
}

pub(crate) const PEERS: [Peer; 4] = [
    Peer {
        name: "mqtt5-protocol 5.0",
        version: Version::V5,
        through: |b| through_mqtt5_protocol(b, 5),
        defect: mqtt5_protocol_defect,
    },
    Peer {
        name: "mqtt5-protocol 3.1.1",
        version: Version::V311,
        through: |b| through_mqtt5_protocol(b, 4),
        defect: |_| None,
    },
    Peer {
        name: "mqttbytes 5.0",
        version: Version::V5,
        through: through_mqttbytes_v5,
        defect: mqttbytes_v5_defect,
    },
    Peer {
        name: "mqttbytes 3.1.1",
        version: Version::V311,
        through: through_mqttbytes_v4,
        defect: mqttbytes_login_defect,
    },
];

#[test]
fn every_packet_crosses_to_the_peer_and_back() {
    for peer in &PEERS {
        let beside = Cell::new(0);
        run(&format!("wire differential {}", peer.name), 20_000, &packet(peer.version), |packet| {
            // mqttbytes prints a line for each of these.
            if matches!(&packet, Packet::Unsubscribe(p) if p.packet_id.get() % 16 != 0)
                && peer.name == "mqttbytes 5.0"
            {
                return Ok(());
            }
            match ((peer.defect)(&packet), there_and_back(&packet, peer.version, peer.through)) {
                (None, Err(what)) => prop_assert!(false, "{packet:?} {what}"),
                (None, Ok(())) => {}
                (Some(_), _) => beside.set(beside.get() + 1),
            }
            Ok(())
        });
        println!("  of which {} meet a known defect of {}", beside.get(), peer.name);
    }
}
