//! Settings of one upstream link.

use super::backoff::BackoffConfig;
use super::topic_rules::Rules;
use crate::session::ClientConfig;

/// Settings of a link. Fields are public; start with [`new`](Self::new).
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct LinkConfig {
    /// Settings of the MQTT client that connects to the hub.
    pub client: ClientConfig,
    /// Tries the other MQTT version when the hub says that it does not take `client.version`. A close without an answer does not count, because
    /// the hub may have been away. The version that the hub accepted is kept for a day, for each address. Default false.
    pub any_version: bool,
    /// Number of the hub's addresses, of which [`Output::Dial`](super::Output::Dial) names one. Default 1. After one that cannot be reached,
    /// refuses, or leaves messages without an answer the next is dialled at once; the delay grows when all of them failed.
    pub addresses: usize,
    /// Returns to the first address when it can be reached again. It is probed after 30 s on another one, then after twice as long each time,
    /// up to an hour. Default true; false stays at the address that works.
    pub failback: bool,
    /// Delays between two dials.
    pub backoff: BackoffConfig,
    /// Most RAM of messages in flight, in bytes. Default 4 MiB. Half of it may be unacknowledged, because each message exists twice: as a row and
    /// as the packet in the send buffer. In addition there is about 1 KiB of bookkeeping for each of at most 4 096 rows that wait for a PUBACK,
    /// and for twice as many if the hub acknowledges younger messages first; messages that it passes over block no others, and are parked after
    /// three connections. One message is sent whatever its size and number of rows.
    pub window_max_bytes: u64,
    /// Milliseconds within which a lost connection is noticed and dialled again while there are subscriptions, so that a command waits no
    /// longer for it. Default 15 000; 0 leaves it to the keep alive. Costs a PINGREQ per [`idle_ping_every_ms`](super::idle_ping_every_ms) on
    /// an idle link, and nothing on a busy one.
    pub command_within_ms: u64,
    /// Makes the hub publish the client's will also at a [`stop`](super::Core::stop), by DISCONNECT with reason 0x04, or without DISCONNECT in
    /// 3.1.1, which has no reasons. Default false.
    pub will_at_stop: bool,
    /// Sends messages with control characters and Unicode non-characters in topic or properties. Default false: they are parked with the reason
    /// [`HUB_MAY_CLOSE`](crate::wire::ReasonCode::HUB_MAY_CLOSE), because a hub may end the connection for them (§1.5.4), and again each time
    /// that they are sent.
    pub accept_control_characters: bool,
    /// Rules that map the hub's topics to local ones. Default: none.
    pub rules: Rules,
    /// Seed of the jitter; it should differ between gateways.
    pub seed: u64,
}

impl LinkConfig {
    /// The defaults around this client.
    pub fn new(client: ClientConfig) -> Self {
        Self {
            client,
            any_version: false,
            addresses: 1,
            failback: true,
            backoff: BackoffConfig::default(),
            window_max_bytes: 4 * 1024 * 1024,
            command_within_ms: 15_000,
            will_at_stop: false,
            accept_control_characters: false,
            rules: Rules::default(),
            seed: 0,
        }
    }
}
