//! CONNECT and CONNACK: what each side announces, what the other may then do.

use bytes::Bytes;

use crate::wire::{
    ConnAck, Connect, Limits, PacketId, Properties, PropertiesBuilder, PropertyId, QoS, ReasonCode, Utf8,
    Value, Version, Will,
};

/// Request of a client. Fields are public; start with [`new`](Self::new) and change what differs.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct ClientConfig {
    /// Version to ask for; MQTT 5 by default.
    pub version: Version,
    /// Says in CONNECT that we are a bridge, see [`Connect::is_bridge`]. Default false. MQTT 3.1.1.
    pub bridge_bit: bool,
    /// Empty: the server names the client, see [`ServerLimits::assigned_client_id`].
    pub client_id: Utf8,
    /// Forget an older session. Default false.
    pub clean_start: bool,
    /// Seconds without a packet from us after which the server may give up; the server can override it. Default 60; 0 = off.
    pub keep_alive_s: u16,
    /// Seconds for which the server keeps the session after a disconnect; `u32::MAX` = for ever. Default 86 400. MQTT 5 (3.1.1
    /// keeps a session that was not clean for as long as the server likes).
    pub session_expiry_s: u32,
    /// QoS 1 messages the server may have unacknowledged towards us. Default 100. MQTT 5.
    pub receive_maximum: u16,
    /// QoS 1 messages we have unacknowledged at most, within the server's Receive Maximum. Default 65 535; in 3.1.1 the only limit.
    pub max_in_flight: u16,
    /// Limits of our decoder; `max_packet_size` is announced. Default: 1 MiB, within it all that the format allows, and a bad Response Topic is dropped.
    pub limits: Limits,
    /// Aliases the server may define towards us. Default 16. MQTT 5.
    pub topic_alias_maximum: u16,
    /// Aliases we define, within the server's maximum; each costs a copy of a topic. Default 32. MQTT 5.
    pub topic_aliases_out: u16,
    /// Will of the client.
    pub will: Option<Will>,
    /// User name for CONNECT.
    pub username: Option<Utf8>,
    /// Password for CONNECT.
    pub password: Option<Bytes>,
    /// Longest wait for CONNACK, in milliseconds. Default 20 000.
    pub handshake_timeout_ms: u64,
    /// Longest wait for PINGRESP, in milliseconds. Default 10 000.
    pub ping_timeout_ms: u64,
    /// First packet identifier where no session goes on here. A process that restarts should begin elsewhere than the one before it: the server
    /// may still send answers that are meant for that one. Default: 1.
    pub first_packet_id: PacketId,
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

    pub(super) fn to_connect(&self) -> Connect {
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
            clean_start: self.clean_start,
            keep_alive_s: self.keep_alive_s,
            client_id: self.client_id.clone(),
            will: self.will.clone(),
            username: self.username.clone(),
            password: self.password.clone(),
            properties: properties.finish(),
        }
    }
}

/// Limits of a server on this connection: CONNACK with the standard's defaults filled in (§3.2.2.3), in 3.1.1 the defaults alone.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct ServerLimits {
    /// QoS 1 messages that the server takes unacknowledged.
    pub receive_maximum: u16,
    /// Highest QoS that the server takes.
    pub maximum_qos: QoS,
    /// True if the server takes retained messages.
    pub retain_available: bool,
    /// Largest packet that the server takes, in bytes.
    pub maximum_packet_size: u32,
    /// Topic aliases that the server takes.
    pub topic_alias_maximum: u16,
    /// The keep alive that holds, in seconds: its own or ours.
    pub keep_alive_s: u16,
    /// The session expiry that holds, in seconds: its own or ours. In 3.1.1 `u32::MAX` or 0.
    pub session_expiry_s: u32,
    /// The name it gave to a client that came without.
    pub assigned_client_id: Option<Utf8>,
    /// True if the server takes `+` and `#`.
    pub wildcard_subscription_available: bool,
    /// True if the server takes `$share/…`.
    pub shared_subscription_available: bool,
}

impl ServerLimits {
    pub(super) fn of(ack: &ConnAck, asked: &ClientConfig) -> Self {
        let p = &ack.properties;
        let flag = |id| p.flag(id).unwrap_or(true);
        let expiry_s = match (asked.version, asked.clean_start) {
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

/// Announcement of a server to every client. Start with `default()`.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct ServerConfig {
    /// QoS 1 messages a client may have unacknowledged. Default 100. MQTT 5; a 3.1.1 client cannot be told.
    pub receive_maximum: u16,
    /// Limits of our decoder; `max_packet_size` is announced. Default: [`Limits::default`].
    pub limits: Limits,
    /// Bytes of a CONNECT with a user name, which comes from nobody yet known. Default 64 KiB.
    pub connect_size_max: u32,
    /// Bytes of a CONNECT without one. Default 4 KiB.
    pub connect_size_without_login: u32,
    /// Aliases a client may define. Default 16; each costs a copy of a topic. MQTT 5.
    pub topic_alias_maximum: u16,
    /// Aliases we define towards a client, within its maximum. Default 0: on a local link they save nothing.
    pub topic_aliases_out: u16,
    /// True if retained messages are taken. Default true.
    pub retain_available: bool,
    /// True if `$share/…` is taken. Default false.
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

/// Terms on which a server takes one client in. Start with `default()`: a new session as the client asked for it.
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub struct Accept {
    /// The session that the server has kept; `Some` says Session Present.
    pub resume: Option<super::Resume>,
    /// The name for a client that came without one (\[MQTT-3.2.2-16\]).
    pub assigned_client_id: Option<Utf8>,
    /// Seconds, if the server does not keep the session as long as asked.
    pub session_expiry_s: Option<u32>,
    /// Seconds, if the server wants another keep alive than asked.
    pub keep_alive_s: Option<u16>,
    /// QoS 1 messages to have unacknowledged at this client, within its Receive Maximum. `None` = 20 for a 3.1.1 client, which cannot
    /// say what it bears, otherwise no limit of our own.
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

/// All values are of the property's own type and range: an error cannot come, and would only leave the property out.
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
