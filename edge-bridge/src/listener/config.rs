//! Limits of the listener, one for every resource that a client can make grow.

use crate::session::ServerConfig;

/// Limits of the listener. Start with `default()` and change what differs.
///
/// Worst case of RAM beyond the sockets' buffers: `max_memory`, which counts all that grows, about 6 KiB per connection and 1 KiB per session that hold
/// nothing, and what the shell reads into (4 MiB for all connections together). The other limits in bytes are bounds within `max_memory`.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Config {
    /// Most connections at a time. At the limit a new connection displaces one that is not being read and whose peer is gone or that has waited
    /// for 10 s; or else one without a CONNECT, of the address with most of them; or else one that has been silent for 10 s, of an address that has an
    /// eighth of all, and at least two more than that of the new one; if there is none, the new one is closed at once. Default 1 000.
    pub max_connections: usize,
    /// Most sessions, connected or not. At the limit the session of an absent client without waiting messages ends for a new client, or else that
    /// of the client absent longest. If all are connected, it is refused with 0x97. Default 2 000.
    pub max_sessions: usize,
    /// Settings announced to every client. They differ from [`ServerConfig::default`]: Receive Maximum is 1 000, because `max_unacked_bytes`
    /// limits more closely, packets have up to 256 KiB, as the largest row of the queue, and shared subscriptions are accepted.
    pub session: ServerConfig,
    /// Longest session of an absent client, in seconds. An MQTT 5 client is told if it asked for more; a 3.1.1 client without
    /// Clean Session gets exactly this. Default 7 days.
    pub session_expiry_max_s: u32,
    /// Longest keep alive, in seconds. An MQTT 5 client that asks for more, or for none, is told; a 3.1.1 client cannot be told and keeps its
    /// own. Whatever its keep alive is, a packet of which a client has sent a part has to be complete within one and a half of this, or come at 500 B/s.
    /// Default 300; 0 = no limit.
    pub keep_alive_max_s: u16,
    /// Shortest keep alive, in seconds. An MQTT 5 client that asks for less is told this one, or `keep_alive_max_s` if that is shorter; none at all, 0, is
    /// not less. A 3.1.1 client cannot be told: it keeps its own and is not refused, and its pings count as bytes that are read of it
    /// (`max_bytes_per_s`). Default 0 = no limit.
    pub keep_alive_min_s: u16,
    /// Most filters of one client. Default 100.
    pub max_subscriptions: usize,
    /// Most retained messages. At the limit a message of a new topic is delivered but not retained, and counted. Default 1 000.
    pub max_retained: usize,
    /// Most bytes of retained messages. Default 1 MiB.
    pub max_retained_bytes: usize,
    /// Most bytes, about, that [`Listener::save`](super::Listener::save) returns. Default 1 MiB.
    pub max_saved_bytes: usize,
    /// Saves messages of the application that wait for clients, too, for an application that does not keep them itself once a session has them.
    /// After a restart they count as messages of clients, without a [`Settled`](super::Settled). Default false: the application keeps its
    /// messages, or they end with the process.
    pub saves_own_messages: bool,
    /// Most bytes that clients may make the listener hold altogether: unfinished packets, bytes and messages that are unwritten or
    /// unacknowledged in either direction, waiting messages, retained messages, wills, filters and sessions. Beyond the limit the client with
    /// most bytes times milliseconds without progress (at most a second counts) gives way: its waiting messages are dropped, the oldest first,
    /// or if it has none its connection is closed. All absent clients count as one, which loses sessions, longest absent first, once it holds
    /// as much as the largest. A packet over 4 KiB is read to its end only when there is memory for all of it, so that many at once are read
    /// in turn; a client that then sends less than 4 KiB in 100 ms while others wait may give way. Default 16 MiB. A value below the other
    /// limits together closes clients that keep to them.
    pub max_memory: usize,
    /// Most messages queued for one client, absent or slow. At the limit the oldest are dropped and counted, those at QoS 0 before the others.
    /// Default 1 000. What was sent and not acknowledged counts in none of the limits of queued messages, also when it waits again after a restart.
    pub max_queued: usize,
    /// Most bytes queued for one client. Default 1 MiB.
    pub max_queued_bytes: usize,
    /// Most bytes queued for all clients together. At the limit the client with the most queued bytes loses its oldest messages. Default 16 MiB.
    pub max_queued_bytes_total: usize,
    /// Most unacknowledged QoS 1 messages to an MQTT 5 client, within its own Receive Maximum. Default 100; 3.1.1 clients get 20.
    pub max_in_flight: u16,
    /// Most bytes of received QoS 1 messages without a PUBACK, over all connections. Beyond, connections that wait for a PUBACK are not read.
    /// Default 4 MiB. Each message counts with topic, payload, properties and client identifier, and 64 bytes more, so that many small ones
    /// count too.
    pub max_unacked_bytes: usize,
    /// Most bytes in the send buffer of a connection. At the limit no message is sent to the client; its packets are still read until they have
    /// caused as many bytes of answers again. Default 256 KiB.
    pub max_unwritten_bytes: usize,
    /// Most bytes per second that are read of one connection, over time; a burst of one second's bytes is read at once. A client that sends
    /// faster is read more slowly, so that its own messages wait, in its memory, and nobody else's do. A connection of the application's
    /// process has no limit. At less than a fifth of the largest packet a client with a keep alive of a few seconds may count as silent while one
    /// is read, and what waits so looks as if it had just arrived. Default `None`: no limit.
    pub max_bytes_per_s: Option<u32>,
    /// Allows control characters and Unicode non-characters in topics of messages and wills, and in their user properties, Content Type and Response
    /// Topic. Default false, because a hub may end the connection for them (§1.5.4). A refused message at QoS 1 is answered by 0x90, in 3.1.1, which has no reasons, by the end of the
    /// connection; one at QoS 0, or a will, is dropped. Refusals are counted, and reported once per connection.
    pub accept_control_characters: bool,
    /// Topic filters for messages of the application alone ([`Listener::publish`](super::Listener::publish)). A client's message or will there
    /// is refused, and so never retained: at QoS 1 it is answered by 0x87, in 3.1.1 by the end of the connection; one at QoS 0, or a will, is
    /// dropped. Refusals are counted, and reported once per connection. Default none.
    pub own_topics: Vec<String>,
    /// Interval in seconds at which figures of the listener are published on `$SYS` topics, while a connected client has a filter for them. They are
    /// those of Mosquitto: `$SYS/broker/version`, `uptime`, `clients/connected`, `clients/total`, `messages/received`, `messages/sent`,
    /// `publish/messages/dropped`, `retained messages/count`, `bytes/received` and `bytes/sent`. Default 10; 0 = no figures. Whatever it is, clients
    /// may publish below `$SYS/` only the state of a bridge of their own, `$SYS/broker/connection/NAME/state`, which is not ingested.
    pub sys_interval_s: u32,
}

impl Config {
    /// Returns the milliseconds within which a packet that a client has begun has to be complete; `None` for no limit.
    pub(super) fn packet_within_ms(&self) -> Option<u64> {
        (self.keep_alive_max_s > 0).then(|| u64::from(self.keep_alive_max_s) * 1_500)
    }

    /// Returns the keep alive that a client is told in the place of the one that it asks for, 0 for none; `None` if it may keep that.
    pub(super) fn other_keep_alive_s(&self, asked_s: u16) -> Option<u16> {
        let max_s = if self.keep_alive_max_s == 0 { u16::MAX } else { self.keep_alive_max_s };
        if asked_s == 0 {
            return (self.keep_alive_max_s > 0).then_some(max_s);
        }
        let told_s = asked_s.max(self.keep_alive_min_s).min(max_s);
        (told_s != asked_s).then_some(told_s)
    }
}

impl Default for Config {
    fn default() -> Self {
        let mut session = ServerConfig::default();
        session.receive_maximum = 1000;
        session.shared_subscription_available = true;
        session.limits = session.limits.with_max_packet_size(256 * 1024);
        Self {
            max_connections: 1000,
            max_sessions: 2000,
            session,
            session_expiry_max_s: 7 * 86_400,
            keep_alive_max_s: 300,
            keep_alive_min_s: 0,
            max_subscriptions: 100,
            max_retained: 1000,
            max_retained_bytes: 1024 * 1024,
            max_saved_bytes: 1024 * 1024,
            saves_own_messages: false,
            max_memory: 16 * 1024 * 1024,
            max_queued: 1000,
            max_queued_bytes: 1024 * 1024,
            max_queued_bytes_total: 16 * 1024 * 1024,
            max_in_flight: 100,
            max_unacked_bytes: crate::puback_chain::PubackChain::MAX_UNACKED_BYTES,
            max_unwritten_bytes: 256 * 1024,
            max_bytes_per_s: None,
            accept_control_characters: false,
            own_topics: Vec::new(),
            sys_interval_s: 10,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_keep_alive_outside_the_limits_is_another_one() {
        for (min_s, max_s, asked_s, told_s) in [
            (0, 300, 60, None),
            (0, 300, 0, Some(300)),
            (0, 300, 301, Some(300)),
            (0, 0, 0, None),
            (0, 0, u16::MAX, None),
            (30, 300, 30, None),
            (30, 300, 29, Some(30)),
            (30, 300, 1, Some(30)),
            (30, 300, 0, Some(300)),
            (30, 0, 0, None),
            (30, 0, 1, Some(30)),
            (30, 10, 5, Some(10)),
            (30, 10, 10, None),
        ] {
            let config = Config { keep_alive_min_s: min_s, keep_alive_max_s: max_s, ..Config::default() };
            assert_eq!(config.other_keep_alive_s(asked_s), told_s, "{min_s} {max_s} {asked_s}");
        }
    }
}
