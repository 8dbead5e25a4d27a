//! Settings of one upstream link.

use super::backoff::BackoffConfig;
use super::rules::Rules;
use crate::session::ClientConfig;

/// Settings of a link. Fields are public; start with [`new`](Self::new).
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct LinkConfig {
    /// The connection to the hub.
    pub client: ClientConfig,
    /// Tries the other version when the hub says that it does not take `client.version`; one that closes without a word may be
    /// away, and is not told.
    /// Default false. Kept for a day, for each address.
    pub any_version: bool,
    /// Number of the hub's addresses: [`Output::Dial`](super::Output::Dial) says which. Default 1. One that cannot be reached, refuses, or leaves messages without an
    /// answer is followed by the next at once; the delay grows when all were in vain.
    pub addresses: usize,
    /// Returns to the first address when it can be reached again: looked for after 30 s on another one, and after twice as long each time, up to an hour. Default
    /// true; without it the address that works is kept.
    pub failback: bool,
    /// Delays between two dials.
    pub backoff: BackoffConfig,
    /// RAM of messages on the way at most, in bytes. Default 4 MiB. Half of it may be unacknowledged: a message is there twice, as a row and as
    /// the packet that the socket has yet to take. Beside it the bookkeeping of at most 4 096 rows that wait for the hub's PUBACK, about 1 KiB each,
    /// and of twice as many where the hub answers younger messages and leaves theirs without one: those keep nothing back, and are parked after three
    /// connections. One message goes whatever its size and however many rows it has.
    pub window_max_bytes: u64,
    /// While there are subscriptions: milliseconds within which a lost connection is noticed and dialled again, so that a command waits no
    /// longer for it. Default 15 000; 0 leaves it to the keep alive. Costs a PINGREQ per [`idle_ping_every_ms`](super::idle_ping_every_ms) of a link on which
    /// nothing else comes, and nothing on others.
    pub command_within_ms: u64,
    /// Ends the connection at a [`stop`](super::Core::stop) so that the hub publishes the client's will then too: with reason 0x04, in 3.1.1, which has no
    /// reasons, without a DISCONNECT. Default false.
    pub will_at_stop: bool,
    /// The `in` rules. Default: none.
    pub rules: Rules,
    /// Seed of the jitter: should differ between gateways.
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
            rules: Rules::default(),
            seed: 0,
        }
    }
}
