//! CONNECT and CONNACK: the limits that each side announces, and that the other has to keep.

use std::fmt;

use bytes::Bytes;

use crate::wire::{
    ConnAck, Connect, Hidden, Limits, PacketId, Properties, PropertiesBuilder, PropertyId, QoS, ReasonCode,
    Utf8, Value, Version, Will,
};

/// Settings of a client, sent in CONNECT. Fields are public; start with [`new`](Self::new) and change what differs. `Debug` shows no
/// password.
#[derive(Clone)]
#[non_exhaustive]
pub struct ClientConfig {
    /// Version to ask for; MQTT 5 by default.
    pub version: Version,
    /// Sets the bridge bit in CONNECT, see [`Connect::is_bridge`]. MQTT 3.1.1. Default false.
    pub bridge_bit: bool,
    /// Client identifier. Empty lets the server assign one, see [`ServerLimits::assigned_client_id`].
    pub client_id: Utf8,
    /// Discards an older session at the server. Default false.
    pub clean_start: bool,
    /// Longest time in seconds without a packet from this client, after which the server may close; the server can override it. Default 60; 0
    /// = off.
    pub keep_alive_s: u16,
    /// Seconds for which the server keeps the session after a disconnect; `u32::MAX` = for ever. Default 86 400. In 3.1.1 it is 0, which asks
    /// for a clean session at each connection, or else as long as the server likes.
    pub session_expiry_s: u32,
    /// Most unacknowledged QoS 1 messages from the server. Default 100. MQTT 5.
    pub receive_maximum: u16,
    /// Ends the connection with 0x93 when the server sends more than `receive_maximum` (§3.3.4). Default true. Mosquitto 2.0 does so whenever a
    /// long queue waits for a client: the connection would end again and again. False accepts as many as there are packet identifiers; the
    /// caller bounds them by not reading.
    pub enforces_receive_maximum: bool,
    /// Most unacknowledged QoS 1 messages to the server, within its Receive Maximum. Default 65 535; the only limit in 3.1.1.
    pub max_in_flight: u16,
    /// Limits of the decoder; `max_packet_size` is announced. By default 1 MiB and otherwise all that the format allows, and a bad Response
    /// Topic is dropped.
    pub limits: Limits,
    /// Most topic aliases that the server may define. Default 16. MQTT 5.
    pub topic_alias_maximum: u16,
    /// Most topic aliases that the client defines, within the server's maximum; each costs a copy of a topic. Default 32. MQTT 5.
    pub topic_aliases_out: u16,
    /// Will of the client; `None` for no will.
    pub will: Option<Will>,
    /// User name for CONNECT; `None` leaves it out.
    pub username: Option<Utf8>,
    /// Password for CONNECT; `None` leaves it out.
    pub password: Option<Bytes>,
    /// Longest wait for CONNACK, in milliseconds. Default 20 000.
    pub handshake_timeout_ms: u64,
    /// Longest wait for PINGRESP, in milliseconds. Default 10 000.
    pub ping_timeout_ms: u64,
    /// First packet identifier of a session that begins in this process. A restarted process should choose another than before, because the
    /// server may still send answers to the earlier one. Default 1.
    pub first_packet_id: PacketId,
}

impl fmt::Debug for ClientConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            version,
            bridge_bit,
            client_id,
            clean_start,
            keep_alive_s,
            session_expiry_s,
            receive_maximum,
            enforces_receive_maximum,
            max_in_flight,
            limits,
            topic_alias_maximum,
            topic_aliases_out,
            will,
            username,
            password,
            handshake_timeout_ms,
            ping_timeout_ms,
            first_packet_id,
        } = self;
        f.debug_struct("ClientConfig")
            .field("version", version)
            .field("bridge_bit", bridge_bit)
            .field("client_id", client_id)
            .field("clean_start", clean_start)
            .field("keep_alive_s", keep_alive_s)
            .field("session_expiry_s", session_expiry_s)
            .field("receive_maximum", receive_maximum)
            .field("enforces_receive_maximum", enforces_receive_maximum)
            .field("max_in_flight", max_in_flight)
            .field("limits", limits)
            .field("topic_alias_maximum", topic_alias_maximum)
            .field("topic_aliases_out", topic_aliases_out)
            .field("will", will)
            .field("username", username)
            .field("password", &Hidden::of(password.as_ref()))
            .field("handshake_timeout_ms", handshake_timeout_ms)
            .field("ping_timeout_ms", ping_timeout_ms)
            .field("first_packet_id", first_packet_id)
            .finish()
    }
}

impl ClientConfig {
    /// The defaults under this client identifier.
    pub fn new(client_id: Utf8) -> Self {
        Self {
            version: Version::V5,
            bridge_bit: false,
            client_id,
            clean_start: false,
            keep_alive_s: 60,
            session_expiry_s: 86_400,
            receive_maximum: 100,
            enforces_receive_maximum: true,
            max_in_flight: u16::MAX,
            // What fits into the packet size that we announce is ours to take: a server sends an unacknowledged message again for ever.
            limits: Limits {
                max_packet_size: Limits::default().max_packet_size,
                drop_bad_response_topic: true,
                ..Limits::FORMAT
            },
            topic_alias_maximum: 16,
            topic_aliases_out: 32,
            will: None,
            username: None,
            password: None,
            handshake_timeout_ms: 20_000,
            ping_timeout_ms: 10_000,
            first_packet_id: PacketId::MIN,
        }
    }

    /// Returns whether CONNECT discards an older session: also in 3.1.1 for a session that is to end with the connection, since its Clean Session
    /// is the only way to say so there (§3.1.2.4), and a server may keep any other for ever.
    pub(super) fn is_clean(&self) -> bool {
        self.clean_start || (self.version == Version::V311 && self.session_expiry_s == 0)
    }

    /// Most unacknowledged messages that are accepted of the server.
    pub(super) fn most_unacknowledged(&self) -> u16 {
        let announced = if self.enforces_receive_maximum { self.receive_maximum } else { u16::MAX };
        super::receive_maximum(self.version, announced)
    }

    pub(crate) fn to_connect(&self) -> Connect {
        let mut properties = PropertiesBuilder::new();
        if self.version == Version::V5 {
            put(&mut properties, PropertyId::SessionExpiryInterval, Value::U32(self.session_expiry_s));
            put(&mut properties, PropertyId::ReceiveMaximum, Value::U16(self.receive_maximum.max(1)));
            put(
                &mut properties,
                PropertyId::MaximumPacketSize,
                Value::U32(self.limits.max_packet_size.max(1)),
            );
            put(&mut properties, PropertyId::TopicAliasMaximum, Value::U16(self.topic_alias_maximum));
        }
        Connect {
            version: self.version,
            is_bridge: self.bridge_bit && self.version == Version::V311,
            clean_start: self.is_clean(),
            keep_alive_s: self.keep_alive_s,
            client_id: self.client_id.clone(),
            will: self.will.clone(),
            username: self.username.clone(),
            password: self.password.clone(),
            properties: properties.finish(),
        }
    }
}

/// Limits of a server on this connection: those of CONNACK, with the standard's defaults for missing ones (§3.2.2.3); in 3.1.1 only the
/// defaults.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct ServerLimits {
    /// Most unacknowledged QoS 1 messages that the server accepts.
    pub receive_maximum: u16,
    /// Highest QoS that the server accepts.
    pub maximum_qos: QoS,
    /// True if the server accepts retained messages.
    pub retain_available: bool,
    /// Largest packet that the server accepts, in bytes.
    pub maximum_packet_size: u32,
    /// Most topic aliases that the server accepts.
    pub topic_alias_maximum: u16,
    /// Keep alive in effect, in seconds: the server's if it sent one, else the client's.
    pub keep_alive_s: u16,
    /// Session expiry in effect, in seconds: the server's if it sent one, else the client's. In 3.1.1 `u32::MAX` or, with a clean start, 0.
    pub session_expiry_s: u32,
    /// Client identifier that the server assigned; `None` if the client sent its own.
    pub assigned_client_id: Option<Utf8>,
    /// True if the server accepts `+` and `#` in subscriptions.
    pub wildcard_subscription_available: bool,
    /// True if the server accepts shared subscriptions, `$share/…`.
    pub shared_subscription_available: bool,
}

impl ServerLimits {
    pub(super) fn of(ack: &ConnAck, asked: &ClientConfig) -> Self {
        let p = &ack.properties;
        let flag = |id| p.flag(id).unwrap_or(true);
        let expiry_s = match (asked.version, asked.is_clean()) {
            (Version::V5, _) => asked.session_expiry_s,
            (Version::V311, true) => 0,
            (Version::V311, false) => u32::MAX,
        };
        Self {
            receive_maximum: p.u16(PropertyId::ReceiveMaximum).unwrap_or(u16::MAX),
            maximum_qos: match p.u32(PropertyId::MaximumQoS) {
                Some(0) => QoS::AtMostOnce,
                Some(_) => QoS::AtLeastOnce,
                None => QoS::ExactlyOnce,
            },
            retain_available: flag(PropertyId::RetainAvailable),
            maximum_packet_size: p.u32(PropertyId::MaximumPacketSize).unwrap_or(u32::MAX),
            topic_alias_maximum: p.u16(PropertyId::TopicAliasMaximum).unwrap_or(0),
            keep_alive_s: p.u16(PropertyId::ServerKeepAlive).unwrap_or(asked.keep_alive_s),
            session_expiry_s: p.u32(PropertyId::SessionExpiryInterval).unwrap_or(expiry_s),
            assigned_client_id: p.utf8(PropertyId::AssignedClientIdentifier),
            wildcard_subscription_available: flag(PropertyId::WildcardSubscriptionAvailable),
            shared_subscription_available: flag(PropertyId::SharedSubscriptionAvailable),
        }
    }
}

/// Settings of a server, announced to every client. Start with `default()`.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct ServerConfig {
    /// Most unacknowledged QoS 1 messages from a client. Default 100. MQTT 5; a 3.1.1 client does not get it.
    pub receive_maximum: u16,
    /// Limits of this side's decoder; `max_packet_size` is announced. Default: [`Limits::default`].
    pub limits: Limits,
    /// Most bytes of a CONNECT with a user name, because its sender is not authenticated yet. Default 64 KiB.
    pub connect_size_max: u32,
    /// Most bytes of a CONNECT without a user name. Default 4 KiB.
    pub connect_size_without_login: u32,
    /// Most topic aliases that a client may define. Default 16; each costs a copy of a topic. MQTT 5.
    pub topic_alias_maximum: u16,
    /// Most topic aliases that the server defines, within the client's maximum. Default 0, because they save nothing on a local link.
    pub topic_aliases_out: u16,
    /// True if retained messages are accepted. Default true.
    pub retain_available: bool,
    /// True if shared subscriptions, `$share/…`, are accepted. Default false.
    pub shared_subscription_available: bool,
    /// Longest wait for CONNECT, in milliseconds. Default 10 000.
    pub handshake_timeout_ms: u64,
}

impl Default for ServerConfig {
    fn default() -> Self {
        Self {
            receive_maximum: 100,
            limits: Limits::default(),
            connect_size_max: 64 * 1024,
            connect_size_without_login: 4 * 1024,
            topic_alias_maximum: 16,
            topic_aliases_out: 0,
            retain_available: true,
            shared_subscription_available: false,
            handshake_timeout_ms: 10_000,
        }
    }
}

/// Terms on which a server accepts one client. `default()` begins a new session as the client asked.
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub struct Accept {
    /// Session that the server has kept; `Some` sets Session Present, `None` begins a new session.
    pub resume: Option<super::Resume>,
    /// Identifier for a client that sent none (\[MQTT-3.2.2-16\]); otherwise `None`.
    pub assigned_client_id: Option<Utf8>,
    /// Session expiry in seconds if the server keeps the session for another time than asked; `None` grants what was asked.
    pub session_expiry_s: Option<u32>,
    /// Keep alive in seconds if the server wants another than the client asked for; `None` accepts the client's.
    pub keep_alive_s: Option<u16>,
    /// Milliseconds within which a packet has to be complete once it is begun, also where the client has no keep alive, or a long one; more if its bytes
    /// come at 500 B/s. `None`: the keep alive alone counts.
    pub packet_within_ms: Option<u64>,
    /// Most unacknowledged QoS 1 messages to this client, within its Receive Maximum. `None` means 20 for a 3.1.1 client, which cannot
    /// announce a limit, and no limit of our own otherwise.
    pub max_in_flight: Option<u16>,
}

impl Accept {
    pub(super) fn to_connack(&self, connect: &Connect, config: &ServerConfig) -> ConnAck {
        let mut properties = PropertiesBuilder::new();
        if connect.version == Version::V5 {
            self.announce(&mut properties, config);
        }
        ConnAck {
            session_present: self.resume.is_some() && !connect.clean_start,
            reason: ReasonCode::SUCCESS,
            properties: properties.finish(),
        }
    }

    fn announce(&self, to: &mut PropertiesBuilder, config: &ServerConfig) {
        put(to, PropertyId::ReceiveMaximum, Value::U16(config.receive_maximum.max(1)));
        put(to, PropertyId::MaximumPacketSize, Value::U32(config.limits.max_packet_size.max(1)));
        if config.topic_alias_maximum > 0 {
            put(to, PropertyId::TopicAliasMaximum, Value::U16(config.topic_alias_maximum));
        }
        if !config.retain_available {
            put(to, PropertyId::RetainAvailable, Value::Byte(0));
        }
        if !config.shared_subscription_available {
            put(to, PropertyId::SharedSubscriptionAvailable, Value::Byte(0));
        }
        if let Some(id) = &self.assigned_client_id {
            put(to, PropertyId::AssignedClientIdentifier, Value::Utf8(id));
        }
        if let Some(expiry_s) = self.session_expiry_s {
            put(to, PropertyId::SessionExpiryInterval, Value::U32(expiry_s));
        }
        if let Some(keep_alive_s) = self.keep_alive_s {
            put(to, PropertyId::ServerKeepAlive, Value::U16(keep_alive_s));
        }
    }
}

/// Limits of a client, from its CONNECT, with the standard's defaults filled in.
#[derive(Debug, Clone, Copy)]
pub(super) struct ClientLimits {
    pub(super) receive_maximum: Option<u16>,
    pub(super) maximum_packet_size: u32,
    pub(super) topic_alias_maximum: u16,
}

impl ClientLimits {
    pub(super) fn of(properties: &Properties) -> Self {
        Self {
            receive_maximum: properties.u16(PropertyId::ReceiveMaximum),
            maximum_packet_size: properties.u32(PropertyId::MaximumPacketSize).unwrap_or(u32::MAX),
            topic_alias_maximum: properties.u16(PropertyId::TopicAliasMaximum).unwrap_or(0),
        }
    }

    pub(super) fn window(&self, version: Version, own: Option<u16>) -> u16 {
        let unsaid = if version == Version::V311 { 20 } else { u16::MAX };
        self.receive_maximum.unwrap_or(u16::MAX).min(own.unwrap_or(unsaid))
    }
}

/// Adds a property. All values are constants of the right type and range, so encoding cannot fail; a failure would leave the property out.
fn put(to: &mut PropertiesBuilder, id: PropertyId, value: Value<'_>) {
    let pushed = to.push(id, value);
    debug_assert!(pushed.is_ok(), "{id:?}: {pushed:?}");
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A client of 3.1.1, which cannot say it, has 20, as in Mosquitto; one of MQTT 5 that says nothing means 65 535.
    #[test]
    fn the_window_of_a_client_is_its_own_word_and_ours() {
        let limits = |receive_maximum| ClientLimits {
            receive_maximum,
            maximum_packet_size: u32::MAX,
            topic_alias_maximum: 0,
        };
        for (said, version, own, expected) in [
            (None, Version::V311, None, 20),
            (None, Version::V5, None, u16::MAX),
            (Some(7), Version::V5, None, 7),
            (Some(7), Version::V5, Some(5), 5),
            (Some(3), Version::V5, Some(5), 3),
            (None, Version::V311, Some(100), 100),
        ] {
            assert_eq!(limits(said).window(version, own), expected, "{said:?} {version:?} {own:?}");
        }
    }
}
