//! CONNECT packets: their fields, reading and writing.

use std::fmt;

use bytes::{BufMut, Bytes, BytesMut};

use super::field_writer::{check_len, field_len, put_field};
use super::reader::{Reader, fail};
use super::{
    DecodeError, DecodeErrorKind, EncodeError, Hidden, PacketType, Properties, QoS, Utf8, Version, topic,
};

/// CONNECT packet (§3.1), the first of a connection, from client to server. `Debug` shows no password.
#[derive(Clone, PartialEq, Eq)]
pub struct Connect {
    /// MQTT version that the client asks for.
    pub version: Version,
    /// Sets the highest bit of the protocol level, which marks the client as a bridge. Only in 3.1.1, and not part of the standard: Mosquitto,
    /// and brokers that know its bridge, then keep the retain flag of messages that they send, and send none of the client's own messages
    /// back. Never set by decoding, because a CONNECT with this bit is refused.
    pub is_bridge: bool,
    /// Clean Start (5) or Clean Session (3.1.1).
    pub clean_start: bool,
    /// Keep alive in seconds; 0 = off.
    pub keep_alive_s: u16,
    /// Client identifier. May be empty, in 3.1.1 only with `clean_start`; the server then assigns one.
    pub client_id: Utf8,
    /// Message that the server publishes when the connection ends without a normal DISCONNECT; `None` for no will.
    pub will: Option<Will>,
    /// User name of the client; `None` if it gives none.
    pub username: Option<Utf8>,
    /// Password, at most 65 535 bytes; `None` if the client gives none. In 3.1.1 only together with a user name.
    pub password: Option<Bytes>,
    /// Properties; empty in 3.1.1.
    pub properties: Properties,
}

/// The will of a CONNECT (§3.1.3.2 to §3.1.3.4).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Will {
    /// QoS to publish with.
    pub qos: QoS,
    /// Retain flag to publish with.
    pub retain: bool,
    /// Topic name, without wildcards and not empty.
    pub topic: Utf8,
    /// Payload of the will, at most 65 535 bytes.
    pub payload: Bytes,
    /// Will properties; empty in 3.1.1.
    pub properties: Properties,
}

const CLEAN_START: u8 = 0b0000_0010;
const WILL: u8 = 0b0000_0100;
const WILL_QOS: u8 = 0b0001_1000;
const WILL_RETAIN: u8 = 0b0010_0000;
const PASSWORD: u8 = 0b0100_0000;
const USER_NAME: u8 = 0b1000_0000;

/// Bit of the protocol level that marks a bridge, as Mosquitto's bridge sets it.
const BRIDGE_BIT: u8 = 0b1000_0000;

/// Bytes of the protocol name, its length, and the level.
const NAME_LEN: u64 = 6 + 1;

/// Returns which version a CONNECT asks for (§3.1.2.1, §3.1.2.2). Reads the protocol name and level.
pub(crate) fn decode_version(r: &mut Reader<'_>) -> Result<Version, DecodeError> {
    let name_at = r.at();
    let is_3_1 = match r.binary()?.as_ref() {
        b"MQTT" => false,
        b"MQIsdp" if r.limits.accept_mqtt_3_1 => true,
        b"MQIsdp" => return fail(DecodeErrorKind::Mqtt31, name_at),
        _ => return fail(DecodeErrorKind::ProtocolName, name_at),
    };
    let level_at = r.at();
    match r.u8()? {
        3 if is_3_1 => Ok(Version::V311),
        4 if !is_3_1 => Ok(Version::V311),
        5 if !is_3_1 => Ok(Version::V5),
        // 0x84 too, by which a Mosquitto bridge with `try_private` says that it is a bridge: refused so, it tries again with 4.
        level if is_3_1 => fail(DecodeErrorKind::Mqtt31Level(level), level_at),
        level => fail(DecodeErrorKind::ProtocolLevel(level), level_at),
    }
}

impl Connect {
    /// Decodes the rest of a CONNECT after the protocol level. `r.version` is the version that [`decode_version`] found. `is_3_1`: of
    /// MQTT 3.1, which does not use the lowest flag, nor those of a will where there is none, goes by the packet's length where a flag names a user or a
    /// password that is not there (§3.1 there), and knows no empty client identifier.
    pub(crate) fn decode(is_3_1: bool, r: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let version = r.version;
        let flags_at = r.at();
        let mut flags = r.u8()?;
        if is_3_1 {
            flags &= if flags & WILL == 0 { !(1 | WILL_QOS | WILL_RETAIN) } else { !1 };
        }
        check_flags(flags, version).map_err(|kind| DecodeError { kind, offset: flags_at })?;
        let keep_alive_s = r.u16()?;
        let properties = r.properties()?;
        let client_id_at = r.at();
        let client_id = r.utf8()?;
        let clean_start = flags & CLEAN_START != 0;
        if client_id.is_empty() && version == Version::V311 && (is_3_1 || !clean_start) {
            return fail(DecodeErrorKind::EmptyClientId, client_id_at);
        }
        let will = if flags & WILL != 0 { Some(Will::decode(flags, r)?) } else { None };
        let has = |r: &Reader<'_>, flag: u8| flags & flag != 0 && !(is_3_1 && r.left() == 0);
        let username = if has(r, USER_NAME) { Some(r.utf8()?) } else { None };
        let password = if has(r, PASSWORD) { Some(r.binary()?) } else { None };
        Ok(Self {
            version,
            is_bridge: false,
            clean_start,
            keep_alive_s,
            client_id,
            will,
            username,
            password,
            properties,
        })
    }

    pub(crate) fn check(&self, version: Version) -> Result<u64, EncodeError> {
        if self.version != version {
            return Err(DecodeErrorKind::VersionMismatch.into());
        }
        check_flags(self.flags(), version)?;
        if self.client_id.is_empty() && !self.clean_start && version == Version::V311 {
            return Err(DecodeErrorKind::EmptyClientId.into());
        }
        self.properties.check_for(PacketType::Connect)?;
        // Flags and keep alive: three bytes.
        let mut len =
            NAME_LEN + 3 + self.properties.encoded_len(version)? + field_len(self.client_id.as_bytes());
        if let Some(will) = &self.will {
            len += will.check(version)?;
        }
        if let Some(username) = &self.username {
            len += field_len(username.as_bytes());
        }
        if let Some(password) = &self.password {
            check_len("password", password.len())?;
            len += field_len(password);
        }
        Ok(len)
    }

    pub(crate) fn write(&self, version: Version, out: &mut BytesMut) {
        put_field(b"MQTT", out);
        out.put_u8(match version {
            Version::V311 if self.is_bridge => 4 | BRIDGE_BIT,
            Version::V311 => 4,
            Version::V5 => 5,
        });
        out.put_u8(self.flags());
        out.put_u16(self.keep_alive_s);
        self.properties.write(version, out);
        put_field(self.client_id.as_bytes(), out);
        if let Some(will) = &self.will {
            will.properties.write(version, out);
            put_field(will.topic.as_bytes(), out);
            put_field(&will.payload, out);
        }
        if let Some(username) = &self.username {
            put_field(username.as_bytes(), out);
        }
        if let Some(password) = &self.password {
            put_field(password, out);
        }
    }

    fn flags(&self) -> u8 {
        let set = |on: bool, bit: u8| if on { bit } else { 0 };
        let will = self.will.as_ref().map_or(0, |w| WILL | (w.qos as u8) << 3 | set(w.retain, WILL_RETAIN));
        set(self.clean_start, CLEAN_START)
            | will
            | set(self.password.is_some(), PASSWORD)
            | set(self.username.is_some(), USER_NAME)
    }
}

/// Checks the connect flags (§3.1.2.3 to §3.1.2.9).
fn check_flags(flags: u8, version: Version) -> Result<(), DecodeErrorKind> {
    let will_without = flags & WILL == 0 && flags & (WILL_QOS | WILL_RETAIN) != 0;
    if flags & 1 != 0 || will_without {
        return Err(DecodeErrorKind::Flags(flags));
    }
    if flags & WILL_QOS == WILL_QOS {
        return Err(DecodeErrorKind::QoS3);
    }
    if version == Version::V311 && flags & PASSWORD != 0 && flags & USER_NAME == 0 {
        return Err(DecodeErrorKind::PasswordWithoutUserName);
    }
    Ok(())
}

impl fmt::Debug for Connect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            version,
            is_bridge,
            clean_start,
            keep_alive_s,
            client_id,
            will,
            username,
            password,
            properties,
        } = self;
        f.debug_struct("Connect")
            .field("version", version)
            .field("is_bridge", is_bridge)
            .field("clean_start", clean_start)
            .field("keep_alive_s", keep_alive_s)
            .field("client_id", client_id)
            .field("will", will)
            .field("username", username)
            .field("password", &Hidden::of(password.as_ref()))
            .field("properties", properties)
            .finish()
    }
}

impl Will {
    fn decode(flags: u8, r: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let properties = r.will_properties()?;
        let topic = r.topic_name(false)?;
        let payload = r.binary()?;
        let qos = QoS::new((flags & WILL_QOS) >> 3).unwrap_or_default();
        Ok(Self { qos, retain: flags & WILL_RETAIN != 0, topic, payload, properties })
    }

    fn check(&self, version: Version) -> Result<u64, EncodeError> {
        self.properties.check_for_will()?;
        topic::check_name(self.topic.as_bytes()).map_err(DecodeErrorKind::TopicName)?;
        check_len("will payload", self.payload.len())?;
        Ok(self.properties.encoded_len(version)?
            + field_len(self.topic.as_bytes())
            + field_len(&self.payload))
    }
}
