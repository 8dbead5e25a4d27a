//! Codec of whole packets: reads and writes the fixed header (§2.1), and dispatches to the packet type.

use bytes::{BufMut, Bytes, BytesMut};

use super::reader::{Reader, fail};
use super::{
    Ack, Auth, ConnAck, Connect, DecodeError, DecodeErrorKind, Disconnect, EncodeError, Limits, Packet,
    PacketType, Publish, SubAck, Subscribe, UnsubAck, Unsubscribe, Version, connect, varint,
};

/// Takes the next packet off `buf`. Returns `Ok(None)`, and takes nothing, while the packet is incomplete; errors in its first bytes (type,
/// flags, a size over the limit) are found before the rest has come. The packet's fields are slices of `buf`'s memory, which lives as long as
/// they do.
///
/// # Errors
///
/// The connection has to end, see [`DecodeError`].
///
/// # Cost
///
/// One pass over the packet, without the payload. Allocates only for CONNECT and the entries of SUBSCRIBE and similar packets.
pub fn decode(buf: &mut BytesMut, version: Version, limits: &Limits) -> Result<Option<Packet>, DecodeError> {
    let Some(header) = Header::read(buf, Some(version), limits)? else { return Ok(None) };
    let Some(frame) = header.split(buf) else { return Ok(None) };
    let mut r = Reader::new(frame, header.len, header.packet, version, limits);
    let packet = decode_body(&header, &mut r)?;
    r.finish()?;
    Ok(Some(packet))
}

/// Takes a client's first packet, which has the protocol version, off `buf`. Works as [`decode`], but anything else than a CONNECT is an error.
///
/// # Errors
///
/// Those of [`decode`]. For [`ProtocolLevel`](DecodeErrorKind::ProtocolLevel) a server may answer CONNACK 0x84 in the form of MQTT 5 to a level
/// above 5, and return code 1 in the form of 3.1.1 otherwise (§3.1.2.2, 3.1.1 §3.1.2.2).
pub fn decode_connect(buf: &mut BytesMut, limits: &Limits) -> Result<Option<Connect>, DecodeError> {
    let Some(header) = Header::read(buf, None, limits)? else { return Ok(None) };
    let Some(frame) = header.split(buf) else { return Ok(None) };
    let is_3_1 = is_mqtt_3_1(&frame);
    // The version is found on the way.
    let mut r = Reader::new(frame, header.len, header.packet, Version::V311, limits);
    r.version = connect::decode_version(&mut r)?;
    if r.version == Version::V5 {
        header.check_minimal()?;
    }
    let connect = Connect::decode(is_3_1, &mut r)?;
    r.finish()?;
    Ok(Some(connect))
}

/// Appends `packet` to `out`.
///
/// # Errors
///
/// [`EncodeError`] for every packet that [`decode`] would refuse; nothing is appended then. The caller has to check the peer's Maximum Packet
/// Size, with [`encoded_len`].
pub fn encode(packet: &Packet, version: Version, out: &mut BytesMut) -> Result<(), EncodeError> {
    let remaining = remaining_len(check(packet, version)?)?;
    let flags = match packet {
        Packet::Publish(p) => p.flags(),
        _ => fixed_flags(packet.packet_type()),
    };
    reserve(remaining, out);
    put_header(packet.packet_type(), flags, remaining, out);
    match packet {
        Packet::Connect(p) => p.write(version, out),
        Packet::ConnAck(p) => p.write(version, out),
        Packet::Publish(p) => p.write(version, out),
        Packet::PubAck(p) | Packet::PubRec(p) | Packet::PubRel(p) | Packet::PubComp(p) => {
            p.write(version, out);
        }
        Packet::Subscribe(p) => p.write(version, out),
        Packet::SubAck(p) => p.write(version, out),
        Packet::Unsubscribe(p) => p.write(version, out),
        Packet::UnsubAck(p) => p.write(version, out),
        Packet::PingReq | Packet::PingResp => {}
        Packet::Disconnect(p) => p.write(version, out),
        Packet::Auth(p) => p.write(version, out),
    }
    Ok(())
}

/// Appends a PUBLISH to `out`, as [`encode`] does, without a [`Packet`] around it. Allocates only if `out` has no room.
///
/// # Errors
///
/// Those of [`encode`].
pub fn encode_publish(publish: &Publish, version: Version, out: &mut BytesMut) -> Result<(), EncodeError> {
    let remaining = remaining_len(publish.check(version)?)?;
    reserve(remaining, out);
    put_header(PacketType::Publish, publish.flags(), remaining, out);
    publish.write(version, out);
    Ok(())
}

/// Appends a PUBLISH without its payload, which is to follow. Returns the size of the whole packet in bytes. Errors are those of [`encode`].
pub(crate) fn encode_publish_head(
    publish: &Publish,
    version: Version,
    out: &mut BytesMut,
) -> Result<usize, EncodeError> {
    let (before, remaining) = (out.len(), remaining_len(publish.check(version)?)?);
    put_header(PacketType::Publish, publish.flags(), remaining, out);
    publish.write_head(version, out);
    Ok(out.len() - before + publish.payload.len())
}

/// Returns the number of bytes that [`encode`] would append.
///
/// # Errors
///
/// Those of [`encode`].
pub fn encoded_len(packet: &Packet, version: Version) -> Result<usize, EncodeError> {
    let remaining = remaining_len(check(packet, version)?)?;
    Ok(1 + varint::len(remaining) + remaining as usize)
}

/// Returns type and size in bytes of the packet that begins with `bytes`, from its fixed header alone; `None` if it is no packet, or `bytes` end
/// within the fixed header.
pub(crate) fn frame(bytes: &[u8]) -> Option<(PacketType, usize)> {
    let (first, rest) = bytes.split_first()?;
    let (remaining, used) = varint::read(rest, false).ok().flatten()?;
    let size = (1 + used).checked_add(usize::try_from(remaining).ok()?)?;
    Some((packet_type(first >> 4)?, size))
}

/// Returns whether the CONNECT that begins with `bytes` has a user name, by its flags; `None` if they have not come yet.
pub(crate) fn announces_login(bytes: &[u8]) -> Option<bool> {
    const USER_NAME: u8 = 0x80;
    // The protocol's name with its length, the version, the flags. What begins otherwise is refused.
    let head = connect_head(bytes)?;
    match head.get(..6)? {
        [0, 4, b'M', b'Q', b'T', b'T'] => Some(head.get(7)? & USER_NAME != 0),
        OF_3_1 => Some(head.get(9)? & USER_NAME != 0),
        _ => Some(false),
    }
}

/// Returns whether `bytes` begin with a CONNECT of MQTT 3.1, by the name of its protocol.
pub(crate) fn is_mqtt_3_1(bytes: &[u8]) -> bool {
    connect_head(bytes).is_some_and(|head| head.starts_with(OF_3_1))
}

/// First bytes behind the fixed header in a CONNECT of MQTT 3.1.
const OF_3_1: &[u8] = &[0, 6, b'M', b'Q', b'I', b's'];

/// Returns what has come behind the fixed header; `None` if that is not whole.
fn connect_head(bytes: &[u8]) -> Option<&[u8]> {
    let (_, rest) = bytes.split_first()?;
    let (_, used) = varint::read(rest, false).ok().flatten()?;
    rest.get(used..)
}

/// Fixed header of a packet.
struct Header {
    packet: PacketType,
    flags: u8,
    /// Length of the fixed header in bytes: type, flags and remaining length.
    len: usize,
    remaining: u32,
}

impl Header {
    /// Reads a fixed header; `None` while `buf` ends within it. `version`: that of the connection, `None` for a client's first packet.
    fn read(buf: &[u8], version: Option<Version>, limits: &Limits) -> Result<Option<Self>, DecodeError> {
        let Some((first, rest)) = buf.split_first() else { return Ok(None) };
        let (packet, flags) = (packet_type(first >> 4), first & 0x0f);
        let Some(packet) = packet else { return fail(DecodeErrorKind::PacketTypeZero, 0) };
        let free = if limits.accept_mqtt_3_1 { free_in_3_1(buf, packet, version) } else { 0 };
        let flags = flags & !free;
        check_header(packet, flags, version).map_err(|kind| DecodeError { kind, offset: 0 })?;
        // 3.1.1 does not demand the shortest form.
        let minimal = version == Some(Version::V5);
        let found = varint::read(rest, minimal).map_err(|kind| DecodeError { kind, offset: 1 })?;
        let Some((remaining, used)) = found else { return Ok(None) };
        let header = Self { packet, flags, len: 1 + used, remaining };
        let (size, limit) = (header.len as u64 + u64::from(remaining), limits.max_packet_size);
        if size > u64::from(limit) {
            return fail(DecodeErrorKind::PacketTooLarge { size, limit }, 1);
        }
        Ok(Some(header))
    }

    /// Takes the packet off `buf`; `None` if it is not whole.
    fn split(&self, buf: &mut BytesMut) -> Option<Bytes> {
        let size = self.len.checked_add(usize::try_from(self.remaining).ok()?)?;
        if buf.len() < size { None } else { Some(buf.split_to(size).freeze()) }
    }

    fn check_minimal(&self) -> Result<(), DecodeError> {
        if self.len > 1 + varint::len(self.remaining) {
            return fail(DecodeErrorKind::VarintNotMinimal, 1);
        }
        Ok(())
    }
}

fn check_header(packet: PacketType, flags: u8, version: Option<Version>) -> Result<(), DecodeErrorKind> {
    match (packet, version) {
        (PacketType::Connect, _) => {}
        (_, None) => return Err(DecodeErrorKind::NotConnect(packet)),
        (PacketType::Publish, _) => return Publish::qos_of(flags).map(|_| ()),
        (PacketType::Auth, Some(Version::V311)) => return Err(DecodeErrorKind::AuthInV311),
        _ => {}
    }
    if flags == fixed_flags(packet) { Ok(()) } else { Err(DecodeErrorKind::HeaderFlags { packet, flags }) }
}

/// Returns the flags that 3.1.1 reserves and MQTT 3.1 does not: DUP of a PUBREL, SUBSCRIBE or UNSUBSCRIBE that is repeated, and all flags of a
/// CONNECT, which 3.1 does not use. The version that a CONNECT asks for may not have come yet.
fn free_in_3_1(buf: &[u8], packet: PacketType, version: Option<Version>) -> u8 {
    let may_be_3_1 = || connect_head(buf).is_none_or(|head| head.iter().zip(OF_3_1).all(|(a, b)| a == b));
    match (packet, version) {
        (PacketType::PubRel | PacketType::Subscribe | PacketType::Unsubscribe, Some(Version::V311)) => 0b1000,
        (PacketType::Connect, None) if may_be_3_1() => 0b1111,
        _ => 0,
    }
}

/// Flags of the fixed header by table 2-2 (§2.1.3), except for PUBLISH.
fn fixed_flags(packet: PacketType) -> u8 {
    match packet {
        PacketType::PubRel | PacketType::Subscribe | PacketType::Unsubscribe => 0b0010,
        _ => 0,
    }
}

fn packet_type(number: u8) -> Option<PacketType> {
    Some(match number {
        1 => PacketType::Connect,
        2 => PacketType::ConnAck,
        3 => PacketType::Publish,
        4 => PacketType::PubAck,
        5 => PacketType::PubRec,
        6 => PacketType::PubRel,
        7 => PacketType::PubComp,
        8 => PacketType::Subscribe,
        9 => PacketType::SubAck,
        10 => PacketType::Unsubscribe,
        11 => PacketType::UnsubAck,
        12 => PacketType::PingReq,
        13 => PacketType::PingResp,
        14 => PacketType::Disconnect,
        15 => PacketType::Auth,
        _ => return None,
    })
}

fn decode_body(header: &Header, r: &mut Reader<'_>) -> Result<Packet, DecodeError> {
    Ok(match header.packet {
        PacketType::Connect => {
            let at = r.at();
            if connect::decode_version(r)? != r.version {
                return fail(DecodeErrorKind::VersionMismatch, at);
            }
            Packet::Connect(Box::new(Connect::decode(false, r)?))
        }
        PacketType::ConnAck => Packet::ConnAck(ConnAck::decode(r)?),
        PacketType::Publish => Packet::Publish(Publish::decode(header.flags, r)?),
        PacketType::PubAck => Packet::PubAck(Ack::decode(r)?),
        PacketType::PubRec => Packet::PubRec(Ack::decode(r)?),
        PacketType::PubRel => Packet::PubRel(Ack::decode(r)?),
        PacketType::PubComp => Packet::PubComp(Ack::decode(r)?),
        PacketType::Subscribe => Packet::Subscribe(Subscribe::decode(r)?),
        PacketType::SubAck => Packet::SubAck(SubAck::decode(r)?),
        PacketType::Unsubscribe => Packet::Unsubscribe(Unsubscribe::decode(r)?),
        PacketType::UnsubAck => Packet::UnsubAck(UnsubAck::decode(r)?),
        PacketType::PingReq => Packet::PingReq,
        PacketType::PingResp => Packet::PingResp,
        PacketType::Disconnect => Packet::Disconnect(Disconnect::decode(r)?),
        PacketType::Auth => Packet::Auth(Auth::decode(r)?),
    })
}

/// Checks that a packet may be sent, and returns its remaining length in bytes.
fn check(packet: &Packet, version: Version) -> Result<u64, EncodeError> {
    match packet {
        Packet::Connect(p) => p.check(version),
        Packet::ConnAck(p) => p.check(version),
        Packet::Publish(p) => p.check(version),
        Packet::PubAck(p) | Packet::PubRec(p) | Packet::PubRel(p) | Packet::PubComp(p) => {
            p.check(packet.packet_type(), version)
        }
        Packet::Subscribe(p) => p.check(version),
        Packet::SubAck(p) => p.check(version),
        Packet::Unsubscribe(p) => p.check(version),
        Packet::UnsubAck(p) => p.check(version),
        Packet::PingReq | Packet::PingResp => Ok(0),
        Packet::Disconnect(p) => p.check(version),
        Packet::Auth(p) => p.check(version),
    }
}

fn remaining_len(len: u64) -> Result<u32, EncodeError> {
    u32::try_from(len).ok().filter(|len| *len <= varint::MAX).ok_or(EncodeError::TooLong(len))
}

fn reserve(remaining: u32, out: &mut BytesMut) {
    out.reserve(1 + varint::len(remaining) + remaining as usize);
}

fn put_header(packet: PacketType, flags: u8, remaining: u32, out: &mut BytesMut) {
    out.put_u8((packet as u8) << 4 | flags);
    varint::write(remaining, out);
}
